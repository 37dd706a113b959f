"""Lab 4: code of a stranger runs in a job that gets a token."""
