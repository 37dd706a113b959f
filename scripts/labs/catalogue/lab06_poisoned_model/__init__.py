"""Lab 6: a model that runs code on the server which loads it."""
