"""Terraform for tests: a copy of the code to run in, and an account of moto's to plan against."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from scripts.stack.attached import attached
from scripts.stack.binary import find_binary
from tests import ROOT
from tests.terraform.rendered import Document, inline, managed

PROJECT = ROOT
KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
GITHUB = 'github={owner="octo-org",owner_id="1001",repository="keyless-mlops",repository_id="2002"}'
# Only the tests have an emulator, so only they tell the provider how to live with one.
EMULATED = """
terraform {
  backend "local" {}
}

provider "aws" {
  s3_use_path_style = true
  max_retries       = 2
}
"""


@dataclass(frozen=True)
class Done:
    """How a run of Terraform ended, and what it printed."""

    code: int
    text: str


@dataclass(frozen=True)
class Terraform:
    """A copy of terraform/ in which commands may leave files."""

    folder: Path
    binary: str
    environment: Mapping[str, str]
    provider: Mapping[str, str] = field(default_factory=dict)
    """By what Terraform finds a provider that runs already; nothing: it starts its own."""

    def run(self, where: str, *arguments: str) -> Done:
        """Run one command in a folder of the copy."""
        provider = {} if arguments[0] == "init" else self.provider
        done = subprocess.run(
            [self.binary, *arguments, "-no-color"],
            cwd=self.folder / where,
            env={**self.environment, **provider},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        return Done(done.returncode, done.stdout)

    def init(self, where: str, *arguments: str) -> None:
        """Install the locked provider."""
        lock = self.folder / where / ".terraform.lock.hcl"
        if not lock.exists():
            shutil.copy(PROJECT / "terraform" / "platform" / lock.name, lock)
        done = self.run(where, "init", "-input=false", *arguments)
        assert done.code == 0, done.text

    def plan(self, root: str, *arguments: str, github: bool = True) -> Done:
        """Plan a root against the emulator; the plan is in tfplan."""
        override = self.folder / root / "emulated_override.tf"
        if not override.exists():
            override.write_text(EMULATED)
            self.init(root, "-reconfigure")
        given = ["-var", GITHUB] if github else []
        return self.run(
            root, "plan", "-input=false", "-out=tfplan", "-lock=false", *given, *arguments
        )

    def planned(self, root: str, *arguments: str, github: bool = True) -> Plan:
        """The plan of a root that can be planned."""
        done = self.plan(root, *arguments, github=github)
        assert done.code == 0, done.text
        return Plan(self.shown(root))

    def shown(self, root: str) -> dict[str, Any]:
        """The plan that was made last."""
        shown = subprocess.run(
            [self.binary, "show", "-json", "tfplan"],
            cwd=self.folder / root,
            env={**self.environment, **self.provider},
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(shown.stdout)
        return found


@dataclass(frozen=True)
class Plan:
    """What Terraform would do, from its JSON."""

    content: Mapping[str, Any]

    @cached_property
    def changes(self) -> list[dict[str, Any]]:
        """Every change of a managed resource that is not a no-op."""
        return [
            change
            for change in self.content.get("resource_changes", [])
            if change["mode"] == "managed" and change["change"]["actions"] != ["no-op"]
        ]

    @cached_property
    def after(self) -> dict[str, dict[str, Any]]:
        """Address -> planned arguments; what is not known yet is missing."""
        return {change["address"]: change["change"]["after"] or {} for change in self.changes}

    def inventory(self) -> dict[str, int]:
        """How many of each type there would be."""
        types = [change["type"] for change in self.changes]
        return {kind: types.count(kind) for kind in sorted(set(types))}


def environment(endpoint: str | None = None) -> dict[str, str]:
    """The caller's environment without AWS settings, and the emulator's endpoint."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    aws = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }
    return kept | aws | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})


@pytest.fixture(scope="session")
def account() -> Iterator[str]:
    """The endpoint of an account without IAM that has bootstrap's keys, enough for planning."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    kms = boto3.Session("testing", "testing", region_name="us-east-1").client(
        "kms", endpoint_url=endpoint
    )
    for name in ("dev", "prod"):
        key = kms.create_key(KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
        # Moto keeps one account for a process, and two folders of tests have such a server.
        with suppress(kms.exceptions.AlreadyExistsException):
            kms.create_alias(AliasName=f"alias/keyless-{name}", TargetKeyId=key)
    yield endpoint
    server.stop()


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory, account: str) -> Iterator[Terraform]:
    """Terraform in a copy of the code, with one process of the provider for all plans."""
    folder = tmp_path_factory.mktemp("terraform") / "terraform"
    skipped = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfplan")
    shutil.copytree(PROJECT / "terraform", folder, ignore=skipped)
    binary = find_binary(folder.parent)
    alone = Terraform(folder, binary.path, environment(account))
    shutil.copytree(PROJECT / "terraform" / "modules" / "network", folder.parent / "provider",
                    ignore=skipped)  # fmt: skip
    alone.init("../provider")
    data = folder.parent / "provider" / ".terraform"
    with attached(data, alone.environment) as provider:
        yield replace(alone, provider=provider)


@pytest.fixture(scope="session")
def bootstrap(terraform: Terraform) -> Plan:
    """The plan of bootstrap for dev and prod, with keys that are there, so that it knows them."""
    kms = boto3.Session("testing", "testing", region_name="us-east-1").client(
        "kms", endpoint_url=terraform.environment["AWS_ENDPOINT_URL"]
    )
    made = kms.describe_key(KeyId="alias/keyless-prod")["KeyMetadata"]["Arn"]
    everything = "allow_data_deletion=true,model_servers=true,pulumi=true"
    dev = f'dev={{{everything},kms_key_arn="{KEY}"}}'
    environments = f'environments={{{dev},prod={{kms_key_arn="{made}"}}}}'
    state = f'state={{kms_key_arn="{KEY}"}}'
    return terraform.planned("bootstrap", "-var", environments, "-var", state)


@pytest.fixture(scope="session")
def dev(terraform: Terraform) -> Plan:
    """The plan of the platform as dev."""
    return terraform.planned("platform", "-var-file=environments/dev.tfvars")


@pytest.fixture(scope="session")
def prod(terraform: Terraform) -> Plan:
    """The plan of the platform as prod."""
    return terraform.planned("platform", "-var-file=environments/prod.tfvars")


@pytest.fixture(scope="session")
def serving(terraform: Terraform) -> Plan:
    """The plan of the platform as dev with model servers and no way to the internet."""
    server = f'model_server={{model="breast-cancer",certificate_arn="{CERTIFICATE}"}}'
    given = ("-var-file=environments/dev.tfvars", "-var", "egress=endpoints", "-var", server)
    return terraform.planned("platform", *given)


@pytest.fixture(scope="session")
def keyed(terraform: Terraform) -> Plan:
    """Modules that are given what a plan of the platform does not know yet."""
    root = terraform.folder.parent / "keyed"
    root.mkdir()
    shutil.copy(Path(__file__).with_name("keyed.tf"), root / "main.tf")
    return terraform.planned("../keyed", github=False)


@pytest.fixture(scope="session")
def documents(bootstrap: Plan, dev: Plan, prod: Plan, serving: Plan, keyed: Plan) -> list[Document]:
    """Every policy that a role of the platform has: dev's, prod's, and those with a key."""
    inlines = [document for plan in (dev, prod, serving, keyed) for document in inline(plan)]
    return [*managed(bootstrap), *inlines]
