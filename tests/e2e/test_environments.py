"""dev and prod from nothing to destroyed, twice in one account, by the docs' commands and roles.

What one of them does goes on beside the other: Terraform mostly waits.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.aws.web_identity import github_token
from scripts.iam.ledger import read_reviewed
from scripts.local_run import leftovers
from scripts.local_run.actors import Actors
from scripts.localcloud.ec2.user_data import parse
from scripts.localcloud.home import CloudDown
from scripts.stack.binary import find_binary
from tests.e2e.conftest import PROJECT, Home, wait_until
from tests.e2e.people import RUN
from tests.e2e.prod import Prod
from tests.e2e.test_up import files_of

pytestmark = [pytest.mark.e2e, pytest.mark.terraform]

REPOSITORY = "octo-org@1001/keyless-mlops@2002"
SECOND_PLAN_GAPS: dict[str, str] = {}
"""Changes that a second plan may show, each with the emulator's gap that causes it."""


@pytest.fixture(scope="module")
def prod(fresh_home: Callable[[], Home]) -> Iterator[Prod]:
    """An account with nothing in it, in another region than dev's.

    Roles, policies, profiles and tags count some requests late in it, as on AWS.
    """
    home = fresh_home()
    home.user.mkdir(parents=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home.user)} | leftovers.mark(home.path)
    elsewhere = ("--region", "eu-west-1", "--eventual")
    command = [sys.executable, "-m", "scripts.localcloud", "--home", str(home.path), *elsewhere]
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, start_new_session=True)

    def ready() -> bool:
        try:
            return bool(home.cloud)
        except CloudDown:
            return False

    wait_until(ready, "the local cloud")
    made = Prod(home, home.cloud, Actors(home.cloud, "prod", PROJECT))
    yield made
    leftovers.end_all(home.path)
    process.wait()
    for command_line, seconds in made.seconds:
        print(f"{seconds:6.1f} s  {command_line}")


@pytest.fixture(scope="module")
def fresh(prod: Prod) -> set[tuple[str, str]]:
    """What an account has before anybody made anything: its default network."""
    return prod.standing()


