"""The organization's, a session's and an endpoint's policies as files, and messages alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.iam.denial.test_given import ACCOUNT, GET, READS, SESSION, explained, policy, run

REGIONS = {"Sid": "Regions", "Effect": "Deny", "NotAction": ["iam:*"], "Resource": "*",
           "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1"]}}}  # fmt: skip
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
PROJECT = (
    f"User: {SESSION} is not authorized to perform: codebuild:CreateProject on resource: "
    f"arn:aws:codebuild:us-west-2:{ACCOUNT}:project/site"
)


def told(found: dict[str, Any], words: str) -> bool:
    return any(words in note for note in found["notes"])


def test_an_scp_that_is_given_tells_its_statement_and_why(tmp_path: Path) -> None:
    words = f"{PROJECT} with an explicit deny in a service control policy"
    found = explained(run(tmp_path, words, "--json", policy=policy(ALL), scp=policy(REGIONS)))
    assert told(found, "statement Regions of")
    assert told(found, "aws:RequestedRegion is us-west-2")


def test_an_scp_that_does_not_allow_is_the_one_to_widen(tmp_path: Path) -> None:
    words = f"{PROJECT} because no service control policy allows the codebuild:CreateProject action"
    listed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(ALL), scp=policy(listed)))
    [change] = found["changes"]
    assert change["kind"] == "scp"
    assert any("every account below" in warning for warning in change["warnings"])


def test_of_several_files_the_level_is_not_known(tmp_path: Path) -> None:
    """An Allow of one level does not reach below another one without it."""
    words = f"{PROJECT} with an explicit deny in a service control policy"
    given = {"policy": policy(ALL), "scp": policy(REGIONS)}
    one = explained(run(tmp_path, words, "--json", **given))
    two = explained(run(tmp_path, words, "--json", **given, scp2=policy(ALL)))
    assert not told(one, "each level has to allow it")
    assert told(two, "each level has to allow it")
    assert not told(two, "no Allow there names")
    listed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    words = f"{PROJECT} because no service control policy allows the codebuild:CreateProject action"
    levels = {"policy": policy(ALL), "scp": policy(ALL), "scp2": policy(listed)}
    beside = explained(run(tmp_path, words, "--json", **levels))
    assert told(beside, "does not, as no Allow there names codebuild:CreateProject")


def test_an_rcp_decides_where_aws_names_it(tmp_path: Path) -> None:
    deny = {"Sid": "Own", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "999988887777"}}}  # fmt: skip
    words = f"{GET}/b/x with an explicit deny in a resource control policy"
    found = explained(run(tmp_path, words, "--json", policy=policy(ALL), rcp=policy(deny)))
    assert told(found, "statement Own of")


def test_an_endpoints_policy_decides_where_aws_names_it(tmp_path: Path) -> None:
    words = f"{GET}/b/x because no VPC endpoint policy allows the s3:GetObject action"
    only = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::other/*"}  # fmt: skip
    found = explained(
        run(tmp_path, words, "--json", policy=policy(ALL), endpoint_policy=policy(only))
    )
    [change] = found["changes"]
    assert (change["kind"], change["statement"]["Principal"]) == ("endpoint", "*")
    assert "arn:aws:s3:::bucket/b/x" in change["statement"]["Resource"]


def test_a_sessions_policy_decides_where_aws_names_it(tmp_path: Path) -> None:
    words = f"{GET}/b/x because no session policy allows the s3:GetObject action"
    found = explained(
        run(tmp_path, words, "--json", policy=policy(ALL), session_policy=policy(READS))
    )
    assert [change["kind"] for change in found["changes"]] == ["session"]


def test_of_two_policies_of_resources_the_one_that_fits_decides(tmp_path: Path) -> None:
    grants = {"Sid": "Other", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
              "Resource": "arn:aws:s3:::bucket/*"}  # fmt: skip
    key = {"Sid": "Key", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    words = f"{GET}/b/x with an explicit deny in a resource-based policy"
    both = {"resource_policy2": policy(key), "resource_policy": policy(grants)}
    found = explained(run(tmp_path, words, "--json", policy=policy(ALL), **both))
    assert told(found, "statement Other of")


@pytest.mark.parametrize(
    ("message", "action"),
    [("User: MY_USER is not authorized to perform: glue:GetTable on resource: "
      f"arn:aws:glue:eu-west-1:{ACCOUNT}:catalog because no identity-based policy allows the "
      "glue:GetTable action", "glue:GetTable"),
     ("An error occurred (AccessDeniedException) when calling the GetWorkGroup operation: You are "
      "not authorized to perform: athena:GetWorkGroup on the resource.", "athena:GetWorkGroup"),
     ("An error occurred (403) when calling the HeadObject operation: Forbidden", "s3:GetObject"),
     ('pq: PAM authentication failed for user "stream"', "rds-db:connect")],
)  # fmt: skip
def test_whose_policies_are_given_needs_no_name(tmp_path: Path, message: str, action: str) -> None:
    other = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
    found = explained(run(tmp_path, message, "--json", policy=policy(other)))
    assert found["action"] == action
    assert "ACCOUNT" not in found["principal"] and "CALLER" not in found["principal"]
    assert told(found, "the policies given are taken for its own")
    assert found["changes"] or told(found, "None of the caller's own policies allows")


def test_a_hidden_account_keeps_no_change_back(tmp_path: Path) -> None:
    words = f"{PROJECT} because no identity-based policy allows the codebuild:CreateProject action"
    hidden = words.replace(ACCOUNT, "xxxxx")
    found = explained(run(tmp_path, hidden, "--json", policy=policy(READS)))
    [change] = found["changes"]
    assert change["statement"]["Resource"] == ["arn:aws:codebuild:us-west-2:ACCOUNT:project/site"]
    assert told(found, "ACCOUNT stands for it")


def test_without_policies_or_a_cloud_the_words_alone_are_told(tmp_path: Path) -> None:
    words = f"{PROJECT} because no identity-based policy allows the codebuild:CreateProject action"
    found = explained(run(tmp_path, words, "--json"))
    assert [change["kind"] for change in found["changes"]] == ["identity"]
    assert found["proved"] is False
    assert told(found, "no policy was looked at")


def test_by_the_words_alone_no_deny_is_explained(tmp_path: Path) -> None:
    words = f"{PROJECT} with an explicit deny in an identity-based policy"
    found = explained(run(tmp_path, words, "--json"))
    assert found["changes"] == []
    assert told(found, "not judged: AWS names the identity-based policy")


def test_a_queues_key_has_to_let_in_the_topic(tmp_path: Path) -> None:
    root = f"arn:aws:iam::{ACCOUNT}:root"
    log = (
        f'{{"notification":{{"topicArn":"arn:aws:sns:us-east-1:{ACCOUNT}:orders"}},"delivery":'
        '{"statusCode":403,"providerResponse":"{\\"ErrorCode\\":\\"KMS.AccessDeniedException\\",'
        f'\\"ErrorMessage\\":\\"User: {root} is not authorized to perform: kms:GenerateDataKey on '
        f'resource: arn:aws:kms:us-east-1:{ACCOUNT}:key/k\\"}}"}}}}'
    )
    own = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
    found = explained(run(tmp_path, log, "--json", resource_policy=policy(own)))
    assert found["changes"][0]["statement"]["Principal"] == {"Service": ["sns.amazonaws.com"]}
    assert told(found, "kms:Decrypt")


def test_a_caller_that_cannot_be_read_keeps_no_change_back(tmp_path: Path) -> None:
    words = (
        "AccessDenied: User: arn:aws:sts::<REDACTED>:assumed-role/core  ops\nmaster is not "
        "authorized to perform: eks:DescribeClusterVersions\n on resource: "
        "arn:aws:eks:us-west-2:<REDACTED:*"
    )
    found = explained(run(tmp_path, words, "--json"))
    [change] = found["changes"]
    assert change["statement"]["Action"] == ["eks:DescribeClusterVersions"]
    assert told(found, "no caller's whole ARN is read")


def test_a_bare_name_is_the_resource_of_an_unnamed_caller(tmp_path: Path) -> None:
    words = (
        "<role> is not authorized to perform: secretsmanager:GetSecretValue on resource: Chime "
        "because no identity-based policy allows the secretsmanager:GetSecretValue action"
    )
    found = explained(run(tmp_path, words, "--json", policy=policy(READS)))
    assert (found["resource"], found["reason"]) == ("Chime", "no identity-based policy allows")


def test_two_hidden_accounts_are_not_taken_for_one(tmp_path: Path) -> None:
    words = (
        "User: arn:aws:sts::<source account>:assumed-role/deploy/AWSCloudFormation is not "
        "authorized to perform: secretsmanager:GetSecretValue on resource: "
        "arn:aws:secretsmanager:eu-west-1:<target account>:secret:db-AbCdEf"
    )
    found = explained(run(tmp_path, words, "--json"))
    change, _ = found["changes"]
    assert ":OTHER_ACCOUNT:secret:" in change["statement"]["Resource"][0]
    assert told(found, "hides two accounts")
    assert not told(found, "None of the caller's own policies")


def test_how_a_request_comes_to_carry_a_key_is_told(tmp_path: Path) -> None:
    secret = "arn:aws:secretsmanager:eu-west-1:999988887777:secret:db-AbCdEf"
    stage = {"ForAnyValue:StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}
    lets = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "secretsmanager:GetSecretValue", "Resource": "*",
            "Condition": stage}  # fmt: skip
    words = (
        f"User: {SESSION} is not authorized to perform: secretsmanager:GetSecretValue on resource: "
        f"{secret} because no resource-based policy allows the secretsmanager:GetSecretValue action"
    )
    found = explained(
        run(tmp_path, words, "--json", policy=policy(ALL), resource_policy=policy(lets))
    )
    assert told(found, "name VersionStage in the call")


def test_a_deny_that_no_given_policy_has_may_be_another_one_of_the_callers(tmp_path: Path) -> None:
    words = f"{PROJECT} with an explicit deny"
    found = explained(run(tmp_path, words, "--json", policy=policy(ALL)))
    assert told(found, "another one of the caller's own or of its groups, its boundary")


@pytest.mark.parametrize(("ours", "theirs"), [("XXXXX", "YYYYY"), ("{hub}", "{spoke}")])
def test_letters_in_place_of_two_accounts_are_two(tmp_path: Path, ours: str, theirs: str) -> None:
    words = (
        f"User: arn:aws:sts::{ours}:assumed-role/a/s is not authorized to perform: sts:AssumeRole "
        f"on resource: arn:aws:iam::{theirs}:role/b"
    )
    assert told(explained(run(tmp_path, words, "--json")), "hides two accounts")


@pytest.mark.parametrize(("ours", "theirs"), [("xxxx", "XXXXXXXX"), ("REDACTED", "xxx")])
def test_one_account_is_hidden_by_letters_of_any_number(
    tmp_path: Path, ours: str, theirs: str
) -> None:
    words = (
        f"User: arn:aws:sts::{ours}:assumed-role/a/s is not authorized to perform: sqs:SendMessage "
        f"on resource: arn:aws:sqs:eu-west-1:{theirs}:jobs"
    )
    assert not told(explained(run(tmp_path, words, "--json")), "hides two accounts")


def test_of_what_nothing_allows_at_all_a_hidden_name_does_not_matter(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: ssm:GetParameters on resource: "
        f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/key-xxxxxxxx"
    )
    found = explained(run(tmp_path, words, "--json", policy=policy(READS)))
    assert len(found["changes"]) == 1
    assert told(found, "put in what the message hides")
    some = {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*:*:a"}
    found = explained(run(tmp_path, words, "--json", policy=policy(some)))
    assert found["changes"] == []


@pytest.mark.parametrize(("effect", "operator"),
                         [("Allow", "StringEquals"), ("Deny", "StringNotEquals")])  # fmt: skip
def test_a_boundary_that_is_demanded_is_to_be_set(
    tmp_path: Path, effect: str, operator: str
) -> None:
    bound = {operator: {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/bound"}}
    one = {"Effect": effect, "Action": "iam:CreateRole", "Resource": "*", "Condition": bound}
    words = (
        f"User: {SESSION} is not authorized to perform: iam:CreateRole on resource: "
        f"arn:aws:iam::{ACCOUNT}:role/new" + " with an explicit deny" * (effect == "Deny")
    )
    own = policy(one) if effect == "Allow" else policy(ALL, one)
    assert told(explained(run(tmp_path, words, "--json", policy=own)), "set that boundary")


def test_a_code_behind_the_sentence_in_python_is_no_second_denial(tmp_path: Path) -> None:
    words = (
        f"{{u'Message': u'User: {SESSION} is not authorized to perform: dynamodb:ListTables on "
        "resource: *', u'__type': u'com.amazon.coral.service#AccessDeniedException'}"
    )
    assert "not explained" not in run(tmp_path, words, "--json", policy=policy(READS)).output


def test_a_bare_refusal_of_a_role_tells_what_has_to_allow_it(tmp_path: Path) -> None:
    done = run(tmp_path, "AccessDenied: Not authorized to perform sts:AssumeRole")
    assert done.exit_code == 2
    assert "trust policy has to let the caller in" in " ".join(done.output.split())


def test_a_model_without_a_region_was_asked_for_in_an_unspecified_one(tmp_path: Path) -> None:
    """posit-dev/positron#10683"""
    deny = {**REGIONS, "NotAction": "iam:*"}
    words = (
        f"User: {SESSION} is not authorized to perform: bedrock:InvokeModel on resource: "
        "arn:aws:bedrock:::foundation-model/m with an explicit deny in an identity-based policy"
    )
    found = explained(run(tmp_path, words, "--json", policy=policy(ALL, deny)))
    assert told(found, "aws:RequestedRegion is unspecified")
    assert told(found, "a profile of one geography")


