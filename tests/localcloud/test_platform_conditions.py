"""Every (action, condition key) pair of the platform's policies, through the gateway.

For each pair a role gets the action under that one condition. The request that carries the key with
the wanted value is let through, the same request with another value wanted is refused: so the
gateway derives the key from the request, and no condition of ours is there for show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.iam.requests import Need, needs
from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.wire.shapes import input_shape
from scripts.localcloud.cloud import LocalCloud
from tests import ROOT
from tests.iam.requests.generated import generated
from tests.iam.requests.samples import FITTING, Rich, rows
from tests.iam.requests.support import ACCOUNT, KEY, REGION, sent
from tests.localcloud.clients import Account

pytestmark = pytest.mark.slow

DEPENDENT = "terraform/modules/deployment_roles/tests/deployment_roles.tftest.hcl"
RENDERED = ROOT / "tests" / "iam" / "ledger" / "platform.json"
NEVER = "nothing has this value"
NUMBERS = count()
EXTRA: dict[tuple[str, str], dict[str, Any]] = {
    ("ec2", "CreateTags"): {"Resources": ["sg-0a"], "Tags": [{"Key": "Name", "Value": "closed"}]},
    ("ec2", "DisassociateAddress"): {"AssociationId": None, "PublicIp": "198.51.100.7"},
    # S3 refuses a wrong digest, and more than one checksum, before it looks at any right.
    ("s3", "PutObject"): dict.fromkeys(
        name
        for name in generated(input_shape("s3", "PutObject"), every=True)
        if name.startswith("Checksum") or name == "ContentMD5"
    ),
}
# The gateway adds these to every request.
GLOBAL = {"aws:requestedregion": (REGION,), "aws:resourceaccount": (ACCOUNT,)}
# Decided where there is no such request to the endpoint; each is tested where it is served.
ELSEWHERE = {
    "sts:AssumeRoleWithWebIdentity": "tests/localcloud/sts/test_tokens.py",
    "rds-db:connect": "tests/localcloud/rds/test_databases.py",
    # The SSM agent does not run here; its key is one of the instance's session.
    "ssm:UpdateInstanceInformation": "tests/localcloud/ec2/test_instances.py",
    # A service asks for these in the caller's name; no request of the caller's carries their key.
    "kms:DescribeKey": DEPENDENT,
    "route53:AssociateVPCWithHostedZone": DEPENDENT,
    "route53:DisassociateVPCFromHostedZone": DEPENDENT,
}


@dataclass(frozen=True)
class Sample:
    """A call, and one thing that it needs: an action on a resource, with a condition key."""

    service: str
    operation: str
    parameters: str
    resource: str
    key: str
    values: tuple[str, ...]


def documents() -> Iterator[Any]:
    """Every policy of the platform, boundaries left out: they are conditions on nothing."""
    account = json.loads(RENDERED.read_text())
    for role in account["RoleDetailList"]:
        for policy in role.get("RolePolicyList", ()):
            yield policy["PolicyDocument"]
    for policy in account["Policies"]:
        if "boundary" not in policy["Arn"]:
            for version in policy["PolicyVersionList"]:
                yield version["Document"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@cache
def pairs() -> tuple[tuple[str, str], ...]:
    """(action, condition key) in the platform's policies, sorted."""
    return tuple(
        sorted(
            {
                (action, key)
                for document in documents()
                for statement in listed(document["Statement"])
                if "Action" in statement
                for action in listed(statement["Action"])
                for keys in statement.get("Condition", {}).values()
                for key in keys
            }
        )
    )


@cache
def samples() -> dict[tuple[str, str], Sample]:
    """A call for each (action, key) that botocore can be made to send, keys in lower case."""
    found: dict[tuple[str, str], Sample] = {}
    for service, operation in [*EXTRA, *rows()]:
        model = SERVICES[service].model or service
        for every in (True, False):
            parameters = generated(input_shape(model, operation), every=every)
            parameters |= FITTING.get((service, operation), {})
            parameters |= EXTRA.get((service, operation), {}) if every else {}
            parameters = _with_our_tags(
                {name: value for name, value in parameters.items() if value is not None}
            )
            try:
                found_needs = needs(sent(model, operation, parameters), Here(ACCOUNT, KEY))
            except ValueError:
                continue  # a combination that AWS refuses
            for need in found_needs:
                for key, values in {**GLOBAL, **need.context}.items():
                    if not _alike(found_needs, need, key):
                        continue  # one condition could not allow both
                    found.setdefault(
                        (need.action, key.lower()),
                        Sample(
                            model, operation, json.dumps(parameters, default=_text),
                            need.resource, key, values,
                        ),
                    )  # fmt: skip
    return found


