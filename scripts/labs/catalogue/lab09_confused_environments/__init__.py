"""Lab 9: one environment reaches into the other."""
