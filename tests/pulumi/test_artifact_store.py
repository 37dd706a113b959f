"""The Pulumi component against the plan of the module that it follows, and both against errors."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.pulumi.configurations import CONFIGURATIONS, KEY, NAME, REFUSED
from tests.pulumi.conftest import plan_modules, recorded, write_root
from tests.pulumi.parity import differences, planned, registered
from tests.terraform.conftest import PROJECT, Plan, Terraform

pytestmark = pytest.mark.terraform

COMPONENT = "artifact_store"
MODULE = Path("terraform/modules/artifact_store")
PACKAGE = Path("scripts/pulumi_platform")
SOURCE = f"../{MODULE}"

# A file, a text in it, another text, and what then differs.
Change = tuple[str, str, str, str]

# In the module alone. Values reach the component by themselves; what is written in Python too has
# to be followed there.
VALUES: dict[str, Change] = {
    "bucket_name": ("main.tf", "-artifacts-", "-store-", "aws_s3_bucket.artifacts.bucket"),
    "denied_action": (
        "policy.tf",
        '"s3:DeleteObjectVersion"',
        '"s3:DeleteObject"',
        "aws_s3_bucket_policy.artifacts.policy",
    ),
    "default_days": (
        "variables.tf",
        "optional(number, 365)",
        "optional(number, 30)",
        "aws_s3_bucket_lifecycle_configuration.artifacts.rule",
    ),
    "encryption": (
        "main.tf",
        '"AES256"',
        '"aws:kms:dsse"',
        "aws_s3_bucket_server_side_encryption_configuration.artifacts.rule",
    ),
    "log_days": (
        "access_logs.tf",
        "noncurrent_days = 1",
        "noncurrent_days = 7",
        "aws_s3_bucket_lifecycle_configuration.access_logs.rule",
    ),
    "log_prefix": (
        "access_logs.tf",
        '"artifacts/"',
        '"store/"',
        "aws_s3_bucket_logging.artifacts.target_prefix",
    ),
    "storage_class": (
        "main.tf",
        "STANDARD_IA",
        "ONEZONE_IA",
        "aws_s3_bucket_lifecycle_configuration.artifacts.rule",
    ),
    "tls_version": ("policy.tf", '"1.2"', '"1.3"', "aws_s3_bucket_policy.artifacts.policy"),
}
WIRING: dict[str, Change] = {
    "order": (
        "main.tf",
        "  depends_on = [aws_s3_bucket_versioning.artifacts]\n",
        "",
        "aws_s3_bucket_lifecycle_configuration.artifacts.depends_on",
    ),
    "output": ("outputs.tf", "local.bucket_arn", "local.log_bucket_arn", "outputs.bucket_arn"),
    "public_policies": (
        "main.tf",
        "  block_public_policy     = true\n",
        "",
        "aws_s3_bucket_public_access_block.artifacts.block_public_policy",
    ),
    "versioning": (
        "access_logs.tf",
        '    status = "Enabled"\n  }\n}',
        '    status = "Suspended"\n  }\n}',
        "aws_s3_bucket_versioning.access_logs.versioning_configuration",
    ),
}
# In the component alone.
PYTHON: dict[str, Change] = {
    "access_lists": (
        "artifact_store.py",
        "BucketOwnerEnforced",
        "ObjectWriter",
        "aws_s3_bucket_ownership_controls.artifacts.rule",
    ),
    "logs_into_the_bucket_itself": (
        "artifact_store.py",
        "target_bucket=bucket.id",
        "target_bucket=artifacts.id",
        "aws_s3_bucket_logging.artifacts.target_bucket",
    ),
    "order": (
        "artifact_store.py",
        "opts=self.child(policy)",
        "opts=self.child()",
        "aws_s3_bucket_logging.artifacts.depends_on",
    ),
    "public_lists": (
        "artifact_store.py",
        "            ignore_public_acls=True,\n",
        "",
        "aws_s3_bucket_public_access_block.artifacts.ignore_public_acls",
    ),
    "resource": (
        "artifact_store.py",
        '        if self.made("aws_s3_bucket_lifecycle_configuration.artifacts"):\n',
        "        if False:\n",
        "aws_s3_bucket_lifecycle_configuration.artifacts",
    ),
    "statement": (
        "module.py",
        'rest.pop("effect", "Allow")',
        'rest.pop("effect", "Deny")',
        "aws_s3_bucket_policy.access_logs.policy",
    ),
}


@pytest.fixture(scope="module")
def plan(terraform: Terraform) -> Plan:
    """The module with each configuration; changed in each way; with all changed values at once."""
    modules = {name: (SOURCE, given) for name, given in CONFIGURATIONS.items()}
    ways = {name: [each] for name, each in (VALUES | WIRING).items()}
    for name, changes in (ways | {"all_values": list(VALUES.values())}).items():
        copy = terraform.folder.parent / "parity" / name
        shutil.copytree(PROJECT / MODULE, copy)
        change(copy, changes)
        modules[name] = (f"./{name}", NAME)
    return plan_modules(terraform, "parity", modules)


@pytest.fixture(scope="module")
def recordings() -> dict[str, Any]:
    return recorded(CONFIGURATIONS, component=COMPONENT)


@pytest.fixture(scope="module")
def changed_component(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the component makes, changed in every way at once."""
    project = copied(tmp_path_factory.mktemp("changed"))
    change(project / PACKAGE, PYTHON.values())
    return registered(recorded({"it": NAME}, component=COMPONENT, project=project)["it"])


