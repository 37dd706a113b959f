"""What expressions of Terraform stand for, where not everything is known."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from scripts.iam.trust_lint.reading.literals import placeholder


class Invalid(ValueError):
    """An expression that Terraform refuses, such as an index beyond a list's end."""


class Unknown:
    """A value that the files do not give, by the expression that it comes from."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())

    def __str__(self) -> str:
        return placeholder(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class NotGiven(str):
    """The empty default of a variable: empty where it is compared, and open where it is used."""

    text: str

    def __new__(cls, text: str) -> NotGiven:
        """The default of the variable with this name."""
        made = super().__new__(cls, "")
        made.text = text
        return made


class Several(list[Any]):
    """A list of which the form of each item is known and not how many there are."""


class Json:
    """What `jsonencode` made."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return json.dumps(plain(self.value))


@dataclass(frozen=True)
class Type:
    """A type constraint of a variable: its kind, what it is made of, and an attribute's default."""

    kind: str
    of: Any = None
    default: Any = None


def conform(value: Any, wanted: Any) -> Any:
    """A value with the defaults of the attributes that it does not have.

    https://developer.hashicorp.com/terraform/language/expressions/type-constraints
    """
    if not isinstance(wanted, Type) or value is None or isinstance(value, Unknown):
        return value
    if wanted.kind == "optional":
        return conform(value, wanted.of)
    if wanted.kind in ("list", "set") and isinstance(value, list):
        return type(value)(conform(one, wanted.of) for one in value)
    if wanted.kind == "map" and isinstance(value, dict):
        return {key: conform(one, wanted.of) for key, one in value.items()}
    if wanted.kind == "object" and isinstance(value, dict) and isinstance(wanted.of, dict):
        missing = {
            name: conform(kind.default, kind.of)
            for name, kind in wanted.of.items()
            if isinstance(kind, Type) and kind.kind == "optional" and value.get(name) is None
        }
        given = {name: conform(one, wanted.of.get(name)) for name, one in value.items()}
        return {**given, **missing}
    return value


def plain(value: Any) -> Any:
    """A value as JSON has it, with a placeholder for what is not known."""
    if isinstance(value, NotGiven):
        return placeholder(value.text)
    if isinstance(value, Json):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return value if isinstance(value, str | int | float | None) else str(value)


def source_of(value: Any) -> str:
    """A value as an expression would write it."""
    if isinstance(value, Unknown | NotGiven):
        return value.text
    return re.sub(r'"?\$\{([^{}]*)\}"?', r"\1", json.dumps(plain(value)))


def is_open(value: Any) -> bool:
    """Whether a value holds anything that is not known."""
    if isinstance(value, Several):
        return True
    if isinstance(value, list | tuple):
        return any(is_open(one) for one in value)
    if isinstance(value, dict):
        return any(is_open(key) or is_open(one) for key, one in value.items())
    if isinstance(value, Json):
        return is_open(value.value)
    return isinstance(value, Unknown) or (isinstance(value, str) and "${" in value)


def text_of(value: Any) -> str:
    """A value within a text. Raises Invalid for what has no text."""
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float | Unknown | Json):
        return placeholder(value.text) if isinstance(value, NotGiven) else str(value)
    raise Invalid(f"{type(value).__name__} in a text")
