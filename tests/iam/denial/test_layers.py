"""Denials by what is no policy of the caller's own, or is not looked at; callers of other kinds.

The sentences are those of AWS's documentation, the cases those of public reports:
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from scripts.iam.account.identities import Identities, identities
from scripts.iam.denial.denials import Denial
from scripts.iam.denial.reading.messages import Refusal, read
from scripts.iam.denial.reported import explain_refusal, moved
from scripts.iam.denial.words import considered, decision
from scripts.iam.engine.documents import parse_policy
from tests.iam.denial.test_reported import ACCOUNT, EVERYTHING, IAM, KEY, document, pasted, told

OTHER = "444455556666"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run"
EC2 = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}


def people(*own: dict[str, Any], trust: dict[str, Any] | None = None) -> Identities:
    """The role `app` with these statements, and the role `target` with this trust policy."""
    policies = [{"PolicyName": "own", "PolicyDocument": document(*own)}] if own else []
    roles = [{"RoleName": "app", "Arn": f"{IAM}:role/app", "RolePolicyList": policies,
              "AssumeRolePolicyDocument": document(EC2)}]  # fmt: skip
    if trust is not None:
        roles.append({"RoleName": "target", "Arn": f"{IAM}:role/target", "RolePolicyList": [],
                      "AssumeRolePolicyDocument": document(trust)})  # fmt: skip
    return identities({"RoleDetailList": roles, "Policies": [], "UserDetailList": []})


def refusal(action: str, resource: str = "", ending: str = "", caller: str = SESSION) -> Refusal:
    where = f" on resource: {resource}" if resource else ""
    [found] = read(
        f"User: {caller} is not authorized to perform: {action}{where} {ending}"
    ).refusals
    return found


def of_app(action: str, resource: str, ending: str = "", *own: dict[str, Any],
           trust: dict[str, Any] | None = None) -> Denial:  # fmt: skip
    members = people(*(own or (EVERYTHING,)), trust=trust)
    return explain_refusal(refusal(action, resource, ending), members, lambda _: None)


@pytest.mark.parametrize(
    ("ending", "layer", "policy"),
    [
        ("with an explicit deny in a sessions policy", "session policy", None),
        ("with an explicit deny in the role trust policy", "role trust policy", None),
        ("with an explicit deny in a VPC endpoint policy transitively through a service control "
         "policy", "service control policy", None),
        # prowler-cloud/prowler#793
        ("because public access control lists (ACLs) are blocked by the BlockPublicAcls block "
         "public access setting", "S3 Block Public Access", "BlockPublicAcls"),
        ("because public policies are prevented by the BlockPublicPolicy setting in S3 Block "
         "Public Access", "S3 Block Public Access", "BlockPublicPolicy"),
        # torchbox/buckup#18
        ("because public ACLs are prevented by the BlockPublicAcls setting in S3 Block Public "
         "Access.", "S3 Block Public Access", "BlockPublicAcls"),
    ],
)  # fmt: skip
def test_what_decided_is_read(ending: str, layer: str, policy: str | None) -> None:
    found = refusal("s3:PutBucketPolicy", '"arn:aws:s3:::site"', ending)
    assert (found.layer, found.policy) == (layer, policy)
    assert found.explicit == ("explicit deny" in ending)


@pytest.mark.parametrize(
    ("ending", "told_by"),
    [
        # japan-d2/secure-stack-template-aws#43
        ("because no VPC endpoint policy allows the s3:PutObject action",
         "no VPC endpoint policy allows"),
        ("because no service control policy allows the s3:PutObject action",
         "no service control policy allows"),
        ("with an explicit deny in a resource-based policy",
         "explicit deny in a resource-based policy"),
        ("with an explicit deny in an identity-based policy",
         "explicit deny in an identity-based policy"),
    ],
)  # fmt: skip
def test_what_decided_is_told_in_awss_words(ending: str, told_by: str) -> None:
    assert decision(of_app("s3:PutObject", '"arn:aws:s3:::b/k"', ending).record) == told_by


@pytest.mark.parametrize("own", [EVERYTHING, {**EVERYTHING, "Action": "s3:Get*"}])
def test_no_policy_lifts_s3s_block_of_what_is_public(own: dict[str, Any]) -> None:
    found = of_app("s3:PutObjectAcl", '"arn:aws:s3:::b/k"', "because public ACLs are prevented by "
                   "the BlockPublicAcls setting in S3 Block Public Access", own)  # fmt: skip
    assert found.changes == ()
    assert told(found).startswith("S3 Block Public Access (BlockPublicAcls) decided")
    assert "no policy of IAM lifts it" in told(found)


@pytest.mark.parametrize("action", ["sts:TagSession", "sts:SetSourceIdentity"])
def test_what_a_session_is_given_is_for_the_trust_policy_to_allow(action: str) -> None:
    """DataDog/stratus-red-team#462, noqdev/iambic#357"""
    trusted = {"Effect": "Allow", "Principal": {"AWS": f"{IAM}:root"}, "Action": "sts:AssumeRole"}
    found = of_app(action, f"{IAM}:role/target", trust=trusted)
    [change] = found.changes
    assert (change.policy, change.kind, found.proved) == ("target", "trust", True)
    assert change.statement == {
        "Effect": "Allow", "Action": [action], "Principal": {"AWS": [f"{IAM}:role/app"]}
    }  # fmt: skip
    assert any("trust policy" in one for one in change.warnings)


