"""Names in a call that no permission sees: `python -m tests.iam.unset.unseen_names` writes them.

A name may be here because AWS's reference has no resource type or key for it, because it only
narrows what is shown, or because a rule of the gateway holds it to its owner. The list was read as
a whole, not judged name by name; it is there so that a row that is new shows what it passes over.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.iam.requests import Unmapped, needs
from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.wire.shapes import input_shape
from tests.iam.requests.generated import generated
from tests.iam.requests.samples import FITTING, Rich, rows
from tests.iam.requests.support import sent

FILE = Path(__file__).with_name("unseen_names.json")
NAME = re.compile(r"(?:Arn|ARN|Id|ID|Identifier|Name|Bucket|Source|Prefix)s?\Z")
# What narrows an answer, describes a metric, or belongs to services that are not here.
PASSED = re.compile(
    r"(?:Filter|Dimension|Metric|FilterExpression|Targets?\.\w+Parameters|Attributes)"
)
Path_ = tuple[str | int, ...]


def _texts(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    elif isinstance(value, str):
        yield path, value
    for key, inner in pairs:
        yield from _texts(inner, (*path, key))


def _changed(parameters: dict[str, Any], path: Path_, text: str) -> dict[str, Any]:
    changed: Any = copy.deepcopy(parameters)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = text[:-1] + ("c" if text.endswith("b") else "b")
    return dict(changed)


def _unseen(service: str, operation: str) -> list[str]:
    model = SERVICES[service].model or service
    parameters = generated(input_shape(model, operation), every=True)
    parameters |= FITTING.get((service, operation), {})
    parameters = {name: value for name, value in parameters.items() if value is not None}
    asked = needs(sent(model, operation, parameters), Rich())
    if all(need.resource == "*" for need in asked):
        return []
    found = set()
    for path, text in _texts(parameters):
        name = ".".join(part for part in path if isinstance(part, str))
        if not NAME.search(name) or PASSED.search(name):
            continue
        try:
            same = needs(sent(model, operation, _changed(parameters, path, text)), Rich()) == asked
        except (ValueError, Unmapped):
            same = False
        if same:
            found.add(name)
    return sorted(found)


def render() -> str:
    """The file's content: operation -> names that no permission sees."""
    found = {f"{service}:{name}": _unseen(service, name) for service, name in rows()}
    lines = (f" {json.dumps(name)}: {json.dumps(names)}" for name, names in found.items() if names)
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(render())
