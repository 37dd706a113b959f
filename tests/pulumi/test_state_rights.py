"""What the roles of CI may do with Pulumi's state: their environment's, where it is switched on."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.engine import PolicySet, Principal, Request, evaluate, parse_policy
from scripts.names import pulumi_state_key, state_bucket, state_key

pytestmark = pytest.mark.terraform

ACCOUNT = "123456789012"
BUCKET = f"arn:aws:s3:::{state_bucket(ACCOUNT, 'us-east-1')}"
STACK = pulumi_state_key("dev")
FOLDER = STACK.partition("stacks/")[0]
# What Pulumi asks of its bucket, by its source: github.com/pulumi/pulumi, pkg/backend/diy.
READS = [
    ("s3:GetObject", f"{FOLDER}meta.yaml"),
    ("s3:GetObject", STACK),
    ("s3:ListBucket", f"{FOLDER}stacks/keyless-platform/"),
]
WRITES = [
    ("s3:ListBucket", f"{FOLDER}locks/organization/keyless-platform/dev/"),
    ("s3:PutObject", f"{FOLDER}locks/organization/keyless-platform/dev/0a1b.json"),
    ("s3:DeleteObject", f"{FOLDER}locks/organization/keyless-platform/dev/0a1b.json"),
    ("s3:PutObject", STACK),
    ("s3:PutObject", f"{STACK}.bak"),
    ("s3:PutObject", f"{FOLDER}history/keyless-platform/dev/dev-1.history.json"),
    ("s3:PutObject", f"{FOLDER}backups/keyless-platform/dev/dev.1.json"),
]
OUTSIDE = [
    ("s3:PutObject", "prod/pulumi/.pulumi/stacks/keyless-platform/prod.json"),
    ("s3:GetObject", "prod/pulumi/.pulumi/stacks/keyless-platform/prod.json"),
    ("s3:ListBucket", "prod/pulumi/.pulumi/stacks/"),
    ("s3:ListBucket", "dev/"),
    ("s3:GetObject", "dev/pulumi/other"),
    ("s3:PutObject", "bootstrap.tfstate"),
    ("s3:DeleteObject", state_key("dev")),
    ("s3:DeleteObjectVersion", STACK),
]


def allowed(recording: Any, environment: str, group: str, asked: tuple[str, str]) -> bool:
    """Whether an environment's policies of a group (read, apply) allow a request of S3."""
    action, key = asked
    policies = tuple(
        parse_policy(each["inputs"]["policy"], name=each["name"], kind="identity")
        for each in recording["resources"]
        if each["type"] == "aws:iam/policy:Policy"
        and each["name"].startswith(f"environment-{environment}-{group}-")
    )
    assert policies
    caller = Principal(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/x/job",
        ACCOUNT,
        "assumed-role",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/x",
    )
    context = {"aws:resourceaccount": (ACCOUNT,)}
    listing = action == "s3:ListBucket"
    context |= {"s3:prefix": (key,)} if listing else {}
    resource = BUCKET if listing else f"{BUCKET}/{key}"
    request = Request(caller, action, resource, context, ACCOUNT)
    return evaluate(request, PolicySet(identity=policies)).allowed


@pytest.fixture
def made(recordings: dict[str, Any]) -> Any:
    """Bootstrap's roles: dev keeps Pulumi's state, prod does not."""
    return recordings["bootstrap"]["dev_and_prod"]


def test_a_preview_reads_and_an_update_writes(made: Any) -> None:
    assert all(allowed(made, "dev", "read", one) for one in READS)
    assert all(
        allowed(made, "dev", "apply", one) or allowed(made, "dev", "read", one) for one in WRITES
    )


def test_whoever_previews_writes_nothing(made: Any) -> None:
    assert not any(allowed(made, "dev", "read", one) for one in WRITES if one[0] != "s3:ListBucket")


@pytest.mark.parametrize("group", ["read", "apply"])
def test_no_role_reaches_further_than_its_environments_state(made: Any, group: str) -> None:
    assert [one for one in OUTSIDE if allowed(made, "dev", group, one)] == []


def test_without_the_switch_there_are_no_such_rights(made: Any) -> None:
    prods = [(action, key.replace("dev", "prod")) for action, key in READS + WRITES]
    found = [one for one in prods if allowed(made, "prod", "read", one)]
    found += [one for one in prods if allowed(made, "prod", "apply", one)]
    assert found == []