def test_another_accounts_trust_policy_is_named_as_such() -> None:
    """aws/aws-cdk-cli#762, OvertureMaps/stac#114"""
    target = f"arn:aws:iam::{OTHER}:role/lookup"
    may_tag = {"Effect": "Allow", "Action": "sts:TagSession", "Resource": "*"}
    [theirs] = of_app("sts:TagSession", target, "", may_tag).changes
    assert theirs.policy == f"the role's trust policy in account {OTHER}"
    assert "Resource" not in (theirs.statement or {})
    both = of_app("sts:TagSession", target, "", {**may_tag, "Action": "sts:AssumeRole"}).changes
    assert [change.kind for change in both] == ["identity", "resource"]


def test_a_role_that_is_not_there_is_refused_in_the_same_words() -> None:
    found = of_app("sts:AssumeRole", f"{IAM}:role/gone")
    assert found.changes == ()
    assert "has no role gone; of a role that is not there AWS says the same" in told(found)


@pytest.mark.parametrize("kind", ["user", "role"])
def test_a_caller_that_is_not_there_is_said_to_be_missing(kind: str) -> None:
    found = explain_refusal(
        refusal("s3:GetObject", "arn:aws:s3:::b/k", caller=f"{IAM}:{kind}/gone"),
        people(),
        lambda _: None,
    )
    assert found.notes == (f"the account that was looked at has no {kind} gone",)


def test_a_federated_user_is_not_judged() -> None:
    """A session of GetFederationToken has its own name, and not that of who asked for it."""
    caller = f"arn:aws:sts::{ACCOUNT}:federated-user/vault-1"
    asked = refusal("dynamodb:GetItem", f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/t",
                    caller=caller)  # fmt: skip
    found = explain_refusal(asked, people(EVERYTHING), lambda _: None)
    assert found.changes == ()
    assert "the message names neither: not judged" in told(found)


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        # ministryofjustice/modernisation-platform#2343
        (KEY.replace(ACCOUNT, OTHER), f"it is account {OTHER}'s"),
        (
            f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/q",
            "policies of its kind (events) are not read here",
        ),
    ],
)
@pytest.mark.parametrize(
    "ending",
    [
        "with an explicit deny in a resource-based policy",
        "because no resource-based policy allows the {} action",
    ],
)
def test_a_policy_that_was_not_looked_at_is_said_to_have_decided(
    resource: str, why: str, ending: str
) -> None:
    action = f"{resource.split(':')[2]}:SendMessage"
    found = of_app(action, resource, ending.format(action))
    assert "changed since" not in told(found)
    if found.changes:  # of another account's it is known what lacks
        assert f"account {OTHER}'s" in told(found)
    else:
        assert f"and was not looked at: {why}" in told(found)


