"""Settings of every test: property-based ones are reproducible, and know no time limit.

`make check` sets KEYLESS_TESTS=quick: fewer examples each, and no module is imported that has none
of its tests, for an answer in about a minute.
"""

from __future__ import annotations

import gc
import os
import re
import signal
from functools import cache
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader
from hypothesis import HealthCheck, settings

settings.register_profile(
    "full", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("full"), max_examples=10)
PROFILE = os.environ.get("KEYLESS_TESTS", "full")
settings.load_profile(PROFILE)

_WHOLLY_SLOW = re.compile(
    r"^pytestmark = \[?\s*pytest\.mark\.(?:slow|e2e|terraform)\b", re.MULTILINE
)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the modules that `make check` would deselect as a whole."""
    wanted = PROFILE != "quick" or collection_path.suffix != ".py"
    return None if wanted or not _WHOLLY_SLOW.search(collection_path.read_text()) else True


# Every botocore session parses megabytes of its own data and looks through folders for names of
# services; the tests make hundreds of sessions.
_reader, _loader = JSONFileLoader(), Loader()
_read_file = JSONFileLoader.load_file
_load_file, _services = cache(_reader.load_file), cache(_loader.list_available_services)


def _load(reader: JSONFileLoader, file_path: str) -> Any:
    """Read a file once. S3's is read anew each time: a client takes the bucket out of its paths."""
    own = f"{os.sep}s3{os.sep}" in file_path
    return _read_file(reader, file_path) if own else _load_file(file_path)


setattr(JSONFileLoader, "load_file", _load)  # noqa: B010 - mypy
setattr(Loader, "list_available_services", lambda _, type_name: list(_services(type_name)))  # noqa: B010

# Terraform and the provider read large schemas at each start: with fewer collections of garbage a
# plan takes 0.86 of the processor's time, and 1.6 times the memory.
os.environ.setdefault("GOGC", "400")

# The libraries' modules and the collected tests stay: to look through them for garbage again and
# again took a sixth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage again, of what is made from here on."""
    gc.freeze()
    gc.enable()


# A shell that runs `make test &` has it ignore Ctrl-C, and all its children too; tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
