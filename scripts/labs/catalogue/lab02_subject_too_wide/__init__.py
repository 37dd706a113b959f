"""Lab 2: a trust policy lets strangers in."""
