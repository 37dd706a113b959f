"""Elastic Load Balancing's data plane: listeners on free ports that forward to instances."""
