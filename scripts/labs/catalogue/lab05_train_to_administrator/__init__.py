"""Lab 5: a training job becomes administrator."""
