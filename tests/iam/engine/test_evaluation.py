"""Decisions: what they name, whose account counts, and what is refused as not modelled."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from scripts.iam.engine import (
    Decision,
    Policy,
    PolicyKind,
    PolicySet,
    Principal,
    Reason,
    Request,
    Unsupported,
    evaluate,
    evaluate_trust,
    explain,
    parse_policy,
)
from tests import ROOT

ACCOUNT, OTHER = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s"
CALLER = Principal(SESSION, ACCOUNT, "assumed-role", role_arn=ROLE)
USER = Principal(f"arn:aws:iam::{ACCOUNT}:user/bob", ACCOUNT, "user")
BUCKET = "arn:aws:s3:::bucket/key"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234"
ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENY: dict[str, Any] = ALLOW | {"Effect": "Deny"}
# A statement whose outcome depends on a key with two values and no set operator.
UNKNOWN: dict[str, Any] = {"Condition": {"StringEquals": {"aws:TagKeys": "a"}}}
CONTEXT = {"aws:TagKeys": ("a", "b")}


def policy(*statements: dict[str, Any], kind: PolicyKind = "identity", name: str = "") -> Policy:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return parse_policy(document, name=name or kind, kind=kind)


def ask(policies: PolicySet, resource: str = BUCKET, **change: Any) -> Decision:
    fields: dict[str, Any] = {
        "principal": CALLER,
        "action": "s3:GetObject",
        "resource": resource,
        "context": CONTEXT,
    } | change
    return evaluate(Request(**fields), policies)


def test_an_allow_names_its_policy_and_statement() -> None:
    first = policy(ALLOW | {"Action": "s3:PutObject"}, name="first")
    second = policy(ALLOW | {"Action": "s3:PutObject"}, ALLOW | {"Sid": "Read"}, name="second")
    assert ask(PolicySet((first, second))) == Decision(
        True, Reason.ALLOWED, "second", "identity", "Read"
    )


def test_a_statement_without_sid_is_named_by_its_index() -> None:
    found = ask(PolicySet((policy(ALLOW | {"Action": "s3:PutObject"}, ALLOW),)))
    assert found.statement == "#1"


def test_a_deny_names_its_policy_and_statement_wherever_it_stands() -> None:
    allow = policy(ALLOW)
    for kind in ("identity", "boundary", "session", "resource"):
        principal = {"Principal": "*"} if kind == "resource" else {}
        deny = policy(DENY | principal | {"Sid": "Stop"}, kind=kind, name="deny")
        layers: dict[str, tuple[Policy, ...]] = {"identity": (allow,)}
        layers[kind] = (*layers.get(kind, ()), deny)
        decision = ask(PolicySet(**layers))  # type: ignore[arg-type]
        assert decision == Decision(False, Reason.EXPLICIT_DENY, "deny", kind, "Stop")


def test_a_missing_allow_names_the_kind_and_the_only_policy() -> None:
    other = policy(ALLOW | {"Action": "s3:PutObject"}, kind="boundary", name="limit")
    assert ask(PolicySet((policy(ALLOW),), (other,))) == Decision(
        False, Reason.NO_BOUNDARY_ALLOW, "limit", "boundary", None
    )
    assert ask(PolicySet((policy(ALLOW),), (other, other))).policy is None
    assert ask(PolicySet()) == Decision(False, Reason.NO_IDENTITY_ALLOW, None, "identity", None)


def test_a_boundary_or_session_without_policies_allows_nothing() -> None:
    allow = (policy(ALLOW),)
    assert ask(PolicySet(allow, boundary=())).reason is Reason.NO_BOUNDARY_ALLOW
    assert ask(PolicySet(allow, session=())).reason is Reason.NO_SESSION_ALLOW


def test_several_policies_of_a_layer_are_alternatives() -> None:
    other = policy(ALLOW | {"Action": "s3:PutObject"})
    assert ask(PolicySet((other, policy(ALLOW)))).allowed
    boundary = (policy(ALLOW | {"Action": "sts:*"}, kind="boundary"), policy(ALLOW))
    assert ask(PolicySet((policy(ALLOW),), boundary)).allowed


def test_the_account_of_the_arn_counts_unless_the_request_says_otherwise() -> None:
    theirs = f"arn:aws:sqs:us-east-1:{OTHER}:queue"
    allow = PolicySet((policy(ALLOW),))
    assert ask(allow, theirs).reason is Reason.NO_RESOURCE_ALLOW
    assert ask(allow, theirs, resource_account=ACCOUNT).allowed
    assert ask(allow, BUCKET).allowed
    assert ask(allow, BUCKET, resource_account=OTHER).reason is Reason.NO_RESOURCE_ALLOW


def test_a_kms_key_needs_its_key_policy_and_an_alias_does_not() -> None:
    allow = PolicySet((policy(ALLOW),))
    assert ask(allow, KEY, action="kms:Decrypt").reason is Reason.NO_RESOURCE_ALLOW
    alias = f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/a"
    assert ask(allow, alias, action="kms:CreateAlias").allowed
    assert ask(allow, "*", action="kms:CreateKey").allowed


def test_the_caller_can_say_whether_the_resource_policy_is_required() -> None:
    identity = (policy(ALLOW),)
    assert ask(PolicySet(identity, resource_required=True)).reason is Reason.NO_RESOURCE_ALLOW
    assert ask(PolicySet(identity, resource_required=False), KEY).allowed


def test_a_policy_in_the_wrong_place_is_refused() -> None:
    bucket = policy(ALLOW | {"Principal": "*"}, kind="resource", name="bucket")
    with pytest.raises(ValueError, match="'bucket' is a resource policy"):
        PolicySet(identity=(bucket,))
    with pytest.raises(ValueError, match="'identity' is of kind identity"):
        PolicySet(resource=(policy(ALLOW),))


def test_an_anonymous_caller_belongs_to_no_account() -> None:
    bucket = policy(ALLOW | {"Principal": {"AWS": ACCOUNT}}, kind="resource")
    anonymous = Principal("*", ACCOUNT, "anonymous")
    found = ask(PolicySet((policy(ALLOW),), resource=(bucket,)), principal=anonymous)
    assert found.reason is Reason.NO_RESOURCE_ALLOW


def test_a_role_session_needs_its_role() -> None:
    with pytest.raises(ValueError, match="needs role_arn"):
        Principal(SESSION, ACCOUNT, "assumed-role")


def test_sessions_of_get_federation_token_are_refused() -> None:
    with pytest.raises(Unsupported, match="GetFederationToken"):
        Principal(f"arn:aws:sts::{ACCOUNT}:federated-user/bob", ACCOUNT, "user")


def test_a_role_is_named_by_its_whole_path() -> None:
    path = f"arn:aws:iam::{ACCOUNT}:role/team/r"
    bucket = policy(ALLOW | {"Principal": {"AWS": path}}, kind="resource")
    assert not ask(PolicySet(resource=(bucket,))).allowed
    with_path = Principal(SESSION, ACCOUNT, "assumed-role", role_arn=path)
    assert ask(PolicySet(resource=(bucket,)), principal=with_path).allowed


@pytest.mark.parametrize(
    "principal", [{"AWS": "AROA1234567890123456"}, {"CanonicalUser": "79a59df900b949e5"}]
)
def test_a_principal_by_id_is_refused_unless_another_name_settles_it(principal: Any) -> None:
    by_id = policy(ALLOW | {"Principal": principal}, kind="resource", name="bucket")
    with pytest.raises(Unsupported, match=r"policy 'bucket', statement '#0'.*write the ARN"):
        ask(PolicySet(resource=(by_id,)))
    aws = [SESSION, *([principal["AWS"]] if "AWS" in principal else [])]
    both = policy(ALLOW | {"Principal": principal | {"AWS": aws}}, kind="resource")
    assert ask(PolicySet(resource=(both,))).allowed


def test_an_unknown_allow_is_refused_only_if_nothing_else_allows() -> None:
    unknown = policy(ALLOW | UNKNOWN, name="u")
    with pytest.raises(Unsupported, match=r"policy 'u', statement '#0': the key aws:tagkeys has 2"):
        ask(PolicySet((unknown,)))
    assert ask(PolicySet((unknown, policy(ALLOW)))).allowed
    assert ask(PolicySet((policy(ALLOW), unknown))).allowed


def test_an_unknown_deny_is_refused_unless_another_deny_settles_it() -> None:
    unknown = policy(DENY | UNKNOWN)
    with pytest.raises(Unsupported):
        ask(PolicySet((policy(ALLOW), unknown)))
    for order in ((unknown, policy(DENY)), (policy(DENY), unknown)):
        assert ask(PolicySet(order)).reason is Reason.EXPLICIT_DENY


def test_an_unknown_statement_that_fails_elsewhere_does_not_matter() -> None:
    conditions = {"StringEquals": {"aws:TagKeys": "a", "aws:username": "bob"}}
    for change in ({"Action": "s3:PutObject"}, {"Resource": "arn:aws:s3:::other"}):
        assert ask(PolicySet((policy(ALLOW, DENY | UNKNOWN | change),))).allowed
    assert ask(PolicySet((policy(ALLOW, DENY | {"Condition": conditions}),))).allowed


def test_an_unknown_principal_that_fails_elsewhere_does_not_matter() -> None:
    by_id = DENY | {"Principal": {"AWS": "AROA1234567890123456"}, "Resource": "arn:aws:s3:::other"}
    bucket = policy(by_id, kind="resource")
    assert ask(PolicySet((policy(ALLOW),), resource=(bucket,))).allowed


def test_an_unknown_condition_for_another_principal_does_not_matter() -> None:
    bucket = policy(DENY | {"Principal": {"AWS": OTHER}} | UNKNOWN, kind="resource")
    assert ask(PolicySet((policy(ALLOW),), resource=(bucket,))).allowed


def test_an_unknown_boundary_is_refused_only_if_the_rest_allows() -> None:
    boundary = (policy(ALLOW | UNKNOWN, kind="boundary"),)
    with pytest.raises(Unsupported):
        ask(PolicySet((policy(ALLOW),), boundary))
    assert ask(PolicySet((), boundary)).reason is Reason.NO_IDENTITY_ALLOW


def test_an_unknown_resource_policy_is_refused_only_if_it_could_matter() -> None:
    bucket = (policy(ALLOW | {"Principal": "*"} | UNKNOWN, kind="resource"),)
    with pytest.raises(Unsupported):
        ask(PolicySet(resource=bucket))
    assert ask(PolicySet((policy(ALLOW),), resource=bucket)).allowed


def trust(principal: Any) -> Policy:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return policy(statement, kind="trust")


def assume(principal: Principal, document: Policy) -> Decision:
    request = Request(principal, "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/target", {})
    return evaluate_trust(request, document)


def test_a_trust_policy_alone_admits_a_service_and_a_named_role() -> None:
    service = Principal("ec2.amazonaws.com", "", "service", service="ec2.amazonaws.com")
    assert assume(service, trust({"Service": "ec2.amazonaws.com"})).allowed
    assert not assume(service, trust({"Service": "rds.amazonaws.com"})).allowed
    assert assume(CALLER, trust({"AWS": ROLE})).allowed


def test_a_trust_policy_alone_does_not_admit_who_is_named_by_account_only() -> None:
    assert assume(USER, trust({"AWS": ACCOUNT})).reason is Reason.NO_IDENTITY_ALLOW
    stranger = Principal(f"arn:aws:iam::{OTHER}:user/eve", OTHER, "user")
    assert assume(stranger, trust({"AWS": stranger.arn})).reason is Reason.NO_IDENTITY_ALLOW


def test_the_explanation_shows_every_element_that_failed() -> None:
    statement = {
        "Sid": "Write",
        "Effect": "Allow",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::other/*",
        "Condition": {
            "StringEquals": {"aws:username": "bob"},
            "Bool": {"aws:SecureTransport": "true"},
            "Null": {"aws:TagKeys": "false"},
        },
    }
    request = Request(CALLER, "s3:GetObject", BUCKET, CONTEXT | {"AWS:SecureTransport": ("false",)})
    (considered,) = explain(request, PolicySet((policy(statement),))).considered
    assert (considered.policy, considered.statement, considered.effect) == (
        "identity",
        "Write",
        "Allow",
    )
    assert not considered.matched
    shown = [(f.element, f.operator, f.key, f.wanted, f.actual) for f in considered.failures]
    assert shown == [
        ("Action", None, None, ("s3:PutObject",), ("s3:GetObject",)),
        ("Resource", None, None, ("arn:aws:s3:::other/*",), (BUCKET,)),
        ("Condition", "StringEquals", "aws:username", ("bob",), ()),
        ("Condition", "Bool", "aws:SecureTransport", ("true",), ("false",)),
    ]


def test_the_explanation_covers_every_layer_and_the_negated_elements() -> None:
    bucket = {"Effect": "Deny", "NotPrincipal": {"AWS": [SESSION, ROLE, ACCOUNT]}}
    policies = PolicySet(
        identity=(policy({"Effect": "Allow", "NotAction": "s3:*", "NotResource": BUCKET}),),
        session=(policy(ALLOW, kind="session"),),
        resource=(policy(bucket | {"Action": "*", "Resource": "*"}, kind="resource"),),
    )
    explanation = explain(Request(CALLER, "s3:GetObject", BUCKET, {}), policies)
    assert explanation.decision == evaluate(Request(CALLER, "s3:GetObject", BUCKET, {}), policies)
    assert [(c.kind, [f.element for f in c.failures]) for c in explanation.considered] == [
        ("identity", ["NotAction", "NotResource"]),
        ("session", []),
        ("resource", ["NotPrincipal"]),
    ]


def test_the_explanation_shows_what_is_not_modelled_instead_of_raising() -> None:
    request = Request(CALLER, "s3:GetObject", BUCKET, CONTEXT)
    explanation = explain(request, PolicySet((policy(ALLOW | UNKNOWN),)))
    assert explanation.decision is None
    assert "aws:tagkeys has 2 values" in (explanation.unsupported or "")
    (failure,) = explanation.considered[0].failures
    assert (failure.key, failure.actual) == ("aws:TagKeys", ("a", "b"))
    assert "2 values" in (failure.unsupported or "")


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    page = ROOT / "docs" / "policy-engine.md"
    example = page.read_text().partition("```python\n")[2].partition("```")[0]
    script = tmp_path / "example.py"
    script.write_text(example)
    assert runpy.run_path(str(script))["decision"].allowed
