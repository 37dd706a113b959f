"""What a plan would change: its normalised list, that list's digest, and what bears on security."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.plan.concerns import bears_on

UNKNOWN = "(known after apply)"
_ACTIONS = {
    ("create",): "create",
    ("update",): "change",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("delete",): "destroy",
    ("forget",): "forget",
}
ORDER = ("destroy", "replace", "change", "create", "forget", "move")
"""Actions in the order in which a reviewer wants to see them."""
# Guessing a secret from its published hash must cost something: RFC 7914's interactive setting.
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}


@dataclass(frozen=True)
class Attribute:
    """One changed attribute by its dotted path; values as JSON data, or `UNKNOWN`."""

    path: str
    before: Any = field(repr=False)
    after: Any = field(repr=False)
    forces_replacement: bool = False
    sensitive: bool = False


@dataclass(frozen=True)
class ResourceChange:
    """What happens to one resource or output. `action` is one of ORDER."""

    address: str
    type: str
    action: str
    attributes: tuple[Attribute, ...]
    normal: Mapping[str, Any]
    concerns: tuple[str, ...] = ()
    """What it bears on, in words; empty where it does not touch security."""

    @property
    def replacing(self) -> list[str]:
        """Paths of the attributes that force a replacement."""
        return [attribute.path for attribute in self.attributes if attribute.forces_replacement]


def changes_of(plan: Mapping[str, Any]) -> list[ResourceChange]:
    """The changes of a plan as `terraform show -json` describes it, by address.

    Reads (data sources) and resources that stay as they are, are left out; changed outputs count.
    https://developer.hashicorp.com/terraform/internals/json-format#change-representation
    """
    found = []
    for entry in plan.get("resource_changes", ()):
        change = entry["change"]
        action = _ACTIONS.get(tuple(change["actions"]))
        if action is None and entry.get("previous_address") and change["actions"] == ["no-op"]:
            action = "move"
        if action is not None and entry.get("mode") != "data":
            found.append(_change(entry["address"], entry, action, change))
    for name, change in plan.get("output_changes", {}).items():
        action = _ACTIONS.get(tuple(change["actions"]))
        if action is not None:
            found.append(_change(f"output.{name}", {"type": "output"}, action, change))
    return sorted(found, key=lambda one: (one.address, json.dumps(one.normal, sort_keys=True)))


def normalised(changes: Sequence[ResourceChange]) -> list[dict[str, Any]]:
    """The list that is published and compared: no value of the state is in it, only hashes."""
    return [dict(change.normal) for change in changes]


def digest(changes: Sequence[ResourceChange]) -> str:
    """SHA-256 (hexadecimal) of the normalised list; two plans of the same change agree on it."""
    text = json.dumps(normalised(changes), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _change(
    address: str, entry: Mapping[str, Any], action: str, change: Mapping[str, Any]
) -> ResourceChange:
    attributes = tuple(_attributes(action, change))
    normal: dict[str, Any] = {"address": address, "action": action}
    for name in ("deposed", "previous_address"):
        if entry.get(name):
            normal[name] = entry[name]
    # What is destroyed has no attributes that somebody reviewed; its address says it all.
    if action in ("create", "change", "replace"):
        normal["attributes"] = {
            attribute.path: {
                "before": _hash(address, attribute, attribute.before),
                "after": _hash(address, attribute, attribute.after),
            }
            for attribute in attributes
        }
    if replacing := sorted(one.path for one in attributes if one.forces_replacement):
        normal["replaced_for"] = replacing
    touched = {one.path: None if one.after == UNKNOWN else one.after for one in attributes}
    concerns = bears_on(entry["type"], action, change, touched)
    return ResourceChange(address, entry["type"], action, attributes, normal, concerns)


def _attributes(action: str, change: Mapping[str, Any]) -> Iterator[Attribute]:
    """Every leaf that differs between before and after, by path."""
    if action in ("destroy", "forget", "move"):
        return
    # A replacement's new object is planned whole: what stays the same is not a change.
    before = dict(_leaves(change.get("before"), None, change.get("before_sensitive")))
    after = dict(
        _leaves(change.get("after"), change.get("after_unknown"), change.get("after_sensitive"))
    )
    forcing = {_dotted(path) for path in change.get("replace_paths", ())}
    for path in sorted(before.keys() | after.keys()):
        old, old_secret = before.get(path, (None, False))
        new, new_secret = after.get(path, (None, False))
        if old == new or (action == "replace" and new == UNKNOWN and path not in forcing):
            continue
        yield Attribute(
            path,
            old,
            new,
            any(path == forced or path.startswith(f"{forced}.") for forced in forcing),
            old_secret or new_secret,
        )


def _leaves(
    value: Any, unknown: Any, sensitive: Any, path: str = ""
) -> Iterator[tuple[str, tuple[Any, bool]]]:
    """Walk a value together with Terraform's marks of what is unknown and what is sensitive."""
    if unknown is True:
        yield path, (UNKNOWN, sensitive is True)
    elif isinstance(value, Mapping | list) or isinstance(unknown, Mapping | list):
        if sensitive is True:
            yield path, (value, True)
            return
        for key in _keys(value, unknown):
            inner = f"{path}.{key}" if path else str(key)
            yield from _leaves(_at(value, key), _at(unknown, key), _at(sensitive, key), inner)
    elif value is not None:
        yield path, (_semantic(value), sensitive is True)


def _keys(value: Any, unknown: Any) -> list[Any]:
    found: list[Any] = []
    for part in (value, unknown):
        names = part if isinstance(part, Mapping) else range(len(part)) if part else ()
        found += [name for name in names if name not in found]
    return found


def _at(value: Any, key: Any) -> Any:
    if value is True:
        return True  # a mark on the whole holds for every part
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return None


def _semantic(value: Any) -> Any:
    """A policy is the same whatever its spaces and the order of its keys."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(value), sort_keys=True, separators=(",", ":"))
        except ValueError:
            return value
    return value


def _dotted(path: Sequence[Any]) -> str:
    return ".".join(map(str, path))


def _hash(address: str, attribute: Attribute, value: Any) -> str | None:
    if value is None or value == UNKNOWN:
        return UNKNOWN if value == UNKNOWN else None
    text = json.dumps(value, sort_keys=True).encode()
    if attribute.sensitive:
        salt = f"{address}\n{attribute.path}".encode()
        return hashlib.scrypt(text, salt=salt, **_SCRYPT).hex()
    return hashlib.sha256(text).hexdigest()
