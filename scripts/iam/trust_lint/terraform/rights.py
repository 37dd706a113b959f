"""What the roles of a Terraform module are allowed by the policies beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from scripts.iam.trust_lint.reading.literals import TooTangled, begin
from scripts.iam.trust_lint.terraform.module import Module, Source
from scripts.iam.trust_lint.terraform.statements import json_of
from scripts.iam.trust_lint.terraform.syntax import Block
from scripts.iam.trust_lint.terraform.values import Invalid, Json, plain

_ROLE = re.compile(r"\baws_iam_role\.(\w+)")
_POLICY = re.compile(r"\baws_iam_policy\.(\w+)")
_DOCUMENT = re.compile(r"\bdata\.aws_iam_policy_document\.(\w+)")
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
_MANAGED = {"AdministratorAccess": "*", "PowerUserAccess": "all but iam:*, organizations:*"}


def allowed(read: Source) -> dict[str, tuple[str, ...]]:
    """The actions that are known to be allowed, by the role and by the document of its trust."""
    begin()
    found: dict[str, list[str]] = {}
    with suppress(TooTangled, RecursionError):
        module = Module(read)
        for block in read.blocks:
            for role in _ROLE.findall(_text(block, "role")):
                found.setdefault(role, []).extend(_actions(block, module))
        for role in read.of("resource", "aws_iam_role"):
            for document in _DOCUMENT.findall(_text(role, "assume_role_policy")):
                more = found.get(role.labels[1], [])
                found.setdefault(f"data.aws_iam_policy_document.{document}", []).extend(more)
    return {
        name if name.startswith("data.") else f"aws_iam_role.{name}": tuple(dict.fromkeys(actions))
        for name, actions in found.items()
    }


def _text(block: Block, name: str) -> str:
    written = block.body.attributes.get(name)
    return written.text if written and block.kind == "resource" else ""


def _actions(block: Block, module: Module) -> Iterator[str]:
    """The actions that an inline policy, or one that is attached, allows."""
    if block.labels[:1] == ("aws_iam_role_policy",):
        yield from _of_policy(block, module)
    elif block.labels[:1] == ("aws_iam_role_policy_attachment",):
        arn = _text(block, "policy_arn")
        for name, actions in _MANAGED.items():
            if f':policy/{name}"' in arn:
                yield actions
        for name in _POLICY.findall(arn):
            for one in module.source.of("resource", "aws_iam_policy", name):
                yield from _of_policy(one, module)


def _of_policy(block: Block, module: Module) -> Iterator[str]:
    written = block.body.attributes.get("policy")
    if written is None:
        return
    with suppress(Invalid):
        for _, scope in module.instances(block):
            value = written.value(scope)
            value = value.value if isinstance(value, Json) else value
            policy = plain(json_of(value) if isinstance(value, str) else value)
            for statement in _listed(policy.get("Statement")) if isinstance(policy, dict) else ():
                if not isinstance(statement, dict):
                    continue
                # In Terraform's words, or in IAM's.
                effect = statement.get("Effect") or statement.get("effect") or "Allow"
                actions = statement.get("Action") or statement.get("actions")
                if effect == "Allow":
                    yield from (one for one in _listed(actions) if isinstance(one, str))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
