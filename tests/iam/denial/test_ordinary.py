"""Ordinary denials as AWS words them: guards by region and MFA, names, near misses, chains."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.account.identities import identities
from scripts.iam.denial.denials import Denial
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reported import explain_refusal
from scripts.iam.denial.words import considered
from scripts.iam.engine.documents import parse_policy
from tests.iam.denial.test_reported import (
    ACCOUNT,
    EVERYTHING,
    IAM,
    KEY,
    document,
    pasted,
    told,
)

ROLE = f"{IAM}:role/hub"


def by_role(words: str, *own: dict[str, Any], trusted: dict[str, Any] | None = None) -> Denial:
    """What is said of a message by the policies of the role `app`, beside a role `hub`."""
    service = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
               "Action": "sts:AssumeRole"}  # fmt: skip
    roles = [
        {"Arn": f"{IAM}:role/{name}", "RoleName": name,
         "AssumeRolePolicyDocument": document(trust),
         "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": document(*policies)}]}
        for name, trust, policies in (("app", service, own), ("hub", trusted or service, (READS,)))
    ]  # fmt: skip
    caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run"
    [refusal] = read(f"User: {caller} is not authorized to perform: {words}").refusals
    members = identities({"RoleDetailList": roles, "Policies": []})
    return explain_refusal(refusal, members, lambda _: None)


def guard(operator: str, key: str, value: str) -> dict[str, Any]:
    return {"Sid": "Guard", "Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {operator: {key: value}}}  # fmt: skip


GUARDS = [
    guard("StringNotEquals", "aws:RequestedRegion", "eu-west-1"),
    guard("BoolIfExists", "aws:MultiFactorAuthPresent", "false"),
]
PUT = 's3:PutObject on resource: "arn:aws:s3:::b/x"'
READS = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


@pytest.mark.parametrize("deny", GUARDS)
def test_where_aws_names_no_deny_none_held(deny: dict[str, Any]) -> None:
    found = pasted(
        f"{PUT} because no identity-based policy allows the s3:PutObject action", READS, deny
    )
    [change] = found.changes
    assert found.proved
    assert change.statement is not None
    assert change.statement["Action"] == ["s3:PutObject"]
    assert "changed since" not in told(found)
    assert found.explanation is not None
    [guarding] = [one for one in found.explanation.considered if one.statement == "Guard"]
    assert not guarding.matched
    assert "AWS names no Deny, so this did not hold" in str(guarding.failures[0].unsupported)


@pytest.mark.parametrize("deny", GUARDS)
def test_where_the_message_names_no_kind_an_open_deny_is_named(deny: dict[str, Any]) -> None:
    found = pasted(PUT, EVERYTHING, deny)
    assert found.changes == ()
    assert "statement Guard of own denies it only with" in told(found)
    assert "the request has no" not in told(found)
    both = pasted(PUT, READS, deny)
    assert len(both.changes) == 1
    assert "statement Guard of own denies it, too, with" in told(both)


@pytest.mark.parametrize(
    "words",
    [
        # nccgroup/ScoutSuite#727
        "iam:ListPolicies on resource: policy path / with an explicit deny",
        f"iam:ListUsers on resource: {IAM}:user/ with an explicit deny",
    ],
)
def test_a_service_with_one_endpoint_is_asked_in_its_region(words: str) -> None:
    found = pasted(words, EVERYTHING, GUARDS[0])
    assert "because aws:RequestedRegion is us-east-1 (StringNotEquals eu-west-1)" in told(found)
    assert "iam has one endpoint for all regions, in us-east-1" in told(found)
    assert found.changes == ()
    assert found.record.resource.startswith(f"{IAM}:")
    assert "path" not in found.record.resource


def test_a_deny_of_one_user_is_not_said_to_be_others() -> None:
    deny = {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"}
    words = 's3:DeleteBucket on resource: "arn:aws:s3:::b" with an explicit deny in an identity-'
    found = pasted(f"{words}based policy", EVERYTHING, deny)
    assert "others" not in told(found)
    assert "nothing less than lifting the Deny was found" in told(found)


@pytest.mark.parametrize(
    ("resource", "shown"),
    [("on resource: app/db", "app/db"), ("on resource: ***", "***"),
     ("", "(the message names none)")],
)  # fmt: skip
def test_the_resource_is_shown_as_the_message_has_it(resource: str, shown: str) -> None:
    found = pasted(f"secretsmanager:GetSecretValue {resource}", EVERYTHING)
    assert found.record.resource == shown
    assert found.changes == ()


def test_session_tags_are_the_trust_policys() -> None:
    """aws-actions/configure-aws-credentials#465"""
    found = pasted("sts:TagSession on resource: ***", EVERYTHING)
    assert "those need sts:TagSession in the trust policy of the role" in told(found)
    assert "role-skip-session-tagging" in told(found)