def test_a_hidden_region_is_that_of_the_policies(tmp_path: Path) -> None:
    words = (
        f"User '{SESSION}' is not authorized to perform 'ses:SendEmail' on resource "
        f"`arn:aws:ses:region:{ACCOUNT}:configuration-set/bar'"
    )
    own = {"Effect": "Allow", "Action": "ses:SendEmail",
           "Resource": f"arn:aws:ses:eu-west-1:{ACCOUNT}:identity/example.com"}  # fmt: skip
    found = explained(run(tmp_path, words, "--json", policy=policy(own)))
    assert found["principal"] == SESSION
    [change] = found["changes"]
    assert change["statement"]["Resource"][1].startswith("arn:aws:ses:eu-west-1:")
    assert told(found, "the message hides the region")


def test_a_blank_in_a_masked_caller_is_no_end_of_its_name(tmp_path: Path) -> None:
    name = "AWSReservedSSO_Dev_0123456789abcdef"
    words = (
        f"User: arn:aws:sts::****:assumed-role/ {name}/a@example.com is not authorized to perform: "
        f"bedrock:InvokeModel on resource: arn:aws:bedrock:eu-west-1:****:inference-profile/eu.m "
        "because no identity-based policy allows the bedrock:InvokeModel action"
    )
    found = explained(run(tmp_path, words, "--json", policy=policy(READS)))
    assert name in found["principal"]
    assert told(found, "permission set there; what lacks is an Allow of bedrock:InvokeModel on")
    assert told(found, "sends the call on to its model in several regions")


