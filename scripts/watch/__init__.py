"""A local page that shows the local cloud's requests as they are decided."""
