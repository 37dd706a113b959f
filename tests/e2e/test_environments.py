"""prod from bootstrap to nothing, by the commands of docs/terraform.md, as its own roles."""

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
from concurrent.futures import ThreadPoolExecutor
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
def applied(prod: Prod, bootstrapped: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What stands once prod is applied, with data and an overwritten object in its bucket."""
    prod.plan()
    prod.well("apply", "apply", "--yes")
    secret = {"SecretId": "keyless-prod-third-party", "SecretString": "kaggle-8d1f0c2b7e"}
    prod.admin("secretsmanager").put_secret_value(**secret)
    ingest = prod.client("ingest", "s3")
    for body in (b"rows", b"more rows"):
        ingest.put_object(Bucket=prod.bucket("artifacts"), Key="data/raw/a.csv", Body=body)
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
    [log] = prod.admin("ec2").describe_flow_logs()["FlowLogs"]
    assert log["TrafficType"] == "ALL"


def test_prod_has_no_way_to_the_internet(prod: Prod, applied: set[tuple[str, str]]) -> None:
    kinds = {kind for kind, _ in applied}
    assert not kinds & {"nat gateway", "internet gateway"}
    ec2 = prod.admin("ec2")
    endpoints = {one["ServiceName"] for one in ec2.describe_vpc_endpoints()["VpcEndpoints"]}
    assert {name.rpartition(".")[2] for name in endpoints} == {
        *("s3", "ssm", "ssmmessages", "logs", "autoscaling")
    }
    [instance] = [name for kind, name in applied if kind == "instance"]
    [[found]] = [
        group["Instances"]
        for group in ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    ]
    assert "PublicIpAddress" not in found


def test_prods_own_roles_did_it_and_were_denied_nothing(
    prod: Prod, applied: set[tuple[str, str]]
) -> None:
    made = [entry for entry in prod.home.decisions() if entry["action"] == "rds:CreateDBInstance"]
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


def test_a_person_applies_what_was_planned_and_nothing_else(
    prod: Prod, unchanged: Unchanged
) -> None:
    prod.person(f"keyless plan -e prod --aws --github {REPOSITORY}")
    told = "keyless plan -e prod --aws --summary plan.md --changes changes.json"
    digest = prod.person(told).stdout.strip()
    assert json.loads((prod.project / "changes.json").read_text()) == []
    approved = "keyless apply -e prod --aws --yes --expect-digest"
    prod.well("administrator", *approved.split()[1:], digest)
    prod.typed.add(f"{approved} DIGEST")


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
    return "\n".join(log.read_text() for log in prod.home.path.rglob("*.log"))


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
    assert {"cloud.json", "decisions.jsonl", "prod.tfplan"} <= {path.name for path in searched}
    for path in searched:
        content = path.read_bytes()
        assert {name for name, value in secrets.items() if value.encode() in content} == set(), path


# The way out


@pytest.fixture(scope="module")
def unprotected(prod: Prod, unchanged: Unchanged, secrets: dict[str, str]) -> dict[str, Any]:
    """What a teardown's variable changes, planned and applied by a person."""
    changes = prod.project / "teardown.json"
    prod.person("keyless plan -e prod --aws", "--changes", str(changes), teardown="true")
    prod.person("keyless apply -e prod --aws")
    return {change["address"]: change for change in json.loads(changes.read_text())}


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
def destroyed(prod: Prod, unprotected: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return prod.person("keyless destroy -e prod --aws --delete-data", codes=(0, 1))


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


# dev, in the same account, with what its variables leave off


LEFT_OFF = (
    ('"public_ip"', '"endpoints"\npark = true'),
    ("database = {", "database = {\n  monitoring = { interval_seconds = 60 }"),
    ("observability = {", 'observability = {\n  alert_emails = ["platform@example.org"]'),
)


@pytest.fixture(scope="module")
def dev(prod: Prod, destroyed: subprocess.CompletedProcess[str]) -> set[tuple[str, str]]:
    """What stands once CI applied dev with all that, and again with its endpoints alone."""
    variables = prod.project / "terraform" / "platform" / "environments" / "dev.tfvars"
    plain = text = variables.read_text()
    for here, there in LEFT_OFF:
        assert text.count(here) == 1
        text = text.replace(here, there)
    for content in (text, plain.replace('"public_ip"', '"endpoints"')):
        variables.write_text(content)
        prod.plan("dev:plan-main", "dev")
        prod.well("dev:apply", "apply", "-e", "dev", "--yes")
    return prod.standing()


def test_a_second_plan_of_dev_is_empty(prod: Prod, dev: set[tuple[str, str]]) -> None:
    assert prod.plan("administrator", "dev") == {}


def test_a_person_judges_the_token_of_a_job(prod: Prod, dev: set[tuple[str, str]]) -> None:
    token = github_token(prod.cloud, prod.devs.job("train"))
    claims = token.split(".")[1]
    whole = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
    (prod.project / "claims.json").write_bytes(whole)
    prod.person("keyless doctor --github --role keyless-dev-train --claims claims.json --aws")


@pytest.fixture(scope="module")
def gone(prod: Prod, dev: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What stands once a person destroyed dev with its data."""
    bucket = prod.bucket("artifacts").replace("prod", "dev")
    for body in (b"rows", b"more rows"):
        prod.admin("s3").put_object(Bucket=bucket, Key="data/raw/a.csv", Body=body)
    prod.person("keyless destroy -e dev --aws --delete-data")
    return prod.standing()


def test_a_person_destroys_dev_with_its_data(
    dev: set[tuple[str, str]], bootstrapped: set[tuple[str, str]], gone: set[tuple[str, str]]
) -> None:
    made = {name for _, name in dev if "keyless-dev" in name} - {n for _, n in bootstrapped}
    assert {name for _, name in gone} & made == set()


# The whole once more, among what the first time left


def take_bootstrap_down(prod: Prod) -> None:
    """What docs/terraform.md says under "Bootstrap itself", and the deletion of prod's key."""
    kms, root = prod.admin("kms"), "terraform/bootstrap"
    key = kms.describe_key(KeyId="alias/keyless-prod")["KeyMetadata"]["KeyId"]
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
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=30)


@pytest.fixture(scope="module")
def nothing(prod: Prod, gone: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What is left once bootstrap is taken down too."""
    take_bootstrap_down(prod)
    return prod.standing()


def test_of_a_first_life_only_what_the_docs_name_is_left(
    fresh: set[tuple[str, str]], nothing: set[tuple[str, str]]
) -> None:
    left = {entry for entry in nothing - fresh if not entry[1].startswith("rds:keyless-prod-")}
    [provider] = [name for kind, name in left if kind == "provider"]
    [key] = [name for kind, name in left if kind == "key (PendingDeletion)"]
    assert left == {
        ("key (PendingDeletion)", key),
        ("provider", provider),
        ("secret (to be deleted)", "keyless-prod-third-party"),
        ("snapshot", "keyless-prod-final"),
    }
    assert fresh <= nothing


@dataclass
class Again:
    """The second life: what was refused at its beginning, and what is left of it."""

    refused: str
    left: set[tuple[str, str]]


@pytest.fixture(scope="module")
def again(prod: Prod, nothing: set[tuple[str, str]]) -> Again:
    """Bootstrap once more, and taken down again."""
    make = f"keyless bootstrap --aws --disposable dev -e prod --github {REPOSITORY}"
    refused = prod.person(make, codes=(1,)).stderr
    prod.person(make, "--github-provider", "existing")
    take_bootstrap_down(prod)
    return Again(refused, prod.standing())


def test_githubs_provider_of_a_first_life_is_others_to_the_second(again: Again) -> None:
    assert "has a GitHub OIDC provider that is not ours" in again.refused
    assert "bootstrap --github-provider existing" in again.refused


def test_a_second_life_leaves_a_key_more_than_the_first(
    nothing: set[tuple[str, str]], again: Again
) -> None:
    assert {kind for kind, _ in again.left - nothing} == {"key (PendingDeletion)"}
    assert len(again.left - nothing) == 1
    assert nothing <= again.left


def test_what_a_local_run_leaves_off_is_exercised_here(
    prod: Prod, dev: set[tuple[str, str]]
) -> None:
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


def test_no_role_was_denied_anything(prod: Prod, dev: set[tuple[str, str]]) -> None:
    delivery = ("-apply", "-plan-main")
    denied = [one for one in prod.denied() if (one["role"] or "").endswith(delivery)]
    # The attempt to delete a version of prod's artifacts is the test's own.
    assert {one["action"] for one in denied} <= {"s3:DeleteObjectVersion"}, denied


def test_a_person_has_run_every_command_that_the_docs_have_for_people(
    prod: Prod, again: Again
) -> None:
    assert set(RUN) - prod.typed == set()
