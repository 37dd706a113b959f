"""The platform's Terraform root for an account: whose credentials, which state, which variables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.account.image import image_variable
from scripts.console import UserError
from scripts.files import private_folder
from scripts.names import platform_parameter, state_bucket
from scripts.stack import roots
from scripts.stack.binary import Binary
from scripts.stack.stack import Stack

if TYPE_CHECKING:
    from scripts.localcloud.home import Cloud

_REPOSITORY = re.compile(r"(?P<owner>[\w.-]+)@(?P<owner_id>\d+)/(?P<name>[\w.-]+)@(?P<id>\d+)")
_DEFINES_GITHUB = re.compile(r'(?m)^\s*"?github"?\s*[=:]')
GITHUB_HELP = (
    "give it once as --github OWNER@ID/REPOSITORY@ID, or for good in "
    "terraform/platform/github.auto.tfvars.json; "
    "gh api repos/OWNER/REPOSITORY --jq '.owner.id, .id' prints the ids"
)
# Variables that would change Terraform's answers or redirect it.
_NOT_PASSED = ("TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR", "TF_INPUT", "TF_STATE_PERSIST")


@dataclass(frozen=True)
class Account:
    """An AWS account and region, and the identity in whose name it is asked.

    `environment` is the whole environment of Terraform's processes; `client` makes boto3 clients
    by service name; `home` is the state directory that plans and Terraform's data go to. `aws` is
    set for a real account.
    """

    id: str
    region: str
    home: Path
    environment: Mapping[str, str]
    client: Callable[[str], Any]
    caller: str
    github: Mapping[str, Any] | None = None
    aws: bool = False

    def command(self, words: str) -> str:
        """The command that a user types to do something here, such as `bootstrap`."""
        return f"keyless {words}{' --aws' if self.aws else ''}"

    @property
    def name(self) -> str:
        """Account and region in one word, for folders and messages."""
        return f"{self.id}-{self.region}"

    @property
    def state_bucket(self) -> str:
        """The bucket of Terraform's state, as bootstrap names it."""
        return state_bucket(self.id, self.region)

    def backend(self, key: str) -> dict[str, str]:
        """Settings of the S3 backend for one state, with its own lock file."""
        return roots.backend(self.id, self.region, key)

    def plan_file(self, environment: str) -> Path:
        """Where the saved plan of an environment is kept."""
        return self.home / "plans" / self.name / f"{environment}.tfplan"


def callers_region() -> str:
    """The region that everything here is for: AWS_REGION, else the profile's.

    Raises UserError (exit code 2) if neither names one.
    """
    import boto3

    # boto3 alone would read AWS_DEFAULT_REGION only; the CLI and Terraform read both.
    region = boto3.Session(region_name=os.environ.get("AWS_REGION") or None).region_name
    if not region:
        raise UserError(
            "No AWS region is set",
            why="neither AWS_REGION nor the profile names one",
            fix="export AWS_REGION=us-east-1",
            exit_code=2,
        )
    return region


def callers_account(home: Path) -> Account:
    """The account of the caller's own AWS credentials.

    Raises UserError without a region, botocore's errors without usable credentials.
    """
    import boto3

    region = callers_region()
    session = boto3.Session(region_name=region)
    found = session.client("sts").get_caller_identity()
    passed = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED)}
    return Account(
        id=found["Account"],
        region=region,
        home=private_folder(home),
        environment={**roots.provider_cache(passed), **passed, "AWS_REGION": region},
        client=lambda service: session.client(service),  # type: ignore[call-overload]
        caller=found["Arn"],
        aws=True,
    )


def made_by_up(home: Path) -> bool:
    """Whether `keyless up` bootstrapped the local account, and keeps the state itself."""
    return (home / "terraform" / "bootstrap.tfstate").exists()


def how_to_bootstrap(home: Path, environment: str) -> str:
    """The command for an environment of the local account: `keyless up` makes dev alone."""
    if not made_by_up(home):
        return f"keyless bootstrap -e {environment}"
    return (
        "in a cloud of its own: python -m scripts.localcloud --home FOLDER, then keyless --home "
        f"FOLDER bootstrap -e {environment}"
    )