def test_what_is_not_judged_is_shown_as_the_message_has_it(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: cloudformation:DescribeStacks with an "
        "explicit deny in an identity-based policy"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["resource"] == "(the message names none)"
    assert found["reason"] == "explicit deny in an identity-based policy"


ROLE = f"arn:aws:iam::{ACCOUNT}:role/task"


@pytest.mark.parametrize(
    ("words", "service"),
    [(f"ECS was unable to assume the role '{ROLE}' that was provided for this task.",
      "ecs-tasks.amazonaws.com"),
     (f"CodePipeline is not authorized to perform AssumeRole on role {ROLE}",
      "codepipeline.amazonaws.com")],
)  # fmt: skip
def test_a_service_that_may_not_become_a_role_is_judged_by_its_trust_policy(
    tmp_path: Path, words: str, service: str
) -> None:
    ec2 = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
           "Action": "sts:AssumeRole"}  # fmt: skip
    found = explained(run(tmp_path, words, "--json", trust=policy(ec2)))
    assert found["principal"] == service
    assert service in str(found["changes"][0]["statement"]["Principal"])


@pytest.mark.parametrize(
    ("words", "why"),
    [("The state machine IAM Role is not authorized to access the Log Destination (Service: "
      "AWSStepFunctions; Error Code: AccessDeniedException)", "logs:CreateLogDelivery"),
     ('"User with accountId: 123456789012 is not authorized   to perform CreateLogGroup with Tags '
      '(Service: CloudWatchLogs)"', "logs:TagResource"),
     ("The role defined for the function cannot be assumed by Lambda.", "lambda.amazonaws.com"),
     ("The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
      "ec2:CreateNetworkInterface")],
)  # fmt: skip
def test_a_services_own_words_are_told(tmp_path: Path, words: str, why: str) -> None:
    done = run(tmp_path, words)
    assert done.exit_code == 2
    assert why in " ".join(done.output.split())


