"""Denials in other words than AWS's sentence, and policies in other forms than a whole document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.commands._denial_given import explain_given
from scripts.iam.denial.given import Given, document
from scripts.iam.engine.documents import PolicyError
from scripts.iam.reference import of_call
from tests.iam.denial.test_given import ACCOUNT, SESSION, explained, policy, run

TERRAFORM = """
Error: error creating S3 bucket ACL for box: AccessDenied: Access Denied
│ \tstatus code: 403, request id: XM0QQ8XGMJHK355W, host id: 87PG4bLH=
│   with aws_s3_bucket_acl.dev,
╷
│ Error: Error putting S3 policy: AccessDenied: Access Denied
│ \tstatus code: 403, request id: XM0WHJHQ6YJ1CXJ0, host id: W+Bd+wGI=
│   with module.site.aws_s3_bucket_policy.dev,
"""


def told(folder: Path, words: str) -> str:
    return " ".join(run(folder, words).output.split())


@pytest.mark.parametrize(
    ("words", "why"),
    [("unauthorized to call ec2:RunInstances ... explicit deny in a service control policy ...",
      "the service control policy decided"),
     ("Insufficient Lake Formation permission(s): Required Describe on sales",
      "Lake Formation refused, and no policy of IAM: on sales"),
     ("AccessControlListNotSupported: The bucket does not allow ACLs", "the bucket takes no ACLs"),
     ("operation error S3: PutBucketPolicy, https response error StatusCode: 403, AccessDenied",
      "s3:PutBucketPolicy on the bucket itself")],
)  # fmt: skip
def test_who_refused_is_told(tmp_path: Path, words: str, why: str) -> None:
    assert why in told(tmp_path, words)


def test_each_resource_of_terraform_tells_its_call(tmp_path: Path) -> None:
    found = told(tmp_path, TERRAFORM)
    assert "s3:PutBucketAcl" in found
    assert "s3:PutBucketPolicy" in found
    assert "S3 Block Public Access answers so, too" in found


def test_of_policies_that_nobody_gave_nothing_is_said(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: sts:AssumeRole on resource: "
        f"arn:aws:iam::{ACCOUNT}:role/other"
    )
    assert "none of the caller's own policies" not in told(tmp_path, words)


def test_an_arn_without_region_and_account_matches_nothing(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: ssm:GetParameter on resource: "
        f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/app/key"
    )
    reads = {
        "Effect": "Allow",
        "Action": "ssm:GetParameter",
        "Resource": "arn:aws:ssm:::parameter/app/*",
    }
    found = explained(run(tmp_path, words, "--json", policy=policy(reads)))
    assert any("leaves out region and account" in note for note in found["notes"])


STATEMENTS = """
resourcePolicy:
  - Effect: Allow
    Principal: "*"
    Action: execute-api:Invoke
    Resource: execute-api:/*
"""


def test_statements_in_yaml_are_a_policy() -> None:
    found = document(STATEMENTS, "serverless.yml")
    assert found["Version"] == "2012-10-17"
    assert found["Statement"][0]["Action"] == "execute-api:Invoke"


def test_a_statement_alone_is_a_policy() -> None:
    found = document('{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}', "one.json")
    assert [one["Action"] for one in found["Statement"]] == ["s3:GetObject"]


@pytest.mark.parametrize("text", ["Statement: [{Effect: Allow, Action: !Sub '${A}'}]", "a: [", ""])
def test_what_a_template_fills_in_is_no_policy_yet(text: str) -> None:
    with pytest.raises(PolicyError):
        document(text, "template.yml")


@pytest.mark.parametrize(
    ("words", "why"),
    [("Unable to verify/create output bucket <mine>", "s3:GetBucketLocation"),
     ("SetIdentityPoolRoles operation: Access to Role 'arn:aws:iam::****:role/a' is forbidden.",
      "the caller needs iam:PassRole on arn:aws:iam::"),
     ("AccessDeniedException: Your access has been denied by S3, please make sure your request "
      "credentials have permission to GetObject for box/key. S3 Error Code: AccessDenied.",
      "s3:GetObject on arn:aws:s3:::box/key (and"),
     ("aws_efs_mount_target.a: AccessDeniedException: User is not authorized to perform that "
      "action on the specified resource", "ec2:CreateNetworkInterface"),
     ("Verify that the IAM role has access to the Elasticsearch domain: "
      f"arn:aws:es:eu-west-1:{ACCOUNT}:domain/d",
      f"es:ESHttpPut on arn:aws:es:eu-west-1:{ACCOUNT}:domain/d and"),
     ("Failed to call CreateWebhook, reason: Access denied to connection "
      "arn:aws:codeconnections:us-west-2:REDACTED:connection/REDACTED (Service: AWSCodeBuild;",
      "codeconnections:GetConnectionToken"),
     ("You are not authorized to describe Running Instances", "EC2's Describe actions"),
     ("The provided role does not have sufficient permissions", "CodePipeline refused"),
     ("error: You must be logged in to the server (Unauthorized)", "Kubernetes refused"),
     ("Caller does not have permissions to create a Service Linked Role.",
      "iam:CreateServiceLinkedRole"),
     ("error reading S3 Bucket (box): Forbidden: Forbidden status code: 403", "s3:ListBucket"),
     ("Client.InvalidKMSKey.InvalidState: The KMS key is in an incorrect state", "KeyState"),
     ("An error occurred (AccessDeniedException) when calling the StartCrawler operation: no",
      "needs glue:StartCrawler, by its name"),
     ("(UnauthorizedOperation) when calling the CreateTags operation: You are not authorized to "
      "perform this operation.", "needs ec2:CreateTags, by its name"),
     ("operation error EventBridge: PutTargets, https response error StatusCode: 400, RequestID: "
      "7ff6f251, AccessDeniedException:", "needs events:PutTargets, by its name")],
)  # fmt: skip
def test_a_services_own_words_and_the_name_of_a_call_tell_what_was_refused(
    tmp_path: Path, words: str, why: str
) -> None:
    assert why in told(tmp_path, words)


@pytest.mark.parametrize("call", ["Invoke", "CreateStage", "ListObjects", "TagResource", "NoSuch"])
def test_a_call_whose_action_has_another_name_is_not_guessed(call: str) -> None:
    assert of_call(call) == ""


def test_a_service_linked_role_has_its_path(tmp_path: Path) -> None:
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: iam:ListRoleTags on "
        "resource: role AWSServiceRoleForECS"
    )
    [change] = explained(run(tmp_path, words, "--json"))["changes"]
    assert change["statement"]["Resource"] == [
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/*/AWSServiceRoleForECS"
    ]


