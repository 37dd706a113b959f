"""EC2's data plane: what instances run, their metadata, and sessions to them."""