def local_account(cloud: Cloud, project: Path, environment: str, role: str) -> Account:
    """The running local cloud, in the name of `role`, or of the "administrator"."""
    from botocore.exceptions import ClientError

    from scripts.aws import sealed
    from scripts.aws.web_identity import AssumeRoleDenied
    from scripts.local_run.actors import Actors
    from scripts.local_run.roots import FEW_RETRIES
    from scripts.localcloud.home import administrator

    actors = Actors(cloud, environment, project)
    owner = administrator(cloud.home)
    try:
        credentials = owner if role == "administrator" else actors.credentials(role)
    except AssumeRoleDenied as denied:
        name = actors.role_arn(role).rpartition("/")[2]
        try:
            sealed.client(cloud, owner, "iam").get_role(RoleName=name)
        except ClientError:
            raise UserError(
                f"The local cloud has no role {name}",
                why=f"its account is not bootstrapped for {environment}",
                fix=how_to_bootstrap(cloud.home, environment),
            ) from denied
        raise
    process = actors.marked_environment(credentials, FEW_RETRIES)
    return Account(
        id=cloud.account_id,
        region=cloud.region,
        home=cloud.home,
        environment={**roots.provider_cache(process), **process},
        client=lambda service: sealed.client(cloud, credentials, service),
        caller=role,
        github=actors.repository.as_variable(),
    )


def platform_stack(
    account: Account,
    project: Path,
    environment: str,
    binary: Binary,
    repository: Mapping[str, Any] | None = None,
    *,
    image_required: bool = True,
) -> Stack:
    """`terraform/platform` of one environment with its state in the account's bucket.

    Raises UserError for an environment that has no tfvars, a repository that nobody names, or,
    unless it is to be destroyed or only read, an image that nobody pinned.
    """
    root = roots.platform_root(project)
    return roots.platform_stack(
        project,
        environment,
        binary=binary,
        account=account.id,
        region=account.region,
        process=account.environment,
        data_dir=account.home / "accounts" / account.name / environment,
        github=github_variable(account, root, environment, repository),
        image=image_variable(
            account.client,
            account.region,
            root,
            environment,
            local=not account.aws,
            required=image_required,
        ),
    )


def github_variable(
    account: Account, root: Path, environment: str, given: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Which repository the roles trust; None where Terraform reads it from a file or TF_VAR_github.

    Otherwise what was `given`, else what the environment was applied with, else, in a GitHub job,
    the repository that runs it. Raises UserError (exit code 2).
    """
    if given is not None or account.github is not None:
        return given or account.github
    if defines_github(root, roots.variables_file(root, environment)):
        return None
    applied = _applied_github(account, environment)
    if applied is not None:
        return applied
    running = os.environ.get("GITHUB_REPOSITORY", "").partition("/")
    ids = os.environ.get("GITHUB_REPOSITORY_OWNER_ID"), os.environ.get("GITHUB_REPOSITORY_ID")
    if running[2] and all(ids):
        # https://docs.github.com/en/actions/reference/workflows-and-actions/variables
        return {
            "owner": running[0],
            "owner_id": ids[0],
            "repository": running[2],
            "repository_id": ids[1],
        }
    raise UserError(
        "It is not known which GitHub repository may use the platform",
        why="the roles trust one repository, by its ids",
        fix=GITHUB_HELP,
        exit_code=2,
    )


def defines_github(root: Path, *files: Path) -> bool:
    """Whether Terraform finds the variable `github` by itself: in a file, or in TF_VAR_github."""
    automatic = [*root.glob("*.auto.tfvars"), *root.glob("*.auto.tfvars.json"), *files]
    return "TF_VAR_github" in os.environ or any(
        _DEFINES_GITHUB.search(file.read_text()) for file in automatic
    )


def _applied_github(account: Account, environment: str) -> Mapping[str, Any] | None:
    """What the contract in the account says, if there is one."""
    from botocore.exceptions import ClientError

    try:
        answer = account.client("ssm").get_parameter(Name=platform_parameter(environment))
        found = json.loads(answer["Parameter"]["Value"])["github"]
    except (ClientError, ValueError, KeyError):
        return None
    return found if isinstance(found, dict) else None


def parse_repository(text: str) -> dict[str, str]:
    """Read OWNER@ID/REPOSITORY@ID. Raises UserError (exit code 2)."""
    found = _REPOSITORY.fullmatch(text)
    if found is None:
        raise UserError(
            f"{text!r} does not name a repository with its ids",
            why="names alone can be registered again by somebody else",
            fix="write OWNER@ID/REPOSITORY@ID, for example octo-org@1001/keyless-mlops@2002; "
            "gh api repos/OWNER/REPOSITORY --jq '.owner.id, .id' prints the ids",
            exit_code=2,
        )
    return {
        "owner": found["owner"],
        "owner_id": found["owner_id"],
        "repository": found["name"],
        "repository_id": found["id"],
    }
