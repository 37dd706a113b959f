"""The comparison finds a change of either side: forty of them, one at a time."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.pulumi import mocked
from tests.pulumi.names import logical_name, snake_case, terraform_type
from tests.pulumi.parity import (
    dependencies,
    differences,
    from_pulumi,
    from_terraform,
    lifecycles,
)
from tests.pulumi.places import located
from tests.terraform.conftest import PROJECT

pytestmark = pytest.mark.terraform

ROOT = PROJECT / "terraform" / "platform"
Change = Callable[[Any], Any]


def more(value: Any) -> Any:
    return value + 1


def flipped(value: Any) -> Any:
    return not value if isinstance(value, bool) else str(value != "true").lower()


def other(value: Any) -> Any:
    return f"{value}x"


def gone(value: Any) -> Any:
    return None


def shorter(value: Any) -> Any:
    return value[1:]


def tagged(value: Any) -> Any:
    return {**(value or {}), "Extra": "1"}


def untagged(value: Any) -> Any:
    return {key: each for key, each in value.items() if key != "Name"}


def inside(path: str, change: Change) -> Change:
    """A change of something below: indices and names, separated by dots."""

    def changed(value: Any) -> Any:
        first, _, rest = path.partition(".")
        key: Any = int(first) if first.isdigit() else first
        value[key] = (inside(rest, change) if rest else change)(value[key])
        return value

    return changed


def policy(change: Callable[[dict[str, Any]], Any]) -> Change:
    """A change of a policy's first statement."""

    def changed(value: str) -> str:
        document = json.loads(value)
        change(document["Statement"][0])
        return json.dumps(document)

    return changed


def statement_gone(value: str) -> str:
    document = json.loads(value)
    document["Statement"].pop()
    return json.dumps(document)


def _widened(statement: dict[str, Any]) -> None:
    statement["Resource"] = "*"


def _denied(statement: dict[str, Any]) -> None:
    statement["Effect"] = "Deny"


def _acting(statement: dict[str, Any]) -> None:
    statement["Action"] = "s3:*"


def _unconditional(statement: dict[str, Any]) -> None:
    del statement["Condition"]


def _trusting(statement: dict[str, Any]) -> None:
    statement["Principal"] = {"AWS": "*"}


