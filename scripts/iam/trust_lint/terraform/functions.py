"""Terraform's functions; NotImplemented where what is not known decides.

https://developer.hashicorp.com/terraform/language/functions
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import yaml

from scripts.iam.trust_lint.reading.names import ACCOUNT
from scripts.iam.trust_lint.terraform.values import (
    Invalid,
    Json,
    Several,
    Type,
    Unknown,
    is_open,
    plain,
    text_of,
)


def _known(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arguments that are all known."""

    def called(*arguments: Any) -> Any:
        return NotImplemented if any(is_open(one) for one in arguments) else function(*arguments)

    return called


def _made(parts: list[Any], made: list[Any]) -> list[Any]:
    """A list, of unknown length if one of those that it is made of is."""
    return Several(made) if any(isinstance(one, Several) for one in parts) else made


def _items(value: Any) -> list[Any]:
    """The items of a list, or one for all of a list that is not known."""
    if isinstance(value, Unknown):
        return Several([value])
    if hasattr(value, "each"):
        return list(value.each())
    if not isinstance(value, list):
        raise Invalid(f"{type(value).__name__} is no list")
    return value


def _concat(*lists: Any) -> list[Any]:
    parts = [_items(one) for one in lists]
    return _made(parts, [one for part in parts for one in part])


def _distinct(*lists: Any) -> list[Any]:
    found: list[Any] = []
    parts = [_items(one) for one in lists]
    for one in (one for part in parts for one in part):
        if one not in found:
            found.append(one)
    return _made(parts, found)


def _flatten(listed: Any) -> list[Any]:
    several = isinstance(listed, Several)
    found: list[Any] = []
    for one in _items(listed):
        inner = _flatten(one) if isinstance(one, list) else [one]
        several = several or isinstance(inner, Several)
        found += inner
    return Several(found) if several else found


def _compact(listed: Any) -> list[Any]:
    found = _items(listed)
    return _made([found], [one for one in found if one not in (None, "")])


def _merge(*objects: Any) -> Any:
    found: dict[Any, Any] = {}
    given = [one for one in objects if one not in (None, {})]
    if len(given) == 1:
        return given[0]
    for one in given:
        if not isinstance(one, dict):
            return NotImplemented
        found |= one
    return found


def _coalesce(*values: Any) -> Any:
    for one in values:
        if isinstance(one, Unknown):
            return NotImplemented
        if one not in (None, ""):
            return one
    raise Invalid("no value in coalesce")


def _coalescelist(*lists: Any) -> Any:
    for one in lists:
        if isinstance(one, Unknown | Several):
            return NotImplemented
        if one:
            return one
    raise Invalid("no list in coalescelist")


def _lookup(of: Any, key: Any, *default: Any) -> Any:
    if not isinstance(of, dict) or isinstance(key, Unknown):
        return NotImplemented
    if key in of:
        return of[key]
    if default:
        return default[0]
    raise Invalid(f"no {key}")


def _length(of: Any) -> Any:
    if isinstance(of, Unknown | Several) or (isinstance(of, str) and "${" in of):
        return NotImplemented
    if hasattr(of, "each"):
        of = of.each()
        if isinstance(of, Several):
            return NotImplemented
    if isinstance(of, dict) and any(isinstance(key, Unknown) for key in of):
        return NotImplemented
    return len(of)


def _format(form: Any, *values: Any) -> Any:
    if not isinstance(form, str):
        return NotImplemented
    rest = iter(values)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        try:
            value = next(rest)
        except StopIteration:
            raise Invalid("format: too few values") from None
        if match[2] == "q":
            return json.dumps(text_of(value))
        if match[1] and not isinstance(value, Unknown):
            number = match[2] == "d"
            return f"%{match[1]}{match[2]}" % (int(value) if number else text_of(value))
        return text_of(value)

    return re.sub(r"%([-+0 #]*\d*(?:\.\d+)?)([svdqft%])|%%", one, form)


def _formatlist(form: Any, *values: Any) -> Any:
    lists = [_items(one) for one in values if isinstance(one, list)]
    # A name that is not known and stands alone beside no list is one.
    if not lists:
        values = tuple(_items(one) if isinstance(one, Unknown) else one for one in values)
        lists = [one for one in values if isinstance(one, list)]
    if not lists:
        return [_format(form, *values)]
    length = max(len(one) for one in lists)
    made = [
        _format(form, *(one[place] if isinstance(one, list) else one for one in values))
        for place in range(length)
    ]
    return _made(lists, made)


