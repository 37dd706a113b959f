"""The rendered policies against AWS's reference: known, scoped, within limits and bounds."""

import json
import re
from fnmatch import fnmatchcase

import pytest

from tests.terraform.conftest import PROJECT, Plan
from tests.terraform.rendered import REFERENCE, Document, attached, details, fits, has_key, unknown

pytestmark = pytest.mark.terraform

MANAGED_LIMIT, INLINE_LIMIT = 6144, 10240
# Scoped by a condition where AWS has no resource type that could name it.
# GetMetricData's one type is a dataset of PromQL queries; the metrics of a namespace have no ARN.
WITHOUT_RESOURCE = {
    "cloudwatch:GetMetricData": "aws:RequestedRegion",
    "cloudwatch:PutMetricData": "cloudwatch:namespace",
}


@pytest.fixture(scope="module")
def resource_policies(
    bootstrap: Plan, dev: Plan, prod: Plan, serving: Plan, keyed: Plan
) -> list[Document]:
    plans = (bootstrap, dev, prod, serving, keyed)
    return [document for plan in plans for document in attached(plan)]


def test_enough_documents_are_looked_at(documents: list[Document]) -> None:
    names = {document.name for document in documents}
    for environment in ("dev", "prod"):
        wanted = {"apply-network", "boundary", "train/contract", "flow-logs/write"}
        assert {f"keyless-{environment}-{name}" for name in wanted} <= names
    assert len(names) >= 50


def test_every_policy_is_rendered_somewhere(
    documents: list[Document],
    resource_policies: list[Document],
    bootstrap: Plan,
    dev: Plan,
    prod: Plan,
) -> None:
    """A policy that names what only an apply knows is rendered by the root that is given it."""
    names = {document.name for document in documents}
    assert unknown(bootstrap) == set()
    kinds = {
        re.sub(r"^module\.\w+\.", "", address).partition("[")[0] for address in unknown(dev)
    } | {re.sub(r"^module\.\w+\.", "", address).partition("[")[0] for address in unknown(prod)}
    assert kinds == {"aws_iam_role_policy.database", "module.role"}
    assert {"keyless-dev-server/database", "keyless-dev-server/server"} <= names
    assert {"keyless-dev-ingest/third-party-secret", "keyless-dev-database/database"} <= names
    keyed = [each for each in resource_policies if each.name.endswith("bucket_policy.artifacts")]
    assert len(keyed) == 4


def test_resource_policies_are_all_there(resource_policies: list[Document]) -> None:
    kinds = {re.findall(r"(aws_\w+)\.", document.name)[-1] for document in resource_policies}
    assert kinds == {
        "aws_kms_key",
        "aws_s3_bucket_policy",
        "aws_sns_topic_policy",
        "aws_vpc_endpoint",
    }


def test_resource_policies_allow_whole_actions_and_name_what_they_are_for(
    resource_policies: list[Document],
) -> None:
    for document in resource_policies:
        for statement in document.statements:
            where = (document.name, statement["Sid"])
            if statement["Effect"] == "Deny":
                continue
            for action in statement["Action"]:
                assert REFERENCE.actions.action_exists(*action.split(":")), (*where, action)
            if "*" in statement["Resource"]:
                # A key's policy is about that key; an endpoint's limits who and what for.
                assert "aws_kms_key" in document.name or "aws_vpc_endpoint" in document.name, where
            everyone = statement["Principal"] in ("*", {"AWS": "*"})
            if everyone and statement["Sid"] != "AnyoneReadsAmazonLinuxRepositories":
                assert statement["Condition"], where


def test_a_bucket_is_closed_to_plain_http(resource_policies: list[Document]) -> None:
    buckets = [each for each in resource_policies if "aws_s3_bucket_policy" in each.name]
    assert len(buckets) >= 4
    for document in buckets:
        (statement,) = (each for each in document.statements if each["Sid"] == "DenyWithoutTls")
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert sorted(resource.endswith("/*") for resource in statement["Resource"]) == [
            False,
            True,
        ]


def test_a_star_for_a_resource_is_explained_beside_it() -> None:
    bare = [
        f"{path.name}: {line.strip()}"
        for path in sorted((PROJECT / "terraform").rglob("*.tf"))
        if ".terraform" not in path.parts
        for line in path.read_text().splitlines()
        if re.search(r'resources\s*=\s*\["\*"\]\s*$', line)
    ]
    assert bare == []


def test_every_action_exists(documents: list[Document]) -> None:
    unknown = [
        (document.name, action)
        for document in documents
        for statement in document.statements
        for action in statement["Action"]
        if "*" not in action and not REFERENCE.actions.action_exists(*action.split(":"))
    ]
    assert unknown == []


def test_no_allowed_action_is_a_wildcard(documents: list[Document]) -> None:
    wide = [
        (document.name, action)
        for document in documents
        for statement in document.statements
        for action in statement["Action"]
        if statement["Effect"] == "Allow" and "*" in action and not document.bounds
    ]
    assert wide == []


