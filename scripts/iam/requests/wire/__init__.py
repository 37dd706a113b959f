"""How AWS's protocols carry an operation and its parameters."""
