"""The trust policies that Terraform renders are the ones the workflows were tried against."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from scripts.stack.binary import find_binary
from tests import ROOT
from tests.actions_runner.github import Repository
from tests.workflows.project import REPOSITORY
from tests.workflows.test_trust import FILES
from tests.workflows.trusts import ACCOUNT, MAIN, ROLES, role_arn, trust_document

pytestmark = pytest.mark.terraform

ROOT_MODULE = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.100.0, < 7.0.0" }
  }
}

provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
}

variable "pinned" { type = map(string) }
variable "variants" { type = any }

locals {
  roles        = yamldecode(file("${path.module}/terraform/roles.yaml"))
  workload = {
    for name, role in local.roles : name => role if role.root == "platform" && can(role.context)
  }
  provider_arn = "arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com"
  prefixes = { for name in ["contracts", "decisions", "holdout", "inputs", "models", "predictions",
    "raw", "references", "reports", "train"] : name => "${name}/" }
}

module "bootstrap" {
  source   = "./terraform/modules/deployment_roles"
  for_each = var.variants

  allow_data_deletion = false
  environment         = each.value.environment
  github              = each.value.github
  provider_arn        = local.provider_arn
  roles               = local.roles
  state               = { bucket_name = "state", key = "platform.tfstate" }
}

module "workload" {
  source   = "./terraform/modules/workload_roles"
  for_each = var.variants

  artifacts                 = { bucket_name = "artifacts", prefixes = local.prefixes }
  champion_parameter_prefix = "/keyless/${each.value.environment}/champion/"
  database                  = { identifier = "keyless-${each.value.environment}" }
  environment               = each.value.environment
  github                    = each.value.github
  job_workflow_refs         = each.value.pinned ? var.pinned : {}
  metrics_namespace         = "Keyless/${each.value.environment}"
  name                      = "keyless-${each.value.environment}"
  platform_parameter_name   = "/keyless/${each.value.environment}/platform"
  provider_arn              = local.provider_arn
  roles                     = local.workload
  server                    = { session_documents = { database = "database", mlflow = "mlflow" } }
}
"""
WORKLOAD = [name for name, role in ROLES.items() if role.root == "platform"]
VARIANTS: dict[str, tuple[Repository, str, bool]] = {
    "dev": (REPOSITORY, "dev", False),
    "prod": (REPOSITORY, "prod", False),
    "names": (replace(REPOSITORY, subject_format="names"), "dev", False),
    "pinned": (REPOSITORY, "dev", True),
}


def _github(repository: Repository) -> dict[str, str]:
    return {
        "owner": repository.owner,
        "owner_id": repository.owner_id,
        "repository": repository.name.partition("/")[2],
        "repository_id": repository.id,
        "subject_format": repository.subject_format,
    }


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    """The address of an emulator that says which account this is; a plan asks for no more."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def rendered(account: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Trust documents by variant and role name, out of a real plan of the project's modules."""
    folder = tmp_path_factory.mktemp("root")
    # Copied: a module's own relative sources may not leave the package that it came in.
    ignored = shutil.ignore_patterns(".terraform", "*.tfstate*")
    shutil.copytree(ROOT / "terraform", folder / "terraform", ignore=ignored)
    shutil.copy2(ROOT / "terraform/bootstrap/.terraform.lock.hcl", folder)
    (folder / "main.tf").write_text(ROOT_MODULE.replace("ACCOUNT", ACCOUNT))
    pinned = {
        role: f"{REPOSITORY.name}/.github/workflows/{FILES[role]}@{MAIN}" for role in WORKLOAD
    }
    variants = {
        name: {"github": _github(repository), "environment": environment, "pinned": pins}
        for name, (repository, environment, pins) in VARIANTS.items()
    }
    values = json.dumps({"pinned": pinned, "variants": variants})
    (folder / "terraform.tfvars.json").write_text(values)
    terraform = find_binary(folder).path
    keep = ("PATH", "HOME", "TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR", "SSL_CERT_FILE")
    environment = {name: os.environ[name] for name in keep if name in os.environ} | {
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_ENDPOINT_URL": account,
        "CHECKPOINT_DISABLE": "1",
    }
    for command in (
        ["init", "-lockfile=readonly"],
        ["plan", "-out", "plan"],
        ["show", "-json", "plan"],
    ):
        done = subprocess.run(
            [terraform, *command], cwd=folder, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = {}
    for resource in json.loads(done.stdout)["planned_values"]["root_module"]["child_modules"]:
        variant = resource["address"].partition('["')[2].partition('"')[0]
        for module in resource["child_modules"]:
            for role in module["resources"]:
                if role["type"] == "aws_iam_role":
                    document = json.loads(role["values"]["assume_role_policy"])
                    found.setdefault(variant, {})[role["values"]["name"]] = document
    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_role_is_rendered_as_the_rules_say(rendered: dict[str, Any], variant: str) -> None:
    repository, environment, pins = VARIANTS[variant]
    expected = {
        role_arn(environment, role).rpartition("/")[2]: trust_document(
            repository,
            environment,
            role,
            workflow=FILES[role] if pins and role in WORKLOAD else None,
        )
        for role in ROLES
    }
    assert rendered[variant] == expected
