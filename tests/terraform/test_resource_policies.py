"""What buckets and endpoints refuse, whatever the policy of the caller allows."""

from __future__ import annotations

import json

import pytest

from scripts.iam.engine.documents import Policy, parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal, Request, evaluate
from tests.terraform.conftest import Plan, Terraform
from tests.terraform.rendered import attached

pytestmark = pytest.mark.terraform

ACCOUNT = "123456789012"
OWN_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
OTHER_KEY = OWN_KEY.replace("11111111", "99999999")
PERSON = "aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Administrator_0123456789abcdef"
BUCKET = f"arn:aws:s3:::keyless-dev-artifacts-{ACCOUNT}-us-east-1"
LOGS = f"arn:aws:s3:::keyless-dev-access-logs-{ACCOUNT}-us-east-1"
OBJECT = f"{BUCKET}/mlflow/model"
TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
EVERYTHING = parse_policy(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    },
    name="everything",
    kind="identity",
)
ENCRYPTION = "s3:x-amz-server-side-encryption"


def role(name: str) -> Principal:
    """A session of one of the account's roles."""
    return Principal(
        arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/job",
        account=ACCOUNT,
        kind="assumed-role",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/{name}",
    )


def policy(plan: Plan, ending: str, without: str | None = None) -> Policy:
    """A resource's policy, with one of its statements taken out if asked for."""
    (document,) = (each for each in attached(plan) if each.name.endswith(ending))
    content = json.loads(document.text)
    kept = [statement for statement in content["Statement"] if statement["Sid"] != without]
    assert without is None or len(kept) == len(content["Statement"]) - 1
    return parse_policy(content | {"Statement": kept}, name=ending, kind="resource")


def allowed(
    one: Policy,
    action: str,
    resource: str,
    keys: dict[str, str],
    caller: str = "keyless-dev-administrator",
    *,
    required: bool = False,
) -> bool:
    """Whether a caller that may do everything gets through this policy."""
    principal = role(caller)
    context = {
        "aws:PrincipalArn": str(principal.role_arn),
        "aws:ResourceAccount": principal.account,
    } | keys
    request = Request(principal, action, resource, {key: (v,) for key, v in context.items()})
    policies = PolicySet(
        identity=(EVERYTHING,), resource=(one,), resource_required=required or None
    )
    return evaluate(request, policies).allowed


