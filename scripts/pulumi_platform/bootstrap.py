"""Once for an account, by an administrator: what Pulumi and CI need before there is a platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi import ResourceOptions
from pulumi_aws import iam, s3

from scripts.pulumi_platform.basics import Account, Text, check, check_tags, every, fits, load
from scripts.pulumi_platform.buckets import Bucket, denials, make_bucket
from scripts.pulumi_platform.components.deployment_roles import (
    DeploymentRoles,
    DeploymentRolesArgs,
    PlatformRole,
    State,
)
from scripts.pulumi_platform.components.environment_key import EnvironmentKey, EnvironmentKeyArgs
from scripts.pulumi_platform.components.github_role import GithubRepository

ROLES = Path(__file__).resolve().parents[2] / "terraform" / "roles.yaml"
ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"


@dataclass
class Environment:
    """An environment to prepare; terraform/bootstrap/README.md says what each choice means."""

    allow_data_deletion: bool = False
    customer_managed_key: bool | None = None
    kms_key_arn: str | None = None
    model_servers: bool = False
    pulumi: bool = False

    @property
    def keyed(self) -> bool:
        """Whether its data has a key of its own: unless it is disposable, or says so."""
        wanted = self.customer_managed_key
        return self.kms_key_arn is not None or (
            not self.allow_data_deletion if wanted is None else wanted
        )


@dataclass
class StateBucket:
    """The state's key (None: S3's own), and what happens to what is in the bucket."""

    kms_key_arn: str | None = None
    force_destroy: bool = False
    expire_old_versions_days: int | None = None


@dataclass
class BootstrapArgs:
    """Arguments of Bootstrap: the variables of terraform/bootstrap."""

    environments: Mapping[str, Environment]
    github: GithubRepository
    github_provider: str = "create"
    state: StateBucket = field(default_factory=StateBucket)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ArgumentError for what would let CI delete data that must stay."""
        prod, days = self.environments.get("prod"), self.state.expire_old_versions_days
        check(
            bool(self.environments)
            and every(lambda name: fits(r"[a-z][a-z0-9]{1,11}", name), list(self.environments)),
            "environments must hold at least one name of 2 to 12 lower-case letters and digits, "
            "for example { dev = { allow_data_deletion = true }, prod = {} }.",
        )
        check(
            prod is None or not prod.allow_data_deletion,
            "environments.prod.allow_data_deletion must be false: nothing that runs in CI may "
            "delete prod's data.",
        )
        check(
            self.github_provider in ("create", "existing"),
            'github_provider must be "create" or "existing"; `aws iam list-open-id-connect-'
            "providers` shows whether the account has token.actions.githubusercontent.com.",
        )
        check(
            days is None or days >= 30,
            "state.expire_old_versions_days must be at least 30, or null to keep every version: "
            "state is brought back from them.",
        )
        check_tags(
            self.tags,
            ("Environment", "Project"),
            "tags cannot hold Environment or Project, nor one key in two spellings of upper and "
            "lower case: the kit sets them, and roles are scoped by the first.",
        )


def check_partition(partition: str) -> None:
    """Raise ArgumentError outside of commercial regions."""
    check(
        partition == "aws",
        f"This is the partition {partition}. STS compares GitHub's claims (repository_id, ref) in "
        "commercial regions alone, so the roles here could not tell one repository from another. "
        "Choose a commercial region.",
    )


