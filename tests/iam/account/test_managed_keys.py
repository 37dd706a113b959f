"""The policies of AWS-managed keys, decided by the engine: through their service, and not else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from scripts.iam.account.managed_keys import KEYS
from scripts.iam.engine.documents import Policy, parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal, Request, evaluate

ACCOUNT, REGION = "111122223333", "eu-central-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/apply"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/apply/job"
CALLER = Principal(SESSION, ACCOUNT, "assumed-role", role_arn=ROLE)
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/managed"
BY_TAG = {"StringEquals": {"aws:ResourceTag/Environment": "dev"}}


def identity(action: str, condition: Mapping[str, object] | None = None) -> Policy:
    statement: dict[str, object] = {"Effect": "Allow", "Action": action, "Resource": "*"}
    if condition:
        statement["Condition"] = condition
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return parse_policy(document, name="own", kind="identity")


def may(name: str, action: str, via: str | None, *own: Policy, region: str = REGION) -> bool:
    document = KEYS[name].policy(ACCOUNT, REGION)
    keys = {"kms:CallerAccount": (ACCOUNT,)}
    if via:
        keys["kms:ViaService"] = (f"{via}.{region}.amazonaws.com",)
    policies = PolicySet(
        identity=own, resource=(parse_policy(document, name=KEY, kind="resource"),)
    )
    return evaluate(Request(CALLER, action, KEY, keys, resource_account=ACCOUNT), policies).allowed


@pytest.mark.parametrize("name", sorted(KEYS))
def test_everyone_in_the_account_uses_a_managed_key_through_its_service_alone(name: str) -> None:
    own = KEYS[name].via
    assert may(name, "kms:Decrypt", own)
    assert may(name, "kms:GenerateDataKey", own)
    assert not may(name, "kms:Decrypt", None)
    assert not may(name, "kms:Decrypt", "glue")
    assert not may(name, "kms:Decrypt", own, region="us-east-1")


@pytest.mark.parametrize("action", ["kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:Decrypt"])
def test_no_policy_of_the_callers_opens_a_managed_key(action: str) -> None:
    assert not may("secretsmanager", action, None, identity("kms:*"))


def test_a_managed_keys_metadata_is_for_whom_iam_allows_it() -> None:
    assert not may("secretsmanager", "kms:DescribeKey", "rds")
    assert may("secretsmanager", "kms:DescribeKey", "rds", identity("kms:DescribeKey"))


def test_a_right_by_tag_never_reaches_a_managed_key() -> None:
    tagged = identity("kms:DescribeKey", BY_TAG)
    assert not may("secretsmanager", "kms:DescribeKey", "rds", tagged)


def test_secrets_of_other_regions_are_replicated_with_their_own_data_key() -> None:
    assert may("secretsmanager", "kms:GenerateDataKey", "secretsmanager", region="us-east-1")
    assert not may("secretsmanager", "kms:CreateGrant", "secretsmanager", region="us-east-1")
