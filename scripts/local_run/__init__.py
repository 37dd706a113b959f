"""What `keyless up` and `down` do: the whole platform on this machine, and its removal."""
