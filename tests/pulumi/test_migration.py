"""The import files name what each side makes: nothing more, nothing less, for every set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from scripts.migration.to_pulumi import import_file, managed
from scripts.migration.to_terraform import import_blocks
from scripts.migration.twins import IDS, TOKENS
from tests.migration.states import pulumi_state, terraform_state
from tests.migration.test_migration import refused
from tests.pulumi import mocked
from tests.pulumi.conftest import tools_python
from tests.pulumi.test_parity import CASES
from tests.terraform.conftest import PROJECT

pytestmark = pytest.mark.terraform

# The provider's own id of these is made of several parts already.
MADE_OF_PARTS = {
    "aws_budgets_budget", "aws_iam_role_policy", "aws_kms_alias", "aws_scheduler_schedule",
    "aws_ssm_parameter",
}  # fmt: skip


@pytest.mark.parametrize(("root", "name"), CASES)
def test_what_pulumi_imports_is_what_its_program_registers(
    states: dict[str, Any], recordings: dict[str, Any], root: str, name: str
) -> None:
    state = terraform_state(mocked.resources(states[root][name]))
    file = import_file(state, PROJECT / "terraform" / root, name)
    assert refused(file) == []
    types = {each["name"]: each["type"] for each in file["resources"] if each.get("component")}
    logical = {each["name"]: each.get("logicalName", each["name"]) for each in file["resources"]}
    ours = {
        (each["type"], logical[each["name"]], f"{types[above]}::{above}" if above else "")
        for each in file["resources"]
        for above in [each.get("parent")]
    }
    # A component alone is called "it"; the program's is called as the root.
    top = f"keyless:platform:{root.title()}"
    theirs = {
        (
            each["type"],
            root if each["type"] == top else each["name"],
            re.sub(rf"^{top}::it$", f"{top}::{root}", each["parent"])
            if each["parent"].startswith("keyless:")
            else "",
        )
        for each in recordings[root][name]["resources"]
        if each["type"].startswith(("aws:", "keyless:"))
    }
    assert ours == theirs


@pytest.mark.parametrize(("root", "name"), CASES)
def test_what_terraform_imports_is_what_it_made(
    states: dict[str, Any], root: str, name: str
) -> None:
    state = terraform_state(mocked.resources(states[root][name]))
    file = import_file(state, PROJECT / "terraform" / root, name)
    found = import_blocks(pulumi_state(file, state), PROJECT / "terraform")
    assert found[0] == root
    assert found[1].keys() == {address for address, _, _ in managed(state)}


def test_ids_have_the_shape_that_pulumis_documentation_shows() -> None:
    """pulumi-aws tells for each type how it is imported: `pulumi import TYPE NAME ID`."""
    (package,) = tools_python().parents[1].glob("lib/python3*/site-packages/pulumi_aws")
    for kind, token in TOKENS.items():
        examples = documented(package, token)
        assert examples, f"{token} cannot be imported"
        if kind in IDS:
            # The parts of ours, separated as theirs are.
            shape = re.sub(r"\\{\w+\\}", "[^ ]+", re.escape(IDS[kind]))
            assert any(re.fullmatch(shape, one) for one in examples), (kind, examples)
        elif kind not in MADE_OF_PARTS:
            assert any(one.startswith("arn:") or not re.search("[/:]", one) for one in examples)


def documented(package: Path, token: str) -> list[str]:
    """The ids of the examples of a type's import."""
    _, module, _ = token.split(":")
    folder, _, name = module.partition("/")
    file = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    text = (package / folder / f"{file}.py").read_text(encoding="utf-8")
    return re.findall(rf"\$ pulumi import {re.escape(token)} \S+ (\S+)", text)