def test_a_call_is_judged_by_the_policies_given(tmp_path: Path) -> None:
    words = "(AccessDeniedException) when calling the StartQueryExecution operation: x"
    reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(reads)))
    assert found["action"] == "athena:StartQueryExecution"


def test_a_deny_of_the_organizations_is_told_without_policies(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: s3:GetObject on resource: "
        "arn:aws:s3:::box/a with an explicit deny in a service control policy"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert any("the service control policy decided" in note for note in found["notes"])


def test_an_action_is_spelled_as_aws_spells_it(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: sqs:sendmessage on resource: "
        f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q because no identity-based policy allows the "
        "sqs:sendmessage action"
    )
    assert explained(run(tmp_path, words, "--json"))["action"] == "sqs:SendMessage"


ROLE = """
Role:
  AssumeRolePolicyDocument:
    Statement: [{Effect: Allow, Action: "sts:AssumeRole", Principal: {Service: a.amazonaws.com}}]
  Policies:
    - PolicyDocument:
        Statement: [{Effect: Allow, Action: "iam:PassRole", Resource: "*"}]
"""


@pytest.mark.parametrize(
    ("whose", "action"), [("identity", "iam:PassRole"), ("resource", "sts:AssumeRole")]
)
def test_of_a_roles_two_policies_the_fitting_one_is_taken(whose: str, action: str) -> None:
    assert document(ROLE, "role.yml", whose=whose)["Statement"][0]["Action"] == action


def test_an_account_that_is_called_different_is_another_one(tmp_path: Path) -> None:
    words = (
        "User: arn:aws:sts::<different_account>:assumed-role/reader/i-1 is not authorized to "
        "perform: secretsmanager:GetSecretValue on resource: "
        "arn:aws:secretsmanager:eu-west-1:<account>:secret:a-ayDCQ2"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert [one["kind"] for one in found["changes"]] == ["identity", "resource"]


def test_an_arn_where_a_name_belongs_is_to_be_put_right(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: firehose:PutRecord on resource: "
        f"arn:aws:firehose:eu-west-1:{ACCOUNT}:deliverystream/arn:aws:firehose:eu-west-1:"
        "444455556666:deliverystream/a"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["changes"] == []
    assert "an ARN where a name belongs" in found["notes"][0]


def test_a_stream_of_lambdas_is_named_with_those_to_come(tmp_path: Path) -> None:
    group = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/lambda/f:log-stream:"
    words = (
        f"User: {SESSION} is not authorized to perform: logs:CreateLogStream on resource: "
        f"{group}2019/12/16/[$LATEST]9f7bba28c89742bb8199a28885b893ea"
    )
    [change] = explained(run(tmp_path, words, "--json"))["changes"]
    assert change["statement"]["Resource"] == [f"{group}*"]


def test_a_blank_that_is_lost_is_no_part_of_a_name(tmp_path: Path) -> None:
    words = (
        "User: arn:aws:sts::xxxxx:assumed-role/scaler/xxxxxis not authorized to perform: "
        f"autoscaling:SetDesiredCapacity on resource: arn:aws:autoscaling:eu-west-1:{ACCOUNT}:"
        "autoScalingGroup:0:autoScalingGroupName/a because no identity-based policy allows the "
        "autoscaling:SetDesiredCapacity action"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["principal"].endswith(":assumed-role/scaler/xxxxx")


def test_a_tag_of_what_is_not_named_is_told_as_such(tmp_path: Path) -> None:
    tagged = {
        "Effect": "Allow",
        "Action": "autoscaling:SetDesiredCapacity",
        "Resource": "*",
        "Condition": {"StringEquals": {"autoscaling:ResourceTag/a": "b"}},
    }
    words = f"User: {SESSION} is not authorized to perform: autoscaling:SetDesiredCapacity"
    found = explained(run(tmp_path, words, "--json", policy=policy(tagged)))
    assert any("a tag of what was asked for" in note for note in found["notes"])


def test_blanks_of_whoever_reports_it_are_no_end(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION.rpartition('/')[0]}/ Credentials is not authorized to perform: "
        f"firehose:PutRecord on resource: arn:aws:firehose:eu-west-1:{ACCOUNT}:delivery streams/A"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["principal"].endswith("/Credentials")
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisfirehose.html
    assert found["resource"].endswith(":deliverystream/A")


def test_two_numbers_of_one_length_are_two_accounts(tmp_path: Path) -> None:
    words = (
        "User: arn:aws:sts::123:assumed-role/a/b is not authorized to perform: SNS:Publish on "
        "resource: arn:aws:sns:eu-west-1:321:events"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert [one["kind"] for one in found["changes"]] == ["identity", "resource"]


def test_a_denial_beside_another_ones_sentence_is_told(tmp_path: Path) -> None:
    words = (
        "An error occurred (AccessDeniedException) when calling the ListTasks operation: User: "
        "XXXX is not authorized to perform: ecs:ListTasks on resource: *\n\n"
        f"User: {SESSION} is not authorized to perform: ecs:DescribeTasks on resource: "
        f"arn:aws:ecs:eu-west-1:{ACCOUNT}:task/a"
    )
    assert "ecs:ListTasks" in told(tmp_path, words)


def test_of_a_key_that_is_not_named_what_kms_says_is_told(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: kms:GenerateDataKey on this resource "
        "because the resource does not exist in this Region, no resource-based policies allow "
        "access, or a resource-based policy explicitly denies access"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert "KMS names no key" in found["notes"][0]


def test_a_statement_is_read_that_was_copied_out_of_a_list_with_its_comma() -> None:
    text = '{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"},\n'

    assert document(text, "role.json")["Statement"] == [json.loads(text.strip()[:-1])]
    with pytest.raises(PolicyError, match="not JSON"):
        document('{"Version": "2012-10-17", "Statement": []},', "role.json")


def test_a_name_that_lacks_a_letter_of_the_policys_is_told() -> None:
    arn = "arn:aws:dynamodb:us-west-2:111122223333:table/"
    allow = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": f"{arn}theme-park-Table"}
    policies = Given(identity={"role.json": {"Version": "2012-10-17", "Statement": [allow]}})

    def told(name: str) -> str:
        [denial] = explain_given(
            "User: arn:aws:sts::111122223333:assumed-role/app/f is not authorized to perform: "
            f"dynamodb:PutItem on resource: {arn}{name}",
            policies,
        )
        return " ".join(denial.notes)

    for name in ("heme-park-Table", "theme-park-Tables", "theme-pork-Table"):
        assert "differs by one character alone" in told(name)
    for name in ("heme-park-Tabl", "theme-park-Table2", "rides"):
        assert "one character" not in told(name)


def test_a_role_that_asks_for_itself_is_told() -> None:
    asks = (
        "User: arn:aws:sts::abc:assumed-role/deploy/GitHub is not authorized to perform: "
        "sts:AssumeRole on resource: arn:aws:iam::abc:role/{}"
    )

    [itself] = explain_given(asks.format("deploy"), Given())
    [other] = explain_given(asks.format("other"), Given())

    assert any("leave that step out" in note for note in itself.notes)
    assert not any("leave that step out" in note for note in other.notes)


def test_what_a_buckets_policy_says_is_told_where_neither_caller_nor_object_is_named() -> None:
    allow = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:Put*"],
        "Resource": "arn:aws:s3:::reports/*",
        "Condition": {"StringEquals": {"aws:sourceVpc": "vpc-1"}},
    }
    policies = Given(resource={"bucket.json": {"Version": "2012-10-17", "Statement": [allow]}})
    words = "A client error (AccessDenied) occurred when calling the {} operation: Access Denied"

    [put] = explain_given(words.format("PutObject"), policies)
    [deleted] = explain_given(words.format("DeleteObject"), policies)

    assert put.record.action == "s3:PutObject"
    assert "if StringEquals aws:sourceVpc: vpc-1; a request has that key only" in put.notes[-1]
    assert deleted.notes[-1] == "bucket.json names s3:DeleteObject in no statement's Action"
    assert not put.changes


@pytest.mark.parametrize(
    ("words", "why"),
    [("The specified KMS key does not exist or is not allowed to be used with Arn \n"
      "'arn:aws:logs:eu-west-1:111122223333:log-group:/app'",
      "could not use the KMS key for arn:aws:logs:eu-west-1:111122223333:log-group:/app,"),
     ("Model access is denied due to IAM user or service role is not authorized to perform the "
      "required AWS Marketplace actions (aws-marketplace:ViewSubscriptions, "
      "aws-marketplace:Subscribe) to enable access to this model.",
      "needs aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe on *")],
)  # fmt: skip
def test_what_logs_and_bedrock_lack_is_told(tmp_path: Path, words: str, why: str) -> None:
    assert why in told(tmp_path, words)


def test_a_hidden_callers_account_is_taken_for_that_of_what_it_asked_for() -> None:
    words = (
        "arn:aws:sts::xxxxxxxxxxxx:assumed-role/app/s is not authorized to perform: "
        "ecs:TagResource on resource: arn:aws:ecs:us-east-1:111122223333:task/name because no "
        "identity-based policy allows the ecs:TagResource action"
    )

    [denial] = explain_given(words, Given())

    assert len(denial.changes) == 1
    assert not any("must allow it, too" in note for note in denial.notes)
    assert any("it is taken for 111122223333, as what was" in note for note in denial.notes)


def test_of_a_ciphertext_without_a_caller_what_kms_leaves_open_is_told(tmp_path: Path) -> None:
    words = (
        "User: ****/app-role/session is not authorized to perform: kms:Decrypt on the resource "
        "associated with this ciphertext because the resource does not exist in this Region, no "
        "resource-based policies allow access, or a resource-based policy explicitly denies access"
    )

    assert "leaves open which of three it was" in told(tmp_path, words)


def test_dots_for_an_account_leave_the_resource_whole() -> None:
    words = (
        "User: arn:aws:sts:: ... lambdaRole ... create is not authorized to perform: "
        "dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1: ... :table/notes"
    )
    allow = {"Effect": "Allow", "Action": "dynamodb:PutItem",
             "Resource": "arn:aws:dynamodb:us-east-1:*:*"}  # fmt: skip

    [denial] = explain_given(words, Given(identity={"role.json": policy(allow)}))

    assert not denial.changes
    assert "table/notes" in (denial.record.resource or "")
    assert not any("ends in the middle" in note for note in denial.notes)
