"""What Terraform made and what Pulumi registered, brought to one form and compared.

Both become {"type::name": properties}. A property has Terraform's name; Pulumi's plural of a block
that may occur several times is found by its spelling, so there is no table of properties.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from scripts.iam.engine.documents import Statement, parse_policy
from tests.pulumi import mocked
from tests.pulumi.names import logical_name, snake_case, terraform_type

Properties = dict[str, Any]
Made = dict[str, Properties]

# What pulumi-aws calls differently, beyond a plural.
RENAMED = {
    "aws_cloudwatch_metric_alarm.alarm_name": "name",
    "aws_sns_topic_subscription.topic_arn": "topic",
}
# Terraform's mock makes 0 of null, Pulumi leaves it out.
ZERO_IS_NULL = {
    "aws_s3_bucket_lifecycle_configuration.rule.noncurrent_version_expiration."
    "newer_noncurrent_versions",
}
_UNSET: tuple[Any, ...] = (None, "", [], {})


def from_terraform(state: Mapping[str, Any], root: Path, within: str = "") -> Made:
    """What `terraform test` applied: the arguments that the code writes, with their values."""
    found: Made = {}
    for resource in mocked.resources(state):
        address, kind = resource["address"], resource["type"]
        tree = mocked.tree_of(root, address)
        unknown = state["planned"][address]["after_unknown"]
        written = _written(resource["values"], unknown, tree)
        name = f"{kind}::{logical_name(address, within)}"
        assert name not in found, f"two resources are called {name}"
        found[name] = {key: _value(each) for key, each in written.items()}
        found[name] = {key: each for key, each in found[name].items() if each not in _UNSET}
    return _joined(found)


def dependencies(
    state: Mapping[str, Any], recording: Mapping[str, Any], root: Path, within: str = ""
) -> list[str]:
    """Orders that one side has and the other lacks.

    What Terraform's code says by depends_on, Pulumi must have; what Pulumi waits for, Terraform
    must wait for, too. What follows from a reference shows in the properties.
    """
    names: dict[str, list[str]] = {}
    for resource in mocked.resources(state):
        base = re.sub(r'\[(?:\d+|"[^"]*")\]', "", resource["address"])
        names.setdefault(base, []).append(
            f"{resource['type']}::{logical_name(resource['address'], within)}"
        )
    waits = {
        f"{terraform_type(each['type'])}::{each['name']}": {
            f"{terraform_type(kind)}::{name}"
            for kind, _, name in (one.rpartition("::") for one in each["dependencies"])
            if kind.startswith("aws:")
        }
        for each in recording["resources"]
        if each["type"].startswith("aws:")
    }
    found = []
    for resource in mocked.resources(state):
        address = resource["address"]
        name = f"{resource['type']}::{logical_name(address, within)}"
        module = address[: address.index(".".join(mocked.resource_of(address)))]
        module = re.sub(r'\[(?:\d+|"[^"]*")\]', "", module)
        told = mocked.tree_of(root, address)["depends_on"]
        asked = {one for each in told for one in names.get(f"{module}{each}", [])}
        known = {one for each in resource.get("depends_on", []) for one in names.get(each, [])}
        theirs = waits.get(name, set())
        ours = {one for one in asked if _same_module(one, name)}
        found += [f"{name}.depends_on: {each} | not in Pulumi" for each in sorted(ours - theirs)]
        found += [
            f"{name}.depends_on: not in Terraform | {each}" for each in sorted(theirs - known)
        ]
    return found


def lifecycles(
    state: Mapping[str, Any], recording: Mapping[str, Any], root: Path, within: str = ""
) -> list[str]:
    """What the two would do differently to what is there already.

    Pulumi's `protect` is Terraform's prevent_destroy. A replacement comes before the deletion in
    Pulumi unless told otherwise, in Terraform only if told so; where a name is fixed, which
    forbids two of it at a time, Pulumi's provider deletes first by itself.
    """
    registered = {
        f"{terraform_type(each['type'])}::{each['name']}": each
        for each in recording["resources"]
        if each["type"].startswith("aws:")
    }
    found = []
    for resource in mocked.resources(state):
        name = f"{resource['type']}::{logical_name(resource['address'], within)}"
        twin = registered.get(name)
        if twin is None:
            continue
        told = mocked.tree_of(root, resource["address"])["lifecycle"]
        theirs = {snake_case(each).removesuffix("s") for each in twin["ignored"]}
        ours = {each.removesuffix("s") for each in told["ignored"]}
        if ours != theirs:
            found.append(f"{name}.ignore_changes: {sorted(ours)} | {sorted(theirs)}")
        if told["protected"] != twin["protect"]:
            found.append(f"{name}.protect: {told['protected']} | {twin['protect']}")
        if told["new_one_first"] and twin["deleted_first"]:
            found.append(f"{name}.create_before_destroy: True | deleted before it is replaced")
    return found


def _same_module(one: str, other: str) -> bool:
    """Whether two resources are of one module instance: their names begin alike."""
    return one.partition("::")[2].split("-")[0] == other.partition("::")[2].split("-")[0]


def _written(values: Any, unknown: Any, tree: Mapping[str, Any] | None) -> Any:
    """Without what nobody wrote: the provider's own defaults, which the mock makes up.

    What is written and comes to null is made up too: eight characters, 0 or false, and `unknown`
    before it was. A reference is none of these: its values are those of tests/pulumi/names.py.
    """
    if isinstance(values, list):
        each_unknown = unknown if isinstance(unknown, list) and len(unknown) == len(values) else []
        return [
            _written(each, each_unknown[index] if each_unknown else None, tree)
            for index, each in enumerate(values)
        ]
    if isinstance(values, dict) and tree is not None:
        below = unknown if isinstance(unknown, dict) else {}
        return {
            key: _written(each, below.get(key), tree[key])
            for key, each in values.items()
            if key in tree
        }
    if unknown is True and (values in (0, False) or re.fullmatch("[a-z0-9]{8}", str(values))):
        return None
    return values


def from_pulumi(recording: Mapping[str, Any]) -> Made:
    """What the program registered of Pulumi's own resources."""
    found: Made = {}
    for resource in recording["resources"]:
        if not resource["type"].startswith("aws:"):
            continue
        kind = terraform_type(resource["type"])
        name = f"{kind}::{resource['name']}"
        inputs = {snake_case(key): _value(each) for key, each in resource["inputs"].items()}
        found[name] = {key: each for key, each in inputs.items() if each not in _UNSET}
    return _joined(found)