def _alike(found_needs: list[Need], need: Need, key: str) -> bool:
    """Whether every need of the same action and resource has the same value of the key."""
    return all(
        other.context.get(key) == need.context.get(key)
        for other in found_needs
        if (other.action, other.resource) == (need.action, need.resource)
    )


def _with_our_tags(value: Any) -> Any:
    """Tags as this platform sets them, wherever a call takes some."""
    if isinstance(value, list):
        return [_with_our_tags(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    names = {name.lower(): name for name in value}
    for key, content in (("key", "value"), ("tagkey", "tagvalue")):
        if {key, content} <= set(names):
            if value[names[key]] != "Name":
                value = {**value, names[key]: "Environment", names[content]: "dev"}
            return value
    return {name: _with_our_tags(entry) for name, entry in value.items()}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class Here(Rich):
    """The account in which everything exists, under the number of the running cloud."""

    def __init__(self, account_id: str, key: str) -> None:
        super().__init__(account_id=account_id)
        self.key = key

    def tags(self, arn: str) -> dict[str, str] | None:
        return {
            **(super().tags(arn) or {}),
            "Role": "mlflow",
            "aws:rds:primaryDBInstanceArn": "a database",
            "aws:ssmmessages:session-id": "its owner",
        }

    def describe(self, arn: str) -> dict[str, Any] | None:
        facts = super().describe(arn)
        if facts is None:
            return None
        boundary = f"arn:aws:iam::{self.account_id}:policy/boundary"
        return {**facts, "allocation": "eipalloc-0a", "permissions_boundary": boundary}

    def bucket_key(self, bucket: str) -> str | None:
        return self.key

    def object_key(self, bucket: str, key: str, version: str | None) -> str | None:
        return self.key

    def parameter_key(self, name: str) -> str | None:
        return self.key

    def secret_key(self, arn_or_name: str) -> str | None:
        return self.key

    def key_arn(self, id_or_alias: str) -> str | None:
        return self.key

    def at(self, region: str) -> Here:
        return self

    def instance_profile_role(self, profile: str) -> str | None:
        return f"arn:aws:iam::{self.account_id}:role/some-role"


@pytest.fixture(scope="module")
def stage(account: Account, cloud: LocalCloud) -> Iterator[tuple[Account, Here]]:
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    here = Here(cloud.account_id, key)
    real = cloud.gateway._account
    cloud.gateway._account = here
    yield account, here
    cloud.gateway._account = real


def decide(stage: tuple[Account, Here], action: str, sample: Sample, wanted: list[str]) -> bool:
    """Send the call as a role whose one condition wants these values; whether it was allowed."""
    account, here = stage

    def localised(text: str) -> str:
        return text.replace(KEY, here.key).replace(ACCOUNT, here.account_id)

    resource = localised(sample.resource)
    operator = "ForAnyValue:StringEquals" if len(sample.values) > 1 else "StringEquals"
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "NotAction": action, "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": action,
            "Resource": resource,
            "Condition": {operator: {sample.key: [localised(value) for value in wanted]}},
        },
    ]
    if resource != "*":
        statements.append({"Effect": "Allow", "Action": action, "NotResource": resource})
    credentials = account.session(f"conditions-{next(NUMBERS)}", *statements)
    client = account.client(sample.service, credentials, parameter_validation=False)
    account.cloud.decisions.flush()
    before = len(account.cloud.decisions.read())
    try:
        client._make_api_call(sample.operation, json.loads(localised(sample.parameters)))
    except ClientError as refusal:
        assert "Unmapped" not in refusal.response["Error"]["Code"]
    decisions = [
        record
        for record in account.cloud.decisions.read()[before:]
        if (record.action, record.resource) == (action, resource)
    ]
    assert decisions, f"the gateway never asked for {action} on {resource}"
    return all(record.allowed for record in decisions)


@pytest.mark.parametrize(("action", "key"), pairs(), ids=[f"{a} {k}" for a, k in pairs()])
def test_the_condition_decides(stage: tuple[Account, Here], action: str, key: str) -> None:
    if action in ELSEWHERE:
        assert (ROOT / ELSEWHERE[action]).exists()
        return
    sample = samples().get((action, key.lower()))
    assert sample is not None, f"no request is known that needs {action} and carries {key}"
    assert decide(stage, action, sample, list(sample.values))
    assert not decide(stage, action, sample, [NEVER])
