"""Lab 1: a static key leaks."""
