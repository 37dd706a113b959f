"""Prepare an account once; the state is kept in the bucket that this makes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.account.environment import GITHUB_HELP, Account, defines_github
from scripts.console import UserError
from scripts.names import GITHUB_HOST
from scripts.stack.binary import Binary
from scripts.stack.offline import copy_terraform
from scripts.stack.stack import Stack

STATE_KEY = "bootstrap.tfstate"
SETTINGS_KEY = "bootstrap.tfvars.json"
PROVIDER_ADDRESS = "aws_iam_openid_connect_provider.github"
"""The GitHub provider in the root, which Terraform refuses to destroy: others may use it."""


@dataclass(frozen=True)
class Found:
    """What there is of an earlier bootstrap. `settings` are those it was applied with."""

    bucket: bool
    state: Mapping[str, Any] | None
    interim: Mapping[str, Any] | None
    provider: bool
    settings: Mapping[str, Any] | None
    enterprise: str | None = None
    """ARN of a provider for one enterprise's own issuer, beside or in place of the common one."""

    def __str__(self) -> str:
        parts = [
            "a state bucket" if self.bucket else "no state bucket",
            "bootstrap's state in it" if self.state else "no state of bootstrap in it",
            "a GitHub OIDC provider" if self.provider else "no GitHub OIDC provider",
        ]
        if self.interim:
            parts.append("the state of an unfinished bootstrap on this machine")
        return "found " + ", ".join(parts)

    @property
    def owns_provider(self) -> bool:
        """Whether the provider is one that bootstrap made."""
        resources = (self.state or self.interim or {}).get("resources", ())
        return any(
            f"{one.get('type')}.{one.get('name')}" == PROVIDER_ADDRESS
            and one.get("mode") == "managed"
            and one.get("instances")
            for one in resources
        )


def working_folder(account: Account) -> Path:
    """Where the state is until the bucket has it.

    For an AWS account that is outside the project: `keyless down` deletes the project's state
    directory, and this file is all there is of a bootstrap that was interrupted.
    """
    if not account.aws:
        return account.home / "accounts" / account.name / "bootstrap"
    states = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(states, "keyless", account.name, "bootstrap")


def look(account: Account, folder: Path) -> Found:
    """See what an earlier bootstrap left, in the account and on this machine."""
    s3 = account.client("s3")
    providers = [
        entry["Arn"]
        for entry in account.client("iam").list_open_id_connect_providers()[
            "OpenIDConnectProviderList"
        ]
    ]
    common = f"oidc-provider/{GITHUB_HOST}"
    return Found(
        bucket=_exists(s3, account),
        state=_read(s3, account, STATE_KEY),
        interim=_interim(folder),
        provider=any(arn.endswith(common) for arn in providers),
        settings=_read(s3, account, SETTINGS_KEY),
        enterprise=next((arn for arn in providers if f"{common}/" in arn), None),
    )


