"""Policies given as files: what is decided by them, and what has to be given, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scripts.cli import keyless
from scripts.iam.denial.given import document
from scripts.iam.engine.documents import PolicyError

ACCOUNT = "123456789012"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/train/run"
READS = {"Sid": "ReadA", "Effect": "Allow", "Action": "s3:GetObject",
         "Resource": "arn:aws:s3:::bucket/a/*"}  # fmt: skip
GET = f"User: {SESSION} is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::bucket"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def run(folder: Path, message: str, *arguments: str, **files: Any) -> Result:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        option = f"--{name.rstrip('2').replace('_', '-')}"
        arguments += (option, str(folder / f"{name}.json"))
    # No home with a local cloud, and no credentials: nothing else can be asked.
    command = ["--home", str(folder), "explain-denial", "--message", "-", *arguments]
    return CliRunner().invoke(keyless, command, input=message)


def explained(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    [found] = json.loads(done.stdout)
    return dict(found)


def test_a_message_is_explained_without_any_account(tmp_path: Path) -> None:
    words = f"{GET}/b/x because no identity-based policy allows the s3:GetObject action"
    found = explained(run(tmp_path, words, "--json", policy=policy(READS)))
    [change] = found["changes"]
    assert change["policy"] == str(tmp_path / "policy.json")
    assert "add arn:aws:s3:::bucket/b/x to its resources" in change["edit"]
    assert found["proved"] is True
    assert "by the policies given alone" in found["notes"]


def test_a_role_named_by_its_own_arn_is_judged_as_its_session(tmp_path: Path) -> None:
    words = GET.replace(SESSION, f"arn:aws:iam::{ACCOUNT}:role/apps/train") + "/a/x"
    deny = {"Sid": "No", "Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(READS, deny)))
    assert found["today"] == {"allowed": False, "reason": "explicit deny"}
    assert found["changes"] == []
    bucket = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*",
              "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"}}  # fmt: skip
    found = explained(
        run(
            tmp_path,
            words.replace("/a/x", "/b/x"),
            "--json",
            policy=policy(READS),
            resource_policy=policy(bucket),
        )
    )
    assert "the account that was looked at" not in str(found["notes"])
    assert found["changes"]


def test_of_several_policies_each_counts(tmp_path: Path) -> None:
    deny = {"Sid": "NotB", "Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/b*"}
    words = f"{GET}/b/x with an explicit deny in an identity-based policy"
    found = explained(run(tmp_path, words, "--json", policy=policy(READS), policy2=policy(deny)))
    assert any("NotB" in note for note in found["notes"])


def test_a_buckets_policy_is_taken(tmp_path: Path) -> None:
    deny = {"Sid": "Tls", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "999988887777"}}}  # fmt: skip
    words = f"{GET}/a/x with an explicit deny in a resource-based policy"
    found = explained(run(tmp_path, words, "--json", policy=policy(READS),
                          resource_policy={"Policy": json.dumps(policy(deny))}))  # fmt: skip
    assert any("Tls" in note for note in found["notes"])


def test_a_role_that_is_asked_for_is_decided_by_its_trust_policy(tmp_path: Path) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/hub"
    may = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}
    trusts = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"},
              "Action": "sts:AssumeRole"}  # fmt: skip
    words = f"User: {SESSION} is not authorized to perform: sts:AssumeRole on resource: {role}"
    found = explained(run(tmp_path, words, "--json", policy=policy(may), trust=policy(trusts)))
    [change] = found["changes"]
    assert change["kind"] == "trust"
    assert f"arn:aws:iam::{ACCOUNT}:role/train" in json.dumps(change["statement"])


def test_the_path_that_a_session_leaves_out_is_asked_for(tmp_path: Path) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/hub"
    trusts = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"},
              "Action": "sts:AssumeRole"}  # fmt: skip
    may = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    name = "AWSReservedSSO_Admin_0123456789abcdef"
    words = f"User: {SESSION} is not authorized to perform: sts:AssumeRole on resource: {role}"
    found = explained(run(tmp_path, words.replace("train", name), "--json", policy=policy(may),
                          trust=policy(trusts)))  # fmt: skip
    principal = json.dumps(found["changes"][0]["statement"]["Principal"])
    assert f"role/aws-reserved/sso.amazonaws.com/{name}" in principal
    [note] = [note for note in found["notes"] if "get-role" in note]
    assert "the region stands" in note


def test_identity_centers_roles_are_not_edited(tmp_path: Path) -> None:
    words = f"{GET}/b/x because no identity-based policy allows the s3:GetObject action"
    sso = words.replace("train", "AWSReservedSSO_Admin_0123456789abcdef")
    found = explained(run(tmp_path, sso, "--json", policy=policy(READS)))
    assert found["changes"] == []
    assert any("permission set" in note for note in found["notes"])


def test_a_trust_policy_that_was_not_given_is_not_guessed(tmp_path: Path) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/hub"
    words = f"User: {SESSION} is not authorized to perform: sts:AssumeRole on resource: {role}"
    may = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}
    allowed = explained(run(tmp_path, words, "--json", policy=policy(may)))
    lacking = explained(run(tmp_path, words, "--json", policy=policy(READS)))
    for found, own in ((allowed, False), (lacking, True)):
        assert found["changes"] == []
        [said] = [note for note in found["notes"] if "it was not given" in note]
        assert ("none of the caller's own policies allows it" in said) is own


@pytest.mark.parametrize(
    ("words", "option"),
    [("because no permissions boundary allows the s3:GetObject action", "--boundary FILE"),
     ("because no resource-based policy allows the s3:GetObject action", "--resource-policy FILE")],
)  # fmt: skip
def test_the_layer_that_aws_names_has_to_be_given(tmp_path: Path, words: str, option: str) -> None:
    found = explained(run(tmp_path, f"{GET}/b/x {words}", "--json", policy=policy(READS)))
    assert found["changes"] == []
    assert any(option in note for note in found["notes"])


def test_a_boundary_is_taken(tmp_path: Path) -> None:
    words = f"{GET}/a/x because no permissions boundary allows the s3:GetObject action"
    bound = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(READS), boundary=policy(bound)))
    assert [change["kind"] for change in found["changes"]] == ["boundary"]


def test_a_masked_account_is_that_of_the_policies(tmp_path: Path) -> None:
    table = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/lock"
    puts = {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": table}
    words = (
        f"User: {SESSION} is not authorized to perform: dynamodb:DescribeTable on resource: {table}"
    ).replace(ACCOUNT, "***")
    found = explained(run(tmp_path, words, "--json", policy=policy(puts)))
    assert found["changes"][0]["statement"]["Resource"] == [table]


def test_an_apis_policy_may_leave_out_what_it_is_attached_to(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-examples.html"""
    invoke = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke",
              "Resource": "execute-api:/prod/*"}  # fmt: skip
    words = (
        "User: anonymous is not authorized to perform: execute-api:Invoke on resource: "
        f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:a1b2/test/GET/x"
    )
    found = explained(run(tmp_path, words, "--json", resource_policy=policy(invoke)))
    [one] = found["considered"]
    assert one["failures"][0]["wanted"] == (
        [f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:a1b2/prod/*"]
    )


@pytest.mark.parametrize(
    "around",
    [{"PolicyDocument": policy(READS)}, {"PolicyVersion": {"Document": policy(READS)}},
     {"Policy": json.dumps(policy(READS))}, policy(READS)],
)  # fmt: skip
def test_what_the_cli_prints_around_a_policy_is_taken_off(around: dict[str, Any]) -> None:
    assert document(json.dumps(around), "a.json") == policy(READS)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '"{"', json.dumps([policy(READS)] * 2)])
def test_what_is_not_one_policy_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=r"a\.json"):
        document(text, "a.json")


def test_a_trust_policy_is_none_of_a_bucket(tmp_path: Path) -> None:
    trusts = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
              "Action": "sts:AssumeRole"}  # fmt: skip
    done = run(tmp_path, f"{GET}/b/x", policy=policy(READS), trust=policy(trusts))
    assert done.exit_code == 2
    assert "a role's trust policy" in done.output


def test_without_a_message_files_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(policy(READS)), encoding="utf-8")
    done = CliRunner().invoke(keyless, ["explain-denial", "--policy", str(file)])
    assert done.exit_code == 2
    assert "--message" in done.output


def test_a_trust_policy_that_lacks_it_is_judged_without_the_callers_own(tmp_path: Path) -> None:
    trusts = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"},
        "Action": "sts:AssumeRole",
    }
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: sts:{{}} on "
        f"resource: arn:aws:iam::{ACCOUNT}:role/ops"
    )
    tagged = run(tmp_path, words.format("TagSession"), trust=policy(trusts)).output
    assert "the role's trust policy lacks it" in tagged
    assert '"sts:TagSession"' in tagged
    assert "not judged" in run(tmp_path, words.format("AssumeRole"), trust=policy(trusts)).output


def test_a_resource_of_underscores_is_hidden(tmp_path: Path) -> None:
    words = "User: arn:aws:iam::____ is not authorized to perform: ssm:SendCommand on resource: "
    assert "hides a part of the resource" in run(tmp_path, f"{words}arn:aws:ec2:________").output


def test_what_follows_from_a_caller_that_is_not_named_is_not_known(tmp_path: Path) -> None:
    """The stand-in for the caller was told as a fact."""
    denies = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::box",
        "Condition": {"StringNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/reader"}},
    }
    found = run(
        tmp_path,
        "reading S3 Bucket (box): operation error S3: HeadBucket, https response error StatusCode: "
        "403, RequestID: A1, HostID: x=, api error Forbidden: Forbidden",
        policy=policy({"Effect": "Allow", "Action": "*", "Resource": "*"}),
        resource_policy=policy(denies),
    ).output
    assert "role/CALLER" not in found
    assert "denies it only with aws:PrincipalArn" in found


def test_a_role_of_identity_center_may_have_its_region_in_its_path(tmp_path: Path) -> None:
    caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_0/me"
    words = (
        f"User: {caller} is not authorized to perform: s3:GetObject on resource: "
        '"arn:aws:s3:::box/a" with an explicit deny in a resource-based policy'
    )

    def told(excepted: str) -> str:
        condition = {"StringNotLike": {"aws:PrincipalArn": excepted}}
        denies = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
        written = policy({**denies, "Condition": condition})
        return run(tmp_path, words, resource_policy=written).output

    assert "denies because aws:PrincipalArn is" in told(f"arn:aws:iam::{ACCOUNT}:role/other")
    by_region = "arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_*"
    assert "denies because" not in told(by_region)


def test_what_a_call_of_ec2_makes_is_its_callers(tmp_path: Path) -> None:
    words = (
        "User: arn:aws:sts::5482:assumed-role/nodes/1 is not authorized to perform: ec2:CreateTags "
        "on resource: arn:aws:ec2:us-east-1:5480:spot-instances-request/* because no "
        "identity-based policy allows the ec2:CreateTags action"
    )
    assert "OTHER_ACCOUNT" not in run(tmp_path, words).output


def test_a_deny_without_mfa_tells_how_to_sign_in(tmp_path: Path) -> None:
    condition = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    denies = {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*", "Condition": condition}
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: "
        "cloudformation:DescribeStacks with an explicit deny in an identity-based policy"
    )
    assert "get-session-token" in run(tmp_path, words, policy=policy(denies)).output


@pytest.mark.parametrize(
    ("message", "allows", "told"),
    [
        ("(AccessDenied) when calling the AssumeRole operation: Not authorized to perform "
         "sts:AssumeRole", "sts:AssumeRole", "the trust policy of the role, which was not"),
        ("error creating Lambda Function (1): AccessDeniedException: status code: 403",
         "lambda:*", "iam:PassRole is lacking on the role that the call passes"),
    ],
)  # fmt: skip
def test_what_else_may_refuse_a_call_that_is_allowed(
    tmp_path: Path, message: str, allows: str, told: str
) -> None:
    own = policy({"Effect": "Allow", "Action": allows, "Resource": "*"})
    done = run(tmp_path, message, policy=own)
    assert told in done.output


LAKE = "arn:aws:s3:::lake"
PUT = f"User: {SESSION} is not authorized to perform: s3:PutObject on resource: {LAKE}/x"
UNENCRYPTED = {"Sid": "Encrypted", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
               "Resource": f"{LAKE}/*", "Condition": {
                   "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}}  # fmt: skip
LIST = UNENCRYPTED | {"Sid": "List", "Action": "s3:ListBucket", "Resource": LAKE}
IN_BUCKET = f"{PUT} with an explicit deny in a resource-based policy"


def test_the_one_deny_that_can_be_it_is_the_one_that_decided(tmp_path: Path) -> None:
    found = explained(run(tmp_path, IN_BUCKET, "--json", resource_policy=policy(UNENCRYPTED, LIST)))
    assert any("statement Encrypted of" in note and "this one alone can be it" in note
               for note in found["notes"])  # fmt: skip
    [change] = found["changes"]
    assert change["policy"] == "the request"
    assert "x-amz-server-side-encryption: aws:kms" in change["edit"]
    assert change["statement"] is None
    [shown] = [one for one in found["considered"] if one["statement"] == "Encrypted"]
    assert shown["matched"]


def test_of_two_denies_it_is_one_and_a_request_that_meets_neither_is_told(tmp_path: Path) -> None:
    second = UNENCRYPTED | {"Sid": "Absent", "Condition": {
        "Null": {"s3:x-amz-server-side-encryption": "true"}}}  # fmt: skip
    given = policy(UNENCRYPTED, second)
    found = explained(run(tmp_path, IN_BUCKET, "--json", resource_policy=given))
    [note] = [note for note in found["notes"] if "one or more of these" in note]
    assert "statement Encrypted of" in note
    assert "statement Absent of" in note
    [change] = found["changes"]
    assert "x-amz-server-side-encryption: aws:kms" in change["edit"]


def test_a_change_that_not_every_deny_was_tried_with_is_not_told(tmp_path: Path) -> None:
    second = UNENCRYPTED | {"Sid": "Tls", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    given = policy(UNENCRYPTED, second)
    found = explained(run(tmp_path, IN_BUCKET, "--json", resource_policy=given))
    assert found["changes"] == []
    assert any("one or more of these" in note for note in found["notes"])


def test_a_deny_that_applies_anyhow_is_told_before_those_that_may(tmp_path: Path) -> None:
    frozen = {one: UNENCRYPTED[one] for one in UNENCRYPTED if one != "Condition"}
    given = policy(UNENCRYPTED, frozen | {"Sid": "Frozen"})
    found = explained(run(tmp_path, IN_BUCKET, "--json", resource_policy=given))
    assert found["changes"] == []
    assert "statement Frozen of" in found["notes"][0]
    assert any("statement Encrypted of" in note and "denies it, too" in note
               for note in found["notes"])  # fmt: skip


@pytest.mark.parametrize(
    ("conditions", "otherwise"),
    [
        ({"Bool": {"aws:SecureTransport": "false"}}, "aws:SecureTransport true; send it over TLS"),
        ({"NumericGreaterThan": {"s3:signatureAge": "600000"}},
         "a s3:signatureAge that is not (NumericGreaterThan) 600000"),
        ({"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, "aws:SourceIp 192.0.2.0/24"),
        ({"Null": {"s3:x-amz-acl": "false"}}, "s3:x-amz-acl absent"),
    ],
)  # fmt: skip
def test_what_a_request_has_to_be_for_the_deny_not_to_apply(
    tmp_path: Path, conditions: dict[str, Any], otherwise: str
) -> None:
    deny = UNENCRYPTED | {"Condition": conditions}
    found = explained(run(tmp_path, IN_BUCKET, "--json", resource_policy=policy(deny)))
    assert found["changes"] == []
    assert any(f"does not apply to a request with {otherwise}" in note for note in found["notes"])


def test_the_organizations_one_deny_is_told_as_well(tmp_path: Path) -> None:
    deny = {"Sid": "Regions", "Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}}  # fmt: skip
    words = f"{PUT} with an explicit deny in a service control policy"
    found = explained(run(tmp_path, words, "--json", scp=policy(deny)))
    assert found["changes"] == []
    assert any("statement Regions of" in note and "this one alone can be it" in note
               and "aws:RequestedRegion eu-west-1" in note for note in found["notes"])  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "option"), [("service control policy", "--scp FILE"),
                         ("resource control policy", "--rcp FILE"),
                         ("VPC endpoint policy", "--endpoint-policy FILE"),
                         ("session policy", "--session-policy FILE")],
)  # fmt: skip
def test_the_option_that_gives_what_no_account_keeps_is_named(
    tmp_path: Path, kind: str, option: str
) -> None:
    found = explained(run(tmp_path, f"{PUT} with an explicit deny in a {kind}", "--json"))
    assert any(option in note for note in found["notes"])


def test_what_is_not_the_callers_own_names_the_option_that_takes_it(tmp_path: Path) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": SESSION}, "Action": "sts:AssumeRole"}
    for one, option in ((trust, "--trust FILE"), (UNENCRYPTED, "--resource-policy FILE")):
        done = run(tmp_path, IN_BUCKET, policy=policy(one))
        assert done.exit_code == 2
        assert option in " ".join(done.stderr.split())


@pytest.mark.parametrize("encoded", ["", " Encoded authorization failure message: …"])
def test_an_encoded_part_is_named_where_it_has_what_the_sentence_lacks(
    tmp_path: Path, encoded: str
) -> None:
    instance = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/*"
    small = {"Sid": "Small", "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": instance,
             "Condition": {"StringEquals": {"ec2:InstanceType": "t4g.small"}}}  # fmt: skip
    words = (
        "You are not authorized to perform this operation. "
        f"User: {SESSION} is not authorized to perform: ec2:RunInstances on resource: {instance} "
        "because no identity-based policy allows the ec2:RunInstances action."
    )
    found = explained(run(tmp_path, words + encoded, "--json", policy=policy(small)))
    assert found["changes"] == []
    [note] = [one for one in found["notes"] if "statement Small" in one]
    named = "aws sts decode-authorization-message --encoded-message"
    assert (named in note) is bool(encoded)
    assert ("compare it with the request" in note) is not bool(encoded)
