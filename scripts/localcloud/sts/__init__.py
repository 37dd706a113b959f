"""The Security Token Service and GitHub's token issuer."""
