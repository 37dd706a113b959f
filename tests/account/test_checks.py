"""What differs between accounts: each check with the fault and without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session
from moto import mock_aws

from scripts.account import checks
from scripts.account.checks import Subject
from scripts.findings import Finding
from scripts.stack.roots import platform_root
from tests import ROOT

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:keyless-dev-alerts"

SESSION = get_session()


class Aws:
    """Clients that answer what a test says; botocore's models check every name and field."""

    def __init__(self, **answers: dict[str, Any] | Callable[..., dict[str, Any]]) -> None:
        self.answers = answers

    def __call__(self, service: str) -> Any:
        model = SESSION.get_service_model(service)
        operations = {_snake(name): name for name in model.operation_names}

        def call(name: str, **parameters: Any) -> dict[str, Any]:
            operation = model.operation_model(operations[name])
            wanted = operation.input_shape.members if operation.input_shape else {}
            assert set(parameters) <= set(wanted), (name, parameters)
            answer = self.answers.get(name)
            if answer is None:
                error = {"Error": {"Code": "AccessDenied", "Message": "no"}}
                raise ClientError(error, operations[name])  # type: ignore[arg-type]
            found = answer(**parameters) if callable(answer) else answer
            assert operation.output_shape is not None
            assert set(found) <= set(operation.output_shape.members), (name, found)
            return found

        client = SimpleNamespace(
            **{name: (lambda name=name, **given: call(name, **given)) for name in operations}
        )
        client.get_paginator = lambda name: SimpleNamespace(
            paginate=lambda **given: iter([call(name, **given)])
        )
        return client


def _snake(name: str) -> str:
    from botocore import xform_name

    return xform_name(name)


def subject(**answers: Any) -> Subject:
    return checks.subject(Aws(**answers), ACCOUNT, platform_root(ROOT), "dev")


def only(findings: Iterator[Finding]) -> Finding:
    [finding] = findings
    return finding


def test_types_and_classes_are_those_of_the_environment() -> None:
    assert (subject().instance_type, subject().instance_class) == ("t4g.small", "db.t4g.micro")
    prod = checks.subject(Aws(), ACCOUNT, platform_root(ROOT), "prod")
    assert (prod.instance_type, prod.instance_class) == ("t4g.medium", "db.t4g.small")
    assert prod.engine_version == "17"


