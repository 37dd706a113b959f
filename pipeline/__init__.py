"""Thin, independent pipeline steps; each runs as `python -m pipeline.<step>`."""