def _joined(made: Made) -> Made:
    """The server's code as one text in its first piece: every gzip makes other bytes of it."""
    pieces = sorted(
        name for name in made if re.search(r"^aws_ssm_parameter::.*-code-.*/\d+$", name)
    )
    if pieces:
        text = "".join(made[name].pop("value") for name in pieces)
        made[pieces[0]]["value"] = _text(text)
    return made


def differences(terraform: Made, pulumi: Made) -> list[str]:
    """Where they differ: "type::name" with who lacks it, or "type::name.property" with both."""
    found = [f"{name}: not in Pulumi" for name in sorted(terraform.keys() - pulumi.keys())]
    found += [f"{name}: not in Terraform" for name in sorted(pulumi.keys() - terraform.keys())]
    for name in sorted(terraform.keys() & pulumi.keys()):
        kind = name.partition("::")[0]
        found += _differences(name, kind, terraform[name], pulumi[name])
    return found


def _differences(path: str, kind: str, ours: Any, theirs: Any) -> list[str]:
    # Whether a block can occur once or several times shows in Pulumi's shape alone.
    if isinstance(ours, list) and len(ours) == 1 and isinstance(theirs, dict):
        (ours,) = ours
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = []
        left = dict(theirs)
        for key, each in ours.items():
            if each == "0" and f"{kind}.{key}" in ZERO_IS_NULL:
                continue
            twin = _twin(f"{kind}.{key}", key, left)
            found += (
                [f"{path}.{key}: {_short(each)} | not in Pulumi"]
                if twin is None
                else _differences(f"{path}.{key}", f"{kind}.{key}", each, left.pop(twin))
            )
        return found + [
            f"{path}.{key}: not in Terraform | {_short(each)}" for key, each in left.items()
        ]
    if isinstance(ours, list) and isinstance(theirs, list):
        return _lists(path, kind, ours, theirs)
    if _is_policy(ours) and _is_policy(theirs):
        return _policies(path, ours, theirs)
    return [] if ours == theirs else [f"{path}: {_short(ours)} | {_short(theirs)}"]


