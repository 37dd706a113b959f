"""Moto in process, and where it differs from AWS."""
