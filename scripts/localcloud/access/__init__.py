"""Who sent a request, what it means, and whether it is allowed."""