def _is_policy(value: Any) -> bool:
    return isinstance(value, tuple) and value[:1] == ("policy",)


def _policies(path: str, ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> list[str]:
    """By statement: what of it differs."""
    found = [] if ours[1] == theirs[1] else [f"{path}.Version: {ours[1]} | {theirs[1]}"]
    left, right = dict(ours[2]), dict(theirs[2])
    for sid in sorted(left.keys() | right.keys()):
        if sid not in right:
            found.append(f"{path}.{sid}: {_short(left[sid])} | not in Pulumi")
        elif sid not in left:
            found.append(f"{path}.{sid}: not in Terraform | {_short(right[sid])}")
        else:
            found += [
                f"{path}.{sid}: {name} {_short(value)} | {_short(right[sid][name])}"
                for name, value in left[sid].items()
                if value != right[sid][name]
            ]
    return found


def _lists(path: str, kind: str, ours: list[Any], theirs: list[Any]) -> list[str]:
    """Provider's sets have no order; neither side may have an element that the other lacks."""
    left = list(theirs)
    missing = []
    for each in ours:
        twin = next((one for one in left if not _differences(path, kind, each, one)), None)
        if twin is None:
            missing.append(each)
        else:
            left.remove(twin)
    if len(missing) == 1 and len(left) == 1 and isinstance(missing[0], dict):
        return _differences(path, kind, missing[0], left[0])
    return [] if not missing and not left else [f"{path}: {_short(missing)} | {_short(left)}"]


def _twin(path: str, key: str, theirs: Mapping[str, Any]) -> str | None:
    plurals = (key, f"{key}s", f"{key}es", re.sub("y$", "ies", key), RENAMED.get(path, key))
    return next((name for name in plurals if name in theirs), None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 300 else f"{text[:300]}..."


def _value(value: Any) -> Any:
    """A value without what the two sides write differently and mean alike."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if value != int(value) else str(int(value))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_value(each) for each in value]
    if isinstance(value, dict):
        kept = {
            snake_case(key) if _is_wire(key) else key: _value(each) for key, each in value.items()
        }
        return {key: each for key, each in kept.items() if each not in (None, "", [])}
    return value


def comparable(value: Any) -> Any:
    """Outputs of either side."""
    return _value(value)


def _is_wire(key: str) -> bool:
    """Whether a key is a property of Pulumi's wire format: tags and dimensions are capitalised."""
    return re.fullmatch(r"[a-z][a-z0-9]*(?:[A-Z][a-z0-9]*)+", key) is not None


def _text(text: str) -> Any:
    if text.startswith("{") and '"Statement"' in text:
        return meaning(text)
    if text.startswith(("{", "[")):
        try:
            return ("json", json.dumps(json.loads(text), sort_keys=True))
        except ValueError:
            return text
    if text.startswith("H4sI"):  # gzip, of which every library makes other bytes
        try:
            return ("packed", gzip.decompress(base64.b64decode(text, validate=True)).decode())
        except (binascii.Error, EOFError, OSError):
            return text
    return text


def meaning(policy: str) -> tuple[Any, ...]:
    """A policy's statements by Sid as the engine reads them, in no order that means nothing."""
    kind: Literal["identity", "resource"] = "resource" if '"Principal"' in policy else "identity"
    parsed = parse_policy(policy, name="policy", kind=kind)
    statements = sorted(
        ((each.label, _unordered(each)) for each in parsed.statements), key=lambda one: one[0]
    )
    assert len({label for label, _ in statements}) == len(statements), "two statements, one Sid"
    return ("policy", parsed.version, statements)


def _unordered(statement: Statement) -> Properties:
    return {
        name: set(value) if isinstance(value, tuple) else value
        for name, value in vars(statement).items()
        if name not in ("conditions", "index", "principals", "not_principals")
    } | {
        "conditions": {
            (each.operator, each.key, frozenset(each.values)) for each in statement.conditions
        },
        "principals": _sets(statement.principals),
        "not_principals": _sets(statement.not_principals),
    }


def _sets(principals: Mapping[str, Iterable[str]] | None) -> dict[str, set[str]]:
    return {kind: set(named) for kind, named in (principals or {}).items()}
