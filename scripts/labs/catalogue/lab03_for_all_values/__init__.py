"""Lab 3: a condition that is true when its key is missing."""
