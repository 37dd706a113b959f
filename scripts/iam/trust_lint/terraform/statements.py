"""What an aws_iam_policy_document makes of its blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from scripts.iam.trust_lint.reading.literals import Reader, Unreadable
from scripts.iam.trust_lint.terraform.operations import Scope, pairs
from scripts.iam.trust_lint.terraform.syntax import Block, Body
from scripts.iam.trust_lint.terraform.values import Invalid, Json, Several, Unknown

REFUSES = "Terraform refuses"
_NESTED = ("principals", "not_principals", "condition", "statement")


def json_of(text: str) -> Any:
    """What a text of JSON holds, placeholders in it too; None if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return Reader(text).value()
    except Unreadable:
        return None


def document(block: Block, scope: Scope) -> dict[str, Any]:
    """What an aws_iam_policy_document makes.

    https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/iam_policy_document
    """
    before = _others(block, "source_policy_documents", "source_json", scope)
    after = _others(block, "override_policy_documents", "override_json", scope)
    own = [_content(one, inner) for one, inner in _nested(block.body, "statement", scope)]
    statements = [*before, *own]
    for one in after:
        sid = one.get("sid") or one.get("Sid") if isinstance(one, dict) else None
        places = [at for at, other in enumerate(statements) if sid and isinstance(other, dict)
                  and (other.get("sid") or other.get("Sid")) == sid]  # fmt: skip
        if places:
            statements[places[0]] = one
        else:
            statements.append(one)
    return {"Statement": statements}


def _others(block: Block, name: str, older: str, scope: Scope) -> list[Any]:
    """The statements of the documents that an argument names; what is not known stays one."""
    found: list[Any] = []
    for argument in (name, older):
        written = block.body.attributes.get(argument)
        value = written.value(scope) if written else None
        for one in value if isinstance(value, list) else [value]:
            if one in (None, ""):
                continue
            if isinstance(one, Json):
                one = one.value
            elif isinstance(one, str):
                one = json_of(one)
            if one == {}:
                continue
            inner = one.get("Statement", one.get("statement")) if isinstance(one, dict) else None
            if inner is None:
                found.append(Unknown(written.text if written else name))
            else:
                found += inner if isinstance(inner, list) else [inner]
    return found


def _nested(body: Body, kind: str, scope: Scope) -> Iterator[tuple[Body, Scope]]:
    """The blocks of a kind, those that `dynamic` makes too, in the order in which they stand."""
    for block in body.blocks:
        if block.kind == kind:
            yield block.body, scope
        elif block.kind == "dynamic" and block.labels == (kind,):
            yield from _dynamic(block, kind, scope)


def _dynamic(block: Block, kind: str, scope: Scope) -> Iterator[tuple[Body, Scope]]:
    try:
        over = block.body.attributes["for_each"].value(scope)
    except Invalid:
        over = Unknown(block.body.attributes["for_each"].text)
    content = next((one.body for one in block.body.blocks if one.kind == "content"), None)
    iterator = block.body.attributes.get("iterator")
    name = iterator.text if iterator else kind
    if over is None or content is None:
        return
    listed = isinstance(over, list)
    for key, value in pairs(over):
        if listed and not isinstance(over, Several):
            key = value if not isinstance(value, dict | list) else key
        yield content, scope.with_names({name: {"key": key, "value": value}})


def _content(body: Body, scope: Scope) -> dict[str, Any]:
    """A statement, principal or condition as an object."""
    found: dict[str, Any] = {}
    for name, expression in body.attributes.items():
        try:
            value = expression.value(scope)
        except Invalid as error:
            value = Unknown(expression.text)
            scope.told(f"{REFUSES} {name} = {' '.join(expression.text.split())} here: {error}")
        if isinstance(value, list) and None in value:
            # Terraform refuses null in a list, so that something has to be given for it.
            written = expression.text.strip().removeprefix("[").removesuffix("]").strip(" ,\n")
            value = type(value)(Unknown(written) if one is None else one for one in value)
        if value is not None:
            found[name] = value
        elif name == "values":
            found[name] = []
    for kind in _NESTED:
        made = [_content(one, inner) for one, inner in _nested(body, kind, scope)]
        if made:
            found[kind] = made
    return found