def test_of_two_policies_that_lack_the_right_aws_names_one() -> None:
    """abronin/ecr-retag-action#5"""
    own = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    found = of_app("ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{OTHER}:repository/r", "because no "
                   "resource-based policy allows the ecr:BatchGetImage action", own)  # fmt: skip
    assert [change.kind for change in found.changes] == ["identity", "resource"]
    assert found.proved


def test_a_root_user_as_a_principal_is_said_to_be_its_whole_account() -> None:
    """ZhangYuanhan-AI/CelebASpoofChallengeSubmissionExample#9"""
    [refusal] = read(f"User: {IAM}:root is not authorized to perform: ecr:PutImage on resource: "
                     f"arn:aws:ecr:us-east-1:{OTHER}:repository/r").refusals  # fmt: skip
    [change] = explain_refusal(refusal, people(), lambda _: None).changes
    assert change.statement is not None
    assert change.statement["Principal"] == {"AWS": [f"{IAM}:root"]}
    [warning] = change.warnings
    assert "the whole account" in warning


def test_a_masked_account_is_that_of_the_policies() -> None:
    """ministryofjustice/modernisation-platform#12326, as the job's log shows it"""
    group = "arn:aws:network-firewall:eu-west-2:{}:stateful-rulegroup/strict"
    asked = refusal("network-firewall:CreateRuleGroup", group.format("***"),
                    caller=SESSION.replace(ACCOUNT, "***"))  # fmt: skip
    there = moved(asked, ACCOUNT)
    assert (there.principal, there.resource) == (SESSION, group.format(ACCOUNT))
    hidden = moved(refusal("s3:GetObject", "***", caller="arn:aws:sts::***:assumed-role/***/run"),
                   ACCOUNT)  # fmt: skip
    assert hidden.resource == "***"
    found = explain_refusal(hidden, people(EVERYTHING), lambda _: None)
    assert told(found) == "the message hides the caller's name (***): paste it with the name"


def test_an_alarm_asks_as_cloudwatch() -> None:
    """aws-solutions/automated-security-response-on-aws#43"""
    alarm = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:No sign-in"
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:t"
    [asked] = read(
        f"Resource: {alarm} is not authorized to perform: SNS:Publish on resource: {topic} because "
        "no resource-based policy allows the SNS:Publish action"
    ).refusals
    assert asked.known_keys()["aws:SourceArn"] == (alarm,)
    owner = {"Effect": "Allow", "Principal": {"AWS": f"{IAM}:root"}, "Action": "sns:Publish",
             "Resource": topic}  # fmt: skip
    policy = parse_policy(document(owner), name="topic", kind="resource")
    [change] = explain_refusal(asked, people(), lambda _: policy).changes
    assert change.statement is not None
    assert change.statement["Principal"] == {"Service": ["cloudwatch.amazonaws.com"]}


@pytest.mark.alone
@pytest.mark.slow
def test_a_list_of_twice_the_alarms_takes_twice_the_time() -> None:
    alarm = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:n "

    def taken(count: int) -> float:
        began = time.process_time()
        assert read(alarm * count).refusals == ()
        return time.process_time() - began

    taken(1)  # compiles what is compiled once
    # In squares it would be four times. The least of three: others have the processor's caches too.
    assert min(taken(1_000) for _ in range(3)) < 3 * min(taken(500) for _ in range(3))


def decoded(*items: tuple[str, str]) -> str:
    tags = [{"key": key, "values": {"items": [{"value": value}]}} for key, value in items]
    context = {"principal": {"arn": SESSION}, "action": "ec2:StopInstances",
               "resource": f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-0a",
               "conditions": {"items": tags}}  # fmt: skip
    return json.dumps({"allowed": False, "explicitDeny": False, "context": context})