def change(folder: Path, changes: Iterable[Change]) -> None:
    """Change texts that are there, wherever in their file they are."""
    for name, before, after, _ in changes:
        text = (folder / name).read_text()
        assert before in text, f"{name} no longer has {before!r}"
        (folder / name).write_text(text.replace(before, after))


def copied(folder: Path) -> Path:
    """As much of the project as the component needs."""
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / PACKAGE, folder / PACKAGE, ignore=skipped)
    shutil.copy(PROJECT / "scripts" / "__init__.py", folder / "scripts")
    shutil.copytree(PROJECT / MODULE, folder / MODULE)
    return folder


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_component_makes_what_the_module_plans(
    plan: Plan, recordings: dict[str, Any], name: str
) -> None:
    ours, theirs = registered(recordings[name]), planned(plan, name)
    assert differences(ours, theirs) == []
    assert ours == theirs


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_arguments_have_the_names_and_shapes_that_pulumi_declares(
    recordings: dict[str, Any], name: str
) -> None:
    assert recordings[name]["misfits"] == []


def test_arguments_of_another_name_or_shape_are_found(tmp_path: Path) -> None:
    project = copied(tmp_path)
    changes = {
        "BucketLifecycleConfigurationV2.rules[2].transition: unknown": (
            '{"transition": "transitions"}',
            "{}",
        ),
        "BucketOwnershipControls.rule: no objectOwnership": ("object_ownership", "ownership"),
        "BucketVersioningV2.versioningConfiguration: not a block": (
            '{"status": "Enabled"}',
            '"Enabled"',
        ),
    }
    change(project / PACKAGE, [("artifact_store.py", *texts, "") for texts in changes.values()])
    found = recorded({"it": NAME}, component=COMPONENT, project=project)["it"]["misfits"]
    assert changes.keys() <= set(found)


def test_the_configurations_make_every_resource_and_not_always_the_same(plan: Plan) -> None:
    made = {name: frozenset(planned(plan, name)) for name in CONFIGURATIONS}
    written = plan.content["configuration"]["root_module"]["module_calls"]["defaults"]["module"]
    managed = {each["address"] for each in written["resources"] if each["mode"] == "managed"}
    assert made["everything"] - {"outputs"} == managed
    assert len(set(made.values())) == 3


