"""Public reports that AWS's reference decides: actions with no resource, keys of other actions."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.denial.denials import Denial
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reported import moved
from scripts.iam.engine.evaluation import Reason
from tests.iam.denial.test_reported import ACCOUNT, IAM, explained, pasted, told

OTHER = "444455556666"


def lacking(action: str, resource: str = "", layer: str = "identity-based policy") -> str:
    """AWS's sentence about an action, without what it was asked for unless that is given."""
    where = f" on resource: {resource}" if resource else ""
    return f"{action}{where} because no {layer} allows the {action} action"


@pytest.mark.parametrize(
    ("action", "resource", "granted"),
    [
        # Kralizek/AWSSecretsManagerConfigurationExtensions#78
        ("secretsmanager:ListSecrets", "", f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:*"),
        # aws/aws-cdk#33249
        ("cloudfront:ListDistributions", "", f"arn:aws:cloudfront::{ACCOUNT}:distribution/E1"),
        # acmesh-official/acme.sh#65
        ("route53:ListHostedZones", "", "arn:aws:route53:::hostedzone/Z1"),
        # cert-manager/cert-manager#1432
        ("route53:ListHostedZonesByName", "", "arn:aws:route53:::hostedzone/*"),
        # cloud-gov/terraform-provision#1776
        ("ecr:GetAuthorizationToken", "*", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"),
        # chanzuckerberg/cztack#326: AWS names everything of the service
        ("ssm:DescribeParameters", f"arn:aws:ssm:us-east-1:{ACCOUNT}:*",
         f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/*"),
    ],
)  # fmt: skip
def test_an_action_that_takes_no_resource_is_allowed_on_a_star(
    action: str, resource: str, granted: str
) -> None:
    found = pasted(lacking(action, resource),
                   {"Effect": "Allow", "Action": [action, "iam:GetUser"],
                    "Resource": granted})  # fmt: skip
    [change] = found.changes
    assert found.proved
    assert change.statement == {"Effect": "Allow", "Action": [action], "Resource": ["*"]}
    assert change.warnings == ()  # there is nothing narrower
    assert f"{action} takes no resource" in told(found)


def test_a_boundary_too() -> None:
    """github-aws-runners/terraform-aws-github-runner#3067"""
    sends = {"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*"}
    found = explained("cloudwatch:PutMetricData", "*", sends, reason=Reason.NO_BOUNDARY_ALLOW,
                      boundary={"Effect": "Allow", "Action": "logs:*",
                                "Resource": "*"})  # fmt: skip
    [change] = found.changes
    assert (change.kind, change.statement) == (
        "boundary",
        {"Effect": "Allow", "Action": ["cloudwatch:PutMetricData"], "Resource": ["*"]},
    )


def test_without_a_resource_nothing_is_proposed_for_an_action_that_takes_one() -> None:
    gets = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/x"}
    found = pasted(lacking("s3:GetObject"), gets)
    assert found.changes == ()
    assert "the message names no resource, so no change is proposed" in told(found)


def test_of_a_service_that_is_not_in_the_file_nothing_is_said() -> None:
    found = pasted(lacking("a2c:GetJob"), {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    assert found.changes == ()
    assert "takes no resource" not in told(found)


def guarded(action: str | list[str], key: str, **also: Any) -> dict[str, Any]:
    conditions = {"StringEquals": {key: "mine"}, **also}
    return {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": conditions}


@pytest.mark.parametrize(
    ("action", "key"),
    [
        # kedacore/keda-docs#1462, aws-samples/sample-agentic-cost-optimizer#55
        ("cloudwatch:GetMetricData", "cloudwatch:namespace"),
        # openshift/managed-cluster-config#1873
        ("ec2:DescribeInstances", "aws:ResourceTag/team"),
        ("s3:GetBucketLocation", "s3:prefix"),
    ],
)
def test_a_condition_on_a_key_that_the_action_never_has_is_left_out(action: str, key: str) -> None:
    resource = "arn:aws:s3:::b" if action.startswith("s3:") else ""
    found = pasted(lacking(action, resource), guarded([action, "iam:GetUser"], key))
    [change] = found.changes
    assert found.proved
    assert f"without {key}, which AWS never sets for {action}" in change.edit
    assert change.statement == {
        "Effect": "Allow", "Action": [action], "Resource": [resource or "*"]
    }  # fmt: skip


def test_the_other_conditions_of_the_statement_stay() -> None:
    found = explained(
        "cloudwatch:GetMetricData", "*",
        guarded("cloudwatch:GetMetricData", "cloudwatch:namespace",
                ArnEquals={"aws:PrincipalArn": f"{IAM}:role/app"}),
    )  # fmt: skip
    [change] = found.changes
    assert change.statement is not None
    assert change.statement["Condition"] == {"ArnEquals": {"aws:PrincipalArn": [f"{IAM}:role/app"]}}
    assert change.edit.startswith("add a statement")


@pytest.mark.parametrize("key", ["aws:PrincipalTag/team", "cloudwatch:nosuchkey", "s3:prefix"])
def test_a_key_that_the_reference_does_not_decide_is_not_left_out(key: str) -> None:
    found = pasted(lacking("cloudwatch:GetMetricData"), guarded("cloudwatch:GetMetricData", key))
    assert found.changes == ()


def test_the_reference_has_a_boundary_for_update_role() -> None:
    """alphagov/gsp#990 measured none in 2020; AWS's reference lists the key today."""
    found = pasted(lacking("iam:UpdateRole", f"{IAM}:role/x"),
                   {**guarded("iam:UpdateRole", "iam:PermissionsBoundary")})  # fmt: skip
    assert found.changes == ()


def across(action: str, resource: str) -> Denial:
    own = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return pasted(lacking(action, resource, "resource-based policy"), own)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        # aws-actions/amazon-ecr-login#232; ECR refuses a Resource: aws/aws-cdk#24314
        ("ecr:InitiateLayerUpload", f"arn:aws:ecr:us-west-2:{OTHER}:repository/app"),
        # aws/aws-cdk-cli#762, mattrobinsonsre/terrapod#1546
        ("sts:TagSession", f"arn:aws:iam::{OTHER}:role/deploy"),
        # noqdev/iambic#357
        ("sts:SetSourceIdentity", f"arn:aws:iam::{OTHER}:role/hub"),
    ],
)
def test_a_policy_that_takes_no_resource_element_is_given_none(action: str, resource: str) -> None:
    [change] = across(action, resource).changes
    whose = "role's trust" if action.startswith("sts:") else "resource's"
    assert change.policy == f"the {whose} policy in account {OTHER}"
    assert change.statement == {
        "Effect": "Allow", "Action": [action], "Principal": {"AWS": [f"{IAM}:user/ci"]}
    }  # fmt: skip


def test_what_takes_no_resource_is_granted_by_no_policy_of_one() -> None:
    """mooyoul/serverless-latest-layer-version#31: Lambda takes GetLayerVersion there alone."""
    found = across("lambda:ListLayerVersions", f"arn:aws:lambda:eu-west-1:{OTHER}:layer:shared")
    assert found.changes == ()
    assert "so no policy of a resource can allow it" in told(found)


@pytest.mark.parametrize(
    "resource",
    [
        # peterkimzz/aws-ssm-send-command#14
        "arn:aws:ssm:***::document/AWS-RunShellScript",
        "arn:aws:s3:::***/state",
    ],
)
def test_what_a_log_masks_is_no_pattern(resource: str) -> None:
    action = "ssm:SendCommand" if ":ssm:" in resource else "s3:GetObject"
    own = {"Effect": "Allow", "Action": action, "Resource": f"{IAM}:nothing"}
    found = pasted(lacking(action, resource), own)
    assert found.changes == ()
    assert f"the message hides a part of the resource ({resource})" in told(found)


def test_a_masked_account_is_this_one_and_a_masked_region_is_not() -> None:
    [refusal] = read(
        "User: arn:aws:sts::***:assumed-role/app/run is not authorized to perform: "
        "ssm:SendCommand on resource: arn:aws:ssm:***:***:document/mine"
    ).refusals
    found = moved(refusal, ACCOUNT)
    assert found.principal == f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run"
    assert found.resource == f"arn:aws:ssm:***:{ACCOUNT}:document/mine"


@pytest.mark.parametrize(
    ("action", "operator", "key"),
    [
        ("ec2:DescribeInstances", "Null", "aws:RequestTag/owner"),
        ("s3:GetBucketLocation", "StringNotEquals", "s3:x-amz-server-side-encryption"),
        ("iam:ListRoles", "StringNotEquals", "iam:PermissionsBoundary"),
    ],
)
def test_no_request_is_proposed_with_a_key_that_the_action_never_has(
    action: str, operator: str, key: str
) -> None:
    value = "true" if operator == "Null" else "wanted"
    deny = {"Sid": "D", "Effect": "Deny", "Action": f"{action.partition(':')[0]}:*",
            "Resource": "*", "Condition": {operator: {key: value}}}  # fmt: skip
    found = pasted(f"{action} on resource: * with an explicit deny in an identity-based policy",
                   {"Effect": "Allow", "Action": "*", "Resource": "*"}, deny)  # fmt: skip
    assert found.changes == ()
    assert f"the request has no {key}" in told(found)
    assert f"AWS never sets {key} for {action}, so every such request is denied" in told(found)
