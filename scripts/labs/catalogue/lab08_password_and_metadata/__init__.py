"""Lab 8: a password in user data, and credentials stolen through the metadata service."""
