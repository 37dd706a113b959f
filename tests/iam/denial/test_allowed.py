"""Allowed requests explained: which statements carry them, and what would have denied them."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.account.decision_log import Record
from scripts.iam.account.identities import Identities, identities
from scripts.iam.denial.allowed import Allowance, explain_allowed

ACCOUNT = "111122223333"
HOST = "token.actions.githubusercontent.com"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/train"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"


def account(*statements: dict[str, Any], trust: dict[str, Any] | None = None) -> Identities:
    who: dict[str, Any] = {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity"}
    who |= {"Principal": {"Federated": PROVIDER}, "Condition": trust or {}}
    role = {
        "Arn": ROLE,
        "RoleName": "train",
        "AssumeRolePolicyDocument": document(who),
        "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": document(*statements)}],
    }
    return identities({"RoleDetailList": [role]})


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(sid: str, resource: str, **more: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": "s3:GetObject", "Resource": resource} | more


def read(keys: dict[str, tuple[str, ...]] | None = None) -> Record:
    return Record(
        time=0.0,
        request_id="r",
        principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/train/job",
        role="train",
        service="s3",
        operation="GetObject",
        action="s3:GetObject",
        resource="arn:aws:s3:::b/train/a",
        keys=keys or {},
        allowed=True,
        reason="allowed",
    )


def become(claims: dict[str, str]) -> Record:
    return Record(
        time=0.0,
        request_id="r",
        principal=PROVIDER,
        role=None,
        service="sts",
        operation="AssumeRoleWithWebIdentity",
        action="sts:AssumeRoleWithWebIdentity",
        resource=ROLE,
        keys={f"{HOST}:{name}": (value,) for name, value in claims.items()},
        allowed=True,
        reason="allowed",
    )


def explained(record: Record, members: Identities) -> Allowance:
    return explain_allowed(record, members, lambda _: None)


def answers(found: Allowance) -> dict[str, bool]:
    return {one.what: one.allowed for one in found.tried}


def test_without_its_only_statement_a_request_is_denied() -> None:
    found = explained(read(), account(allow("Train", "arn:aws:s3:::b/train/*")))
    assert answers(found) == {"without statement Train of own": False}
    assert found.tried[0].answer == "denied: no identity-based policy allows"


def test_two_statements_that_allow_stand_in_for_each_other() -> None:
    both = account(allow("Train", "arn:aws:s3:::b/train/*"), allow("All", "*"))
    found = explained(read(), both)
    assert answers(found) == {
        "without statement Train of own": True,
        "without statement All of own": True,
        "without any of these statements": False,
    }
    assert found.tried[0].answer == "still allowed, by statement All of own"


@pytest.mark.parametrize(
    ("operator", "without", "other"),
    [
        ("StringEquals", False, False),
        ("ForAllValues:StringEquals", True, False),
        ("StringEqualsIfExists", True, False),
        ("StringLike", False, False),
    ],
)
def test_a_condition_shows_what_it_is_worth(operator: str, without: bool, other: bool) -> None:
    members = account(allow("A", "*"), trust={operator: {f"{HOST}:environment": "prod"}})
    found = answers(explained(become({"environment": "prod"}), members))
    assert found[f"if the request had no {HOST}:environment"] is without
    assert found[f"if {HOST}:environment were 'something-else'"] is other


def test_a_bool_is_tried_the_other_way_round() -> None:
    tls = allow("Tls", "*", Condition={"Bool": {"aws:SecureTransport": "true"}})
    found = answers(explained(read({"aws:SecureTransport": ("true",)}), account(tls)))
    assert found["if aws:SecureTransport were 'false'"] is False


def test_policies_that_changed_since_are_said() -> None:
    found = explained(read(), account(allow("Other", "arn:aws:s3:::c/*")))
    assert (found.tried, found.notes) == ((), ("the policies as they are now would deny it",))


def test_what_the_engine_does_not_model_is_not_judged() -> None:
    odd = allow("Odd", "arn:aws:s3:::b/${aws:NoSuchVariable}*")
    found = explained(read(), account(odd))
    assert found.tried == ()
    assert found.notes
