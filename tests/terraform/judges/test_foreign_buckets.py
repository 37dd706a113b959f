"""A stranger owns a bucket of our name: no client of the platform reads from it or writes to it.

Bucket names are made of the account's number and the region, so anyone can take one first, or after
a teardown, and open it to everybody.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
"""

from __future__ import annotations

import json

import pytest

from scripts.iam.engine.documents import Policy, parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal, Request, evaluate
from scripts.iam.escalation.possible import fulfilled
from tests.iam.requests.support import ACCOUNT
from tests.terraform.conftest import Plan
from tests.terraform.rendered import Document, attached, of_role, roles

pytestmark = pytest.mark.terraform

STRANGER = "999999999999"
OPEN = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}],
}
# Terraform's own calls: a bucket that it did not make is not in its state, and it makes none there.
DEPLOYS = ("-apply", "-plan")


def assumed(role: str) -> Principal:
    """A session of a role of the platform's account."""
    return Principal(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/job",
        ACCOUNT,
        "assumed-role",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/{role}",
    )


def reached(documents: list[Document], role: str, owner: str) -> list[str]:
    """What a role may do with the objects of a bucket of our name that `owner` has opened."""
    principal = assumed(role)
    own = tuple(
        parse_policy(one.text, name=one.name, kind="identity") for one in of_role(documents, role)
    )
    bucket = parse_policy(OPEN, name="open", kind="resource")
    found = []
    for statement in (one for policy in own for one in policy.statements):
        context = fulfilled(principal, statement.conditions)
        context |= {"aws:resourceaccount": (owner,), "s3:resourceaccount": (owner,)}
        for action in statement.actions or ():
            for resource in statement.resources or ():
                if not action.startswith("s3:") or not resource.startswith("arn:aws:s3:::keyless"):
                    continue
                concrete = resource.replace("*", "x")
                request = Request(principal, action, concrete, context, owner)
                if evaluate(request, PolicySet(identity=own, resource=(bucket,))).allowed:
                    found.append(f"{role} {statement.label}: {action} on {resource}")
    return found


def test_no_client_touches_a_bucket_of_our_name_that_a_stranger_owns(
    documents: list[Document],
) -> None:
    clients = [role for role in sorted(roles(documents)) if not role.endswith(DEPLOYS)]
    assert [one for role in clients for one in reached(documents, role, STRANGER)] == []
    assert [one for role in clients for one in reached(documents, role, ACCOUNT)]


def test_without_the_condition_the_strangers_bucket_is_reached(documents: list[Document]) -> None:
    loose = [
        Document(one.name, one.text.replace("aws:ResourceAccount", "aws:PrincipalAccount"))
        for one in documents
    ]
    found = reached(loose, "keyless-dev-train", STRANGER)
    assert any("s3:PutObject" in one for one in found)


def test_no_endpoint_leads_to_a_bucket_of_our_name_that_a_stranger_owns(
    dev: Plan, prod: Plan
) -> None:
    for plan in (dev, prod):
        [gateway] = [one for one in attached(plan) if one.name.endswith("aws_vpc_endpoint.s3")]
        for statement in json.loads(gateway.text)["Statement"]:
            resources = statement["Resource"]
            ours = "keyless-" in json.dumps(resources)
            assert not ours or through(statement, STRANGER) == [], statement["Sid"]


def through(statement: dict[str, object], owner: str) -> list[str]:
    """The calls on our names that a statement of an endpoint's policy lets through."""
    policy: Policy = parse_policy(
        {"Version": "2012-10-17", "Statement": [statement]}, name="endpoint", kind="resource"
    )
    principal = assumed("x")
    [one] = policy.statements
    context = fulfilled(principal, one.conditions) | {"aws:resourceaccount": (owner,)}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    own = parse_policy(
        {"Version": "2012-10-17", "Statement": [everything]}, name="own", kind="identity"
    )
    return [
        f"{action} on {resource}"
        for action in one.actions or ()
        for resource in one.resources or ()
        if evaluate(
            Request(principal, action, resource.replace("*", "x"), context, owner),
            PolicySet(identity=(own,), resource=(policy,)),
        ).allowed
    ]
