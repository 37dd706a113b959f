"""A third evaluator's opinion on the rendered policies: each right, and each of its limits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest

from scripts.iam.engine import PolicySet, Principal, Request, evaluate, parse_policy
from scripts.iam.engine.documents import Policy
from scripts.iam.escalation.possible import fulfilled
from tests.iam.conformance.third_opinion import ask, policies, question, why_absent
from tests.iam.requests.support import ACCOUNT, REGION
from tests.terraform.rendered import Document, fits, of_role, roles

pytestmark = [
    pytest.mark.terraform,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_absent()), reason=why_absent() or "it is there"),
]

# A key's policy must allow as well; this one leaves it to IAM.
DELEGATES = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
}
# Parts of ARNs that a pattern leaves open, where the reference wants a certain shape.
SHAPES = (
    (r":role/aws-service-role/\*", ":role/aws-service-role/x"),
    (r"\$\{[^}]*\}", "x"),
    (r"\*", "x"),
)


# What it cannot be asked, and why.
UNABLE = {
    "parameter/aws/service/": "its data has no ARN of a parameter without an account",
    "aws:rds:primarydbinstancearn": "it reads no tag key with a colon",
    "Tags on arn:aws:elasticloadbalancing": "of two services of one prefix it has the older's tags",
    "route53:": "the reference has no VPC among Route 53's resources, AWS's errors show one",
}


@dataclass(frozen=True)
class Asked:
    """One request of a role, and who says what of it."""

    role: str
    sid: str
    request: Request
    ours: bool

    @property
    def service(self) -> str:
        return self.request.action.partition(":")[0]

    @property
    def shares(self) -> str:
        return f"{self.role} {self.service}"

    @property
    def whole(self) -> bool:
        """Whether nothing is taken away from the request."""
        return " without " not in self.sid

    @property
    def name(self) -> str:
        return f"{self.role} {self.sid}: {self.request.action} on {self.request.resource}"


def concrete(pattern: str) -> str:
    """A resource that a pattern names; a star alone stays, for actions without resource types."""
    if pattern == "*":
        return pattern
    parts = pattern.split(":", 5)
    parts[3:5] = [REGION if parts[3] == "*" else parts[3], ACCOUNT if parts[4] == "*" else parts[4]]
    for found, put in SHAPES:
        parts[5] = re.sub(found, put, parts[5])
    return ":".join(parts)


def own_documents(documents: list[Document], role: str) -> dict[str, list[Document]]:
    """The identity policies and the boundary of a role."""
    kind = "deploy-boundary" if role.endswith(("-apply", "-plan")) else "boundary"
    name = f"{'-'.join(role.split('-')[:2])}-{kind}"
    limits = [one for one in documents if one.name == name]
    return {"identity": of_role(documents, role), "boundary": limits}


def asked_of(documents: list[Document], role: str) -> Iterator[Asked]:
    principal = Principal(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/job",
        ACCOUNT,
        "assumed-role",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/{role}",
    )
    own = own_documents(documents, role)
    identity = [parse_policy(one.text, name=one.name, kind="identity") for one in own["identity"]]
    boundary = [parse_policy(one.text, name=one.name, kind="boundary") for one in own["boundary"]]
    of_keys = parse_policy(DELEGATES, name="key", kind="resource")
    for sid, request in _requests(principal, identity):
        deciding = PolicySet(
            identity=tuple(identity),
            boundary=tuple(boundary),
            resource=(of_keys,) if on_key(request) else (),
            resource_required=on_key(request),
        )
        yield Asked(role, sid, request, evaluate(request, deciding).allowed)


def on_key(request: Request) -> bool:
    return request.action.startswith("kms:") and ":key/" in request.resource


def _requests(principal: Principal, own: list[Policy]) -> Iterator[tuple[str, Request]]:
    """Every right once as it is granted, and without each of the keys that it depends on."""
    for policy in own:
        for statement in policy.statements:
            if statement.effect != "Allow":
                continue
            named = {one.key.lower(): one.key for one in statement.conditions}
            context = {
                named.get(key, key): value
                for key, value in fulfilled(principal, statement.conditions).items()
                if key in named or key.startswith("aws:")
            }
            for action, pattern in product(statement.actions or (), statement.resources or ()):
                if pattern == "*" or fits(action, concrete(pattern)):
                    request = Request(principal, action, concrete(pattern), context, ACCOUNT)
                    yield statement.label, request
                    for key in sorted(set(named.values()) & set(context)):
                        rest = {one: value for one, value in context.items() if one != key}
                        yield f"{statement.label} without {key}", replace(request, context=rest)


@pytest.fixture(scope="module")
def asked(documents: list[Document]) -> list[Asked]:
    return [one for role in sorted(roles(documents)) for one in asked_of(documents, role)]


@pytest.fixture(scope="module")
def answers(documents: list[Document], asked: list[Asked]) -> list[dict[str, Any]]:
    shared = {
        f"{role} {service}": policies(
            {
                # Policies that do not name the service decide nothing, and reading them costs most.
                kind: [json.loads(one.text) for one in some if f'"{service}:' in one.text]
                for kind, some in own_documents(documents, role).items()
            }
        )
        for role, service in {(one.role, one.service) for one in asked}
    }
    questions = []
    for one in asked:
        resource = {"resource": [DELEGATES]} if on_key(one.request) else {}
        # Holding a request against the reference costs most; a right's limits need it no more.
        checked = one.whole or bool(resource)
        questions.append({**question(one.request, resource, checked=checked), "shares": one.shares})
    return ask(questions, shared)


def test_it_agrees_on_every_right_and_on_every_limit(
    asked: list[Asked], answers: list[dict[str, Any]]
) -> None:
    differing = [
        (one.name, "allowed" if one.ours else "denied", answer["result"])
        for one, answer in zip(asked, answers, strict=True)
        if "error" not in answer and (answer["result"] == "Allowed") != one.ours
    ]
    assert differing == []
    assert len(asked) > 1000


def test_every_right_is_one_that_it_knows(
    asked: list[Asked], answers: list[dict[str, Any]]
) -> None:
    """Its data of actions, resource types and condition keys is AWS's reference."""
    unknown = [
        (one.name, answer.get("error") or answer["ignored"])
        for one, answer in zip(asked, answers, strict=True)
        if "error" in answer or answer.get("ignored")
    ]
    assert [one for one in unknown if not any(part in str(one) for part in UNABLE)] == []
    assert [part for part in UNABLE if not any(part in str(one) for one in unknown)] == []