# Type and name of the resource, property, change. Properties are each side's own.
TERRAFORM: list[tuple[str, str, Change]] = [
    ("aws_vpc::network-main", "cidr_block", other),
    ("aws_vpc::network-main", "enable_dns_hostnames", flipped),
    ("aws_vpc::network-main", "tags", untagged),
    ("aws_subnet::network-private-1", "vpc_id", other),
    ("aws_subnet::network-private-2", "availability_zone", other),
    ("aws_vpc_endpoint::network-interface-ssm", "subnet_ids", shorter),
    ("aws_vpc_endpoint::network-s3", "policy", statement_gone),
    ("aws_flow_log::network-vpc", "traffic_type", other),
    ("aws_db_instance::metadata-store-database", "publicly_accessible", flipped),
    ("aws_db_instance::metadata-store-database", "backup_retention_period", more),
    ("aws_db_instance::metadata-store-database", "kms_key_id", gone),
    ("aws_db_parameter_group::metadata-store-database", "parameter", inside("0.value", other)),
    ("aws_iam_role::mlflow-server-server", "permissions_boundary", gone),
    ("aws_iam_role::mlflow-server-server", "assume_role_policy", policy(_trusting)),
    ("aws_iam_role_policy::mlflow-server-server", "policy", policy(_widened)),
    ("aws_iam_role_policy::workload-roles-role-train-github-tunnel", "policy", statement_gone),
    (
        "aws_iam_role::workload-roles-role-train-github",
        "assume_role_policy",
        policy(_unconditional),
    ),
    (
        "aws_launch_template::mlflow-server-server",
        "metadata_options",
        inside("0.http_tokens", other),
    ),
    ("aws_s3_bucket_public_access_block::artifact-store-artifacts", "block_public_acls", flipped),
    ("aws_ssm_parameter::platform", "value", lambda value: value.replace("prod", "dev")),
]
PULUMI: list[tuple[str, str, Change]] = [
    ("aws_vpc::network-main", "tags", tagged),
    ("aws_subnet::network-private-1", "mapPublicIpOnLaunch", flipped),
    ("aws_route_table_association::network-private-1", "subnetId", other),
    ("aws_security_group::network-endpoints", "description", other),
    ("aws_vpc_security_group_ingress_rule::metadata-store-clients-server", "toPort", more),
    (
        "aws_vpc_security_group_ingress_rule::metadata-store-clients-server",
        "referencedSecurityGroupId",
        other,
    ),
    ("aws_vpc_security_group_egress_rule::mlflow-server-prefix-lists-s3", "prefixListId", other),
    ("aws_cloudwatch_log_group::mlflow-server-server", "retentionInDays", more),
    ("aws_cloudwatch_metric_alarm::observability-server-silent", "okActions", shorter),
    ("aws_cloudwatch_metric_alarm::observability-database-cpu", "threshold", more),
    ("aws_cloudwatch_dashboard::observability-overview", "dashboardBody", lambda value: "{}"),
    ("aws_budgets_budget::observability-month", "notifications", shorter),
    ("aws_autoscaling_group::mlflow-server-server", "launchTemplate", inside("version", other)),
    ("aws_autoscaling_group::mlflow-server-server", "tags", shorter),
    ("aws_iam_role_policy::workload-roles-role-promote-github-storage", "policy", policy(_acting)),
    ("aws_iam_role_policy::workload-roles-role-predict-github-metrics", "policy", policy(_denied)),
    ("aws_iam_role::network-flow-logs", "maxSessionDuration", lambda value: 7200),
    ("aws_s3_bucket_policy::artifact-store-artifacts", "policy", statement_gone),
    ("aws_secretsmanager_secret::third-party", "recoveryWindowInDays", gone),
    (
        "aws_ssm_document::mlflow-server-mlflow-read",
        "content",
        lambda value: value.replace("5", "6"),
    ),
]


def _twin(state: dict[str, Any], name: str) -> dict[str, Any]:
    """The resource of Terraform's state that has a name."""
    for resource in mocked.resources(state):
        if f"{resource['type']}::{logical_name(resource['address'])}" == name:
            return resource
    pytest.fail(f"prod has no {name}")


def _registered(recording: dict[str, Any], name: str) -> dict[str, Any]:
    for resource in recording["resources"]:
        if resource["type"].startswith("aws:") and (
            f"{terraform_type(resource['type'])}::{resource['name']}" == name
        ):
            found: dict[str, Any] = resource
            return found
    pytest.fail(f"prod has no {name}")


@pytest.fixture
def sides(states: dict[str, Any], recordings: dict[str, Any]) -> tuple[Any, Any]:
    """Copies of what both made of prod."""
    return (
        copy.deepcopy(states["platform"]["prod"]),
        copy.deepcopy(recordings["platform"]["prod"]),
    )


def _found(sides: tuple[Any, Any]) -> list[str]:
    state, recording = sides
    return differences(from_terraform(state, ROOT), from_pulumi(recording))


@pytest.mark.parametrize(("name", "property_", "change"), TERRAFORM)
def test_a_change_of_terraform_is_found(
    sides: tuple[Any, Any], name: str, property_: str, change: Change
) -> None:
    values = _twin(sides[0], name)["values"]
    values[property_] = change(values[property_])
    found = _found(sides)
    assert found
    assert all(re.match(rf"{name}\.{property_}s?\b", each) for each in found), found


@pytest.mark.parametrize(("name", "property_", "change"), PULUMI)
def test_a_change_of_pulumi_is_found(
    sides: tuple[Any, Any], name: str, property_: str, change: Change
) -> None:
    inputs = _registered(sides[1], name)["inputs"]
    inputs[property_] = change(inputs.get(property_))
    found = _found(sides)
    assert found
    spelled = snake_case(property_).removesuffix("s")
    assert all(re.match(rf"{name}\.{spelled}s?\b", each) for each in found), found