@pytest.mark.parametrize("named", [f"{IAM}:user/ci", f"arn:aws:sts::{ACCOUNT}:assumed-role/hub/x"])
def test_only_a_role_can_be_assumed(named: str) -> None:
    """amzn/selling-partner-api-models#2523"""
    found = pasted(f"sts:AssumeRole on resource: {named}", EVERYTHING)
    assert found.changes == ()
    assert f"{named} is no role" in told(found)
    assert "the request is to be put right, no policy" in told(found)


def test_only_a_role_of_ones_own_account_can_be_passed() -> None:
    other = "arn:aws:iam::999988887777:role/x"
    found = pasted(f"iam:PassRole on resource: {other}", EVERYTHING)
    assert found.changes == ()
    assert "only a role of one's own account can be passed" in told(found)


@pytest.mark.parametrize("number", ["+358401234567", "+358XXXX"])
def test_a_text_message_goes_to_no_topic(number: str) -> None:
    """functionalone/serverless-iam-roles-per-function#106"""
    topic = {"Effect": "Allow", "Action": "sns:Publish",
             "Resource": f"arn:aws:sns:eu-west-1:{ACCOUNT}:signup"}  # fmt: skip
    words = f"SNS:Publish on resource: {number} because no identity-based policy allows the "
    found = pasted(f"{words}SNS:Publish action", topic)
    [change] = found.changes
    assert found.record.resource == number
    assert change.statement is not None
    assert "*" in change.statement["Resource"]
    assert "a number has no ARN" in told(found)