class Bootstrap(pulumi.ComponentResource):
    """Bucket of the state, GitHub's provider, and each environment's key, boundaries and roles."""

    def __init__(self, name: str, args: BootstrapArgs, opts: ResourceOptions | None = None) -> None:
        """Make it. Raises ArgumentError where GitHub's claims would not be compared."""
        super().__init__("keyless:platform:Bootstrap", name, None, opts)
        self._args, self._account = args, Account.of(self)
        check_partition(self._account.partition)
        where = f"{self._account.id}-{self._account.region}"
        self.state_bucket_name = f"keyless-state-{where}"
        self.provider_arn = self._account.iam(f"oidc-provider/{ISSUER}")
        self._github_provider()
        self._bucket = self._state()
        self.environments = {
            each: self._environment(each, given) for each, given in args.environments.items()
        }
        self.exports: dict[str, Any] = {
            "environments": self.environments,
            "github_provider_arn": self.provider_arn,
            "state_bucket_name": self._bucket.bucket.id,
        }
        self.register_outputs(self.exports)

    def _github_provider(self) -> None:
        """An account has one, which others may use: destroy cannot take it from them.

        Where "existing" follows "create", `pulumi state delete` lets go of it first. No thumbprint:
        AWS trusts GitHub's certificate through its own store of authorities.
        """
        if self._args.github_provider == "create":
            iam.OpenIdConnectProvider(
                "github",
                url=f"https://{ISSUER}",
                client_id_lists=[AUDIENCE],
                opts=ResourceOptions(parent=self, protect=True),
            )
            return
        there = iam.get_open_id_connect_provider(
            arn=self.provider_arn, opts=pulumi.InvokeOptions(parent=self)
        )
        check(
            AUDIENCE in there.client_id_lists,
            "The account's GitHub provider does not accept the audience sts.amazonaws.com; add it: "
            "aws iam add-client-id-to-open-id-connect-provider --client-id sts.amazonaws.com "
            f"--open-id-connect-provider-arn {self.provider_arn}",
        )

    def _state(self) -> Bucket:
        state = self._args.state
        made = make_bucket(
            self,
            "state",
            self.state_bucket_name,
            denials(self._account.bucket(self.state_bucket_name), state.kms_key_arn),
            kms_key_arn=state.kms_key_arn,
            bucket_key=state.kms_key_arn is not None,
            force_destroy=state.force_destroy,
        )
        if state.expire_old_versions_days is not None:
            s3.BucketLifecycleConfigurationV2(
                "state",
                bucket=made.bucket.id,
                rules=[
                    {
                        "id": "expire-replaced-versions",
                        "status": "Enabled",
                        "filter": {},
                        "noncurrent_version_expiration": {
                            "noncurrent_days": state.expire_old_versions_days,
                            "newer_noncurrent_versions": 20,
                        },
                        "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                    }
                ],
                opts=ResourceOptions(parent=self, depends_on=[made.versioning]),
            )
        return made

    def _environment(self, name: str, environment: Environment) -> dict[str, Any]:
        key_arn: Text | None = None
        if environment.keyed:
            # Nothing that runs in CI may make, tag or rewrite a key.
            key_arn = EnvironmentKey(
                f"environment-key-{name}",
                EnvironmentKeyArgs(
                    name=f"keyless-{name}",
                    existing_arn=environment.kms_key_arn,
                    tags={"Environment": name},
                ),
                ResourceOptions(parent=self),
            ).arn
        state_key = f"{name}/platform.tfstate"
        roles = DeploymentRoles(
            f"environment-{name}",
            DeploymentRolesArgs(
                environment=name,
                github=self._args.github,
                provider_arn=self.provider_arn,
                roles={role: _role(given) for role, given in read_roles().items()},
                state=State(
                    self.state_bucket_name,
                    state_key,
                    self._args.state.kms_key_arn,
                    f"{name}/pulumi" if environment.pulumi else None,
                ),
                allow_data_deletion=environment.allow_data_deletion,
                kms_key_arn=key_arn,
                model_servers=environment.model_servers,
            ),
            ResourceOptions(parent=self),
        )
        return {
            "boundary_arn": roles.boundary_arn,
            "kms_key_arn": key_arn,
            "role_arns": roles.role_arns,
            "role_subjects": roles.role_subjects,
            "state_key": state_key,
        }


def read_roles() -> dict[str, dict[str, Any]]:
    """Every role of the platform, from the only list of them."""
    roles: dict[str, dict[str, Any]] = yaml.safe_load(ROLES.read_text())
    return roles


def _role(given: Mapping[str, Any]) -> PlatformRole:
    known = ("root", "context", "needs", "policies", "service")
    return load(PlatformRole, {name: given[name] for name in known if name in given})