# Terraform's change, and what stands on the line of Pulumi's program that has to follow.
FOLLOWED: list[tuple[str, str, Change, str, str]] = [
    ("aws_vpc::network-main", "cidr_block", other, "network.py", "cidr_block="),
    (
        "aws_cloudwatch_metric_alarm::observability-database-cpu",
        "threshold",
        more,
        "observability.py",
        "threshold=",
    ),
    (
        "aws_db_instance::metadata-store-database",
        "backup_retention_period",
        more,
        "metadata_store.py",
        "backup_retention_period=",
    ),
    (
        "aws_iam_role_policy::network-flow-logs",
        "policy",
        policy(_acting),
        "network.py",
        '"FindTheLogGroup"',
    ),
    (
        "aws_s3_bucket_versioning::artifact-store-artifacts",
        "versioning_configuration",
        inside("0.status", other),
        "buckets.py",
        "versioning_configuration=",
    ),
]


@pytest.mark.parametrize(("name", "property_", "change", "file", "line"), FOLLOWED)
def test_a_difference_names_the_line_to_change(
    sides: tuple[Any, Any], name: str, property_: str, change: Change, file: str, line: str
) -> None:
    values = _twin(sides[0], name)["values"]
    values[property_] = change(values[property_])
    for found in located(_found(sides), sides[1]):
        told = re.search(r"\((scripts/pulumi_platform/\S+):(\d+)\)$", found)
        assert told is not None, found
        assert told[1].endswith(f"/{file}")
        assert line in (PROJECT / told[1]).read_text().splitlines()[int(told[2]) - 1]


def test_what_pulumi_lacks_is_told_with_the_line_of_its_neighbour(sides: tuple[Any, Any]) -> None:
    resources = sides[1]["resources"]
    resources.remove(_registered(sides[1], "aws_flow_log::network-vpc"))
    (found,) = located(_found(sides), sides[1])
    assert "not in Pulumi (beside scripts/pulumi_platform/components/network.py:" in found


def test_a_change_of_protection_or_of_what_is_ignored_is_found(sides: tuple[Any, Any]) -> None:
    vpc = _registered(sides[1], "aws_vpc::network-main")
    vpc["ignored"], vpc["protect"] = [], True
    group = _registered(sides[1], "aws_db_parameter_group::metadata-store-database")
    group["deleted_first"] = True
    assert set(lifecycles(*sides, ROOT)) == {
        "aws_vpc::network-main.ignore_changes: ['cidr_block'] | []",
        "aws_vpc::network-main.protect: False | True",
        "aws_db_parameter_group::metadata-store-database.create_before_destroy: True | deleted "
        "before it is replaced",
    }


def test_a_resource_of_one_side_alone_is_found(sides: tuple[Any, Any]) -> None:
    name = "aws_budgets_budget::observability-month"
    resources = sides[1]["resources"]
    resources.remove(_registered(sides[1], name))
    assert _found(sides) == [f"{name}: not in Pulumi"]
    extra = copy.deepcopy(_registered(sides[1], "aws_sns_topic::observability-alerts"))
    resources.append(extra | {"name": "observability-more"})
    assert _found(sides) == [
        f"{name}: not in Pulumi",
        "aws_sns_topic::observability-more: not in Terraform",
    ]


def test_an_order_of_one_side_alone_is_found(sides: tuple[Any, Any]) -> None:
    state, recording = sides
    name = "aws_s3_bucket_logging::artifact-store-artifacts"
    waiting = _registered(recording, name)
    kept = [each for each in waiting["dependencies"] if "bucketPolicy" not in each]
    assert kept != waiting["dependencies"]
    waiting["dependencies"] = [*kept, "aws:sns/topic:Topic::observability-alerts"]
    assert dependencies(state, recording, ROOT) == [
        f"{name}.depends_on: aws_s3_bucket_policy::artifact-store-access-logs | not in Pulumi",
        f"{name}.depends_on: not in Terraform | aws_sns_topic::observability-alerts",
    ]