@pytest.mark.parametrize(
    ("name", "words"),
    [("AWSCompromisedKeyQuarantineV2", "says not to remove it"),
     ("AWSDenyAll", "the policy is AWS's own, which nobody else edits")],
)  # fmt: skip
def test_a_deny_of_awss_own_is_nobodys_to_ask_for(name: str, words: str) -> None:
    arn = f"arn:aws:iam::aws:policy/{name}"
    deny = {"Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*"}
    attached = [{"PolicyArn": arn}]
    user = {"UserName": "ci", "Arn": f"{IAM}:user/ci", "AttachedManagedPolicies": attached}
    versions = [{"IsDefaultVersion": True, "Document": document(EVERYTHING, deny)}]
    managed = [{"Arn": arn, "PolicyVersionList": versions}]
    [refusal] = read(
        f"User: {IAM}:user/ci is not authorized to perform: ec2:RunInstances on resource: "
        f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/* with an explicit deny in an identity-based "
        "policy"
    ).refusals
    members = identities({"RoleDetailList": [], "Policies": managed, "UserDetailList": [user]})
    found = explain_refusal(refusal, members, lambda _: None)
    assert found.changes == ()
    assert words in told(found)
    assert "ask whoever wrote it" not in told(found)


def test_a_key_lets_a_service_linked_role_in_by_its_own_policy() -> None:
    """eksctl-io/eksctl#952"""
    arn = f"{IAM}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    trust = {"Effect": "Allow", "Principal": {"Service": "autoscaling.amazonaws.com"},
             "Action": "sts:AssumeRole"}  # fmt: skip
    role = {"Arn": arn, "RoleName": "AWSServiceRoleForAutoScaling",
            "AssumeRolePolicyDocument": document(trust)}  # fmt: skip
    root = {"Effect": "Allow", "Principal": {"AWS": f"{IAM}:root"}, "Action": "kms:*",
            "Resource": "*"}  # fmt: skip
    action = "kms:GenerateDataKeyWithoutPlaintext"
    [refusal] = read(
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/AWSServiceRoleForAutoScaling/AutoScaling is "
        f"not authorized to perform: {action} on resource: {KEY} because no resource-based policy "
        f"allows the {action} action"
    ).refusals
    members = identities({"RoleDetailList": [role], "Policies": []})
    policy = parse_policy(document(root), name="key", kind="resource")
    found = explain_refusal(refusal, members, lambda _: policy)
    [change] = found.changes
    assert (change.kind, found.proved) == ("resource", True)
    assert change.statement is not None
    assert change.statement["Principal"] == {"AWS": [arn]}
    assert "either may allow it" not in told(found)


def test_a_secret_that_is_asked_for_without_its_suffix_is_the_requests_fault() -> None:
    """aws-samples/dify-self-hosted-on-aws#35"""
    arn = f"arn:aws:secretsmanager:ap-southeast-1:{ACCOUNT}:secret:test-secret"
    action = "secretsmanager:GetSecretValue"
    own = {"Effect": "Allow", "Action": action, "Resource": f"{arn}-??????"}
    words = f"{action} on resource: {arn} because no identity-based policy allows the {action} "
    found = pasted(f"{words}action", own)
    assert found.changes == ()
    assert "ask for it by its whole ARN or by its name" in told(found)


def test_what_a_name_alone_means_is_said_where_it_is_known() -> None:
    found = pasted("elasticache:Connect on resource: cache-one", EVERYTHING)
    assert "without its ARN, so no change is proposed" in told(found)
    assert "own account and region" not in told(found)


def test_a_chained_source_identity_is_allowed_by_both_roles() -> None:
    """noqdev/iambic#357"""
    trusted = {"Effect": "Allow", "Principal": {"AWS": f"{IAM}:role/app"},
               "Action": "sts:AssumeRole"}  # fmt: skip
    own = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": ROLE}
    found = by_role(f"sts:SetSourceIdentity on resource: {ROLE}", own, trusted=trusted)
    assert found.proved
    assert [change.kind for change in found.changes] == ["identity", "trust"]


@pytest.mark.parametrize(
    ("action", "granted", "asked", "what"),
    [
        # doctorray117/minecraft-ondemand#53
        ("ecs:DescribeServices", "ecs:us-west-2:{}:service/m/s", "ecs:us-west-1:{}:service/m/s",
         "by its region alone, us-west-1"),
        ("dynamodb:GetItem", "dynamodb:eu-west-1:{}:table/locks",
         "dynamodb:eu-west-1:{}:table/Locks", "by capital letters alone"),
        ("dynamodb:GetItem", "dynamodb:eu-west-1:222222222222:table/*",
         "dynamodb:eu-west-1:{}:table/Locks", f"by its account alone, {ACCOUNT}"),
        ("ssm:GetParameter", "ssm:eu-west-1:{}:parameter//a/b", "ssm:eu-west-1:{}:parameter/a/b",
         "a slash twice"),
        ("s3:GetObject", "s3:::b", "s3:::b/x", "what is below it is named by arn:aws:s3:::b/*"),
        ("logs:PutLogEvents", "logs:eu-west-1:{}:log-group:a",
         "logs:eu-west-1:{}:log-group:a:log-stream:[$LATEST]1", "log-group:a:*"),
        ("secretsmanager:GetSecretValue", "secretsmanager:eu-west-1:{}:secret:a/b",
         "secretsmanager:eu-west-1:{}:secret:a/b-AbCdEf", "so write arn:aws:secretsm"),
        ("lambda:InvokeFunction", "lambda:eu-west-1:{}:function:a",
         "lambda:eu-west-1:{}:function:ab", None),
    ],
)  # fmt: skip
def test_how_little_a_statement_lacks_is_said(
    action: str, granted: str, asked: str, what: str | None
) -> None:
    arn = f"arn:aws:{asked.format(ACCOUNT)}"
    own = {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:{granted.format(ACCOUNT)}"}
    found = by_role(
        f"{action} on resource: {arn} because no identity-based policy allows the {action} action",
        own,
    )
    assert len(found.changes) == 1
    assert (what in told(found)) if what else ("names" not in told(found))


def test_kms_that_names_no_key_is_asked_with_one() -> None:
    """metaps/genova#375"""
    found = by_role("kms:Decrypt on the resource associated with this ciphertext because the "
                    "resource does not exist in this Region, no resource-based policies allow "
                    "access, or a resource-based policy explicitly denies access",
                    EVERYTHING)  # fmt: skip
    assert found.changes == ()
    assert "KMS names no key" in told(found)


def test_a_limit_that_is_there_is_not_advised() -> None:
    own = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": f"{IAM}:role/other",
           "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}  # fmt: skip
    words = f"iam:PassRole on resource: {ROLE} because no identity-based policy allows the "
    [change] = by_role(f"{words}iam:PassRole action", own).changes
    [warning] = change.warnings
    assert "limit" not in warning


@pytest.mark.parametrize("name", ["<...>", "GenerationBedrockDat...", "xxxxx", "a-REDACTED", "{r}"])
def test_a_name_that_is_none_is_asked_for(name: str) -> None:
    """cdklabs/construct-hub#1207, aws-amplify/amplify-category-api#3502"""
    [refusal] = read(
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{name}/run is not authorized to perform: "
        "ecs:ListTasks on resource: * because no identity-based policy allows the ecs:ListTasks "
        "action"
    ).refusals
    found = explain_refusal(refusal, identities({"RoleDetailList": []}), lambda _: None)
    assert told(found).startswith(f"the message hides the caller's name ({name})")
    assert "what the caller lacks is an Allow of ecs:ListTasks on *" in told(found)


def test_a_resource_is_not_denied_that_the_message_names() -> None:
    """NOAA-OWP/hydrovis#837"""
    machine = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:sync"
    found = by_role(f"states:SendTaskFailure on resource: {machine} because no identity-based "
                    "policy allows the states:SendTaskFailure action", READS)  # fmt: skip
    assert f"{machine}, which was asked for, may do" in told(found)


@pytest.mark.parametrize(("own", "policy"), [((READS,), "own"), ((), "group team/base")])
def test_a_users_own_policy_is_changed_before_its_groups(
    own: tuple[dict[str, Any], ...], policy: str
) -> None:
    """LBHackney-IT/Data-Platform#1818"""
    users = [
        {"Arn": f"{IAM}:user/{name}", "UserName": name, "GroupList": ["team"],
         "UserPolicyList": [{"PolicyName": "own", "PolicyDocument": document(*own)}] if own else []}
        for name in ("flow", "other")
    ]  # fmt: skip
    base = {"PolicyName": "base", "PolicyDocument": document(EVERYTHING | {"Action": "s3:*"})}
    members = identities(
        {
            "RoleDetailList": [],
            "UserDetailList": users,
            "GroupDetailList": [{"GroupName": "team", "GroupPolicyList": [base]}],
        }
    )
    task = f"arn:aws:ecs:eu-west-2:{ACCOUNT}:task-definition/t:9"
    [refusal] = read(f"User: {IAM}:user/flow is not authorized to perform: ecs:RunTask on "
                     f"resource: {task} because no identity-based policy allows the ecs:RunTask "
                     "action").refusals  # fmt: skip
    found = explain_refusal(refusal, members, lambda _: None)
    assert [change.policy for change in found.changes] == [policy]
    assert ("applies to others, too (other)" in told(found)) is (not own)


@pytest.mark.parametrize(
    ("name", "what"),
    [("hostedzone/xxxxxxxxxxxx", "put in what the message hides"),
     ("hostedzone/<zone>", "put in what the message hides"),
     ("hostedzone/$ZONE_ID", "nobody filled in"),
     ("hostedzone/Zxxxx", None), ("hostedzone/redacted", "put in what the message hides")],
)  # fmt: skip
def test_what_stands_in_a_names_place_is_not_allowed_as_it_stands(
    name: str, what: str | None
) -> None:
    """cert-manager/cert-manager#6308, code4romania/covid-19-ce-trebuie-sa-fac#215"""
    change = "route53:ChangeResourceRecordSets"
    found = by_role(f"{change} on resource: arn:aws:route53:::{name} because no identity-based "
                    f"policy allows the {change} action", READS)  # fmt: skip
    assert bool(found.changes) is (what != "nobody filled in")
    assert (what or "") in told(found)
    assert ("put in" in told(found)) is ("put in" in (what or ""))


def test_the_newest_version_of_a_function_is_no_placeholder() -> None:
    arn = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f:$LATEST"
    found = by_role(f"lambda:InvokeFunction on resource: {arn} because no identity-based policy "
                    "allows the lambda:InvokeFunction action", READS)  # fmt: skip
    assert len(found.changes) == 1


@pytest.mark.parametrize(
    ("condition", "words"),
    [({"ForAllValues:StringEquals": {"route53:ChangeResourceRecordSetsRecordTypes": ["A"]}},
      "(ForAllValues:StringEquals) A"),
     ({"Null": {"aws:RequestTag/x": "true"}}, "aws:RequestTag/x absent"),
     ({"Null": {"aws:RequestTag/x": "false"}}, "aws:RequestTag/x present")],
)  # fmt: skip
def test_an_allow_that_hangs_on_a_key_is_not_said_to_apply(
    condition: dict[str, Any], words: str
) -> None:
    """kubernetes-sigs/external-dns#5773"""
    action = "route53:ChangeResourceRecordSets" if "Null" not in condition else "ec2:CreateTags"
    arn = {"r": "arn:aws:route53:::hostedzone/Z1"}.get(
        action[0], f"arn:aws:ec2:eu-west-1:{ACCOUNT}:volume/vol-1"
    )
    own = {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}
    found = by_role(f"{action} on resource: {arn} because no identity-based policy allows the "
                    f"{action} action", own)  # fmt: skip
    assert found.changes == ()
    assert words in told(found)
    assert found.explanation is not None
    lines = considered(found.explanation.considered, everything=True)
    assert not [line for line in lines if line.endswith(": applies")]


@pytest.mark.parametrize(("own", "lacks"), [((READS,), True), ((EVERYTHING,), False)])
def test_of_a_hidden_resource_an_allow_is_proposed_where_nothing_allows_the_action(
    own: tuple[dict[str, Any], ...], lacks: bool
) -> None:
    """terraform-aws-modules/terraform-aws-eks#336"""
    group = f"arn:aws:autoscaling:eu-west-1:{ACCOUNT}:autoScalingGroup:u:autoScalingGroupName/xxxxx"
    found = by_role(f"autoscaling:SetDesiredCapacity on resource: {group}", *own)
    assert bool(found.changes) is lacks
    assert (f"put in what the message hides of {group}" in told(found)) is lacks


LISTENER = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:listener/app/web/50dc/f2f7"
TAGGING = "elasticloadbalancing:AddTags"


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"Null": {"aws:ResourceTag/cluster": "false"}}, "that the request had it is assumed"),
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, "; true is assumed"),
        ({"Null": {"aws:ResourceTag/cluster": "false"},
          "StringEquals": {"aws:ResourceTag/cluster": "blue"}}, "; blue is assumed"),
    ],
)  # fmt: skip
def test_a_key_that_the_message_lacks_is_not_what_a_statement_for_something_else_fails_for(
    condition: dict[str, Any], said: str
) -> None:
    groups = {"Effect": "Allow", "Action": TAGGING, "Condition": condition,
              "Resource": f"arn:aws:elasticloadbalancing:*:{ACCOUNT}:targetgroup/*/*"}  # fmt: skip
    found = by_role(f"{TAGGING} on resource: {LISTENER} because no identity-based policy allows "
                    f"the {TAGGING} action", groups)  # fmt: skip
    [change] = found.changes
    assert change.statement is not None
    assert change.statement["Resource"] == [groups["Resource"], LISTENER]
    assert set(change.statement["Condition"]) == set(condition)
    assert any(said in note for note in found.notes)
    assert not any("has no such key" in note for note in found.notes)


def test_of_a_condition_that_nothing_can_be_assumed_to_meet_no_cause_is_made() -> None:
    groups = {"Effect": "Allow", "Action": TAGGING,
              "Resource": f"arn:aws:elasticloadbalancing:*:{ACCOUNT}:targetgroup/*/*",
              "Condition": {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}}  # fmt: skip
    found = by_role(f"{TAGGING} on resource: {LISTENER} because no identity-based policy allows "
                    f"the {TAGGING} action", groups)  # fmt: skip
    assert not any("has no such key" in note for note in found.notes)
    assert not found.changes
    assert any("aws:SourceIp (IpAddress)" in note for note in found.notes)