def _exists(s3: Any, account: Account) -> bool:
    """Whether the account has its state bucket. Raises UserError if somebody else has its name."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=account.state_bucket, ExpectedBucketOwner=account.id)
    except ClientError as failure:
        code = failure.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            return False
        if code in ("403", "AccessDenied"):
            raise UserError(
                f"The bucket {account.state_bucket} is not this account's, or you may not see it",
                why="bucket names are shared by all of AWS, and this one is made of account and "
                "region, so a stranger may have registered it first",
                fix="as an administrator: aws s3api head-bucket --bucket "
                f"{account.state_bucket} --expected-bucket-owner {account.id}; if it is denied to "
                "you too, choose another region and tell AWS Support",
            ) from None
        raise
    return True


def _read(s3: Any, account: Account, key: str) -> Mapping[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        body = s3.get_object(Bucket=account.state_bucket, Key=key, ExpectedBucketOwner=account.id)[
            "Body"
        ].read()
    except ClientError as failure:
        if failure.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            return None
        raise
    found: Mapping[str, Any] = json.loads(body)
    return found


def _interim(folder: Path) -> Mapping[str, Any] | None:
    try:
        state: Mapping[str, Any] = json.loads((folder / STATE_KEY).read_bytes())
    except FileNotFoundError:
        return None
    return state if state.get("resources") else None


def check(account: Account, folder: Path, found: Found, provider: str) -> None:
    """Stop where going on would take or lose something. Raises UserError."""
    if found.state and found.interim and found.state["lineage"] != found.interim["lineage"]:
        raise UserError(
            "There are two states of bootstrap",
            why=f"one in {account.state_bucket}, another in {folder}",
            fix=f"if the bucket's is the right one, delete {folder}",
        )
    if found.bucket and not found.state and not found.interim:
        raise UserError(
            f"The bucket {account.state_bucket} exists, but nothing knows how it was made",
            why=f"neither {STATE_KEY} is in it, nor is there a state in {folder}",
            fix=f"bring back a version of {STATE_KEY}, or delete the bucket if it is empty: "
            f"aws s3api list-object-versions --bucket {account.state_bucket}",
        )
    if provider == "create" and found.provider and not found.owns_provider:
        raise UserError(
            "The account has a GitHub OIDC provider that is not ours",
            why="an account has one; taking it over would let a destroy remove it from others",
            fix=account.command("bootstrap --github-provider existing"),
        )
    if provider == "existing" and not found.provider:
        why = "--github-provider existing uses one that is there"
        if found.enterprise:
            why = (
                f"{found.enterprise} is for one enterprise's own issuer, whose slug is in every "
                "condition key; the platform's roles are for GitHub's common issuer, which an "
                "account may have beside it"
            )
        raise UserError(
            "The account has no GitHub OIDC provider for the common issuer",
            why=why,
            fix=account.command("bootstrap --github-provider create"),
        )


def settings(
    project: Path,
    found: Found,
    environments: Mapping[str, bool],
    github: Mapping[str, Any] | None,
    provider: str | None,
) -> dict[str, Any]:
    """Bootstrap's variables: those of the last time, with what is given now on top.

    `environments` says by name whether the apply role may empty the buckets. Raises UserError
    (exit code 2) if no environment or no repository is known.
    """
    known = dict(found.settings or {})
    for name, disposable in environments.items():
        before = known.get("environments", {})
        # What else was chosen for it stays: its key, model servers, Pulumi's state.
        chosen = {**before.get(name, {}), "allow_data_deletion": disposable}
        known["environments"] = {**before, name: chosen}
    if not known.get("environments"):
        raise UserError(
            "No environment is named",
            why="bootstrap makes the roles that plan and apply each environment",
            fix="name them: --disposable dev -e prod, and the repository: --github ...",
            exit_code=2,
        )
    if github is not None:
        known["github"] = dict(github)
    root = project / "terraform" / "bootstrap"
    if "github" not in known and not defines_github(root):
        raise UserError(
            "It is not known which GitHub repository is to be trusted",
            why="the roles trust one repository, by its ids",
            fix=GITHUB_HELP.replace("platform", "bootstrap"),
            exit_code=2,
        )
    if provider is not None:
        known["github_provider"] = provider
    return known


class Bootstrap:
    """The root in a working copy, since the backend's block comes in only after the bucket."""

    def __init__(
        self,
        account: Account,
        project: Path,
        folder: Path,
        binary: Binary,
        variables: Mapping[str, Any],
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.account = account
        self.folder = folder
        self.variables = dict(variables)
        self.root = copy_terraform(project, folder) / "bootstrap"
        self._data = folder / "data"
        self._binary = binary

    def stack(self, found: Found) -> Stack:
        """The root with the state where it is now."""
        if found.state:
            return self._stack("s3", {}, self.account.backend(STATE_KEY))
        # Forget another backend of an earlier attempt: there is nothing in it.
        (self._data / "terraform.tfstate").unlink(missing_ok=True)
        return self._stack("local", {"path": str(self.folder / STATE_KEY)}, None)

    def _stack(
        self, kind: str, block: Mapping[str, str], backend: Mapping[str, str] | None
    ) -> Stack:
        self._declare(kind, block)
        return Stack(
            self.root,
            binary=self._binary,
            environment=self.account.environment,
            data_dir=self._data,
            variables=self.variables,
            backend=backend,
        )

    def _declare(self, kind: str, block: Mapping[str, str]) -> None:
        document = {"terraform": {"backend": {kind: dict(block)}}}
        (self.root / "backend_override.tf.json").write_text(json.dumps(document))

    def let_go_of_provider(self, stack: Stack) -> None:
        """Take the GitHub provider out of the state; it stays in the account.

        Otherwise going from `create` to `existing` would delete it, from whoever uses it by now.
        Raises StackError.
        """
        if not stack.initialised:
            stack.init()
        for address in stack.resources():
            if address.startswith(PROVIDER_ADDRESS):
                stack.forget(address)

    def keep(self, stack: Stack, found: Found, tell: Callable[[str], None]) -> None:
        """Move the state into the bucket, store the settings there, and delete the local copies.

        Raises StackError, or UserError if the bucket's state differs from the local one after the
        move.
        """
        if not found.state:
            tell(f"moving the state to s3://{self.account.state_bucket}/{STATE_KEY}")
            here = stack.resources()
            self._declare("s3", {})
            stack.move_state(self.account.backend(STATE_KEY))
            if stack.resources() != here:
                raise UserError(
                    "The state in the bucket is not the one that was here",
                    why=f"the one that was here is kept in {self.folder / STATE_KEY}",
                    fix=f"{self.account.command('bootstrap')} again",
                )
        self.account.client("s3").put_object(
            Bucket=self.account.state_bucket,
            ExpectedBucketOwner=self.account.id,
            Key=SETTINGS_KEY,
            Body=json.dumps(self.variables, indent=2, sort_keys=True).encode(),
        )
        shutil.rmtree(self.folder)
