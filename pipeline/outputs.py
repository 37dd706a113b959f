"""The contract between Terraform and Python: one typed object, one loader."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import InputError, StepFailed

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

SCHEMA_VERSION = 1


RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
"""Roles are listed in terraform/roles.yaml alone: any name is taken here, but only with an ARN."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prefixes(_Part):
    """Key prefixes in the artifact bucket; each role's rights end at one or a few of them."""

    raw: str
    train: str
    holdout: str
    inputs: str
    contracts: str
    models: str
    references: str
    decisions: str
    predictions: str
    reports: str
    rollouts: str
    wheelhouse: str


class ArtifactStore(_Part):
    """The artifact bucket and the prefixes in it."""

    bucket: str
    kms_key_arn: str | None
    prefixes: Prefixes


class Database(_Part):
    """MLflow's database: how to find it, and who logs in."""

    identifier: str
    address: str
    port: int
    name: str
    user: str
    resource_id: str
    master_secret_arn: str


class Mlflow(_Part):
    """The MLflow server: its group, its port, and where artifacts go."""

    autoscaling_group_name: str
    ports: Mapping[str, int]
    artifact_root: str
    artifact_access: Literal["direct", "proxied"]
    instance_tags: Mapping[str, str]


class Sessions(_Part):
    """The session documents that lead to the server and its database."""

    documents: Mapping[str, str]
    """Names: the database's, and MLflow's by permission set (read, train, promote, operate)."""


class ServingSet(_Part):
    """One of the two sets of model servers: its Auto Scaling group and its target group."""

    autoscaling_group_name: str
    target_group_arn: str


class Serving(_Part):
    """The model servers of one model, and the load balancer before them."""

    model: str
    address: str
    listener_arn: str
    port: int
    session_document: str
    instance_tags: Mapping[str, str]
    blue: ServingSet
    green: ServingSet


class Parameters(_Part):
    """Names of SSM parameters: the contract's own, and the prefix of the champions of record."""

    platform: str
    champion_prefix: str


class Secrets(_Part):
    """Secrets that a step may read."""

    third_party_arn: str


class Github(_Part):
    """The repository whose jobs may assume the roles."""

    owner: str
    owner_id: str
    repository: str
    repository_id: str
    subject_format: Literal["immutable", "names"]


class Platform(_Part):
    """What `terraform/platform` made: its output `platform`, and the SSM parameter of that name."""

    schema_version: int = Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)
    environment: str
    region: str
    account_id: str
    prefix: str
    artifact_store: ArtifactStore
    database: Database
    mlflow: Mlflow
    sessions: Sessions
    roles: Mapping[str, RoleArn]
    parameters: Parameters
    secrets: Secrets
    metrics_namespace: str
    github: Github
    serving: Serving | None = None


def parse_platform(document: str | bytes | Mapping[str, Any], *, origin: str) -> Platform:
    """Read the contract from JSON; `origin` names where it came from in an error.

    Raises InputError when it is not JSON or not the contract.
    """
    try:
        raw = json.loads(document) if isinstance(document, str | bytes) else dict(document)
    except ValueError as error:
        raise InputError(f"{origin} is not JSON: {error}") from None
    if isinstance(raw, dict) and set(raw) == {"platform"} and isinstance(raw["platform"], dict):
        # The whole of `terraform output -json`, instead of the one output in it.
        raw = raw["platform"].get("value", raw["platform"])
    try:
        return Platform.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'document'}: {fault['msg']}"
            for fault in error.errors()[:5]
        )
        raise InputError(
            f"{origin} is not the platform's contract (schema version {SCHEMA_VERSION}): {faults}. "
            "Write it again with `keyless outputs`."
        ) from None


def load_platform(
    file: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    terraform_root: Path = Path("terraform/platform"),
) -> Platform:
    """Find the platform: a file, KEYLESS_PLATFORM (file or JSON), the SSM parameter, Terraform.

    The parameter is `/keyless/$KEYLESS_ENVIRONMENT/platform`. Terraform comes last, because a job
    that only trains has no right to read the state. Raises InputError when nothing names one.
    """
    if file is not None:
        return _from_file(file, "--platform")
    named = environ.get("KEYLESS_PLATFORM", "").strip()
    if named.startswith("{"):
        return parse_platform(named, origin="KEYLESS_PLATFORM")
    if named:
        return _from_file(Path(named), "KEYLESS_PLATFORM")
    environment = environ.get("KEYLESS_ENVIRONMENT", "").strip()
    if environment:
        return _from_parameter(f"/keyless/{environment}/platform")
    if (terraform_root / ".terraform").is_dir():
        return _from_terraform(terraform_root)
    raise InputError(
        "no platform is named: pass --platform FILE, or set KEYLESS_PLATFORM to the file that "
        "`keyless outputs` writes or KEYLESS_ENVIRONMENT to dev or prod; without AWS pass "
        "--local DIR."
    )


def _from_file(path: Path, option: str) -> Platform:
    try:
        return parse_platform(path.read_bytes(), origin=str(path))
    except OSError as error:
        raise InputError(f"{option} {path}: {error.strerror}") from None


def _from_parameter(name: str) -> Platform:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

    try:
        # boto3 alone reads AWS_DEFAULT_REGION only.
        region = os.environ.get("AWS_REGION") or None
        client: SSMClient = boto3.client("ssm", region_name=region)
        value = client.get_parameter(Name=name)["Parameter"]["Value"]
    except NoRegionError:
        raise InputError(
            f"the SSM parameter {name} cannot be read without a region: set AWS_REGION"
        ) from None
    except BotoCoreError as error:
        raise StepFailed(
            f"the SSM parameter {name} cannot be read: {error}; `keyless doctor --aws` says what "
            "is wrong with the way there"
        ) from None
    except ClientError as error:
        raise InputError(f"the SSM parameter {name} cannot be read: {error}") from None
    return parse_platform(value, origin=f"the SSM parameter {name}")


def _from_terraform(root: Path) -> Platform:
    binary = shutil.which("terraform") or shutil.which("tofu")
    if binary is None:
        raise InputError(
            f"{root} is initialised, but no terraform or tofu is on PATH to read its output with; "
            "pass --platform FILE."
        )
    from python_terraform import Terraform

    # All outputs at once: for a single one it expects an envelope that Terraform does not send.
    outputs = Terraform(working_dir=str(root), terraform_bin_path=binary).output()
    if not isinstance(outputs, dict) or "platform" not in outputs:
        raise InputError(f"{root} has no output `platform` yet: run `keyless up` first.")
    return parse_platform(outputs["platform"]["value"], origin=f"the output of {root}")