@pytest.mark.parametrize("name", [*VALUES, *WIRING])
def test_a_change_of_the_module_alone_is_a_difference(
    plan: Plan, recordings: dict[str, Any], name: str
) -> None:
    *_, where = (VALUES | WIRING)[name]
    found = differences(registered(recordings["defaults"]), planned(plan, name))
    assert where in found


def test_changed_values_of_the_module_reach_the_component(plan: Plan, tmp_path: Path) -> None:
    project = copied(tmp_path)
    change(project / MODULE, VALUES.values())
    recording = recorded({"it": NAME}, component=COMPONENT, project=project)
    assert differences(registered(recording["it"]), planned(plan, "all_values")) == []


@pytest.mark.parametrize("name", PYTHON)
def test_a_change_of_the_component_alone_is_a_difference(
    plan: Plan, changed_component: dict[str, Any], name: str
) -> None:
    *_, where = PYTHON[name]
    assert where in differences(changed_component, planned(plan, "defaults"))


def test_what_another_resource_tells_may_be_an_argument(recordings: dict[str, Any]) -> None:
    given = CONFIGURATIONS["everything"]
    later = given | {
        "kms_key_arn": {"later": given["kms_key_arn"]},
        "tags": given["tags"] | {"Team": {"later": "ml"}},
        "version_deleter_arns": [{"later": arn} for arn in given["version_deleter_arns"]],
    }
    recording = recorded({"later": later}, component=COMPONENT)
    assert differences(registered(recording["later"]), registered(recordings["everything"])) == []


def test_a_preview_knows_all_but_what_hangs_on_a_key_that_is_yet_to_be_made() -> None:
    given = {
        "preview": NAME | {"kms_key_arn": {"unknown": True}},
        "key": NAME | {"kms_key_arn": KEY},
    }
    recordings = recorded(given, component=COMPONENT)
    preview, made = (registered(recordings[name]) for name in given)
    assert differences(preview, made) == [
        "aws_s3_bucket_policy.artifacts.policy",
        "aws_s3_bucket_server_side_encryption_configuration.artifacts.rule",
        "outputs.bucket_policy",
        "outputs.kms_key_arn",
    ]


def test_both_refuse_the_same_arguments_with_the_same_words(terraform: Terraform) -> None:
    given = {name: arguments for name, (arguments, _) in REFUSED.items()}
    write_root(terraform, "refused", {name: (SOURCE, each) for name, each in given.items()})
    done = terraform.plan("../refused", github=False)
    assert done.code == 1
    said = " ".join(re.sub("[│╷╵]", " ", done.text).split())
    answers = recorded(given, component=COMPONENT)
    for name, (_, message) in REFUSED.items():
        assert message in answers[name]["refused"]
        assert answers[name]["refused"] in said


def test_a_late_value_is_refused_as_an_early_one() -> None:
    foreign = KEY.replace("us-east-1", "eu-west-1")
    given = {
        "alias": NAME | {"kms_key_arn": {"later": "alias/aws/s3"}},
        "foreign": NAME | {"kms_key_arn": foreign},
        "later_foreign": NAME | {"kms_key_arn": {"later": foreign}},
        "logs": NAME | {"access_logs": {"enabled": {"later": True}}},
    }
    answers = recorded(given, component=COMPONENT)
    assert "must be the ARN of a key" in answers["alias"]["refused"]
    for name in ("foreign", "later_foreign"):
        assert "must be a key of the bucket's region" in answers[name]["refused"]
    assert "give its value, not an output" in answers["logs"]["refused"]


def test_the_program_makes_the_component_of_its_settings(recordings: dict[str, Any]) -> None:
    settings = {"keyless-platform:artifact_store": '{"name": "keyless-dev", "force_destroy": true}'}
    recording = recorded({"dev": settings}, component=None)["dev"]
    assert differences(registered(recording), registered(recordings["disposable"])) == []
    assert recording["exports"]["artifact_store"]["bucket_name"] == (
        "keyless-dev-artifacts-123456789012-us-east-1"
    )