def test_the_type_of_a_model_server_is_not_the_servers(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    variables = (platform_root(ROOT) / "variables.tf").read_text()
    (tmp_path / "variables.tf").write_text(variables)
    file = tmp_path / "environments" / "dev.tfvars"
    file.write_text('model_server = {\n  instance_type = "m7g.large"\n}\n')
    found = checks.subject(Aws(), ACCOUNT, tmp_path, "dev")
    assert found.instance_type == "t4g.small"
    file.write_text('server = { instance_type = "t4g.large" }\n')
    assert checks.subject(Aws(), ACCOUNT, tmp_path, "dev").instance_type == "t4g.large"


def test_what_may_not_be_looked_at_is_not_judged() -> None:
    findings = checks.examine(subject())
    assert [one.name for one in findings] == list(checks.CHECKS)
    assert all(one.status == "notice" and "not judged" in one.detail for one in findings)


@pytest.mark.parametrize(
    ("key", "grants", "status"),
    [
        ("alias/aws/ebs", [], "ok"),
        ("arn:aws:kms:us-east-1:123456789012:key/k", [], "notice"),
        (
            "arn:aws:kms:us-east-1:123456789012:key/k",
            [f"arn:aws:iam::{ACCOUNT}:role/{checks.SCALING_ROLE}"],
            "ok",
        ),
    ],
)
def test_a_customers_default_volume_key_needs_a_grant(
    key: str, grants: list[str], status: str
) -> None:
    finding = only(
        checks.default_volume_key(
            subject(
                get_ebs_default_kms_key_id={"KmsKeyId": key},
                list_grants={"Grants": [{"GranteePrincipal": one} for one in grants]},
            )
        )
    )
    assert finding.status == status
    assert ("aws kms create-grant --key-id" in finding.fix) == (status == "notice")


def zones(servers: str, databases: str, version: str = "17.6") -> Finding:
    offers = [{"Location": f"us-east-1{zone}"} for zone in servers]
    option = {
        "EngineVersion": version,
        "AvailabilityZones": [{"Name": f"us-east-1{zone}"} for zone in databases],
    }
    return only(
        checks.classes_by_zone(
            subject(
                describe_instance_type_offerings={"InstanceTypeOfferings": offers},
                describe_orderable_db_instance_options={"OrderableDBInstanceOptions": [option]},
            )
        )
    )


def test_two_zones_must_offer_both_classes() -> None:
    assert zones("abd", "abc").status == "ok"
    short = zones("abd", "bce")
    assert short.status == "missing"
    assert "together in us-east-1b; two are needed" in short.detail
    assert zones("abc", "abc", version="170.1").status == "missing"


@pytest.mark.parametrize(("plan", "status"), [("FREE", "notice"), ("PAID", "ok"), ("", "ok")])
def test_a_free_plan_refuses_what_it_does_not_include(plan: str, status: str) -> None:
    def answered() -> dict[str, Any]:
        if not plan:  # an account that is older than these plans
            error = {"Error": {"Code": "ResourceNotFoundException", "Message": "none"}}
            raise ClientError(error, "GetAccountPlanState")  # type: ignore[arg-type]
        return {"accountPlanType": plan}

    finding = only(checks.account_plan(subject(get_account_plan_state=answered)))
    assert finding.status == status
    assert ("db.t4g.micro" in finding.detail) == (plan == "FREE")


def instance(kind: str, *tags: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A running instance."""
    named = [{"Key": key, "Value": value} for key, value in tags]
    return {"InstanceType": kind, "Tags": named, **more}


RUNNING: dict[str, Any] = {"describe_instances": {"Reservations": []}}
TWO: dict[str, Any] = {
    "describe_instance_types": lambda **asked: {
        "InstanceTypes": [
            {"InstanceType": one, "VCpuInfo": {"DefaultVCpus": 2}} for one in asked["InstanceTypes"]
        ]
    }
}


def test_what_runs_already_takes_from_the_quota_of_processors() -> None:
    ours = ("Environment", "dev"), ("Role", "mlflow")
    running = [
        instance("t4g.small", *ours),  # it is replaced, not added
        instance("m7g.large"),
        instance("im4gn.large"),
        instance("t4g.small", ("Environment", "prod"), ("Role", "mlflow")),
        instance("c7g.large", InstanceLifecycle="spot"),  # counted apart
        instance("g5g.xlarge"),
        instance("mac2.metal"),
        instance("inf2.xlarge"),
    ]
    findings = checks.quotas(
        subject(
            describe_vpcs={"Vpcs": []},
            describe_db_instances={"DBInstances": []},
            describe_instances={"Reservations": [{"Instances": running}]},
            get_service_quota={"Quota": {"Value": 5.0}},
            **TWO,
        )
    )
    found = next(one for one in findings if "vCPUs" in one.detail)
    assert (found.status, found.detail.split(": ")[1]) == ("missing", "8 needed, 5 allowed")


@mock_aws
def test_processors_are_counted_by_what_ec2_answers() -> None:
    # No answer of our own: a field that this test would make up may not be there.
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    ec2 = session.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    ec2.run_instances(ImageId=image, InstanceType="m5.xlarge", MinCount=2, MaxCount=2)
    clients: dict[str, Any] = {"ec2": ec2}
    found = Subject(clients.__getitem__, ACCOUNT, "dev", "t4g.small", "db.t4g.micro", "16.4")
    assert checks._processors(found) == 2 + 4 + 4


@pytest.mark.parametrize(("vpcs", "allowed", "missing"), [(4, 5, 0), (5, 5, 1), (5, 1, 2)])
def test_quotas_leave_room_for_what_is_made(vpcs: int, allowed: int, missing: int) -> None:
    findings = list(
        checks.quotas(
            subject(
                describe_vpcs={"Vpcs": [{"VpcId": f"vpc-{n}"} for n in range(vpcs)]},
                describe_db_instances={"DBInstances": [{"DBInstanceIdentifier": "keyless-dev"}]},
                get_service_quota=lambda **_: {"Quota": {"Value": float(allowed)}},
                **RUNNING,
                **TWO,
            )
        )
    )
    assert [one.status for one in findings].count("missing") == missing
    assert all("--desired-value" in one.fix for one in findings if one.status == "missing")


def test_an_environment_that_stands_needs_no_further_vpc() -> None:
    tags = [{"Key": "Environment", "Value": "dev"}]
    findings = checks.quotas(
        subject(
            describe_vpcs={"Vpcs": [{"Tags": tags}]},
            describe_db_instances={"DBInstances": []},
            get_service_quota={"Quota": {"Value": 2.0}},
            **RUNNING,
            **TWO,
        )
    )
    assert next(iter(findings)).detail == "VPCs: 1 of 2"


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ([], "notice"),
        ([{"TagKey": "Environment", "Status": "Inactive"}], "notice"),
        ([{"TagKey": "Environment", "Status": "Active"}], "ok"),
    ],
)
def test_a_budget_by_tag_needs_an_active_tag(tags: list[dict[str, str]], status: str) -> None:
    answers = {"list_cost_allocation_tags": {"CostAllocationTags": tags}}
    assert only(checks.cost_tag(subject(**answers))).status == status


@pytest.mark.parametrize(
    ("log", "status"),
    [
        ({"DeliverLogsStatus": "SUCCESS"}, "ok"),
        ({"DeliverLogsStatus": "FAILED", "DeliverLogsErrorMessage": "Access error"}, "missing"),
        ({}, "notice"),
    ],
)
def test_a_flow_log_that_is_not_delivered_is_seen(log: dict[str, str], status: str) -> None:
    answers = {"describe_flow_logs": {"FlowLogs": [{"FlowLogId": "fl-1", **log}]}}
    finding = only(checks.flow_logs(subject(**answers)))
    assert finding.status == status
    assert log.get("DeliverLogsErrorMessage", "") in finding.detail


def alarms(subscription: str, *, enabled: bool = True, state: str = "OK") -> list[Finding]:
    alarm = {
        "AlarmName": "keyless-dev-server-silent",
        "ActionsEnabled": enabled,
        "AlarmActions": [TOPIC],
        "StateValue": state,
    }
    return list(
        checks.alarm_actions(
            subject(
                describe_alarms={"MetricAlarms": [alarm]},
                list_subscriptions_by_topic={
                    "Subscriptions": [{"SubscriptionArn": subscription}] if subscription else []
                },
            )
        )
    )


def test_alarms_that_reach_nobody_are_seen() -> None:
    assert [one.status for one in alarms(f"{TOPIC}:1")] == ["ok"]
    for nobody in ("", "PendingConfirmation"):
        [finding] = alarms(nobody)
        assert (finding.status, "reach nobody" in finding.detail) == ("notice", True)
    mute, _ = alarms(f"{TOPIC}:1", enabled=False)
    assert mute.fix.endswith("--alarm-names keyless-dev-server-silent")
    assert "on now: keyless-dev-server-silent" in alarms(f"{TOPIC}:1", state="ALARM")[-1].detail


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ([{"InstanceId": "i-1", "PingStatus": "Online", "AgentVersion": "3.3"}], "ok"),
        ([{"InstanceId": "i-1", "PingStatus": "ConnectionLost"}], "missing"),
        ([], "missing"),
    ],
)
def test_an_agent_that_is_not_connected_is_seen(known: list[dict[str, str]], status: str) -> None:
    running = {"Reservations": [{"Instances": [{"InstanceId": "i-1"}]}]}
    finding = only(
        checks.agent(
            subject(
                describe_instances=running,
                describe_instance_information={"InstanceInformationList": known},
            )
        )
    )
    assert finding.status == status


def test_before_the_apply_nothing_is_missing_of_what_comes_with_it() -> None:
    nothing = subject(
        describe_flow_logs={"FlowLogs": []},
        describe_alarms={"MetricAlarms": []},
        describe_instances={"Reservations": []},
    )
    for check in (checks.flow_logs, checks.alarm_actions, checks.agent):
        assert only(check(nothing)).status == "ok"
