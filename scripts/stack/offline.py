"""Plan the platform without an account: Terraform evaluates the code, the provider is a mock."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scripts.files import private_folder
from scripts.stack.binary import find_binary
from scripts.stack.roots import provider_cache, variables_file
from scripts.stack.stack import Event, Stack

_TESTS = "offline"
# Only what names and counts depend on; everything else may be made up by the mock.
_MOCKS = """\
mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b"] }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_default_tags" {
    defaults = { tags = {} }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_kms_alias" {
    defaults = { target_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { id = "us-east-1" }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0123456789abcdef0" }
  }
}

variables {
  github = { owner = "octo-org", owner_id = "1001", repository = "kit", repository_id = "2002" }
}
"""


def mocked_plans(
    project: Path,
    home: Path,
    environment: str,
    variants: Mapping[str, Mapping[str, Any]],
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Plan the environment's tfvars once for each variant, which sets variables on top of them.

    Returns plans, and reasons of those that the code refuses; a refused variant ends the run, so
    name it last. Works on a copy under `home` and asks no account. Raises StackError, or UserError
    for an unknown environment.
    """
    variables = variables_file(project / "terraform" / "platform", environment)
    copy = private_folder(home) / "offline"
    root = copy_terraform(project, copy) / "platform"
    (root / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    (root / _TESTS).mkdir()
    runs = "".join(_run(name, changed) for name, changed in variants.items())
    (root / _TESTS / "variants.tftest.hcl").write_text(_MOCKS + runs)
    stack = Stack(
        root,
        binary=find_binary(home),
        environment=_without_aws(),
        data_dir=copy / "data",
        var_files=[variables],
    )
    tell("terraform init")
    stack.init()

    def hear(event: Event) -> None:
        if event.get("type") == "test_run" and event.get("@testrun"):
            tell(f"plan {event['@testrun']}")

    return stack.test_plans(_TESTS, hear)


def _run(name: str, changed: Mapping[str, Any]) -> str:
    variables = "".join(f"    {key} = {json.dumps(value)}\n" for key, value in changed.items())
    return f'\nrun "{name}" {{\n  command = plan\n  variables {{\n{variables}  }}\n}}\n'


def copy_terraform(project: Path, target: Path) -> Path:
    """Replace `target`/terraform with a copy of the roots and modules; returns that folder."""
    copied = target / "terraform"
    shutil.rmtree(copied, ignore_errors=True)
    ignored = shutil.ignore_patterns(
        ".terraform", "tests", "examples", "*.tfstate*", "*.tftest.hcl"
    )
    shutil.copytree(project / "terraform", copied, ignore=ignored)
    return copied


def _without_aws() -> dict[str, str]:
    passed = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "TF_CLI_ARGS", "TF_WORKSPACE", "TF_VAR_"))
    }
    return {**provider_cache(passed), **passed}
