"""The values of a module, and what it refuses, without Terraform and without Pulumi."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.pulumi_platform import arguments
from scripts.pulumi_platform.module import MODULES, Facts, Module, NotKnownYet
from scripts.pulumi_platform.operations import HclError
from scripts.pulumi_platform.variables import ArgumentError
from scripts.stack.docs import inputs
from tests.pulumi.configurations import CONFIGURATIONS, NAME, REFUSED
from tests.pulumi.parity import FACTS

CHINA = Facts("123456789012", "aws-cn", "cn-north-1")
WRITTEN = """
variable "names" {
  type    = list(string)
  default = ["a"]
}

locals {
  upper = "${var.names[0]}-${data.aws_region.current.id}"
}

data "aws_iam_policy_document" "it" {
  statement {
    actions       = ["s3:GetObject"]
    not_resources = ["b", "a"]

    dynamic "condition" {
      for_each = var.names
      content {
        test     = "StringLike"
        variable = "aws:username"
        values   = [condition.value]
      }
    }

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}
"""


@pytest.fixture(scope="module")
def store() -> Module:
    return Module(MODULES / "artifact_store")


def written(folder: Path, text: str) -> Module:
    (folder / "main.tf").write_text(text)
    return Module(folder)


def test_arguments_have_the_modules_variables_and_nothing_else(store: Module) -> None:
    described = {each.name: each for each in inputs(MODULES / "artifact_store")}
    keys = arguments.ArtifactStoreArgs.__annotations__
    assert keys.keys() == described.keys() == store.variables.keys()
    required = {name for name, each in described.items() if each.default is None}
    assert arguments.ArtifactStoreArgs.__required_keys__ == required
    for name, kind in {
        "access_logs": arguments.AccessLogs,
        "lifecycle_rules": arguments.LifecycleRules,
    }.items():
        assert store.values(NAME).variable(name).keys() == kind.__annotations__.keys()


def test_defaults_within_an_object_are_kept_beside_what_is_given(store: Module) -> None:
    values = store.values(NAME | {"lifecycle_rules": {"infrequent_access_days": 0}})
    assert values.variable("lifecycle_rules") == {
        "abort_uploads_after_days": 7,
        "infrequent_access_days": 0,
        "expire_old_versions_days": 365,
        "kept_old_versions_per_file": None,
    }
    assert values.variable("kms_key_arn") is None


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_are_accepted(store: Module, name: str) -> None:
    store.values(CONFIGURATIONS[name], Facts(**FACTS)).check()


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_module_refuses_is_refused_in_its_words(store: Module, name: str) -> None:
    given, message = REFUSED[name]
    with pytest.raises(ArgumentError) as refused:
        store.values(given)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "name is missing: the module has no default for it."),
        (NAME | {"access_log": {}}, "access_log is not known here; there are access_logs, "),
        (
            NAME | {"access_logs": {"enable": False}},
            "access_logs.enable is not known here; there are enabled, retention_days.",
        ),
        (
            NAME | {"access_logs": True},
            "access_logs must have enabled, retention_days, not True.",
        ),
        (NAME | {"force_destroy": "yes"}, "force_destroy must be true or false, not 'yes'."),
        (
            NAME | {"lifecycle_rules": {"infrequent_access_days": True}},
            "lifecycle_rules.infrequent_access_days must be a number, not True.",
        ),
        (NAME | {"tags": {"Team": 1}}, "tags.Team must be text, not 1."),
        (NAME | {"tags": ["Team"]}, "tags must be a map, not ['Team']."),
        (NAME | {"version_deleter_arns": "arn"}, "version_deleter_arns must be a list, not 'arn'."),
        (NAME | {"version_deleter_arns": [1]}, "version_deleter_arns[0] must be text, not 1."),
    ],
)
def test_what_does_not_fit_a_variables_type_is_refused(
    store: Module, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError) as refused:
        store.values(given)
    assert str(refused.value).startswith(message)


def test_names_and_arns_are_of_the_accounts_partition(store: Module) -> None:
    values = store.values(NAME, CHINA)
    assert values.local("bucket_arn") == (
        "arn:aws-cn:s3:::keyless-dev-artifacts-123456789012-cn-north-1"
    )
    assert "arn:aws:" not in values.policy("artifacts") + values.policy("access_logs")


def test_a_value_that_is_not_known_yet_is_not_taken_for_its_default(store: Module) -> None:
    values = store.values(NAME, CHINA, unknown=["kms_key_arn"])
    assert values.made("aws_s3_bucket_lifecycle_configuration.artifacts")
    with pytest.raises(NotKnownYet, match="kms_key_arn"):
        values.policy("artifacts")


def test_before_the_account_is_known_names_are_not(store: Module) -> None:
    with pytest.raises(HclError, match="data is not known here"):
        store.values(NAME).local("bucket_name")


def test_a_policy_document_is_rendered_as_the_provider_does(tmp_path: Path) -> None:
    values = written(tmp_path, WRITTEN).values({"names": ["x", "y"]}, CHINA)
    assert json.loads(values.policy("it")) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": "s3:GetObject",
                "NotResource": ["a", "b"],
                "Condition": {"StringLike": {"aws:username": ["x", "y"]}},
            }
        ],
    }
    assert values.local("upper") == "x-cn-north-1"


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("statement {", "source_policy_documents = []\n  statement {", "source_policy_documents"),
        ("not_resources", "not_resource", "not_resource"),
        ("for_each = var.names", "for_each = {}", "dynamic 'condition' over"),
    ],
)
def test_what_a_policy_document_cannot_have_here_is_named(
    tmp_path: Path, before: str, after: str, what: str
) -> None:
    assert before in WRITTEN
    module = written(tmp_path, WRITTEN.replace(before, after))
    with pytest.raises(HclError, match=what):
        module.values({}, CHINA).policy("it")
