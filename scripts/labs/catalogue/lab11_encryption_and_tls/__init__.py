"""Lab 11: a presigned link over plain HTTP."""