def stops(condition: dict[str, Any]) -> dict[str, Any]:
    return {"Sid": "Stop", "Effect": "Allow", "Action": ["ec2:StartInstances", "ec2:StopInstances"],
            "Resource": "*", "Condition": condition}  # fmt: skip


def test_a_resource_gets_its_tag_from_no_request() -> None:
    """awsdocs/amazon-ec2-user-guide#234"""
    own = stops({"StringEquals": {"aws:ResourceTag/CanRestart": "true"}})
    [asked] = read(decoded(("ec2:ResourceTag/Name", "web"))).refusals
    found = explain_refusal(asked, people(own), lambda _: None)
    assert found.changes == ()
    assert "instance/i-0a: tag that, if it is meant to be reached" in told(found)
    assert "let the request carry it" not in told(found)
    [tagged] = read(decoded(("ec2:ResourceTag/CanRestart", "true"))).refusals
    assert "the policies as they are now allow it" in told(
        explain_refusal(tagged, people(own), lambda _: None)
    )


def test_a_decoded_message_does_not_tell_the_keys_of_every_request() -> None:
    own = stops({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})
    [asked] = read(decoded(("ec2:InstanceType", "t3.micro"))).refusals
    found = explain_refusal(asked, people(own), lambda _: None)
    assert found.changes == ()
    assert "allows it only with aws:SourceIp" in told(found)
    assert "has no such key" not in told(found)


