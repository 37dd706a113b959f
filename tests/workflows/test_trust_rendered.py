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

from scripts.github.issuers import AUDIENCE
from scripts.github.trust import judge
from scripts.iam.engine import parse_policy
from scripts.iam.trust_lint import Setting, lint
from scripts.iam.trust_lint.written import refusals
from scripts.localcloud.sts.issuer import Job, claims
from scripts.names import GITHUB_HOST, GITHUB_ISSUER
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

variable "cases" { type = any }
variable "pinned" { type = map(string) }
variable "variants" { type = any }

locals {
  roles        = yamldecode(file("${path.module}/terraform/roles.yaml"))
  workload = {
    for name, role in local.roles : name => role if role.root == "platform" && can(role.context)
  }
  provider_arn = "arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com"
  prefixes = { for name in ["contracts", "decisions", "holdout", "inputs", "models", "predictions",
    "raw", "references", "reports", "rollouts", "train"] : name => "${name}/" }
}

module "role" {
  source   = "./terraform/modules/github_role"
  for_each = var.cases

  name             = each.key
  context          = each.value.context
  github           = each.value.github
  job_workflow_ref = lookup(each.value, "job_workflow_ref", null)
  merge_queue      = lookup(each.value, "merge_queue", null)
  provider_arn     = "arn:aws:iam::ACCOUNT:oidc-provider/${each.value.provider}"
  ref              = lookup(each.value, "ref", null)
  subject_template = lookup(each.value, "template", null)
  template_values  = lookup(each.value, "template_values", {})
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
  server = {
    session_documents = { database = "database", read = "r", train = "t", promote = "p" }
  }
  serving = {
    autoscaling_group_names = ["blue", "green"]
    balancer_name           = "serve"
    session_document        = "s"
    ssl_policy              = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  }
}
"""
WORKLOAD = [name for name, role in ROLES.items() if role.root == "platform"]
VARIANTS: dict[str, tuple[Repository, str, bool]] = {
    "dev": (REPOSITORY, "dev", False),
    "prod": (REPOSITORY, "prod", False),
    "names": (replace(REPOSITORY, subject_format="names"), "dev", False),
    "pinned": (REPOSITORY, "dev", True),
}

SHARED = "octo-org/workflows/.github/workflows/deploy.yml@" + "8f4b7f84" * 5
# What of github_role a case sets, and the job that may assume the role.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "enterprise": (
        {"provider": f"{GITHUB_HOST}/octo", "context": "environment:prod", "ref": MAIN},
        {"issuer": f"{GITHUB_ISSUER}/octo", "environment": "prod"},
    ),
    "ghe-com": (
        {"provider": "token.actions.octo.ghe.com", "context": f"ref:{MAIN}", "ref": MAIN},
        {"issuer": "https://token.actions.octo.ghe.com"},
    ),
    "server": (
        {"provider": "github.example.internal/_services/token", "context": "environment:prod"},
        {"issuer": "https://github.example.internal/_services/token", "environment": "prod"},
    ),
    "workflow-in-the-subject": (
        {
            "provider": GITHUB_HOST,
            "context": "environment:prod",
            "ref": MAIN,
            "job_workflow_ref": SHARED,
            "template": ["repo", "job_workflow_ref"],
        },
        {
            "environment": "prod",
            "job_workflow_ref": SHARED,
            "subject_template": ["repo", "job_workflow_ref"],
        },
    ),
    "ref-first": (
        {
            "provider": GITHUB_HOST,
            "context": f"ref:{MAIN}",
            "ref": MAIN,
            "template": ["ref", "repo", "repository_owner_id"],
        },
        {"subject_template": ["ref", "repo", "repository_owner_id"]},
    ),
    "pull-request-into-main": (
        {
            "provider": GITHUB_HOST,
            "context": "pull_request",
            "template": ["repo", "context", "base_ref"],
            "template_values": {"base_ref": "main"},
        },
        {
            "event_name": "pull_request",
            "ref": "refs/pull/7/merge",
            "base_ref": "main",
            "subject_template": ["repo", "context", "base_ref"],
        },
    ),
    "merge-queue": (
        {"provider": GITHUB_HOST, "context": "environment:dev-queue", "merge_queue": "main"},
        {
            "event_name": "merge_group",
            "ref": "refs/heads/gh-readonly-queue/main/pr-7-" + "a" * 40,
            "environment": "dev-queue",
        },
    ),
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
    cases = {name: {**case, "github": _github(REPOSITORY)} for name, (case, _) in CASES.items()}
    values = json.dumps({"cases": cases, "pinned": pinned, "variants": variants})
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
        for module in resource.get("child_modules", [resource]):
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


@pytest.mark.parametrize("name", CASES)
def test_the_module_renders_what_linter_and_judge_call_right(
    rendered: dict[str, Any], name: str
) -> None:
    [document] = rendered[name].values()
    found = lint(document, Setting(name, writes=()))
    assert [finding.rule for finding in found.findings if finding.severity != "note"] == []
    assert found.not_judged == ()
    assert found.reach[name].level == "contexts"
    job = Job(repository=REPOSITORY.name, repository_id=REPOSITORY.id,
              repository_owner_id=REPOSITORY.owner_id, **CASES[name][1])  # fmt: skip
    trust = parse_policy(document, name=name, kind="trust")
    role = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    assert judge(role, trust, claims(job, AUDIENCE, 0)).reasons == ()
    others = [{"repository": "octo-org/other", "repository_id": "9"}]
    if job.environment:
        others.append({"environment": "x"})
    for change in others:
        other = job.model_copy(update=change)
        assert not judge(role, trust, claims(other, AUDIENCE, 0)).allowed
    assert next(refusals(trust), None) is None
