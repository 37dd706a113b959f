"""A Terraform module's variables: given values are checked, completed and refused as it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.pulumi_platform.hcl import Block
from scripts.pulumi_platform.operations import EvaluationError, boolean

# Takes a value and what to call it; returns the value with its defaults, or raises.
Type = Callable[[Any, str], Any]


class ArgumentError(ValueError):
    """An argument that the module refuses; says what to write instead."""


@dataclass(frozen=True)
class _Optional:
    type: Type
    default: Any = None


def _primitive(word: str, *kinds: type) -> Type:
    def checked(value: Any, path: str) -> Any:
        # For Python, True is a number.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ArgumentError(f"{path} must be {word}, not {value!r}.")
        return value

    return checked


def _list(element: Type) -> Type:
    def checked(value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple):
            raise ArgumentError(f"{path} must be a list, not {value!r}.")
        return [element(each, f"{path}[{index}]") for index, each in enumerate(value)]

    return checked


def _map(element: Type) -> Type:
    def checked(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise ArgumentError(f"{path} must be a map, not {value!r}.")
        return {key: element(each, f"{path}.{key}") for key, each in value.items()}

    return checked


def _object(fields: Mapping[str, Any]) -> Type:
    def checked(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise ArgumentError(f"{path} must have {_listed(fields)}, not {value!r}.")
        # Terraform ignores what it does not know; a slip of the pen is better refused.
        refuse_unknown(value, fields, f"{path}.")
        return {name: _field(value, name, type_, path) for name, type_ in fields.items()}

    return checked


def _field(value: Mapping[str, Any], name: str, type_: Any, path: str) -> Any:
    given = value.get(name)
    if not isinstance(type_, _Optional):
        return type_(given, f"{path}.{name}")
    if given is None:
        return type_.default
    return type_.type(given, f"{path}.{name}")


def refuse_unknown(given: Iterable[str], known: Iterable[str], prefix: str = "") -> None:
    """Raise ArgumentError for a name that is none of the known ones."""
    known = list(known)
    for name in given:
        if name not in known:
            raise ArgumentError(f"{prefix}{name} is not known here; there are {_listed(known)}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


_TYPES: Mapping[str, Any] = {
    "any": lambda value, _: value,
    "bool": _primitive("true or false", bool),
    "number": _primitive("a number", int, float),
    "string": _primitive("text", str),
    "list()": _list,
    "map()": _map,
    "object()": _object,
    "optional()": _Optional,
}


class Variable:
    """One `variable` block."""

    def __init__(self, block: Block) -> None:
        self.name = block.labels[0]
        self._type: Type = block.body.arguments["type"](_TYPES)
        self._default = block.body.arguments.get("default")
        self._rules = [rule.body.arguments for rule in block.body.of("validation")]

    def completed(self, inputs: Mapping[str, Any]) -> Any:
        """The given value or the default, with the defaults within. Raises ArgumentError."""
        given = inputs.get(self.name)
        if given is None:
            if self._default is None:
                raise ArgumentError(f"{self.name} is missing: the module has no default for it.")
            given = self._default({})
        return None if given is None else self._type(given, self.name)

    def check(self, value: Any) -> None:
        """Raise ArgumentError with the module's own message for a value that it refuses."""
        for rule in self._rules:
            require(rule, {"var": {self.name: value}})


def require(rule: Mapping[str, Any], names: Mapping[str, Any]) -> None:
    """Raise ArgumentError with the rule's message unless its condition holds."""
    try:
        held = boolean(rule["condition"](names))
    except EvaluationError as error:
        raise ArgumentError(f"{rule['error_message'](names)} ({error})") from error
    if not held:
        raise ArgumentError(rule["error_message"](names))
