"""Every name of the platform: its roles (terraform/roles.yaml), resources and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from scripts.console import UserError

ROLES_FILE = Path(__file__).resolve().parents[1] / "terraform" / "roles.yaml"
GITHUB_HOST = "token.actions.githubusercontent.com"
"""Prefix of the condition keys in a trust policy, and end of the OIDC provider's ARN."""
GITHUB_ISSUER = f"https://{GITHUB_HOST}"
RDS_CERTIFICATES = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"


@dataclass(frozen=True)
class Role:
    """One role of terraform/roles.yaml, whose head says what each field means."""

    name: str
    root: Literal["bootstrap", "platform"]
    context: str | None = None
    service: str | None = None
    workflow: str | None = None
    reviewers: bool = False
    policies: tuple[str, ...] = ()
    storage: Mapping[str, list[str]] = field(default_factory=dict, hash=False)
    session: str | None = None
    stage: int | None = None
    needs: str | None = None

    def github_environment(self, environment: str) -> str | None:
        """The GitHub environment of the one job that may assume it; None if there is none."""
        kind, _, name = (self.context or "").partition(":")
        return name.replace("{environment}", environment) if kind == "environment" else None


@cache
def roles(file: Path = ROLES_FILE) -> Mapping[str, Role]:
    """Every role by name, in the order of the file. Raises UserError (exit code 2)."""
    import yaml

    try:
        listed = yaml.safe_load(file.read_text(encoding="utf-8"))
        return {name: _role(name, entry) for name, entry in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise UserError(
            f"{file} is not a list of roles",
            why=str(error),
            fix="compare it with its head, which says what each field means",
            exit_code=2,
        ) from None


def _role(name: str, entry: Mapping[str, Any]) -> Role:
    known = {one.name for one in fields(Role)} - {"name"}
    if unknown := sorted(set(entry) - known):
        raise ValueError(f"{name}: there is no field {unknown[0]}; use {', '.join(sorted(known))}")
    if entry.get("root") not in ("bootstrap", "platform"):
        raise ValueError(f"{name}: root must be bootstrap or platform")
    if ("context" in entry) == ("service" in entry):
        raise ValueError(f"{name}: give a context or a service, and not both")
    if "context" in entry and "workflow" not in entry:
        raise ValueError(f"{name}: name the workflow that runs its job")
    return Role(name, **{**entry, "policies": tuple(entry.get("policies", ()))})


def job_roles(*parts: str) -> list[Role]:
    """The roles that jobs on GitHub assume, of a platform with these parts beside the usual."""
    return [
        found
        for found in roles().values()
        if found.context is not None and found.needs in (None, *parts)
    ]


def job_role(name: str) -> Role:
    """The role of that name. Raises UserError (exit code 2) if no job on GitHub assumes one."""
    found = roles().get(name)
    if found is None or found.context is None:
        raise UserError(
            f"No job on GitHub assumes a role {name!r}",
            why=f"terraform/roles.yaml lists {', '.join(one.name for one in job_roles())}",
            exit_code=2,
        )
    return found


def stages() -> list[Role]:
    """The roles of the main flow's steps, in the order in which the steps run."""
    found = [(one.stage, one) for one in roles().values() if one.stage is not None]
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def opener(session: str) -> Role:
    """The first role that may open the session document. Raises UserError (exit code 2).

    No role opens `operate`, which is for people.
    """
    found = next((one for one in roles().values() if one.session == session), None)
    if found is None:
        raise UserError(
            f"No role may open the session document {session!r}",
            why="terraform/roles.yaml gives it to none",
            exit_code=2,
        )
    return found


def prefix(environment: str) -> str:
    """What the name of everything in an environment begins with."""
    return f"keyless-{environment}"


def server_tags(environment: str) -> dict[str, str]:
    """The tags by which clients find the MLflow server's instance."""
    return {"Environment": environment, "Role": "mlflow"}


def session_document(environment: str, kind: str) -> str:
    """The session document of that kind, such as `mlflow` or `database`."""
    return f"{prefix(environment)}-{kind}-session"


def role_name(environment: str, role: str) -> str:
    """A role's name in AWS."""
    return f"{prefix(environment)}-{role}"


def role_arn(account: str, environment: str, role: str) -> str:
    """A role's ARN."""
    return f"arn:aws:iam::{account}:role/{role_name(environment, role)}"


def state_bucket(account: str, region: str) -> str:
    """The bucket of Terraform's state, one for an account and region."""
    return f"keyless-state-{account}-{region}"


def state_key(environment: str) -> str:
    """Where the state of an environment's platform is in that bucket."""
    return f"{environment}/platform.tfstate"


def pulumi_prefix(stack: str) -> str:
    """Below what Pulumi keeps a stack in that bucket: `pulumi login s3://BUCKET/PREFIX`."""
    return f"{stack}/pulumi"


def pulumi_state_key(stack: str) -> str:
    """Where Pulumi keeps the state of a stack in that bucket."""
    return f"{pulumi_prefix(stack)}/.pulumi/stacks/keyless-platform/{stack}.json"


def launch_template(environment: str) -> str:
    """The launch template of the MLflow server's instances."""
    return f"{prefix(environment)}-mlflow"


def platform_parameter(environment: str) -> str:
    """The SSM parameter that holds the platform's contract."""
    return f"/keyless/{environment}/platform"
