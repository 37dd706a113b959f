"""What Terraform's operators and functions do, on Python's values; null is None.

Functions: https://developer.hashicorp.com/terraform/language/functions. Only those that a ported
module calls are here; another one is refused by name when it is needed.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class HclError(Exception):
    """Code that is not understood: the module uses something that is not supported here."""


class EvaluationError(Exception):
    """An expression without a value, such as an attribute of null; try() and can() catch it."""


def guarded(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call with Python's complaints turned into EvaluationError."""
    try:
        return function(*arguments)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise EvaluationError(f"{name}: {error}") from error


def boolean(value: Any) -> bool:
    """The value of a condition. Raises EvaluationError for anything but true and false."""
    if not isinstance(value, bool):
        raise EvaluationError(f"a condition must be true or false, not {value!r}")
    return value


def text_of(value: Any) -> str:
    """How a template writes a value. Raises EvaluationError for null, lists and maps."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise EvaluationError(f"{value!r} has no place in a string")


def attribute(value: Any, name: str) -> Any:
    """`value.name`."""
    if not isinstance(value, Mapping) or name not in value:
        raise EvaluationError(f"there is no .{name}")
    return value[name]


def item(value: Any, index: Any) -> Any:
    """`value[index]`; unlike Python's, an index below zero is none."""
    if isinstance(value, Mapping):
        return attribute(value, index)
    if not isinstance(value, list) or not _is_number(index) or not 0 <= index < len(value):
        raise EvaluationError(f"there is no [{index!r}]")
    return value[int(index)]


def splat(value: Any) -> list[Any]:
    """`value[*]`: null is no element, what is no list is one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(left: Any, right: Any) -> bool:
    # For Python, True == 1.
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*numbers: Any) -> Any:
        if not all(_is_number(number) for number in numbers):
            raise TypeError(f"needs numbers, not {numbers!r}")
        return function(*numbers)

    return checked


def _length(value: Any) -> int:
    if not isinstance(value, str | list | Mapping):
        raise TypeError(f"{value!r} has no length")
    return len(value)


def _one(values: Sequence[Any]) -> Any:
    if len(values) > 1:
        raise ValueError(f"expected at most one element, found {len(values)}")
    return values[0] if values else None


def _regex(pattern: str, text: str) -> str:
    """The first match of a pattern without groups that are numbered.

    RE2's $ is the end of the text; Python's also accepts a newline before it, so it becomes \\Z.
    """
    if "(" in pattern.replace("(?:", "") or "$" in pattern[:-1]:
        raise HclError(f"regex() with groups, or with $ before the end: {pattern}")
    found = re.search(pattern.removesuffix("$") + (r"\Z" if pattern.endswith("$") else ""), text)
    if found is None:
        raise ValueError("no match")
    return found[0]


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": _of_numbers(operator.lt),
    ">": _of_numbers(operator.gt),
    "<=": _of_numbers(operator.le),
    ">=": _of_numbers(operator.ge),
    "+": _of_numbers(operator.add),
    "-": _of_numbers(operator.sub),
    "*": _of_numbers(operator.mul),
    "/": _of_numbers(operator.truediv),
    "%": _of_numbers(math.fmod),
}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "alltrue": lambda values: all(boolean(value) for value in values),
    "floor": _of_numbers(math.floor),
    "length": _length,
    "max": _of_numbers(max),
    "one": _one,
    "regex": _regex,
    "split": lambda separator, text: text.split(separator),
}
