"""Security labs: break one control at a time on a local cloud, then fix it."""
