"""Values of GitHub's expressions: how they compare, become text or numbers, and the functions."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any


class ExpressionError(Exception):
    """An expression that GitHub would refuse, or that this evaluator does not know."""


def truthy(value: Any) -> bool:
    """Whether a value counts as true: null, false, 0, NaN and the empty string do not."""
    if isinstance(value, float) and math.isnan(value):
        return False
    return bool(value) if isinstance(value, bool | int | float | str) else value is not None


def to_string(value: Any) -> str:
    """Write a value as GitHub puts it into text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number_text(float(value))
    if isinstance(value, str):
        return value
    return "Object" if isinstance(value, Mapping) else "Array"


def _number_text(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return str(int(number)) if number.is_integer() else f"{number:.15g}"


def parse_number(text: str) -> float:
    return float(int(text, 16)) if "x" in text.lower() else float(text)


def to_number(value: Any) -> float:
    """Coerce a value to a number; what is none becomes NaN."""
    if value is None:
        return 0.0
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return 0.0
        try:
            return parse_number(text)
        except ValueError:
            return math.nan
    return math.nan


def compare(operator: str, left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        first: Any = left.upper()
        second: Any = right.upper()
    elif isinstance(left, Mapping | list) and isinstance(right, Mapping | list):
        return (left is right) if operator == "==" else operator == "!=" and left is not right
    elif type(left) is type(right) and left is None:
        first, second = 0, 0
    else:
        first, second = to_number(left), to_number(right)
    return bool(
        {
            "==": first == second,
            "!=": first != second,
            "<": first < second,
            "<=": first <= second,
            ">": first > second,
            ">=": first >= second,
        }[operator]
    )


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(compare("==", item, what) for item in where)
    return to_string(what).lower() in to_string(where).lower()


def _format(pattern: Any, *values: Any) -> str:
    def fill(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found["number"] is None or int(found["number"]) >= len(values):
            raise ExpressionError(f"format() cannot fill {found[0]!r} of {pattern!r}")
        return to_string(values[int(found["number"])])

    return re.sub(r"{{|}}|{(?P<number>\d+)}|[{}]", fill, to_string(pattern))


def _from_json(text: Any) -> Any:
    try:
        return json.loads(to_string(text))
    except ValueError as error:
        raise ExpressionError(f"fromJSON() of {text!r}: {error}") from None


def _to_json(value: Any) -> str:
    def plain(inner: Any) -> Any:
        if isinstance(inner, Mapping):
            return {str(key): plain(item) for key, item in inner.items()}
        if isinstance(inner, list):
            return [plain(item) for item in inner]
        whole = isinstance(inner, float) and inner.is_integer()
        return int(inner) if whole else inner

    return json.dumps(plain(value), indent=2)


def _join(values: Any, separator: Any = ",") -> str:
    items = values if isinstance(values, list) else [values]
    return to_string(separator).join(to_string(item) for item in items)


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "contains": (2, 2, _contains),
    "startswith": (
        2, 2, lambda text, head: to_string(text).lower().startswith(to_string(head).lower()),
    ),
    "endswith": (
        2, 2, lambda text, tail: to_string(text).lower().endswith(to_string(tail).lower()),
    ),
    "format": (1, 255, _format),
    "join": (1, 2, _join),
    "tojson": (1, 1, _to_json),
    "fromjson": (1, 1, _from_json),
}  # fmt: skip
