"""The platform as a whole: what each environment is made of, and what is refused."""

import base64
import json
import re
from pathlib import Path

import pytest

from tests.terraform.conftest import PROJECT, Plan, Terraform

pytestmark = pytest.mark.terraform

INVENTORIES = Path(__file__).with_name("inventories")
DEV = "-var-file=environments/dev.tfvars"
PROD = "-var-file=environments/prod.tfvars"


@pytest.fixture(scope="module")
def nat_and_parked(terraform: Terraform) -> Plan:
    return terraform.planned("platform", DEV, "-var", "egress=nat", "-var", "park=true")


@pytest.mark.parametrize("name", ["bootstrap", "dev", "prod", "nat_and_parked", "serving"])
def test_inventory_is_the_recorded_one(request: pytest.FixtureRequest, name: str) -> None:
    plan: Plan = request.getfixturevalue(name)
    recorded = json.loads((INVENTORIES / f"{name}.json").read_text())
    assert plan.inventory() == recorded


def test_everything_that_can_be_tagged_carries_environment_and_project(
    bootstrap: Plan, dev: Plan, prod: Plan
) -> None:
    for plan, name in ((dev, "dev"), (prod, "prod")):
        tagged = {
            address: each["tags_all"]
            for address, each in plan.after.items()
            if each.get("tags_all")
        }
        assert len(tagged) > 40
        for address, tags in tagged.items():
            assert tags.get("Environment") == name, address
            assert tags.get("Project") == "keyless-mlops", address
    for address, each in bootstrap.after.items():
        if found := re.search(r'environment\["(\w+)"\]', address):
            tags = each.get("tags_all") or {"Environment": found[1]}
            assert tags["Environment"] == found[1], address


def test_prod_has_no_route_to_the_internet(prod: Plan, dev: Plan) -> None:
    def routes(plan: Plan) -> list[str]:
        leading_out = ("aws_internet_gateway", "aws_nat_gateway", "aws_route", "aws_eip")
        return [change["address"] for change in plan.changes if change["type"] in leading_out]

    assert routes(dev) != []
    assert routes(prod) == []


def test_no_security_group_lets_the_internet_in(
    dev: Plan, prod: Plan, nat_and_parked: Plan
) -> None:
    rules = [
        after
        for plan in (dev, prod, nat_and_parked)
        for address, after in plan.after.items()
        if "ingress_rule" in address
    ]
    assert len(rules) >= 3
    assert [rule for rule in rules if rule.get("cidr_ipv4") == "0.0.0.0/0"] == []


def test_no_password_is_planned(dev: Plan, prod: Plan) -> None:
    for plan in (dev, prod):
        database = plan.after["module.metadata_store.aws_db_instance.database"]
        assert database["manage_master_user_password"] is True
        assert database.get("password") is None and database.get("password_wo") is None
        assert not any("aws_secretsmanager_secret_version" in address for address in plan.after)
        assert not any("aws_iam_access_key" in address for address in plan.after)


def test_user_data_is_the_compressed_cloud_config_and_fits(dev: Plan) -> None:
    template = dev.after["module.mlflow_server.aws_launch_template.server"]
    packed = base64.b64decode(template["user_data"])
    assert packed.startswith(b"\x1f\x8b") and len(packed) <= 16384