@pytest.fixture(scope="module")
def bootstrapped(prod: Prod, fresh: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What stands once the administrator has prepared the account."""
    prod.person(f"keyless bootstrap --aws --disposable dev -e prod --github {REPOSITORY}")
    prod.person("keyless image --aws")
    prod.well("administrator", "image", "-e", "dev", "--aws")
    return prod.standing()


@pytest.fixture(scope="module")
def beside() -> Iterator[ThreadPoolExecutor]:
    """For what dev does while prod goes its own way."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


# What dev's own variables leave off.
LEFT_OFF = (
    ('"public_ip"', '"nat"\npark = true'),
    ("database = {", "database = {\n  monitoring = { interval_seconds = 60 }"),
    ("observability = {", 'observability = {\n  alert_emails = ["platform@example.org"]'),
)


def apply_dev(prod: Prod, *replaced: tuple[str, str]) -> None:
    """CI plans and applies dev, its variables with some of their text replaced."""
    folder = "terraform/platform/environments/dev.tfvars"
    text = (PROJECT / folder).read_text()
    for here, there in replaced:
        assert text.count(here) == 1
        text = text.replace(here, there)
    (prod.project / folder).write_text(text)
    prod.plan("dev:plan-main", "dev")
    prod.well("dev:apply", "apply", "-e", "dev", "--yes")


@pytest.fixture(scope="module")
def applied(
    prod: Prod, bootstrapped: set[tuple[str, str]], beside: ThreadPoolExecutor
) -> set[tuple[str, str]]:
    """What stands once prod is applied, with data and an overwritten object in its bucket.

    So is dev, with what its variables leave off.
    """
    devs = beside.submit(apply_dev, prod, *LEFT_OFF)
    prod.plan()
    prod.well("apply", "apply", "--yes")
    secret = {"SecretId": "keyless-prod-third-party", "SecretString": "kaggle-8d1f0c2b7e"}
    prod.admin("secretsmanager").put_secret_value(**secret)
    ingest = prod.client("ingest", "s3")
    for body in (b"rows", b"more rows"):
        ingest.put_object(Bucket=prod.bucket("artifacts"), Key="data/raw/a.csv", Body=body)
    devs.result()
    return prod.standing()


def test_prod_stands_as_its_variables_say(
    prod: Prod, bootstrapped: set[tuple[str, str]], applied: set[tuple[str, str]]
) -> None:
    database = prod.database()
    assert database["MultiAZ"]
    assert database["DeletionProtection"]
    assert database["StorageEncrypted"]
    assert database["BackupRetentionPeriod"] == 14
    assert not database["PubliclyAccessible"]
    [key] = [name for kind, name in bootstrapped if kind == "key (Enabled)"]
    assert database["KmsKeyId"].endswith(key)
    assert ("key alias", "alias/keyless-prod") in bootstrapped
    on_network = [{"Name": "resource-id", "Values": [prod.vpc()]}]
    [log] = prod.admin("ec2").describe_flow_logs(Filters=on_network)["FlowLogs"]
    assert log["TrafficType"] == "ALL"


def test_prod_has_no_way_to_the_internet(prod: Prod, applied: set[tuple[str, str]]) -> None:
    ec2, here = prod.admin("ec2"), [{"Name": "vpc-id", "Values": [prod.vpc()]}]
    attached = [{"Name": "attachment.vpc-id", "Values": [prod.vpc()]}]
    assert ec2.describe_nat_gateways(Filter=here)["NatGateways"] == []
    assert ec2.describe_internet_gateways(Filters=attached)["InternetGateways"] == []
    # dev's are there.
    assert {"nat gateway", "internet gateway"} <= {kind for kind, _ in applied}
    endpoints = ec2.describe_vpc_endpoints(Filters=here)["VpcEndpoints"]
    assert {one["ServiceName"].rpartition(".")[2] for one in endpoints} == {
        *("s3", "ssm", "ssmmessages", "logs", "autoscaling")
    }
    [found] = prod.servers("prod")
    assert "PublicIpAddress" not in found


def test_prods_own_roles_did_it_and_were_denied_nothing(
    prod: Prod, applied: set[tuple[str, str]]
) -> None:
    made = [
        entry
        for entry in prod.home.decisions()
        if entry["action"] == "rds:CreateDBInstance" and entry["resource"].endswith("keyless-prod")
    ]
    assert {entry["role"] for entry in made} == {"keyless-prod-apply"}
    delivery = {"keyless-prod-apply", "keyless-prod-plan-main"}
    assert [entry for entry in prod.denied() if entry["role"] in delivery] == []


@dataclass
class Unchanged:
    """A second plan and a destroy without its flags, both of which leave everything alone."""

    plan: dict[str, Any]
    plan_as_json: str
    destroy: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def unchanged(prod: Prod, applied: set[tuple[str, str]]) -> Unchanged:
    # Side by side: two machines, and neither changes anything.
    with ThreadPoolExecutor(max_workers=1) as pool:
        refused = pool.submit(prod.person, "keyless destroy -e prod --aws", codes=(1,))
        planned = prod.plan()
        return Unchanged(planned, plan_as_json(prod), refused.result())


def test_a_second_plan_is_empty_but_for_listed_gaps(unchanged: Unchanged) -> None:
    assert set(unchanged.plan) == set(SECOND_PLAN_GAPS), unchanged.plan


def test_destroy_without_its_flags_says_all_that_is_missing(
    prod: Prod, unchanged: Unchanged
) -> None:
    assert unchanged.destroy.returncode == 1
    for part in (
        "prod is protected; nothing was destroyed",
        "module.metadata_store.aws_db_instance.database",
        "TF_VAR_teardown=true keyless",
        " plan -e prod",
        prod.bucket("artifacts"),
        prod.bucket("access-logs"),
        "--delete-data",
    ):
        assert part in unchanged.destroy.stderr


def test_destroy_without_its_flags_loses_nothing(
    prod: Prod, applied: set[tuple[str, str]], unchanged: Unchanged
) -> None:
    assert prod.standing() == applied
    assert len(prod.versions("artifacts")) == 2


def test_nobody_deletes_a_version_of_prod_before_a_role_is_named_for_it(
    prod: Prod, unchanged: Unchanged
) -> None:
    [version, *_] = prod.versions("artifacts")
    object_version = {"Key": version["Key"], "VersionId": version["VersionId"]}
    for who in ("administrator", "apply"):
        with pytest.raises(ClientError, match="AccessDenied"):
            prod.client(who, "s3").delete_object(Bucket=prod.bucket("artifacts"), **object_version)
    assert len(prod.versions("artifacts")) == 2


def test_rds_itself_refuses_to_delete_a_protected_database(
    prod: Prod, unchanged: Unchanged
) -> None:
    with pytest.raises(ClientError, match="deletion protection"):
        prod.admin("rds").delete_db_instance(
            DBInstanceIdentifier="keyless-prod", SkipFinalSnapshot=True
        )
    assert prod.database()["DBInstanceStatus"] == "available"


# A person, in a session of IAM Identity Center and without the local issuer


def test_a_person_looks_at_the_account(prod: Prod, unchanged: Unchanged) -> None:
    # What a machine of a test lacks is told; what it says of the account is asserted.
    for command in ("keyless doctor --aws", "keyless doctor --aws -e dev"):
        told = prod.person(command, codes=(0, 1)).stdout
        assert "AWS credentials" in told and "Zones" in told and "Quota" in told, told
    outputs = prod.person("keyless outputs --aws -e prod", "--json").stdout
    assert json.loads(outputs)["environment"] == "prod"
    linted = prod.person("keyless lint-trust --account --aws --sarif", codes=(0, 1, 3)).stdout
    assert json.loads(linted)["version"] == "2.1.0"
    denied = (
        f"User: arn:aws:sts::{prod.cloud.account_id}:assumed-role/keyless-prod-train/job is not "
        f"authorized to perform: s3:GetObject on resource: "
        f'"arn:aws:s3:::{prod.bucket("artifacts")}/data/holdout/x.csv" because no identity-based '
        "policy allows the s3:GetObject action"
    )
    explained = prod.person("keyless explain-denial --message - --aws", typed=denied).stdout
    assert "s3:GetObject" in explained
    assert "pinned already" in prod.person("keyless image").stdout


def test_a_person_prepares_the_database_and_reaches_mlflow(
    prod: Prod, unchanged: Unchanged
) -> None:
    shutil.copy(prod.cloud.ca_bundle, prod.project / "global-bundle.pem")
    prod.person("keyless database -e prod --aws --ca global-bundle.pem")
    ask = "import os, urllib.request as u; print(u.urlopen(os.environ['MLFLOW_TRACKING_URI'])"
    more = ("--port", "0", "--", sys.executable, "-c", f"{ask}.status)")
    assert prod.person("keyless tunnel --aws", *more).stdout.splitlines()[-1] == "200"


# Secrets


@pytest.fixture(scope="module")
def secrets(prod: Prod, unchanged: Unchanged) -> dict[str, str]:
    """Every secret value of prod that may be written nowhere."""
    manager = prod.admin("secretsmanager")
    arn = prod.database()["MasterUserSecret"]["SecretArn"]
    password = json.loads(manager.get_secret_value(SecretId=arn)["SecretString"])["password"]
    third = manager.get_secret_value(SecretId="keyless-prod-third-party")["SecretString"]
    found = {"master password": str(password), "third-party secret": str(third)}
    for role in ("apply", "plan-main", "ingest"):
        credentials = prod.credentials(role)
        assert credentials.session_token
        found[f"{role}'s key"] = credentials.secret_access_key
        found[f"{role}'s session token"] = credentials.session_token
    return found


def states(prod: Prod) -> str:
    """Every version of the state of both roots."""
    s3, bucket = prod.admin("s3"), prod.bucket("state")
    keys = {"bootstrap.tfstate", "prod/platform.tfstate"}
    found = [one for one in prod.versions("state") if one["Key"] in keys and "Size" in one]
    assert {one["Key"] for one in found} == keys
    return "\n".join(
        s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"]
        .read()
        .decode()
        for one in found
    )


def plan_as_json(prod: Prod) -> str:
    """The saved second plan as Terraform shows it: the whole prior state is in it."""
    account = f"{prod.cloud.account_id}-{prod.cloud.region}"
    machine = prod.machine("plan-main")
    plan = machine / "plans" / account / "prod.tfplan"
    with zipfile.ZipFile(plan) as archive:
        raw = "".join(archive.read(name).decode(errors="replace") for name in archive.namelist())
    shown = subprocess.run(
        [find_binary(machine).path, "show", "-json", str(plan)],
        cwd=prod.project / "terraform" / "platform",
        env={**os.environ, "TF_DATA_DIR": str(machine / "accounts" / account / "prod")},
        capture_output=True,
        text=True,
        check=True,
    )
    return raw + shown.stdout


def user_data(prod: Prod) -> str:
    """The launch template's data and its user data, decoded."""
    versions = prod.admin("ec2").describe_launch_template_versions(
        LaunchTemplateName="keyless-prod-mlflow"
    )["LaunchTemplateVersions"]
    scripts = [one["LaunchTemplateData"]["UserData"] for one in versions]
    files = [file.content for script in scripts for file in parse(script).files]
    whole = [gzip.decompress(base64.b64decode(script)) for script in scripts]
    return str(versions) + b"".join([*whole, *files]).decode()


def parameters(prod: Prod) -> str:
    ssm = prod.admin("ssm")
    return str(ssm.get_parameters_by_path(Path="/keyless", Recursive=True)["Parameters"])


def printed(prod: Prod) -> str:
    return "\n".join(prod.printed)


def server_logs(prod: Prod) -> str:
    files = files_of(prod.home.path)
    return "\n".join(file.content.decode() for file in files if file.path.suffix == ".log")


@pytest.mark.parametrize("place", [states, user_data, parameters, printed, server_logs])
def test_no_secret_of_prod_is_in(
    prod: Prod, secrets: dict[str, str], place: Callable[[Prod], str]
) -> None:
    content = place(prod)
    assert "keyless-prod" in content or "/keyless/prod" in content
    assert {name for name, value in secrets.items() if value in content} == set()


def test_no_secret_of_prod_is_in_a_plan(secrets: dict[str, str], unchanged: Unchanged) -> None:
    assert "keyless-prod-mlflow" in unchanged.plan_as_json
    found = {name for name, value in secrets.items() if value in unchanged.plan_as_json}
    assert found == set()


def test_no_secret_of_prod_is_in_a_file(prod: Prod, secrets: dict[str, str]) -> None:
    searched = [*files_of(prod.home.path), *files_of(prod.home.user)]
    assert {"cloud.json", "decisions.jsonl", "prod.tfplan"} <= {file.path.name for file in searched}
    for file in searched:
        found = {name for name, value in secrets.items() if value.encode() in file.content}
        assert found == set(), file.path


# The way out of both


@dataclass
class Dev:
    """dev without its NAT gateway, and its end. `before` is what stood with it."""

    before: set[tuple[str, str]]
    standing: set[tuple[str, str]]
    servers: list[tuple[str, str]]
    second_plan: dict[str, Any]
    gone: set[tuple[str, str]]


def judge_a_token_of_dev(prod: Prod) -> None:
    claims = github_token(prod.cloud, prod.devs.job("train")).split(".")[1]
    whole = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
    (prod.project / "claims.json").write_bytes(whole)
    prod.person("keyless doctor --github --role keyless-dev-train --claims claims.json --aws")


def end_dev(prod: Prod, before: set[tuple[str, str]]) -> Dev:
    """CI takes the NAT gateway and all that dev's variables leave off; a person destroys dev."""
    apply_dev(prod, ('"public_ip"', '"endpoints"'))
    standing = prod.standing()
    servers = [("instance", one["InstanceId"]) for one in prod.servers("dev")]
    second_plan = prod.plan("administrator", "dev")
    judge_a_token_of_dev(prod)
    bucket = prod.bucket("artifacts").replace("prod", "dev")
    for body in (b"rows", b"more rows"):
        prod.admin("s3").put_object(Bucket=bucket, Key="data/raw/a.csv", Body=body)
    prod.person("keyless destroy -e dev --aws --delete-data")
    return Dev(before, standing, servers, second_plan, prod.standing())


@pytest.fixture(scope="module")
def rest_of_dev(
    prod: Prod, applied: set[tuple[str, str]], secrets: dict[str, str], beside: ThreadPoolExecutor
) -> Future[Dev]:
    """Begins when nothing looks at the account as a whole any more."""
    return beside.submit(end_dev, prod, applied)


def lift_protection(prod: Prod) -> dict[str, Any]:
    """A teardown's variable, planned and applied by a person; returns the changes by address."""
    changes = prod.project / "teardown.json"
    prod.person("keyless plan -e prod --aws", "--changes", str(changes), teardown="true")
    prod.person("keyless apply -e prod --aws")
    return {change["address"]: change for change in json.loads(changes.read_text())}


@pytest.fixture(scope="module")
def unprotected(
    prod: Prod, unchanged: Unchanged, secrets: dict[str, str], rest_of_dev: Future[Dev]
) -> dict[str, Any]:
    """What the variable changes, while dev changes and goes too."""
    return lift_protection(prod)


def administrator_role(prod: Prod) -> str:
    roles = prod.admin("iam").list_roles(PathPrefix="/aws-reserved/sso.amazonaws.com/")["Roles"]
    [role] = [role["Arn"] for role in roles]
    return str(role)


def test_the_administrator_is_a_person_of_iam_identity_center(prod: Prod) -> None:
    session = prod.admin("sts").get_caller_identity()["Arn"]
    assert administrator_role(prod).rpartition("/")[2] in session


def test_teardown_lifts_the_protection_and_lets_people_delete_versions(
    prod: Prod, unprotected: dict[str, Any]
) -> None:
    assert {address: change["action"] for address, change in unprotected.items()} == {
        "module.artifact_store.aws_s3_bucket_policy.artifacts": "change",
        "module.metadata_store.aws_db_instance.database": "change",
    }
    assert not prod.database()["DeletionProtection"]
    assert len(prod.versions("artifacts")) == 2


@pytest.fixture(scope="module")
def destroyed(
    prod: Prod, unprotected: dict[str, Any], rest_of_dev: Future[Dev]
) -> subprocess.CompletedProcess[str]:
    """prod's end, when dev has come to its own too."""
    done = prod.person("keyless destroy -e prod --aws --delete-data", codes=(0, 1))
    rest_of_dev.result()
    return done


def test_destroy_takes_everything_but_what_can_still_be_brought_back(
    prod: Prod,
    bootstrapped: set[tuple[str, str]],
    applied: set[tuple[str, str]],
    destroyed: subprocess.CompletedProcess[str],
) -> None:
    assert destroyed.returncode == 0, f"{destroyed.stderr[-6000:]}\n{prod.home.log_tail()}"
    left = prod.standing()
    backups = {entry for entry in left if entry[1].startswith("rds:keyless-prod-")}
    assert left - bootstrapped - backups == {
        ("secret (to be deleted)", "keyless-prod-third-party"),
        ("snapshot", "keyless-prod-final"),
    }
    assert {kind for kind, _ in backups} == {"snapshot"}
    assert bootstrapped <= left


def test_destroy_says_what_it_costs_and_leaves_an_empty_state(
    prod: Prod, destroyed: subprocess.CompletedProcess[str]
) -> None:
    assert "a last snapshot, keyless-prod-final, is kept" in destroyed.stderr
    assert f"{prod.bucket('artifacts')}: 2 versions deleted" in destroyed.stderr
    body = (
        prod.admin("s3")
        .get_object(Bucket=prod.bucket("state"), Key="prod/platform.tfstate")["Body"]
        .read()
    )
    assert json.loads(body)["resources"] == []


# dev, in the same account: through a NAT gateway at first, then through endpoints


@pytest.fixture(scope="module")
def dev(rest_of_dev: Future[Dev]) -> Dev:
    return rest_of_dev.result()


def test_dev_keeps_its_server_and_loses_its_nat_gateway(dev: Dev) -> None:
    assert len(dev.servers) == 1
    assert dev.servers[0] in dev.before
    assert {"nat gateway", "internet gateway"} <= {kind for kind, _ in dev.before}
    assert not {"nat gateway", "internet gateway"} & {kind for kind, _ in dev.standing}


def test_a_second_plan_of_dev_is_empty(dev: Dev) -> None:
    assert dev.second_plan == {}


def test_a_person_destroys_dev_with_its_data(dev: Dev, bootstrapped: set[tuple[str, str]]) -> None:
    ours = {name for _, name in dev.standing if "keyless-dev" in name}
    made = ours - {name for _, name in bootstrapped}
    assert len(made) > 20
    assert {name for _, name in dev.gone} & made == set()


# The whole once more, among what the first time left


def take_bootstrap_down(prod: Prod) -> None:
    """What docs/terraform.md says under "Bootstrap itself"."""
    root = "terraform/bootstrap"
    prod.person("keyless bootstrap --aws --github-provider existing")
    here = {"bootstrap.tfstate": "terraform.tfstate"}
    here["bootstrap.tfvars.json"] = "bootstrap.auto.tfvars.json"
    for name, file in here.items():
        found = prod.admin("s3").get_object(Bucket=prod.bucket("state"), Key=name)
        (prod.project / root / file).write_bytes(found["Body"].read())
    prod.terraform(f"terraform -chdir={root} init -reconfigure")
    prod.terraform(f"terraform -chdir={root} apply -var 'state={{force_destroy=true}}'")
    prod.terraform(
        f"terraform -chdir={root} state rm 'module.environment_key[\"prod\"].aws_kms_key.data'"
    )
    prod.terraform(f"terraform -chdir={root} destroy -var 'state={{force_destroy=true}}'")
    for file in (*here.values(), "terraform.tfstate.backup"):
        (prod.project / root / file).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def nothing(
    prod: Prod, destroyed: subprocess.CompletedProcess[str], dev: Dev
) -> set[tuple[str, str]]:
    """What is left once bootstrap is taken down too. The last snapshot's key stays with it."""
    take_bootstrap_down(prod)
    return prod.standing()


def without_backups(standing: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """RDS keeps automated backups as it chooses."""
    return {entry for entry in standing if not entry[1].startswith("rds:keyless-prod-")}


def test_of_a_first_life_only_what_the_docs_name_is_left(
    prod: Prod, fresh: set[tuple[str, str]], nothing: set[tuple[str, str]]
) -> None:
    left = without_backups(nothing - fresh)
    [provider] = [name for kind, name in left if kind == "provider"]
    [key] = [name for kind, name in left if kind.startswith("key")]
    assert left == {
        ("key (Enabled)", key),
        ("provider", provider),
        ("secret (to be deleted)", "keyless-prod-third-party"),
        ("snapshot", "keyless-prod-final"),
    }
    assert fresh <= nothing


def dev_once_more(prod: Prod) -> None:
    """dev as its variables have it."""
    apply_dev(prod)
    prod.person("keyless destroy -e dev --aws --delete-data")


def apply_prod_once_more(prod: Prod) -> list[Any]:
    """A person does it, and approves what there is to change then: nothing."""
    prod.person(f"keyless plan -e prod --aws --github {REPOSITORY}")
    prod.person("keyless apply -e prod --aws")
    told = "keyless plan -e prod --aws --summary plan.md --changes changes.json"
    digest = prod.person(told).stdout.strip()
    approved = "keyless apply -e prod --aws --yes --expect-digest"
    prod.well("administrator", *approved.split()[1:], digest)
    prod.typed.add(f"{approved} DIGEST")
    changes: list[Any] = json.loads((prod.project / "changes.json").read_text())
    return changes


def keep_snapshot_under_another_name(prod: Prod) -> str:
    """As the table "The same again" has it; returns the key of the copy."""
    rds, last = prod.admin("rds"), "keyless-prod-final"
    copied = rds.copy_db_snapshot(
        SourceDBSnapshotIdentifier=last,
        TargetDBSnapshotIdentifier=f"{last}-1",
        KmsKeyId="alias/keyless-prod",
    )["DBSnapshot"]
    rds.delete_db_snapshot(DBSnapshotIdentifier=last)
    return str(copied["KmsKeyId"])


def key_of_prod(prod: Prod) -> str:
    key = prod.admin("kms").describe_key(KeyId="alias/keyless-prod")["KeyMetadata"]
    return str(key["KeyId"])


@dataclass
class Bootstrapped:
    """The beginning of a second life: what was refused, and dev, which is made and destroyed."""

    refused: str
    devs: Future[None]


@pytest.fixture(scope="module")
def bootstrapped_again(
    prod: Prod, nothing: set[tuple[str, str]], beside: ThreadPoolExecutor
) -> Bootstrapped:
    make = f"keyless bootstrap --aws --disposable dev -e prod --github {REPOSITORY}"
    refused = prod.person(make, codes=(1,)).stderr
    prod.person(make, "--github-provider", "existing")
    prod.sign_in_again()
    third_party = {"SecretId": "keyless-prod-third-party"}
    prod.admin("secretsmanager").delete_secret(**third_party, ForceDeleteWithoutRecovery=True)
    return Bootstrapped(refused, beside.submit(dev_once_more, prod))


def test_githubs_provider_of_a_first_life_is_others_to_the_second(
    bootstrapped_again: Bootstrapped,
) -> None:
    assert "has a GitHub OIDC provider that is not ours" in bootstrapped_again.refused
    assert "bootstrap --github-provider existing" in bootstrapped_again.refused


@pytest.fixture(scope="module")
def planned_again(prod: Prod, bootstrapped_again: Bootstrapped) -> list[Any]:
    """The second plan of the second prod."""
    return apply_prod_once_more(prod)


def test_a_second_life_has_a_second_plan_that_is_empty(planned_again: list[Any]) -> None:
    assert planned_again == []


def test_a_second_life_is_protected_as_the_first(prod: Prod, planned_again: list[Any]) -> None:
    refused = prod.person("keyless destroy -e prod --aws --delete-data", codes=(1,)).stderr
    assert "deletion protection is on" in refused
    assert "the last snapshot of an earlier prod is there: keyless-prod-final" in refused


@pytest.fixture(scope="module")
def keys(prod: Prod, nothing: set[tuple[str, str]], planned_again: list[Any]) -> tuple[str, str]:
    """prod's first key, which is let go once its snapshot is copied under the second."""
    [(_, old)] = [entry for entry in nothing if entry[0] == "key (Enabled)"]
    new = key_of_prod(prod)
    assert old != new
    assert keep_snapshot_under_another_name(prod).endswith(new)
    prod.admin("kms").schedule_key_deletion(KeyId=old, PendingWindowInDays=30)
    return old, new


def test_a_second_life_is_taken_down_as_the_first(
    prod: Prod, bootstrapped_again: Bootstrapped, keys: tuple[str, str]
) -> None:
    assert set(lift_protection(prod)) == {
        "module.artifact_store.aws_s3_bucket_policy.artifacts",
        "module.metadata_store.aws_db_instance.database",
    }
    prod.person("keyless destroy -e prod --aws --delete-data")
    bootstrapped_again.devs.result()


@pytest.fixture(scope="module")
def left_again(prod: Prod, keys: tuple[str, str]) -> set[tuple[str, str]]:
    """What is left of both lives, after the tests above."""
    take_bootstrap_down(prod)
    return prod.standing()


def test_a_second_life_leaves_what_the_first_left_and_its_own_snapshot(
    nothing: set[tuple[str, str]], keys: tuple[str, str], left_again: set[tuple[str, str]]
) -> None:
    old, new = keys
    left = without_backups(nothing) - {("key (Enabled)", old)}
    assert without_backups(left_again) == left | {
        ("key (PendingDeletion)", old),
        ("key (Enabled)", new),
        ("snapshot", "keyless-prod-final-1"),
    }


def test_what_a_local_run_leaves_off_is_exercised_here(prod: Prod, dev: Dev) -> None:
    reviewed = read_reviewed(prod.cloud.account_id, prod.cloud.region, "dev")
    done = [one for one in prod.home.decisions() if one["allowed"] and one["role"]]
    entries = [one for one in reviewed.documented if one.elsewhere]
    assert len(entries) > 10
    unused = [
        (action, entry.resources)
        for entry in entries
        for action in entry.actions
        if not any(
            one["action"] == action
            and any(fnmatchcase(one["role"], role) for role in entry.roles)
            and any(fnmatchcase(one["resource"], name) for name in entry.resources)
            for one in done
        )
    ]
    assert unused == []


def test_no_role_was_denied_anything(prod: Prod, dev: Dev) -> None:
    delivery = ("-apply", "-plan-main")
    denied = [one for one in prod.denied() if (one["role"] or "").endswith(delivery)]
    # The attempt to delete a version of prod's artifacts is the test's own.
    assert {one["action"] for one in denied} <= {"s3:DeleteObjectVersion"}, denied


def test_a_person_has_run_every_command_that_the_docs_have_for_people(
    prod: Prod, left_again: set[tuple[str, str]]
) -> None:
    assert set(RUN) - prod.typed == set()