@pytest.mark.parametrize(
    ("which", "action", "resource", "keys", "control"),
    [
        ("dev", "s3:GetObject", OBJECT, {"aws:SecureTransport": "false"}, "DenyWithoutTls"),
        ("dev", "s3:ListBucket", BUCKET, {"aws:SecureTransport": "false"}, "DenyWithoutTls"),
        ("dev", "s3:GetObject", OBJECT, {"s3:TlsVersion": "1.1"}, "DenyOldTls"),
        ("dev", "s3:PutObject", OBJECT, {ENCRYPTION: "aws:kms"}, "DenyOtherEncryption"),
        ("keyed", "s3:PutObject", OBJECT, {ENCRYPTION: "AES256"}, "DenyOtherEncryption"),
        (
            "dev",
            "s3:PutObject",
            OBJECT,
            {f"{ENCRYPTION}-aws-kms-key-id": OTHER_KEY},
            "DenyForeignKeys",
        ),
        (
            "keyed",
            "s3:PutObject",
            OBJECT,
            {ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": OTHER_KEY},
            "DenyForeignKeys",
        ),
        (
            "keyed",
            "s3:PutObject",
            OBJECT,
            {f"{ENCRYPTION}-customer-algorithm": "AES256"},
            "DenyKeysOfTheCaller",
        ),
        ("keyed", "s3:PutObject", OBJECT, {ENCRYPTION: "aws:kms"}, "DenyAwsOwnKey"),
        ("dev", "s3:DeleteObjectVersion", OBJECT, {}, "DenyDeletingVersions"),
        ("keyed", "s3:DeleteObjectVersion", OBJECT, {}, "DenyDeletingVersions"),
    ],
)
def test_the_bucket_refuses_even_an_administrator_and_only_by_the_named_statement(
    request: pytest.FixtureRequest,
    which: str,
    action: str,
    resource: str,
    keys: dict[str, str],
    control: str,
) -> None:
    plan: Plan = request.getfixturevalue(which)
    ending = "aws_s3_bucket_policy.artifacts"
    assert not allowed(policy(plan, ending), action, resource, TLS | keys)
    assert allowed(policy(plan, ending, without=control), action, resource, TLS | keys)


@pytest.mark.parametrize(
    ("which", "action", "keys", "caller"),
    [
        ("dev", "s3:PutObject", {}, "keyless-dev-train"),
        ("dev", "s3:PutObject", {ENCRYPTION: "AES256"}, "keyless-dev-train"),
        ("keyed", "s3:PutObject", {}, "keyless-dev-train"),
        (
            "keyed",
            "s3:PutObject",
            {ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": OWN_KEY},
            "keyless-dev-train",
        ),
        ("dev", "s3:GetObject", {}, "keyless-dev-predict"),
        # dev may be destroyed with its data, by its apply role or by a person.
        ("dev", "s3:DeleteObjectVersion", {}, "keyless-dev-apply"),
        ("dev", "s3:DeleteObjectVersion", {}, PERSON),
    ],
)
def test_the_bucket_lets_through_what_the_pipeline_does(
    request: pytest.FixtureRequest, which: str, action: str, keys: dict[str, str], caller: str
) -> None:
    one = policy(request.getfixturevalue(which), "aws_s3_bucket_policy.artifacts")
    assert allowed(one, action, OBJECT, TLS | keys, caller)


def test_a_person_deletes_a_version_of_prod_only_while_it_is_torn_down(
    terraform: Terraform, prod: Plan
) -> None:
    ending, key = "aws_s3_bucket_policy.artifacts", PROD.partition(":::")[2]
    action, resource = "s3:DeleteObjectVersion", f"arn:aws:s3:::{key}"
    variables = ("-var-file=environments/prod.tfvars", "-var", "teardown=true")
    torn = terraform.planned("platform", *variables)
    assert not allowed(policy(prod, ending), action, resource, TLS, PERSON)
    assert allowed(policy(torn, ending), action, resource, TLS, PERSON)
    assert not allowed(policy(torn, ending), action, resource, TLS, "keyless-prod-apply")


def test_the_log_bucket_is_closed_to_plain_http(dev: Plan) -> None:
    ending = "aws_s3_bucket_policy.access_logs[0]"
    plain = {"aws:SecureTransport": "false"}
    assert not allowed(policy(dev, ending), "s3:GetObject", f"{LOGS}/x", plain)
    assert allowed(
        policy(dev, ending, without="DenyWithoutTls"), "s3:GetObject", f"{LOGS}/x", plain
    )


@pytest.mark.parametrize(
    ("control", "keys"),
    [
        ("DenyWithoutTls", {"aws:SecureTransport": "false"}),
        ("DenyOldTls", {"s3:TlsVersion": "1.0"}),
    ],
)
def test_the_state_is_closed_to_plain_http_and_old_tls(
    bootstrap: Plan, control: str, keys: dict[str, str]
) -> None:
    state = f"arn:aws:s3:::keyless-state-{ACCOUNT}-us-east-1/dev/platform.tfstate"
    ending = "aws_s3_bucket_policy.state"
    assert not allowed(policy(bootstrap, ending), "s3:GetObject", state, TLS | keys)
    assert allowed(policy(bootstrap, ending, without=control), "s3:GetObject", state, TLS | keys)
    assert allowed(policy(bootstrap, ending), "s3:GetObject", state, TLS)


@pytest.mark.parametrize(
    ("control", "keys"),
    [
        ("DenyOtherEncryption", {ENCRYPTION: "AES256"}),
        ("DenyAwsOwnKey", {ENCRYPTION: "aws:kms"}),
        (
            "DenyForeignKeys",
            {ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": OTHER_KEY},
        ),
        ("DenyKeysOfTheCaller", {f"{ENCRYPTION}-customer-algorithm": "AES256"}),
    ],
)
def test_a_state_that_another_key_would_encrypt_is_refused(
    bootstrap: Plan, control: str, keys: dict[str, str]
) -> None:
    state = f"arn:aws:s3:::keyless-state-{ACCOUNT}-us-east-1/dev/platform.tfstate"
    ending = "aws_s3_bucket_policy.state"
    ours = {ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": OWN_KEY}
    assert not allowed(policy(bootstrap, ending), "s3:PutObject", state, TLS | keys)
    assert allowed(policy(bootstrap, ending, without=control), "s3:PutObject", state, TLS | keys)
    assert allowed(policy(bootstrap, ending), "s3:PutObject", state, TLS)
    assert allowed(policy(bootstrap, ending), "s3:PutObject", state, TLS | ours)


PROD = f"arn:aws:s3:::keyless-prod-artifacts-{ACCOUNT}-us-east-1/mlflow/model"
PACKAGES = "arn:aws:s3:::al2023-repos-us-east-1-de612dc2/core/mirrors/latest/aarch64/mirror.list"


@pytest.mark.parametrize(
    ("caller", "action", "resource", "passes"),
    [
        ("keyless-prod-server", "s3:GetObject", PROD, True),
        ("keyless-prod-server", "s3:GetObject", PACKAGES, True),
        ("keyless-prod-train", "s3:GetObject", PROD, False),
        ("keyless-prod-server", "s3:PutObject", PACKAGES, False),
        ("keyless-prod-server", "s3:PutObject", "arn:aws:s3:::somebody-elses/model", False),
        ("keyless-prod-server", "s3:DeleteObjectVersion", PROD, False),
    ],
)
def test_through_the_s3_endpoint_the_server_reaches_its_bucket_and_packages_alone(
    prod: Plan, caller: str, action: str, resource: str, passes: bool
) -> None:
    endpoint = policy(prod, "aws_vpc_endpoint.s3")
    assert allowed(endpoint, action, resource, TLS, caller, required=True) is passes
    if caller == "keyless-prod-server":
        # Nor a bucket of our name that a stranger registered.
        stranger = TLS | {"aws:ResourceAccount": "999999999999"}
        anyones = passes and "al2023" in resource
        assert allowed(endpoint, action, resource, stranger, caller, required=True) is anyones


@pytest.mark.parametrize(
    ("service", "action", "passes"),
    [
        ("ssm", "ssm:GetParameter", True),
        ("ssm", "ssm:SendCommand", False),
        ("logs", "logs:PutLogEvents", True),
        ("logs", "logs:DeleteLogGroup", False),
        ("autoscaling", "autoscaling:SetInstanceHealth", True),
        ("autoscaling", "autoscaling:UpdateAutoScalingGroup", False),
    ],
)
def test_an_interface_endpoint_carries_what_the_server_calls(
    prod: Plan, service: str, action: str, passes: bool
) -> None:
    endpoint = policy(prod, f'aws_vpc_endpoint.interface["{service}"]')
    ours, others = {"aws:PrincipalAccount": ACCOUNT}, {"aws:PrincipalAccount": "999999999999"}
    assert allowed(endpoint, action, "*", ours, "keyless-prod-server", required=True) is passes
    assert not allowed(endpoint, action, "*", others, "keyless-prod-server", required=True)
