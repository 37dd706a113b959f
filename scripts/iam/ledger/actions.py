"""Which resources an action takes, so that a pair that AWS never checks is not called a right.

The table is taken from AWS's Service Authorization Reference
(https://docs.aws.amazon.com/service-authorization/latest/reference/); a test compares them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from scripts.iam.ledger.grants import Grant
from scripts.iam.trust_lint.decide.automata import Operand, common_word, pattern

FILE = Path(__file__).with_name("actions.json")


@cache
def table() -> dict[str, dict[str, str]]:
    """Action -> ARN pattern of a resource type -> "r" and "q": has resource and request tags."""
    content: dict[str, dict[str, str]] = json.loads(FILE.read_text())
    return content


def possible(grant: Grant) -> bool:
    """Whether AWS ever checks this action on such a resource with the tags that are asked for.

    Of an action that the table does not know everything is possible.
    """
    types = table().get(grant.action)
    if types is None or grant.odd or grant.resource == "*":
        return True
    return any(
        _meet(grant.resource, arn) and _tags(grant, tags, arn) for arn, tags in types.items()
    )


def _tags(grant: Grant, tags: str, arn: str) -> bool:
    """Whether the type carries the tag keys; only EC2 tells them apart for one action."""
    if ":ec2:" not in arn:
        return True
    for condition in grant.conditions:
        if condition.operator.startswith(("Null", "ForAllValues")):
            continue
        key = condition.key.lower()
        if key.startswith("aws:resourcetag/") and "r" not in tags:
            return False
        if key.startswith("aws:requesttag/") and "q" not in tags:
            return False
    return True


@cache
def _meet(left: str, right: str) -> bool:
    """Whether some ARN is like both patterns, compared component by component."""
    mine, other = left.split(":", 5), right.split(":", 5)
    if len(mine) < 6 or len(other) < 6:
        return True
    return all(_common(one, two) for one, two in zip(mine, other, strict=True))


@cache
def _common(left: str, right: str) -> bool:
    if left == right or "*" in (left, right):
        return True
    return common_word([Operand(pattern(left)), Operand(pattern(right))]) is not None
