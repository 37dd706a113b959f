"""Denials explained: what decided, the smallest change, and when that change is dangerous."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from scripts.iam.account.decision_log import PROBE_AGENT, LogError, Record, read_log
from scripts.iam.account.identities import identities
from scripts.iam.denial.dangers import dangers
from scripts.iam.denial.denials import Denial, NoSuchDenial, denied, explain_denial
from scripts.iam.engine.documents import Policy, parse_policy
from scripts.iam.escalation.designed import modelled_steps

ACCOUNT = "111122223333"
IAM = f"arn:aws:iam::{ACCOUNT}"
HOST = "token.actions.githubusercontent.com"
PROVIDER = f"{IAM}:oidc-provider/{HOST}"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(action: str, resource: str, sid: str, **more: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource} | more


TRUST = document(
    {
        "Sid": "OneContext",
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{HOST}:ref": "refs/heads/main"}},
    }
)
OWN = document(
    statement("s3:GetObject", "arn:aws:s3:::b/train/*", "ReadTraining"),
    statement("s3:ListBucket", "arn:aws:s3:::b", "ListTraining",
              Condition={"StringLike": {"s3:prefix": "train/*"}}),
    statement("iam:PassRole", f"{IAM}:role/a", "PassOne"),
)  # fmt: skip
BOUNDARY = document(statement("s3:*", "*", "Objects"), statement("iam:*", "*", "Roles"))
ROLES = identities(
    {
        "RoleDetailList": [
            {
                "Arn": f"{IAM}:role/train",
                "RoleName": "train",
                "AssumeRolePolicyDocument": TRUST,
                "RolePolicyList": [{"PolicyName": "storage", "PolicyDocument": OWN}],
                "PermissionsBoundary": {"PermissionsBoundaryArn": f"{IAM}:policy/boundary"},
            }
        ],
        "Policies": [
            {
                "Arn": f"{IAM}:policy/boundary",
                "PolicyVersionList": [{"IsDefaultVersion": True, "Document": BOUNDARY}],
            }
        ],
    }
)


def record(action: str, resource: str, **more: Any) -> Record:
    made = Record(
        time=0.0,
        request_id="r-1",
        principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/train/run",
        role="train",
        service=action.partition(":")[0],
        operation=action.partition(":")[2],
        action=action,
        resource=resource,
        reason="no identity-based policy allows",
    )
    return replace(made, **more)


def explained(one: Record, resource: Policy | None = None) -> Denial:
    return explain_denial(one, ROLES, lambda _: resource)


def test_a_resource_is_added_to_the_statement_that_lacks_nothing_else() -> None:
    found = explained(record("s3:GetObject", "arn:aws:s3:::b/holdout/x"))
    [change] = found.changes
    assert found.proved
    assert (change.policy, change.kind) == ("storage", "identity")
    assert change.statement is not None
    assert change.statement["Sid"] == "ReadTraining"
    assert change.statement["Resource"] == ["arn:aws:s3:::b/train/*", "arn:aws:s3:::b/holdout/x"]
    assert change.warnings == ()


def test_a_condition_that_failed_is_named_with_what_the_request_had() -> None:
    keys = {"s3:prefix": ["holdout/"]}
    found = explained(record("s3:ListBucket", "arn:aws:s3:::b", keys=keys))
    [change] = found.changes
    assert found.proved
    assert "wants train/*" in change.edit
    assert "has holdout/" in change.edit
    assert any("opens it for every request" in warning for warning in change.warnings)


def test_an_action_that_no_statement_has_gets_its_own() -> None:
    found = explained(record("s3:PutObject", "arn:aws:s3:::b/train/x"))
    [change] = found.changes
    assert found.proved
    assert change.edit == "add a statement"
    assert change.statement == {
        "Effect": "Allow",
        "Action": ["s3:PutObject"],
        "Resource": ["arn:aws:s3:::b/train/x"],
    }


def test_the_boundary_is_a_second_change_with_a_warning() -> None:
    found = explained(record("ssm:GetParameter", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/x"))
    assert [change.kind for change in found.changes] == ["identity", "boundary"]
    assert found.proved
    warning = found.changes[1].warnings[0]
    assert "widens the boundary of every role and user" in warning
    assert "allows nothing by itself" in warning


def bucket_policy(effect: str = "Deny", **changed: Any) -> Policy:
    one = {"Sid": "Guard", "Effect": effect, "Principal": "*", "Action": "s3:*", "Resource": "*"}
    written = {key: value for key, value in {**one, **changed}.items() if value is not None}
    return parse_policy(document(written), name="arn:aws:s3:::b", kind="resource")


def test_a_deny_without_tls_is_answered_by_tls() -> None:
    policy = bucket_policy(Condition={"Bool": {"aws:SecureTransport": "false"}})
    keys = {"aws:SecureTransport": ("false",)}
    found = explained(record("s3:GetObject", "arn:aws:s3:::b/train/x", keys=keys), policy)
    [change] = found.changes
    assert (change.policy, change.statement) == ("the request", None)
    assert "TLS" in change.edit
    assert found.proved
    assert "aws:SecureTransport is false" in found.notes[0]


HEADER = "s3:x-amz-server-side-encryption"


@pytest.mark.parametrize("operator", ["StringNotEquals", "StringNotEqualsIfExists"])
def test_a_deny_of_an_absent_header_is_told_and_never_answered_by_if_exists(operator: str) -> None:
    policy = bucket_policy(Condition={operator: {HEADER: "aws:kms"}})
    found = explained(record("s3:PutObject", "arn:aws:s3:::b/train/x"), policy)
    assert f"the request has no {HEADER}" in found.notes[0]
    change, _ = found.changes  # the role has no s3:PutObject either
    assert "send the header x-amz-server-side-encryption: aws:kms" in change.edit
    assert found.proved
    assert "IfExists" not in json.dumps([one.statement for one in found.changes])


def test_a_header_with_variables_is_guarded_by_null() -> None:
    policy = bucket_policy(Condition={"StringNotLike": {HEADER: "aws:*"}})
    found = explained(record("s3:PutObject", "arn:aws:s3:::b/train/x"), policy)
    change, _ = found.changes  # the role has no s3:PutObject either
    assert change.statement is not None
    assert change.statement["Condition"]["Null"] == {HEADER: ["false"]}
    assert found.proved
    assert "denies on purpose" in change.warnings[0]


def test_notprincipal_is_answered_by_a_condition_on_the_principals_arn() -> None:
    policy = bucket_policy(Principal=None, NotPrincipal={"AWS": f"{IAM}:role/train"})
    keys = {"aws:PrincipalArn": (f"{IAM}:role/train",)}
    found = explained(record("s3:GetObject", "arn:aws:s3:::b/train/x", keys=keys), policy)
    [change] = found.changes
    assert change.statement is not None
    assert change.statement["Condition"] == {
        "ArnNotEquals": {"aws:PrincipalArn": [f"{IAM}:role/train"]}
    }
    assert "NotPrincipal" not in change.statement
    assert found.proved


def test_whom_a_deny_means_is_offered_nothing() -> None:
    other = bucket_policy(Principal=None, NotPrincipal={"AWS": f"{IAM}:role/other"})
    everyone = bucket_policy()
    for policy in (other, everyone):
        found = explained(record("s3:GetObject", "arn:aws:s3:::b/train/x"), policy)
        assert found.changes == ()
        assert "no change is proposed" in found.notes[-1]


ADDRESSES = {"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}}


def test_a_request_through_an_endpoint_has_no_address() -> None:
    keys = {"aws:SourceVpce": ("vpce-1",)}
    found = explained(
        record("s3:GetObject", "arn:aws:s3:::b/train/x", keys=keys),
        bucket_policy(Condition=ADDRESSES),
    )
    assert "the request has no aws:SourceIp" in found.notes[0]
    [change] = found.changes
    assert change.statement is not None
    assert change.statement["Condition"] == {
        "NotIpAddressIfExists": {"aws:SourceIp": ["203.0.113.0/24"]},
        "StringNotEqualsIfExists": {"aws:SourceVpce": ["vpce-1"]},
        "BoolIfExists": {"aws:ViaAWSService": ["false"]},
    }
    assert found.proved


def test_an_address_that_a_deny_means_is_never_added_to_it() -> None:
    keys = {"aws:SourceIp": ("127.0.0.1",)}
    found = explained(
        record("s3:GetObject", "arn:aws:s3:::b/train/x", keys=keys),
        bucket_policy(Condition=ADDRESSES),
    )
    assert found.changes == ()
    assert "aws:SourceIp is 127.0.0.1" in found.notes[0]


@pytest.mark.parametrize(
    ("condition", "keys", "said"),
    [
        ({"StringEquals": {"aws:PrincipalTag/team": "ml"}}, {}, "the request has no such key"),
        ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, {"aws:SourceIp": ("127.0.0.1",)},
         "no wider condition is proposed"),
        ({"StringNotEquals": {"s3:prefix": "secret"}}, {"s3:prefix": ("secret",)},
         "no wider condition is proposed"),
    ],
)  # fmt: skip
def test_a_condition_that_cannot_be_widened_safely_is_only_explained(
    condition: dict[str, Any], keys: dict[str, tuple[str, ...]], said: str
) -> None:
    own = document(statement("s3:ListBucket", "arn:aws:s3:::b", "List", Condition=condition))
    details = {
        "RoleDetailList": [
            {"Arn": f"{IAM}:role/train", "RoleName": "train", "AssumeRolePolicyDocument": TRUST,
             "RolePolicyList": [{"PolicyName": "storage", "PolicyDocument": own}]}
        ],
        "Policies": [],
    }  # fmt: skip
    one = record("s3:ListBucket", "arn:aws:s3:::b", keys=keys)
    found = explain_denial(one, identities(details), lambda _: None)
    assert found.changes == ()
    assert any(said in note for note in found.notes)


def test_what_the_engine_does_not_model_is_told_with_its_reason() -> None:
    policy = bucket_policy("Allow", Principal={"CanonicalUser": "79a59df900b949e5"})
    one = record("s3:GetObject", "arn:aws:s3:::b/other/x", reason="unsupported")
    found = explained(one, policy)
    assert found.changes == ()
    assert "canonical id" in found.notes[-1]


def test_a_token_from_another_branch_shows_the_ref_and_warns_of_the_trust_edit() -> None:
    one = record(
        "sts:AssumeRoleWithWebIdentity",
        f"{IAM}:role/train",
        principal=PROVIDER,
        role=None,
        keys={f"{HOST}:ref": ["refs/heads/side"]},
    )
    found = explained(one)
    [change] = found.changes
    assert found.proved
    assert "has refs/heads/side" in change.edit
    assert any("trust policy" in warning for warning in change.warnings)


def test_every_statement_is_listed_with_what_did_not_fit() -> None:
    found = explained(record("s3:GetObject", "arn:aws:s3:::b/holdout/x"))
    assert found.explanation is not None
    labels = [one.statement for one in found.explanation.considered]
    assert labels == ["ReadTraining", "ListTraining", "PassOne", "Objects", "Roles"]


@pytest.mark.parametrize("reason", ["unmapped", "InvalidIdentityToken"])
def test_a_refusal_without_a_policy_says_so(reason: str) -> None:
    found = explained(record("s3:GetObject", "*", reason=reason))
    assert found.changes == ()
    assert found.explanation is None
    assert found.notes


def test_a_request_that_would_be_allowed_by_now_says_so() -> None:
    found = explained(record("s3:GetObject", "arn:aws:s3:::b/train/x"))
    assert found.changes == ()
    assert "would allow it" in found.notes[0]


# On their own these are daily work, where the resource makes the step; the last is a condition key.
HARMLESS = {"s3:GetObject", "s3:PutObject", "iam:PermissionsBoundary"}
STEPS = {
    action
    for step in modelled_steps().values()
    for action in re.findall(r"[a-z0-9]+:[A-Z][A-Za-z]+", str(step["needs"]))
}


@pytest.mark.parametrize("action", sorted(STEPS - HARMLESS | {"s3:*", "ssm:PutParameter"}))
def test_every_step_of_the_escalation_search_is_warned_of(action: str) -> None:
    assert dangers(action, ["arn:aws:x:::y"])


def test_a_forged_champion_is_warned_of() -> None:
    arn = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/keyless/dev/champion/x"
    assert any("champion of record" in one for one in dangers("ssm:PutParameter", [arn]))
    assert not any("champion" in one for one in dangers("ssm:GetParameter", [arn]))


@pytest.mark.parametrize("action", ["ssm:GetDocument", "ssm:DescribeDocument", "s3:ListBucket"])
def test_reading_is_not_said_to_change_anything(action: str) -> None:
    assert dangers(action, ["arn:aws:x:::y"]) == []


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("iam:CreateUser", "limit it by iam:PermissionsBoundary"),
        ("iam:CreateAccessKey", "a key that acts as the user"),
        # ministryofjustice/modernisation-platform#13250
        ("iam:UpdateRole", "how long a session of the role may last"),
        ("iam:UpdateSAMLProvider", "an issuer of identities"),
        # elastic/apm-aws-lambda#526: no such key, and no identity
        ("iam:CreatePolicy", None),
        ("iam:UpdateRoleDescription", None),
    ],
)
def test_a_warning_is_of_what_this_action_of_iam_does(action: str, words: str | None) -> None:
    found = dangers(action, ["arn:aws:x:::y"])
    assert [words in one for one in found if words] == ([True] if words else [])
    assert len(found) == bool(words)


def test_reading_one_object_is_not_warned_of() -> None:
    assert dangers("s3:GetObject", ["arn:aws:s3:::b/x"]) == []
    assert dangers("ec2:DescribeInstances", ["*"], ["ec2:Region"]) == []
    assert dangers("s3:GetObject", ["*"])
    assert dangers("s3:GetObject", ["arn:aws:s3:::b/prod.tfstate"])


def test_without_an_id_the_last_denied_request_is_meant() -> None:
    first = record("s3:GetObject", "a")
    second = record("s3:PutObject", "b", request_id="r-2")
    passed = record("s3:PutObject", "c", request_id="r-3", allowed=True, statement="S", policy="p")
    assert denied([first, second, passed], None) == [second]
    assert denied([first, second, passed], "r-1") == [first]
    agent = {"aws:UserAgent": (f"Botocore/1.40 {PROBE_AGENT}",)}
    probe = record("s3:DeleteObject", "d", request_id="r-4", keys=agent)
    assert denied([first, second, probe], None) == [second]
    assert denied([first, second, probe], "r-4") == [probe]
    for wrong, message in (("r-3", "was allowed, by statement S of p"), ("r-9", "no request")):
        with pytest.raises(NoSuchDenial, match=message):
            denied([first, second, passed], wrong)
    with pytest.raises(
        NoSuchDenial, match=r"none of the 1 permissions in the log was denied$"
    ) as none:
        denied([passed], None)
    assert none.value.probe is None


def test_the_beginning_of_an_id_will_do_where_one_request_has_it() -> None:
    one, other = (
        record("s3:GetObject", "a", request_id=f"84f997a8-413{end}") for end in ("a-1", "b-2")
    )
    assert denied([one, other], "84f997a8-413a") == [one]
    assert denied([one, other], other.request_id) == [other]
    with pytest.raises(NoSuchDenial, match="no request"):
        denied([one, other], "84f997a8-413")


def test_where_only_probes_were_denied_the_last_of_them_is_named() -> None:
    agent = {"aws:UserAgent": (f"Botocore/1.40 {PROBE_AGENT}",)}
    probes = [record("s3:DeleteObject", "d", request_id=f"r-{i}", keys=agent) for i in (1, 2)]
    with pytest.raises(NoSuchDenial, match="but for 2 that were tried on purpose") as found:
        denied(probes, None)
    assert found.value.probe == probes[-1]


def test_what_was_tried_on_purpose_stays_refused() -> None:
    agent = {"aws:UserAgent": (f"Botocore/1.40 {PROBE_AGENT}",)}
    needed = record("s3:GetObject", "arn:aws:s3:::b/holdout/x")
    assert explained(needed).changes
    found = explained(replace(needed, keys=agent))
    assert (found.changes, found.proved) == ((), False)
    assert any("tried on purpose" in note and "stay refused" in note for note in found.notes)


GOOD = asdict(record("s3:GetObject", "*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("not json\n", "line 1: not a decision"),
        ("[]\n", "write a JSON object"),
        (json.dumps(GOOD) + "\n{}\n", "line 2: not a decision: without request_id"),
        (json.dumps(GOOD | {"keys": []}) + "\n", "keys must be an object of lists of strings"),
        (json.dumps(GOOD | {"keys": {"a": 1}}) + "\n", "keys must be an object of lists"),
        (json.dumps(GOOD | {"keys": {"a": [1]}}) + "\n", "keys must be an object of lists"),
        (json.dumps(GOOD | {"action": "read"}) + "\n", "action must be service:Action, not 'read'"),
        (json.dumps(GOOD | {"action": None}) + "\n", "action must be service:Action"),
        (json.dumps(GOOD | {"allowed": "yes"}) + "\n", "allowed must be true or false, not 'yes'"),
        (json.dumps(GOOD | {"time": "now"}) + "\n", "time must be seconds since 1970"),
        (json.dumps(GOOD | {"role": 7}) + "\n", "role must be a role's name or null"),
        (
            json.dumps(GOOD | {"resource": "x" * 2_000_000, "principal": 1}) + "\n",
            "principal must be a string",
        ),
        (json.dumps(GOOD), "no decision in it"),
    ],
)
def test_a_file_that_is_no_log_is_named_with_its_line(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_text(content)
    with pytest.raises(LogError, match=message):
        read_log(path)


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_text(json.dumps(GOOD) + '\n{"time":')
    assert read_log(path) == [record("s3:GetObject", "*")]


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="No such file"):
        read_log(tmp_path / "none")
