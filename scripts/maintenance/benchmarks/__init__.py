"""Measurements: each prints figures, and judges nothing that it did not measure."""