def _join(between: Any, *lists: Any) -> Any:
    parts = [_items(one) for one in lists]
    if any(isinstance(one, Several) for one in parts):
        return NotImplemented
    return text_of(between).join(text_of(one) for part in parts for one in part)


def _split(between: Any, text: Any) -> Any:
    if isinstance(text, Unknown):
        return NotImplemented
    # An account's number holds none.
    rest = text.replace(ACCOUNT, "") if isinstance(text, str) else text
    if is_open(rest) and re.search(r"[\w./:@-]|^$", between):
        return NotImplemented  # what is not known may hold it; names hold no other letters
    return re.split(rf"(?![^{{}}]*\}}){re.escape(between)}", text_of(text))


def _replace(text: Any, old: Any, new: Any) -> Any:
    if isinstance(text, Unknown) or is_open(old) or is_open(new):
        return NotImplemented
    text = text_of(text)
    if len(old) > 1 and old.startswith("/") and old.endswith("/"):
        if "${" in text:
            return NotImplemented
        return re.sub(old[1:-1], re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", new), text)
    return text.replace(old, new)


def _trim(how: Callable[[str, str], str]) -> Callable[..., Any]:
    def called(text: Any, part: Any) -> Any:
        return NotImplemented if isinstance(text, Unknown) else how(text_of(text), text_of(part))

    return called


def _letters(how: Callable[[str], str]) -> Callable[..., Any]:
    """A function of a text, carried out around the placeholders in it."""

    def called(text: Any) -> Any:
        if isinstance(text, Unknown):
            return NotImplemented
        parts = re.split(r"(\$\{[^{}]*\})", text_of(text))
        return "".join(one if one.startswith("${") else how(one) for one in parts)

    return called


def _regex(pattern: str, text: str) -> Any:
    match = re.search(pattern, text)
    if not match:
        raise Invalid("regex: no match")
    return _matched(match)


def _matched(match: re.Match[str]) -> Any:
    return match.groupdict() or ([*match.groups()] if match.groups() else match[0])


def _regexall(pattern: Any, text: Any) -> Any:
    return [_matched(one) for one in re.finditer(pattern, text_of(text))]


def _contains(listed: Any, wanted: Any) -> Any:
    found = _items(listed)
    if not is_open(wanted) and any(one == wanted for one in found):
        return True
    return NotImplemented if is_open(found) or is_open(wanted) else False


def _keys(of: Any) -> Any:
    return sorted(of, key=str) if isinstance(of, dict) else NotImplemented


def _values(of: Any) -> Any:
    if isinstance(of, dict):
        several = any(isinstance(key, Unknown) for key in of)
        listed = [of[key] for key in sorted(of, key=str)]
        return Several(listed) if several else listed
    return list(of.each()) if hasattr(of, "each") else _items(of)


def _element(listed: Any, index: Any) -> Any:
    if isinstance(listed, Unknown) or is_open(index):
        return NotImplemented
    found = _items(listed)
    if not found:
        raise Invalid("element of nothing")
    return found[int(index) % len(found)]


def _one(listed: Any) -> Any:
    found = _items(listed) if not isinstance(listed, Unknown) else [Unknown(f"one({listed.text})")]
    if len(found) > 1:
        raise Invalid("one of several")
    return found[0] if found else None


def _setproduct(*lists: Any) -> Any:
    found: list[Any] = [[]]
    parts = [_items(one) for one in lists]
    for part in parts:
        found = [[*before, one] for before in found for one in part]
    return _made(parts, found)


def _decoded(text: Any) -> Any:
    if isinstance(text, Json):
        return text.value
    return NotImplemented if is_open(text) else json.loads(text)


def _conversion(kind: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda value: value if value is None or isinstance(value, Unknown) else kind(value)


def _bool(value: Any) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise Invalid(f"{value!r} is no condition")


def _anytrue(listed: Any) -> Any:
    found = _items(listed)
    if True in found:
        return True
    return NotImplemented if is_open(found) else False


def _alltrue(listed: Any) -> Any:
    found = _items(listed)
    if False in found:
        return False
    return NotImplemented if is_open(found) else True


@lru_cache(maxsize=64)
def _yaml(text: str) -> Any:
    """The content of a YAML text, which nobody changes. libyaml reads it ten times as fast."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": _known(abs),
    "alltrue": _alltrue,
    "anytrue": _anytrue,
    "base64decode": _known(lambda text: base64.b64decode(text).decode()),
    "base64encode": _known(lambda text: base64.b64encode(text.encode()).decode()),
    "basename": _known(lambda text: text.rpartition("/")[2]),
    "chomp": _letters(lambda text: text.rstrip("\n")),
    "chunklist": _known(lambda listed, size: [
        listed[at : at + size] for at in range(0, len(listed), size)]),
    "coalesce": _coalesce,
    "coalescelist": _coalescelist,
    "compact": _compact,
    "concat": _concat,
    "contains": _contains,
    "distinct": _distinct,
    "element": _element,
    "endswith": _known(lambda text, part: text.endswith(part)),
    "flatten": _flatten,
    "format": _format,
    "formatlist": _formatlist,
    "index": _known(lambda listed, one: listed.index(one)),
    "join": _join,
    "jsondecode": _decoded,
    "jsonencode": Json,
    "keys": _keys,
    "length": _length,
    "lookup": _lookup,
    "lower": _letters(str.lower),
    "matchkeys": _known(lambda values, keys, wanted: [
        one for one, key in zip(values, keys, strict=True) if key in wanted]),
    "max": _known(max),
    "merge": _merge,
    "min": _known(min),
    "nonsensitive": lambda value: value,
    "list": lambda of: Type("list", of),
    "map": lambda of: Type("map", of),
    "object": lambda fields: Type("object", fields),
    "one": _one,
    "optional": lambda of, default=None: Type("optional", of, default),
    "range": _known(lambda *numbers: list(range(*numbers))),
    "regex": _known(_regex),
    "regexall": _known(_regexall),
    "replace": _replace,
    "reverse": _known(lambda listed: listed[::-1]),
    "sensitive": lambda value: value,
    "set": lambda of: Type("set", of),
    "setintersection": _known(lambda first, *rest: [
        one for one in first if all(one in other for other in rest)]),
    "setproduct": _setproduct,
    "setsubtract": _known(lambda first, second: [one for one in first if one not in second]),
    "setunion": _distinct,
    "slice": _known(lambda listed, start, end: listed[start:end]),
    "sort": lambda listed: _made([_items(listed)], sorted(_items(listed), key=str)),
    "split": _split,
    "startswith": lambda text, part: (
        True if isinstance(text, str) and text.startswith(part)
        else NotImplemented if is_open(text) else False),
    "strcontains": lambda text, part: (
        True if isinstance(text, str) and part in text
        else NotImplemented if is_open(text) else False),
    "strrev": _known(lambda text: text[::-1]),
    "substr": _known(lambda text, start, length: (
        text[start:] if length < 0 else text[start:][:length])),
    "sum": _known(sum),
    "title": _letters(lambda text: re.sub(r"\b\w", lambda match: match[0].upper(), text)),
    "tobool": _conversion(_bool),
    "tolist": _conversion(_items),
    "tomap": _conversion(lambda value: value),
    "tonumber": _conversion(lambda value: value if isinstance(value, int) else float(value)),
    "toset": _conversion(_distinct),
    "tostring": _conversion(lambda value: value if is_open(value) else text_of(value)),
    "transpose": _known(lambda of: {
        one: [key for key, listed in of.items() if one in listed]
        for listed in of.values() for one in listed}),
    "trim": _trim(lambda text, part: text.strip(part)),
    "trimprefix": _trim(lambda text, part: text.removeprefix(part)),
    "trimspace": _letters(str.strip),
    "trimsuffix": _trim(lambda text, part: text.removesuffix(part)),
    "upper": _letters(str.upper),
    "values": _values,
    "yamldecode": _known(_yaml),
    "yamlencode": lambda value: json.dumps(plain(value)),
    "zipmap": _known(lambda keys, values: dict(zip(keys, values, strict=True))),
}  # fmt: skip