def test_a_role_is_passed_to_the_one_service_that_asked() -> None:
    """kubermatic/docs#1035"""
    text = decoded(("iam:PassedToService", "ec2.amazonaws.com"))
    text = text.replace("ec2:StopInstances", "iam:PassRole")
    [asked] = read(text.replace(f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-0a", f"{IAM}:role/h")
                   ).refusals  # fmt: skip
    ec2 = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    [change] = explain_refusal(asked, people(ec2), lambda _: None).changes
    assert change.statement is not None
    assert change.statement["Condition"] == {
        "StringEquals": {"iam:PassedToService": ["ec2.amazonaws.com"]}
    }


def test_no_service_is_a_member_of_an_organization() -> None:
    """ministryofjustice/modernisation-platform#8000"""
    paths = {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-1/*"}}
    service = "delivery.logs.amazonaws.com"
    flow = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::b/*", "Condition": paths}  # fmt: skip
    policy = parse_policy(document(flow), name="bucket", kind="resource")
    asked = refusal("s3:PutObject", "arn:aws:s3:::b/k", caller=service)
    found = explain_refusal(asked, people(), lambda _: policy)
    assert found.changes == ()
    assert "of no service; there aws:SourceOrgID and aws:SourceOrgPaths" in told(found)


def test_who_asked_is_a_key_that_every_message_carries() -> None:
    users = {"Sid": "NoUsers", "Effect": "Deny", "Action": "iam:GetRole", "Resource": "*",
             "Condition": {"StringLike": {"aws:PrincipalArn": f"{IAM}:user/*"}}}  # fmt: skip
    found = pasted(f"iam:GetRole on resource: {IAM}:role/x with an explicit deny in an "
                   "identity-based policy", EVERYTHING, users)  # fmt: skip
    assert f"NoUsers of own denies because aws:PrincipalArn is {IAM}:user/ci" in told(found)
    roles = {**users, "Condition": {"ArnNotLike": {"aws:PrincipalArn": f"{IAM}:role/admin"}}}
    found = of_app("iam:GetRole", f"{IAM}:role/x", "with an explicit deny in an identity-based "
                   "policy", EVERYTHING, roles)  # fmt: skip
    assert f"because aws:PrincipalArn is {IAM}:role/app" in told(found)
    assert found.explanation is not None
    lines = considered(found.explanation.considered, everything=True)
    assert not any("may apply" in line for line in lines)


@pytest.mark.parametrize(
    ("excepts", "why"),
    [
        ({"NotAction": ["s3:*", "logs:*"], "Resource": "*"},
         "iam:GetRole is not among its NotAction (s3:*, logs:*)"),
        ({"Action": "iam:*", "NotResource": f"{IAM}:role/mine"},
         f"{IAM}:role/x is not among its NotResource ({IAM}:role/mine)"),
    ],
)  # fmt: skip
def test_a_deny_of_all_but_some_says_what_is_not_among_them(
    excepts: dict[str, Any], why: str
) -> None:
    found = pasted(f"iam:GetRole on resource: {IAM}:role/x with an explicit deny in an "
                   "identity-based policy", EVERYTHING,
                   {"Sid": "OnlyThese", "Effect": "Deny", **excepts})  # fmt: skip
    assert found.changes == ()
    assert f"OnlyThese of own denies because {why}" in told(found)


def test_of_what_is_there_already_no_message_hides_a_tag_of_the_request() -> None:
    """kubernetes/kops#17754"""
    tagged = {"Effect": "Allow", "Action": "ec2:CreateVolume", "Resource": "*",
              "Condition": {"StringEquals": {"aws:RequestTag/Cluster": "c"}}}  # fmt: skip
    found = of_app("ec2:CreateVolume", "arn:aws:ec2:eu-north-1::snapshot/snap-0a", "because no "
                   "identity-based policy allows the ec2:CreateVolume action", tagged)  # fmt: skip
    assert found.changes == ()
    assert "allow the action on it in a statement without this condition" in told(found)


def test_a_service_linked_role_is_named_with_its_path() -> None:
    """aws/aws-cdk#34491"""
    linked = f"{IAM}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    members = identities(
        {"RoleDetailList": [{"RoleName": "AWSServiceRoleForAutoScaling", "Arn": linked,
                             "AssumeRolePolicyDocument": document(EC2)}],
         "Policies": [], "UserDetailList": []})  # fmt: skip
    name = "AWSServiceRoleForAutoScaling/AutoScaling"
    asked = refusal("kms:Decrypt", KEY, "because no resource-based policy allows the kms:Decrypt "
                    "action", caller=f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}")  # fmt: skip
    keeps = {"Effect": "Allow", "Principal": {"AWS": f"{IAM}:root"}, "Action": "kms:Put*",
             "Resource": "*"}  # fmt: skip
    policy = parse_policy(document(keeps), name="key", kind="resource")
    [change] = explain_refusal(asked, members, lambda _: policy).changes
    assert change.statement is not None
    assert change.statement["Principal"] == {"AWS": [linked]}


AWSS = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
READS = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


def of_awss(path: str = "", **more: Any) -> Denial:
    """What is told of a role in this path with AWS's own policy, and more."""
    role = {"RoleName": "app", "Arn": f"{IAM}:role/{path}app", "RolePolicyList": [],
            "AssumeRolePolicyDocument": document(EC2),
            "AttachedManagedPolicies": [{"PolicyArn": AWSS}], **more}  # fmt: skip
    versions = [{"IsDefaultVersion": True, "Document": document(READS)}]
    managed = [{"Arn": AWSS, "PolicyVersionList": versions}]
    members = identities({"RoleDetailList": [role], "Policies": managed, "UserDetailList": []})
    asked = refusal("s3:GetObject", "arn:aws:s3:::other/k", "because no identity-based policy "
                    "allows the s3:GetObject action")  # fmt: skip
    return explain_refusal(asked, members, lambda _: None)


def test_nobody_edits_awss_own_policies() -> None:
    [change] = of_awss().changes
    assert change.policy == "a new identity policy"
    inline = {"PolicyName": "own", "PolicyDocument": document({**READS, "Action": "s3:ListBucket"})}
    [change] = of_awss(RolePolicyList=[inline]).changes
    assert change.policy == "own"


@pytest.mark.parametrize(
    ("path", "told_by"),
    [
        ("aws-service-role/autoscaling.amazonaws.com/", "AWS alone edits what it may"),
        ("aws-reserved/sso.amazonaws.com/", "edit its permission set there"),
    ],
)
def test_roles_that_are_not_edited_in_iam_are_not_to_be_edited(path: str, told_by: str) -> None:
    found = of_awss(path)
    assert found.changes == ()
    assert told_by in told(found)
