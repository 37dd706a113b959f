"""Terraform: which binary, which root, and how it is run."""