def test_boundaries_name_verbs_and_never_whole_services(documents: list[Document]) -> None:
    wide = [
        (document.name, action)
        for document in documents
        for statement in document.statements
        for action in statement["Action"]
        if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+\*?", action)
    ]
    assert wide == []


def test_every_resource_is_named_unless_the_action_has_none(documents: list[Document]) -> None:
    wide = []
    for document in documents:
        for statement in document.statements:
            if statement["Effect"] != "Allow" or "*" not in statement["Resource"]:
                continue
            if document.name.endswith("-deploy-boundary"):
                continue  # grants nothing; the roles' own policies name resources
            for action in statement["Action"]:
                needed = WITHOUT_RESOURCE.get(action)
                if needed and needed in json.dumps(statement["Condition"]):
                    continue
                if details(action)["resourceTypes"]:
                    wide.append((document.name, action))
    assert wide == []


def test_actions_without_a_resource_are_the_ones_the_documentation_gives_reasons_for(
    documents: list[Document],
) -> None:
    unscoped = {
        action
        for document in documents
        if not document.name.endswith("-deploy-boundary")
        for statement in document.statements
        if statement["Effect"] == "Allow" and "*" in statement["Resource"]
        for action in statement["Action"]
    }
    page = (PROJECT / "docs" / "terraform.md").read_text()
    table = page.partition("<!-- actions without a resource -->")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z0-9-]+:[A-Za-z]+)`", table)) == unscoped


def test_every_action_can_match_one_of_its_statements_resources(
    documents: list[Document],
) -> None:
    dead = [
        (document.name, statement.get("Sid"), action)
        for document in documents
        for statement in document.statements
        for action in statement["Action"]
        if "*" not in action
        and "*" not in statement["Resource"]
        and not any(fits(action, resource) for resource in statement["Resource"])
    ]
    assert dead == []


def test_every_resource_can_match_one_of_its_statements_actions(documents: list[Document]) -> None:
    dead = [
        (document.name, statement.get("Sid"), resource)
        for document in documents
        for statement in document.statements
        for resource in statement["Resource"]
        if resource != "*"
        and not any("*" in action or fits(action, resource) for action in statement["Action"])
    ]
    assert dead == []


def test_every_condition_key_is_one_the_action_has(documents: list[Document]) -> None:
    wrong = [
        (document.name, statement.get("Sid"), action, key)
        for document in documents
        for statement in document.statements
        for keys in statement.get("Condition", {}).values()
        for key in keys
        for action in statement["Action"]
        if "*" not in action and not has_key(action, key)
    ]
    assert wrong == []


def _at_its_longest(text: str) -> str:
    """In the region and of the environment with the longest name that there may be."""
    compact = re.sub(r"\s", "", text).replace("us-east-1", "ap-southeast-1")
    return re.sub(r"\b(dev|prod)\b", "environment1", compact)


def test_policies_fit_iams_limits(documents: list[Document]) -> None:
    sizes = {document.name: len(_at_its_longest(document.text)) for document in documents}
    roles: dict[str, int] = {}
    for name, size in sizes.items():
        role, _, inline = name.partition("/")
        if inline:
            roles[role] = roles.get(role, 0) + size
        else:
            assert size <= MANAGED_LIMIT, name
    assert max(roles.values()) <= INLINE_LIMIT


def test_a_role_has_at_most_ten_managed_policies(bootstrap: Plan) -> None:
    attached: dict[str, int] = {}
    for address, after in bootstrap.after.items():
        if "aws_iam_role_policy_attachment" in address:
            attached[after["role"]] = attached.get(after["role"], 0) + 1
    assert attached["keyless-dev-apply"] > 1
    assert max(attached.values()) <= 10


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_no_role_of_the_platform_reaches_outside_the_boundary(
    documents: list[Document], environment: str
) -> None:
    prefix = f"keyless-{environment}-"
    boundary = next(each for each in documents if each.name == f"{prefix}boundary")
    outside = [
        (document.name, action, resource)
        for document in documents
        if "/" in document.name and document.name.startswith(prefix)
        for statement in document.statements
        for action in statement["Action"]
        for resource in statement["Resource"]
        if not _covered(boundary, action, resource)
    ]
    assert outside == []


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_no_deployment_role_reaches_outside_its_boundary(
    documents: list[Document], environment: str
) -> None:
    prefix = f"keyless-{environment}-"
    boundary = next(each for each in documents if each.name == f"{prefix}deploy-boundary")
    outside = [
        (document.name, action)
        for document in documents
        if re.fullmatch(rf"{prefix}(apply|read)-\w+", document.name)
        for statement in document.statements
        for action in statement["Action"]
        if not _covered(boundary, action, "*")
    ]
    assert outside == []


def _covered(boundary: Document, action: str, resource: str) -> bool:
    return any(
        any(fnmatchcase(action, allowed) for allowed in statement["Action"])
        and any(fnmatchcase(resource, allowed) for allowed in statement["Resource"])
        for statement in boundary.statements
        if statement["Effect"] == "Allow"
    )
