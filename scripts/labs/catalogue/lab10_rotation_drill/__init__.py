"""Lab 10: how long until every consumer works again after a leak."""
