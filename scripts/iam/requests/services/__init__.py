"""One table a service: which permissions each of its operations needs."""
