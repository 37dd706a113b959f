"""Whether a resource's arguments have the names and shapes that pulumi-aws declares for them.

Python checks the outermost names only: a block below, written as a dictionary, reaches the provider
under whatever name and in whatever shape it has, and fails there at the earliest.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pulumi._types import input_type_py_to_pulumi_names, input_type_types, is_input_type

_PRIMITIVES: Mapping[Any, Any] = {bool: bool, float: (int, float), str: str}


def misfits(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """What does not fit the declared arguments of a type such as aws:s3/bucketV2:BucketV2."""
    _, module, name = token.split(":")
    package = importlib.import_module(f"pulumi_aws.{module.split('/')[0]}")
    return _misfits(inputs, getattr(package, f"{name}Args"), name)


def _misfits(value: Any, kind: Any, path: str) -> list[str]:
    if inspect.isclass(kind) and is_input_type(kind):
        return _of_block(value, kind, path)
    if get_origin(kind) in (Union, UnionType):  # a text, or one of an enumeration
        given = [one for one in get_args(kind) if inspect.isclass(one) and one is not NoneType]
        return min((_misfits(value, one, path) for one in given), key=len)
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return [] if value in [each.value for each in kind] else [f"{path}: {value!r}"]
    if origin := get_origin(kind):
        return _of_each(value, dict if issubclass(origin, Mapping) else list, kind, path)
    if kind is int:
        fits = isinstance(value, int | float) and value == int(value)
    else:
        fits = isinstance(value, _PRIMITIVES[kind])
    # For Python, True is a number.
    return [] if fits and isinstance(value, bool) == (kind is bool) else [f"{path}: {value!r}"]


@cache
def _declared(kind: Any) -> tuple[dict[str, Any], set[str]]:
    """Types of a block's arguments by their names on the wire, and which are required."""
    types = input_type_types(kind)
    renamed = input_type_py_to_pulumi_names(kind)
    required = {
        renamed[name]
        for name, each in inspect.signature(kind.__init__).parameters.items()
        if name in renamed and each.default is inspect.Parameter.empty
    }
    return types, required


def _of_block(value: Any, kind: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: not a block"]
    types, required = _declared(kind)
    found = [f"{path}: no {name}" for name in sorted(required - value.keys())]
    for name, each in ((name, each) for name, each in value.items() if each is not None):
        below = f"{path}.{name}"
        found += _misfits(each, types[name], below) if name in types else [f"{below}: unknown"]
    return found


def _of_each(value: Any, container: type[Any], kind: Any, path: str) -> list[str]:
    if not isinstance(value, container):
        return [f"{path}: not a {container.__name__}"]
    # The last argument is the element, or Union[element, Awaitable, Output].
    element = get_args(kind)[-1]
    element = get_args(element)[0] if get_args(element) else element
    entries: Iterable[tuple[Any, Any]] = (
        value.items() if isinstance(value, dict) else enumerate(value)
    )
    return [miss for key, each in entries for miss in _misfits(each, element, f"{path}[{key}]")]
