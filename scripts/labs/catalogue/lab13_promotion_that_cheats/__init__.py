"""Lab 13: a worse model is promoted by the rules."""
