"""Thin, independent pipeline steps; each runs as `python -m pipeline.<step>`."""

import os

# OpenMP's threads spin while they wait for each other. Where cores are shared with other processes
# that turns a second into a minute, so they sleep instead. Read when the library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
