"""Settings of every test: property-based ones are reproducible, and know no time limit.

`make check` sets KEYLESS_TESTS=quick: fewer examples each, for an answer in about two minutes.
"""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "full", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("full"), max_examples=15)
settings.load_profile(os.environ.get("KEYLESS_TESTS", "full"))

# A shell that runs `make test &` has it ignore Ctrl-C, and all its children too; tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
