"""Credentials for AWS: where they come from, and how a local run is sealed from them."""
