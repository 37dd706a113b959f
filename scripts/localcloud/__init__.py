"""A local AWS that authenticates, authorises and records every request before moto answers it."""
