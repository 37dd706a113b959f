"""The model families that settings may name: one file each.

A file defines NAME (its own name), SPACE (default ranges of the search: two numbers are a range,
log-uniform over two decades or more; anything else is a list of choices), TRUSTED_TYPES (types
that skops must be allowed to load) and build, which returns the unfitted preprocessing and model.
"""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

Space = dict[str, Sequence[float | int | str]]

NAMES = tuple(sorted(found.name for found in pkgutil.iter_modules(__path__)))


def family(name: str) -> ModuleType:
    """The module of a family. Raises KeyError for a name that is none."""
    if name not in NAMES:
        raise KeyError(name)
    return import_module(f"{__name__}.{name}")


def trusted_types() -> list[str]:
    """What skops must be allowed to load so that a model of any family can be read again."""
    found = {kind for name in NAMES for kind in family(name).TRUSTED_TYPES}
    return ["numpy.dtype", *sorted(found)]
