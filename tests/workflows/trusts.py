"""Trust policies of every role: by the rules that terraform/modules/github_role follows."""

from collections.abc import Mapping
from typing import Any

from scripts.iam.engine.documents import Policy, parse_policy
from scripts.names import GITHUB_HOST, job_roles
from tests.actions_runner.github import Repository

ACCOUNT = "123456789012"
MAIN = "refs/heads/main"
ROLES = {role.name: role for role in job_roles("model_server")}
"""Every role that a job on GitHub assumes, from terraform/roles.yaml."""


def role_arn(environment: str, role: str) -> str:
    """The ARN that Terraform gives a role."""
    return f"arn:aws:iam::{ACCOUNT}:role/keyless-{environment}-{role}"


def trust_document(
    repository: Repository, environment: str, role: str, *, workflow: str | None = None
) -> dict[str, Any]:
    """A role's trust policy; `workflow` is the file that it pins by job_workflow_ref, if any."""
    name = ROLES[role].github_environment(environment)
    context = "pull_request" if name is None else f"environment:{name}"
    owner, _, short = repository.name.partition("/")
    identity = (
        f"{owner}@{repository.owner_id}/{short}@{repository.id}"
        if repository.subject_format == "immutable"
        else repository.name
    )
    claims = {
        "aud": "sts.amazonaws.com",
        "sub": f"repo:{identity}:{context}",
        "repository_id": repository.id,
    }
    if name is not None:
        claims["ref"] = MAIN
    if workflow is not None:
        claims["job_workflow_ref"] = f"{repository.name}/.github/workflows/{workflow}@{MAIN}"
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB_HOST}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OneExactGitHubContext",
                "Effect": "Allow",
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Principal": {"Federated": provider},
                "Condition": {
                    "StringEquals": {f"{GITHUB_HOST}:{key}": value for key, value in claims.items()}
                },
            }
        ],
    }


def trusts(
    repository: Repository,
    environments: tuple[str, ...] = ("dev", "prod"),
    workflows: Mapping[str, str] | None = None,
) -> dict[str, Policy]:
    """Every role's trust policy by ARN; `workflows` names the pinned file by role."""
    pinned = workflows or {}
    return {
        role_arn(environment, role): parse_policy(
            trust_document(repository, environment, role, workflow=pinned.get(role)),
            name=f"{environment}-{role}",
            kind="trust",
        )
        for environment in environments
        for role in ROLES
    }
