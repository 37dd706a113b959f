"""Who may change what answers: the traffic policy, the load balancer, the servers' files."""

import json
import re

import pytest

from scripts.iam.engine.documents import parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal, Request, evaluate
from tests import ROOT
from tests.terraform.conftest import Plan
from tests.terraform.rendered import Document, inline

pytestmark = pytest.mark.terraform

MODEL = "breast-cancer"


def roles_of(plan: Plan) -> dict[str, dict[str, str]]:
    """The inline policies of each role, by role and name."""
    found: dict[str, dict[str, str]] = {}
    for document in inline(plan):
        role, _, name = document.name.partition("/")
        found.setdefault(role.removeprefix("keyless-dev-"), {})[name] = document.text
    return found


@pytest.fixture(scope="module")
def held(serving: Plan) -> dict[str, dict[str, str]]:
    return roles_of(serving)


def test_the_ledger_judges_the_rights_that_are_planned(
    held: dict[str, dict[str, str]], documents: list[Document]
) -> None:
    """Of roles that other platforms have too, what a policy of its own adds for model servers."""
    added = {
        each.name.removeprefix("keyless-dev-"): each.text
        for each in documents
        if re.fullmatch(r"keyless-dev-\w+-serving", each.name)
    }
    texts = held | {
        "apply": added,
        "plan": {name: text for name, text in added.items() if name.startswith("read-")},
    }
    kept = json.loads((ROOT / "tests/iam/ledger/serving.json").read_text())
    for role, policies in kept.items():
        planned = {
            name: json.loads(re.sub(r"\b\d{12}\b", "471835269042", text))
            for name, text in texts[role].items()
        }
        assert planned == policies, f"write the planned policies of {role} into serving.json"


@pytest.fixture(scope="module")
def boundary(documents: list[Document]) -> str:
    return next(each.text for each in documents if each.name == "keyless-dev-boundary")


def account(boundary: str) -> str:
    found = re.search(r"artifacts-(\d{12})-", boundary)
    assert found
    return found[1]


def may(policies: dict[str, str], boundary: str, action: str, resource: str, **keys: str) -> bool:
    number = account(boundary)
    principal = Principal(
        arn=f"arn:aws:sts::{number}:assumed-role/keyless-dev-any/job",
        account=number,
        kind="assumed-role",
        role_arn=f"arn:aws:iam::{number}:role/keyless-dev-any",
    )
    request = Request(
        principal,
        action,
        resource.format(account=number, bucket=f"keyless-dev-artifacts-{number}-us-east-1"),
        {"aws:ResourceAccount": (number,)} | {name: (value,) for name, value in keys.items()},
    )
    given = tuple(parse_policy(text, name=name, kind="identity") for name, text in policies.items())
    bound = parse_policy(boundary, name="boundary", kind="boundary")
    return evaluate(
        request, PolicySet(identity=given, boundary=(bound,), resource_required=False)
    ).allowed


POLICY = f"arn:aws:s3:::{{bucket}}/rollouts/{MODEL}/policy.json"
LISTENER = "arn:aws:elasticloadbalancing:us-east-1:{account}:listener/app/keyless-dev-serve/1/2"
GROUP = (
    "arn:aws:autoscaling:us-east-1:{account}:autoScalingGroup:1:"
    "autoScalingGroupName/keyless-dev-serve-green"
)
PINNED = f"arn:aws:s3:::{{bucket}}/decisions/{MODEL}/files/1"
RECORD = f"arn:aws:ssm:us-east-1:{{account}}:parameter/keyless/dev/champion/{MODEL}"


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:PutObject", POLICY, {"rollout"}),
        ("s3:DeleteObject", POLICY, set()),
        ("elasticloadbalancing:ModifyListener", LISTENER, {"rollout"}),
        ("autoscaling:UpdateAutoScalingGroup", GROUP, {"rollout"}),
        ("autoscaling:SetDesiredCapacity", GROUP, set()),
        ("s3:PutObject", PINNED, {"promote"}),
        ("ssm:PutParameter", RECORD, {"promote"}),
        # What feedback and logs say decides a rollout.
        (
            "s3:PutObject",
            f"arn:aws:s3:::{{bucket}}/predictions/{MODEL}/_feedback/1",
            {"predict", "serve"},
        ),
    ],
)
def test_only_these_roles_may(
    held: dict[str, dict[str, str]],
    boundary: str,
    action: str,
    resource: str,
    allowed: set[str],
) -> None:
    assert {"rollout", "serve", "train", "promote", "predict", "server"} <= set(held)
    found = {role for role, texts in held.items() if may(texts, boundary, action, resource)}
    assert found == allowed


def test_a_train_role_that_may_write_the_prefix_could_change_the_traffic(
    held: dict[str, dict[str, str]], boundary: str
) -> None:
    """The control is the role's own list of prefixes: the boundary would not stop it."""
    weakened = {name: json.loads(text) for name, text in held["train"].items()}
    statement = next(
        each for each in weakened["storage"]["Statement"] if each["Sid"] == "WriteItsOutputs"
    )
    bucket = f"arn:aws:s3:::keyless-dev-artifacts-{account(boundary)}-us-east-1"
    statement["Resource"] = [statement["Resource"], f"{bucket}/rollouts/*"]
    texts = {name: json.dumps(document) for name, document in weakened.items()}
    assert may(texts, boundary, "s3:PutObject", POLICY)


@pytest.mark.parametrize(
    ("action", "resource", "keys"),
    [
        # Plain HTTP, an older TLS, another launch template, elsewhere, without end.
        (
            "elasticloadbalancing:ModifyListener",
            LISTENER,
            {"elasticloadbalancing:ListenerProtocol": "HTTP"},
        ),
        (
            "elasticloadbalancing:ModifyListener",
            LISTENER,
            {"elasticloadbalancing:SecurityPolicy": "ELBSecurityPolicy-2016-08"},
        ),
        (
            "autoscaling:UpdateAutoScalingGroup",
            GROUP,
            {"autoscaling:LaunchTemplateVersionSpecified": "true"},
        ),
        (
            "autoscaling:UpdateAutoScalingGroup",
            GROUP,
            {"autoscaling:VPCZoneIdentifiers": "subnet-1"},
        ),
        ("autoscaling:UpdateAutoScalingGroup", GROUP, {"autoscaling:MaxSize": "100"}),
        ("autoscaling:UpdateAutoScalingGroup", GROUP.replace("serve-green", "mlflow"), {}),
        ("elasticloadbalancing:ModifyListener", LISTENER.replace("dev", "prod"), {}),
    ],
)
def test_rollout_changes_weights_and_sizes_and_nothing_else(
    held: dict[str, dict[str, str]],
    boundary: str,
    action: str,
    resource: str,
    keys: dict[str, str],
) -> None:
    assert not may(held["rollout"], boundary, action, resource, **keys)


def test_a_server_reads_one_model_and_no_other(
    held: dict[str, dict[str, str]], boundary: str
) -> None:
    for name, allowed in ((MODEL, True), ("other", False)):
        key = f"arn:aws:s3:::{{bucket}}/mlflow/{name}/run/model.skops"
        assert may(held["serve"], boundary, "s3:GetObjectVersion", key) == allowed
        assert not may(held["serve"], boundary, "s3:GetObject", key)
        policy = f"arn:aws:s3:::{{bucket}}/rollouts/{name}/policy.json"
        assert may(held["serve"], boundary, "s3:GetObject", policy) == allowed
