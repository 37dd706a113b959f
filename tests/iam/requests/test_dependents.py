"""Dependent actions: AWS's reference of them, and that the gateway demands each when it is due."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.requests import Need, needs
from scripts.iam.requests.dependents import FILE, excuses, services, table
from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.wire.shapes import input_shape
from scripts.maintenance.dependent_actions import render, source

from .generated import ROLE, generated
from .samples import Rich, rows, sample
from .support import ACCOUNT, REGION, FakeAccount, needed, only, pairs_of, sent

# Values under which AWS asks for more: no generated request has them.
TELLING: dict[tuple[str, str], dict[str, Any]] = {
    ("budgets", "CreateBudget"): {
        "AccountId": ACCOUNT,
        "Budget": {
            "BudgetName": "b",
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BillingViewArn": "arn:aws:billing::999999999999:billingview/custom-1",
        },
    },
    ("ec2", "CreateFlowLogs"): {
        "ResourceType": "VPC",
        "ResourceIds": ["vpc-0a"],
        "LogFormat": "${version} ${ecs-cluster-arn}",
    },
    ("ec2", "CreateLaunchTemplate"): {"LaunchTemplateData": {"ImageId": "resolve:ssm:/a/b"}},
    ("ec2", "CreateLaunchTemplateVersion"): {
        "LaunchTemplateId": "lt-0a",
        "LaunchTemplateData": {"ImageId": "resolve:ssm:/aws/service/ami-amazon-linux-latest/x"},
    },
    ("ec2", "DescribeLaunchTemplateVersions"): {"LaunchTemplateId": "lt-0a", "ResolveAlias": True},
    ("ec2", "RunInstances"): {
        "ImageId": "resolve:ssm:/a/b",
        "InstanceType": "t4g.small",
        "MinCount": 1,
        "MaxCount": 1,
    },
    ("rds", "DeleteDBInstance"): {"DBInstanceIdentifier": "a", "FinalDBSnapshotIdentifier": "b"},
    ("rds", "StopDBInstance"): {"DBInstanceIdentifier": "a", "DBSnapshotIdentifier": "b"},
    ("sns", "CreateTopic"): {"Name": "a", "Attributes": {"HTTPFailureFeedbackRoleArn": ROLE}},
    ("sns", "SetTopicAttributes"): {
        "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:a",
        "AttributeName": "LambdaSuccessFeedbackRoleArn",
        "AttributeValue": ROLE,
    },
    ("ssm", "CreateDocument"): {
        "Name": "a",
        "Content": f"schemaVersion: '0.3'\nassumeRole: {ROLE}\n",
        "DocumentType": "Automation",
    },
}


class Telling(Rich):
    """The same account, with a template that names its image by a parameter."""

    def launch_template_data(self, id_or_name: str, version: str) -> dict[str, Any] | None:
        return {"ImageId": "resolve:ssm:/a/b"}

    def describe(self, arn: str) -> dict[str, Any] | None:
        found = super().describe(arn)
        return None if found is None else {**found, "copies_tags": True}


def demanded() -> dict[str, set[str]]:
    """Action -> every action that some request for it asks for."""
    found: dict[str, set[str]] = {}
    for name, operation in rows():
        service = SERVICES[name]
        action = service.table[operation].action or f"{service.prefix}:{operation}"
        if action not in table():
            continue
        asked = [*sample(name, operation, every=False), *sample(name, operation, every=True)]
        if extra := TELLING.get((name, operation)):
            model = service.model or name
            required = generated(input_shape(model, operation), every=False)
            asked += needs(sent(model, operation, required | extra), Telling())
        found.setdefault(action, set()).update(need.action for need in asked)
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    return demanded()


def test_every_dependent_action_is_demanded_when_a_request_calls_for_it(
    found: dict[str, set[str]],
) -> None:
    excused = excuses("never_demanded")
    missing = [
        (action, dependent)
        for action, asked in found.items()
        for dependent in table()[action]
        if dependent not in asked and not any(one.covers(action, dependent) for one in excused)
    ]
    assert missing == []
    assert len(found) >= 40


def test_no_excuse_is_for_what_is_demanded(found: dict[str, set[str]]) -> None:
    pairs = [(action, one) for action in found for one in table()[action]]
    for excuse in excuses("never_demanded"):
        covered = [pair for pair in pairs if excuse.covers(*pair)]
        assert covered, excuse
        assert [pair for pair in covered if pair[1] in found[pair[0]]] == []


def test_every_excuse_names_its_page() -> None:
    for excuse in (*excuses("never_demanded"), *excuses("never_sent")):
        assert excuse.why
        assert excuse.page.endswith(".html")


def test_the_table_knows_every_service_that_the_gateway_maps() -> None:
    assert {service.prefix for service in SERVICES.values()} <= services()


@pytest.mark.slow
def test_the_table_is_what_its_source_says() -> None:
    assert FILE.read_text() == render(*source()), "python -m scripts.maintenance.dependent_actions"


# When they are due, and when not


def actions(found: list[Need]) -> set[str]:
    return {need.action for need in found}


ENDPOINT: dict[str, Any] = {"VpcId": "vpc-0a", "ServiceName": "com.amazonaws.us-east-1.ssm"}
ZONES = "arn:aws:route53:::hostedzone/*"
VPC = f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-0a"
NAMED = FakeAccount(
    facts={
        f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc-endpoint/vpce-0a": {
            "vpc": "vpc-0a",
            "private_dns": True,
        }
    }
)


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ({"VpcEndpointType": "Interface", "PrivateDnsEnabled": True}, True),
        ({"VpcEndpointType": "Interface"}, True),
        ({"VpcEndpointType": "Interface", "PrivateDnsEnabled": False}, False),
        ({"VpcEndpointType": "Gateway"}, False),
        ({}, False),
    ],
)
def test_private_names_of_an_endpoint_are_a_hosted_zone(asked: dict[str, Any], due: bool) -> None:
    found = pairs_of(needed("ec2", "CreateVpcEndpoint", **ENDPOINT, **asked))
    zone = [(action, on) for action, on in found if action.startswith("route53:")]
    associate = "route53:AssociateVPCWithHostedZone"
    assert zone == ([(associate, ZONES), (associate, VPC)] if due else [])


def test_private_names_go_with_their_endpoint() -> None:
    found = pairs_of(needed("ec2", "DeleteVpcEndpoints", NAMED, VpcEndpointIds=["vpce-0a"]))
    assert [on for action, on in found if action.startswith("route53:Disassociate")] == [ZONES, VPC]
    plain = needed("ec2", "DeleteVpcEndpoints", VpcEndpointIds=["vpce-0a"])
    assert actions(plain) == {"ec2:DeleteVpcEndpoints"}


@pytest.mark.parametrize(("wanted", "verb"), [(True, "Associate"), (False, "Disassociate")])
def test_private_names_can_be_changed(wanted: bool, verb: str) -> None:
    asked: dict[str, Any] = {"VpcEndpointId": "vpce-0a", "PrivateDnsEnabled": wanted}
    found = actions(needed("ec2", "ModifyVpcEndpoint", NAMED, **asked))
    assert [one for one in found if one.startswith(f"route53:{verb}")]


def test_a_budget_is_read_with_its_billing_view() -> None:
    found = needed("budgets", "DescribeBudget", AccountId=ACCOUNT, BudgetName="b")
    only(found, "billing:GetBillingViewData", f"arn:aws:billing::{ACCOUNT}:billingview/primary")


def test_an_image_by_id_needs_no_parameter() -> None:
    plain: dict[str, Any] = {"LaunchTemplateName": "a", "LaunchTemplateData": {"ImageId": "ami-0a"}}
    assert "ssm:GetParameters" not in actions(needed("ec2", "CreateLaunchTemplate", **plain))


def test_a_key_made_with_a_policy_can_be_given_one() -> None:
    found = needed("kms", "CreateKey", Policy="{}", Tags=[{"TagKey": "a", "TagValue": "b"}])
    put = only(found, "kms:PutKeyPolicy", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*")
    assert not any(key.startswith("aws:ResourceTag/") for key in put.context)
    assert "kms:PutKeyPolicy" not in actions(needed("kms", "CreateKey"))


def test_a_last_snapshot_takes_tags_over_only_where_the_database_says_so() -> None:
    database = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:a"
    asked: dict[str, Any] = {"DBInstanceIdentifier": "a", "FinalDBSnapshotIdentifier": "last"}
    for copies in (True, False):
        account = FakeAccount(
            resources={database: {"Environment": "dev"}}, facts={database: {"copies_tags": copies}}
        )
        found = actions(needed("rds", "DeleteDBInstance", account, **asked))
        assert ("rds:AddTagsToResource" in found) == copies