def test_a_sentence_that_is_cut_behind_the_layer_still_tells_it(tmp_path: Path) -> None:
    words = (
        "User: sns.amazonaws.com is not authorized to perform: lambda:InvokeFunction on resource: "
        f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f because no resource-based policy `"
    )
    found = explained(run(tmp_path, words, "--json"))
    [change] = found["changes"]
    assert change["statement"]["Principal"] == {"Service": ["sns.amazonaws.com"]}
    assert any("aws:SourceArn" in warning for warning in change["warnings"])


def test_an_account_and_a_region_that_were_taken_out_are_hidden_ones(tmp_path: Path) -> None:
    words = (
        "User: arn:aws:sts:::assumed-role/a/s is not authorized to perform: SNS:Publish on "
        "resource: arn:aws:sns:::failures because no identity-based policy allows the SNS:Publish "
        "action"
    )
    [change] = explained(run(tmp_path, words, "--json", policy=policy(READS)))["changes"]
    assert change["statement"]["Resource"] == ["arn:aws:sns:REGION:ACCOUNT:failures"]


@pytest.mark.parametrize(("named", "lacks"), [("cluster:a-*", True), ("db:a-*", False)])
def test_what_is_hidden_does_not_matter_where_what_is_shown_differs(
    tmp_path: Path, named: str, lacks: bool
) -> None:
    of = f"arn:aws:rds:eu-west-1:{ACCOUNT}:"
    words = (
        f"User: {SESSION} is not authorized to perform: rds:AddTagsToResource on resource: "
        f"{of}db:a-XXXX because no identity-based policy allows the rds:AddTagsToResource action"
    )
    own = {"Effect": "Allow", "Action": "rds:AddTagsToResource", "Resource": of + named}
    found = explained(run(tmp_path, words, "--json", policy=policy(own)))
    assert bool(found["changes"]) is lacks


def test_a_list_of_all_has_no_tag(tmp_path: Path) -> None:
    tag = {"StringEquals": {"rds:db-tag/team": "a"}}
    own = {"Effect": "Allow", "Action": "rds:DescribeDBInstances", "Resource": "*",
           "Condition": tag}  # fmt: skip
    words = (
        f"User: {SESSION} is not authorized to perform: rds:DescribeDBInstances on resource: "
        f"arn:aws:rds:eu-west-1:{ACCOUNT}:db:* because no identity-based policy allows the "
        "rds:DescribeDBInstances action"
    )
    found = explained(run(tmp_path, words, "--json", policy=policy(own)))
    assert told(found, "asks for all of them, which has no tag")


@pytest.mark.parametrize(
    "words",
    [f"User: {SESSION} is not authorized to perform: iot:AttachPolicy on resource: eu-west-1:81-a",
     "The provided execution role does not have permissions to call ReceiveMessage on SQS"],
)  # fmt: skip
def test_that_nothing_allows_it_is_told_without_an_arn(tmp_path: Path, words: str) -> None:
    found = explained(run(tmp_path, words, "--json", policy=policy(READS)))
    assert told(found, "None of the caller's own policies allows")


def test_organizations_own_words_are_told(tmp_path: Path) -> None:
    done = run(tmp_path, "An error occurred (AccessDeniedException) when calling the ListAccounts "
               "operation: You don't have permissions to access this resource.")  # fmt: skip
    assert "management account" in " ".join(done.output.split())


def test_a_repository_of_another_hidden_account_has_to_let_in_the_caller(tmp_path: Path) -> None:
    words = (
        "denied: User: arn:aws:sts::A:assumed-role/runner/GitHubActions is not authorized to "
        "perform: ecr:InitiateLayerUpload on resource: arn:aws:ecr:us-west-2:B:repository/r "
        "because no resource-based policy allows the ecr:InitiateLayerUpload action"
    )
    [change] = explained(run(tmp_path, words, "--json"))["changes"]
    assert (change["kind"], change["statement"]["Principal"]) == (
        "resource",
        {"AWS": ["arn:aws:iam::ACCOUNT:role/runner"]},
    )


def test_iams_kind_and_name_are_read_without_a_caller(tmp_path: Path) -> None:
    words = (
        "User: --- is not authorized to perform: iam:ListRolePolicies on resource: role work "
        "because no identity-based policy allows the iam:ListRolePolicies action"
    )
    [change] = explained(run(tmp_path, words, "--json", policy=policy(READS)))["changes"]
    assert change["statement"]["Resource"] == ["arn:aws:iam::ACCOUNT:role/work"]


def test_of_a_deny_by_nobody_the_policies_to_give_are_told(tmp_path: Path) -> None:
    found = explained(run(tmp_path, f"{PROJECT} with an explicit deny", "--json"))
    assert told(found, "AWS does not say whose")
    assert told(found, "--scp")


def test_a_public_registrys_token_needs_a_second_right(tmp_path: Path) -> None:
    action = "ecr-public:GetAuthorizationToken"
    words = f"User: {SESSION} is not authorized to perform: {action} on resource: *"
    assert told(explained(run(tmp_path, words, "--json")), "sts:GetServiceBearerToken")


def test_what_powershell_left_unfilled_is_told(tmp_path: Path) -> None:
    words = f"{GET}/$($name)/x because no identity-based policy allows the s3:GetObject action"
    found = explained(run(tmp_path, words, "--json", policy=policy(READS)))
    assert told(found, "nobody filled in")


def test_a_resource_whose_name_has_blanks_is_read_to_its_end(tmp_path: Path) -> None:
    job = f"arn:aws:glue:eu-west-2:{ACCOUNT}:job/Copy the landing zone to raw"
    words = (
        f"User: {SESSION} is not authorized to perform: glue:GetJobRuns on resource: {job} because "
        "no identity-based policy allows the glue:GetJobRuns action"
    )
    [change] = explained(run(tmp_path, words, "--json", policy=policy(READS)))["changes"]
    assert change["statement"]["Resource"] == [job]


def test_a_region_that_was_taken_out_is_hidden_for_every_service(tmp_path: Path) -> None:
    words = (
        "User: arn:aws:sts:::assumed-role/a/s is not authorized to perform: "
        "elasticmapreduce:AddTags on resource: arn:aws:elasticmapreduce:::cluster/* because no "
        "identity-based policy allows the elasticmapreduce:AddTags action"
    )
    [change] = explained(run(tmp_path, words, "--json", policy=policy(READS)))["changes"]
    assert change["statement"]["Resource"] == ["arn:aws:elasticmapreduce:REGION:ACCOUNT:cluster/*"]


@pytest.mark.parametrize(("account", "misspelt"), [("aw", True), ("aws", False)])
def test_a_transform_that_is_misspelt_is_told(tmp_path: Path, account: str, misspelt: bool) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: cloudformation:CreateChangeSet on "
        f"resource: arn:aws:cloudformation:us-east-1:{account}:transform/Serverless-2016-10-31"
    )
    found = explained(run(tmp_path, words, "--json", policy=policy(ALL)))
    assert told(found, "the template is misspelt") is misspelt


def test_across_accounts_both_policies_are_proposed_by_the_words_alone(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: lambda:InvokeFunction on resource: "
        "arn:aws:lambda:us-east-1:999988887777:function:f"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert [change["kind"] for change in found["changes"]] == ["identity", "resource"]


def test_what_has_no_valid_name_is_no_resource_to_add(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: ssm:GetParameter on resource: "
        f"arn:aws:ssm:us-west-1:{ACCOUNT}:*"
    )
    own = {"Effect": "Allow", "Action": "ssm:GetParameter",
           "Resource": f"arn:aws:ssm:us-west-1:{ACCOUNT}:parameter/a"}  # fmt: skip
    found = explained(run(tmp_path, words, "--json", policy=policy(own)))
    assert found["changes"] == []
    assert told(found, "the request is to be put right")


def test_a_users_name_in_a_roles_policy_is_told(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: ssm:TerminateSession on resource: "
        f"arn:aws:ssm:eu-west-1:{ACCOUNT}:session/user-037a because no identity-based policy "
        "allows the ssm:TerminateSession action"
    )
    own = {"Effect": "Allow", "Action": "ssm:TerminateSession",
           "Resource": "arn:aws:ssm:*:*:session/${aws:username}-*"}  # fmt: skip
    found = explained(run(tmp_path, words, "--json", policy=policy(own)))
    assert told(found, "which users alone have")


def test_the_type_of_an_error_in_a_stack_is_no_second_denial(tmp_path: Path) -> None:
    words = (
        f"AccessDeniedException: User: {SESSION} is not authorized to perform: ssm:GetParameter on "
        f"resource: arn:aws:ssm:us-west-1:{ACCOUNT}:parameter/a\n    at f (/var/task/index.js:1)\n"
        "  __type: 'AccessDeniedException',\n  '$fault': 'client',"
    )
    assert "not explained" not in run(tmp_path, words, "--json", policy=policy(READS)).output


def test_a_name_that_a_terminal_broke_at_a_hyphen_is_put_together(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is\nnot authorized to perform: SNS:Subscribe on resource:\n"
        "arn:aws:sns:us-east-1:999988887777:entitlement-\nnotification-A1 (Service: AmazonSNS;\n"
        "Status Code: 403)"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["resource"].endswith(":entitlement-notification-A1")


def test_bold_letters_of_markdown_are_no_stars(tmp_path: Path) -> None:
    group = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:trail:log-stream:"
    words = (
        f"**User: {SESSION} is not authorized to perform: logs:DescribeMetricFilters on resource: "
        f"{group}**"
    )
    assert explained(run(tmp_path, words, "--json"))["resource"] == group


@pytest.mark.parametrize("name", ["null", "undefined"])
def test_a_name_that_a_program_had_not_is_told(tmp_path: Path, name: str) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: logs:StartQuery on resource: "
        f"arn:aws:logs:us-east-2:{ACCOUNT}:log-group:{name}:log-stream:"
    )
    found = explained(run(tmp_path, words, "--json", policy=policy(READS)))
    assert found["changes"] == []
    assert told(found, "nobody filled in")


def test_a_log_destinations_own_policy_is_told(tmp_path: Path) -> None:
    words = (
        "User with accountId: 1111111111 is not authorized to perform: logs:PutSubscriptionFilter "
        "on resource: arn:aws:logs:eu-west-1:2222222222:destination:d"
    )
    found = explained(run(tmp_path, words, "--json"))
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CrossAccountSubscriptions.html
    assert told(found, "put-destination-policy") and found["changes"] == []


EKS = "oidc.eks.eu-west-1.amazonaws.com/id/A1B2"
TOKEN = "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"


def trusts(key: str, value: str, operator: str = "StringEquals") -> dict[str, Any]:
    return policy(
        {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
         "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{EKS}"},
         "Condition": {operator: {key: value}}}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trust", "why"),
    [(trusts(f"{EKS}:sub", "system:serviceaccount:ns:app-*"), "write StringLike"),
     (trusts(f"arn:aws:iam::{ACCOUNT}:oidc-provider/{EKS}:sub", "x"), "no token has the key"),
     (trusts(f"https://{EKS}:sub", "x"), "no token has the key"),
     (trusts("oidc.eks.eu-west-1.amazonaws.com/id/OTHER:sub", "x"), "another provider's"),
     (trusts(f"{EKS}:aud", "system:serviceaccount:ns:app"), "is the audience"),
     (trusts(f"{EKS}:sub", "ns:app"), "system:serviceaccount:NAMESPACE:NAME")],
)  # fmt: skip
def test_a_trust_policy_that_no_token_fulfils_is_told(
    tmp_path: Path, trust: dict[str, Any], why: str
) -> None:
    found = explained(run(tmp_path, TOKEN, "--json", trust=trust))
    assert told(found, why)


def test_of_a_trust_policy_without_fault_the_claims_are_told(tmp_path: Path) -> None:
    trust = trusts(f"{EKS}:sub", "system:serviceaccount:ns:app-*", "StringLike")
    found = explained(run(tmp_path, TOKEN, "--json", trust=trust))
    [wants, _] = found["notes"]
    assert "compare it with the token" in wants