def test_database_and_server_do_not_wait_for_each_other(dev: Plan) -> None:
    """What is known at plan time waits for nothing; the one policy that is not names the id."""
    policies = {
        address: after
        for address, after in dev.after.items()
        if "mlflow_server.aws_iam_role_policy" in address
    }
    unknown = [address for address, after in policies.items() if "policy" not in after]
    assert unknown == ["module.mlflow_server.aws_iam_role_policy.database"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([DEV, "-var", "egress=internet"], 'egress must be "public_ip", "endpoints" or "nat"'),
        ([DEV, "-var", "environment=Dev-1"], "environment must be 2 to 12 lower-case"),
        # All that is longer would not fit into the name of a bucket.
        ([DEV, "-var", "environment=averylongname"], "environment must be 2 to 12 lower-case"),
        (
            [DEV, "-var", 'network={availability_zones=["us-east-1a"]}'],
            "at least two different zones",
        ),
        (
            [DEV, "-var", 'network={private_subnet_cidrs=["10.40.0.0/20","10.40.0.0/21"]}'],
            "Subnets overlap: 10.40.0.0/20 and 10.40.0.0/21",
        ),
        (
            [DEV, "-var", 'network={reserved_cidrs=["10.0.0.0/8"]}'],
            "cidr_block 10.40.0.0/16 overlaps reserved_cidrs 10.0.0.0/8. Choose a free range.",
        ),
        (
            [DEV, "-var", 'github={owner="octo-*",owner_id="1",repository="r",repository_id="2"}'],
            "no wildcard",
        ),
        (
            [DEV, "-var", 'github={owner="octo-org",owner_id="",repository="r",repository_id=""}'],
            "must be GitHub's numbers",
        ),
        (
            [PROD, "-var", "database={deletion_protection=false}"],
            "prod must keep database.deletion_protection = true",
        ),
        (
            [PROD, "-var", "database={backup={final_snapshot=false}}"],
            "database.backup.final_snapshot = true. To tear prod down on purpose",
        ),
        ([PROD, "-var", "park=true"], "park must be false with database.multi_az"),
        ([DEV, "-var", 'tags={Environment="prod"}'], "tags cannot hold Environment"),
        # IAM: "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        ([DEV, "-var", 'tags={environment="prod"}'], "nor one key in two spellings"),
        ([DEV, "-var", 'tags={Team="a",team="b"}'], "nor one key in two spellings"),
        ([DEV, "-var", 'tags={Team="R&D (ML)"}'], "tags must be of letters, digits, blanks"),
        ([DEV, "-var", 'tags={"aws:Team"="ML"}'], "tags must be of letters, digits, blanks"),
    ],
)
def test_bad_input_is_refused_at_plan_time_with_what_to_write(
    terraform: Terraform, arguments: list[str], message: str
) -> None:
    done = terraform.plan("platform", *arguments)
    assert done.code == 1
    # Terraform wraps its messages into a frame.
    assert message in re.sub(r"[\s│]+", " ", done.text), done.text


@pytest.mark.parametrize(
    ("root", "region", "partition"),
    [
        ("bootstrap", "cn-north-1", "aws-cn"),
        ("bootstrap", "us-gov-west-1", "aws-us-gov"),
        ("platform", "cn-north-1", "aws-cn"),
        ("platform", "us-gov-west-1", "aws-us-gov"),
    ],
)
def test_another_partition_is_refused_with_its_reason(
    terraform: Terraform, root: str, region: str, partition: str
) -> None:
    environment = {**terraform.environment, "AWS_REGION": region}
    there = Terraform(terraform.folder, terraform.binary, environment)
    given = [DEV] if root == "platform" else ["-var", "environments={dev={}}"]
    done = there.plan(root, *given, "-target=data.aws_partition.current")
    assert done.code == 1, done.text
    said = re.sub(r"[\s│]+", " ", done.text)
    assert f"This is the partition {partition}. STS compares GitHub's claims" in said, done.text


def test_environments_differ_by_variables_alone() -> None:
    files = sorted(path.name for path in (PROJECT / "terraform/platform").glob("**/*.tf*"))
    assert [name for name in files if name.endswith(".tfvars")] == ["dev.tfvars", "prod.tfvars"]
    code = "\n".join(path.read_text() for path in (PROJECT / "terraform/platform").glob("*.tf"))
    # Only what refuses a prod without its protection, or without its key, names an environment.
    assert re.findall(r'"(?:dev|prod)"', code) == ['"prod"', '"prod"']
