"""A plan as people read it: what bears on security first, then the rest, then what it costs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scripts.plan.changes import ORDER, UNKNOWN, Attribute, ResourceChange
from scripts.plan.cost import Estimate

SHOWN_ATTRIBUTES = 8
LONGEST_VALUE = 70
_PLURAL = {
    "create": "to create",
    "change": "to change",
    "replace": "to replace",
    "destroy": "to destroy",
    "forget": "to forget",
    "move": "to move",
}


def render(
    environment: str,
    changes: Sequence[ResourceChange],
    before: Estimate | None = None,
    after: Estimate | None = None,
) -> str:
    """The summary as Markdown that also reads well as plain text. No sensitive value is in it.

    Names and values come from the plan, so they are data: each stands in a code span that it
    cannot leave, and mentions nobody.
    """
    lines = [f"## Plan of {environment}: {headline(changes)}"]
    serious = [change for change in changes if change.concerns]
    rest = [change for change in changes if not change.concerns]
    for title, listed in (("Security", serious), ("Everything else", rest)):
        if listed:
            lines += ["", f"### {title}", *_listed(listed)]
    if before is not None and after is not None:
        lines += ["", "### Cost", *cost_lines(before, after)]
    return "\n".join(lines) + "\n"


def headline(changes: Sequence[ResourceChange]) -> str:
    """How many of each, or that there is nothing to do."""
    if not changes:
        return "no changes"
    counted = Counter(change.action for change in changes)
    return ", ".join(f"{counted[action]} {_PLURAL[action]}" for action in ORDER if counted[action])


def cost_lines(before: Estimate, after: Estimate) -> Iterator[str]:
    """What a month costs before and after, and which resources make the difference."""
    difference = after.total - before.total
    yield (
        f"{before.total:.2f} to {after.total:.2f} USD a month ({difference:+.2f}), "
        f"list prices of {after.prices.date}"
    )
    old, new = before.by_address(), after.by_address()
    moved = {
        address: new.get(address, 0.0) - old.get(address, 0.0)
        for address in old.keys() | new.keys()
    }
    for address in sorted(moved, key=lambda one: (-abs(moved[one]), one)):
        if abs(moved[address]) >= 0.005:
            yield f"- {moved[address]:+.2f} {code(address)}"
    for address, why in after.unpriced:
        yield f"- not priced: {code(address)}, {why}"


def _listed(changes: Sequence[ResourceChange]) -> Iterator[str]:
    def rank(change: ResourceChange) -> tuple[bool, int, str]:
        alarming = any(concern.split(":")[0].isupper() for concern in change.concerns)
        return (not alarming, ORDER.index(change.action), change.address)

    for change in sorted(changes, key=rank):
        # An alarm quotes the plan; the other words are ours.
        words = [code(one) if ":" in one else one for one in change.concerns]
        concerns = f" ({'; '.join(words)})" if words else ""
        yield f"- {change.action} {code(change.address)}{concerns}"
        if change.action in ("change", "replace"):
            yield from _attributes(change.attributes)
        elif change.action == "create" and change.concerns:
            for attribute in change.attributes:
                if not attribute.sensitive and attribute.path in ("policy", "assume_role_policy"):
                    yield from _policy(attribute)


def _attributes(attributes: Sequence[Attribute]) -> Iterator[str]:
    # What forces a replacement first; what is only known later says least.
    ranked = sorted(
        attributes, key=lambda one: (not one.forces_replacement, one.after == UNKNOWN, one.path)
    )
    for attribute in ranked[:SHOWN_ATTRIBUTES]:
        forces = ", forces the replacement" if attribute.forces_replacement else ""
        if attribute.sensitive:
            yield f"  - {code(attribute.path)}: a sensitive value changes{forces}"
            continue
        differences = list(_policy(attribute))
        if differences:
            yield f"  - {code(attribute.path)}{forces}"
            yield from (f"  {line}" for line in differences)
        else:
            yield (
                f"  - {code(attribute.path)}: {shown(attribute.before)} to "
                f"{shown(attribute.after)}{forces}"
            )
    if len(ranked) > SHOWN_ATTRIBUTES:
        yield f"  - and {len(ranked) - SHOWN_ATTRIBUTES} more"


def _policy(attribute: Attribute) -> Iterator[str]:
    """What changes between two policy documents, statement by statement."""
    old, new = _statements(attribute.before), _statements(attribute.after)
    if not new and not old:
        return
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        if name not in new:
            yield f"  - removes statement {code(name)}: {_in_words(old[name])}"
        elif name not in old:
            yield f"  - adds statement {code(name)}: {_in_words(new[name])}"
        else:
            yield f"  - changes statement {code(name)}: {_difference(old[name], new[name])}"


def _statements(document: Any) -> dict[str, dict[str, Any]]:
    try:
        statements = json.loads(document)["Statement"]
    except (TypeError, ValueError, KeyError):
        return {}
    listed = statements if isinstance(statements, list) else [statements]
    return {
        str(statement.get("Sid") or f"#{index}"): statement
        for index, statement in enumerate(listed)
        if isinstance(statement, dict)
    }


def _in_words(statement: Mapping[str, Any]) -> str:
    actions = _list(statement.get("Action") or statement.get("NotAction"))
    what = f"{code(str(statement.get('Effect')))} {shown(', '.join(actions))}"
    resources = _list(statement.get("Resource") or statement.get("NotResource"))
    return f"{what} on {shown(', '.join(resources))}" if resources else what


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    parts = []
    for field in sorted(old.keys() | new.keys()):
        before, after = old.get(field), new.get(field)
        if before == after:
            continue
        if isinstance(before, Mapping) or isinstance(after, Mapping):
            parts.append(f"{code(field)} {shown(before)} to {shown(after)}")
            continue
        gone = [one for one in _list(before) if one not in _list(after)]
        come = [one for one in _list(after) if one not in _list(before)]
        parts += [f"{code(field)} loses {shown(', '.join(gone))}"] if gone else []
        parts += [f"{code(field)} gains {shown(', '.join(come))}"] if come else []
    return "; ".join(parts)


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def shown(value: Any) -> str:
    """A value, short, in a code span; nothing and the unknown in words."""
    if value is None:
        return "nothing"
    if value == UNKNOWN:
        return UNKNOWN
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) > LONGEST_VALUE:
        text = text[: LONGEST_VALUE - 3] + "..."
    return code(text) if text else "an empty string"


def code(text: str) -> str:
    """A code span that its content cannot leave: printable, one line, no backtick."""
    printable = "".join(
        "'" if character == "`" else character if character.isprintable() else " "
        for character in text
    )
    return f"`{printable}`"
