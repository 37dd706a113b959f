"""Every step from one valid setting to another: what it destroys is known, or it is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import permutations
from typing import Any

import boto3
import pytest

from scripts.stack.docs import inputs
from tests.terraform.conftest import EMULATED, PROJECT, Plan, Terraform
from tests.terraform.transitions import steps
from tests.terraform.transitions.states import applied

pytestmark = [pytest.mark.terraform, pytest.mark.slow, pytest.mark.xdist_group("transitions")]

ROOTS = {
    "bootstrap": (steps.BOOTSTRAP, steps.BOOTSTRAP_DESTROYS),
    "platform": (steps.PLATFORM, steps.PLATFORM_DESTROYS),
}
Given = dict[str, Any]


def columns(settings: steps.Settings) -> list[Given]:
    """All variables at once: the n-th settings of each, so that few plans meet every pair."""
    most = max(map(len, settings.values()))
    return [
        {name: values[number % len(values)] for name, values in settings.items()}
        for number in range(most)
    ]


@dataclass(frozen=True)
class Applied:
    """A root with the state after an apply of each column."""

    terraform: Terraform
    root: str
    given: list[Given]
    states: list[dict[str, Any]]

    def planned(self, state: int, to: Given) -> tuple[int, str, Plan]:
        """Exit code, text and content of a plan from a column's state to other settings."""
        folder = self.terraform.folder / self.root
        (folder / "terraform.tfstate").write_text(json.dumps(self.states[state]))
        (folder / "to.tfvars.json").write_text(json.dumps(to))
        done = self.terraform.plan(
            self.root, "-var-file=to.tfvars.json", "-refresh=false", github=False
        )
        shown = self.terraform.shown(self.root) if done.code == 0 else {}
        return done.code, done.text, Plan(shown)


@pytest.fixture(scope="module", params=sorted(ROOTS))
def made(request: pytest.FixtureRequest, terraform: Terraform, account: str) -> Iterator[Applied]:
    """Each root, applied with mocks; the plans after ask the real provider."""
    root = request.param
    folder = terraform.folder / root
    (folder / "emulated_override.tf").write_text(EMULATED)
    terraform.init(root, "-reconfigure")
    kms = boto3.Session("testing", "testing", region_name="us-east-1").client(
        "kms", endpoint_url=account
    )
    key = kms.describe_key(KeyId="alias/keyless-dev")["KeyMetadata"]["Arn"]
    given = columns(ROOTS[root][0])
    try:
        yield Applied(terraform, root, given, applied(terraform, root, given, key))
    finally:
        for left in ("terraform.tfstate", "to.tfvars.json"):
            (folder / left).unlink(missing_ok=True)


@pytest.mark.parametrize("root", sorted(ROOTS))
def test_every_variable_and_every_attribute_is_stepped_through(root: str) -> None:
    settings, _ = ROOTS[root]
    variables = {one.name: one.type for one in inputs(PROJECT / "terraform" / root)}
    assert set(settings) == set(variables), "a variable without settings, or the other way round"
    for name, kind in variables.items():
        attributes = set(re.findall(r"(\w+) *= *(?:optional|number|string|bool|map|list)", kind))
        assert attributes <= set(_keys(settings[name])), name


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
    if isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _keys(inner)


def test_each_step_destroys_what_is_listed_and_nothing_else(made: Applied) -> None:
    settings, rows = ROOTS[made.root]
    for start, end in permutations(range(len(made.given)), 2):
        code, text, plan = made.planned(start, made.given[end])
        assert code == 0, text[text.find("Error:") :]
        destroyed = {
            re.sub(r"\[[^\]]*\]", "", change["address"]): change["change"]["before"]
            for change in plan.changes
            if "delete" in change["change"]["actions"]
        }
        patterns = list(_patterns(settings, rows, start, end))
        unknown = [
            address
            for address in destroyed
            if not any(fnmatchcase(address, pattern) for pattern in patterns)
        ]
        idle = [one for one in patterns if not any(fnmatchcase(a, one) for a in destroyed)]
        assert (unknown, idle) == ([], []), (start, end)
        guarded(destroyed, made.given[start])


def _patterns(settings: steps.Settings, rows: steps.Rows, start: int, end: int) -> Iterator[str]:
    for name, steps_of in rows.items():
        places = len(settings[name])
        step = f"{start % places}>{end % places}"
        for listed, patterns in steps_of.items():
            if step in listed.split():
                yield from patterns


def guarded(destroyed: Mapping[str, Any], settings: Given) -> None:
    """What holds data goes only where its guard was lifted by an apply before."""
    for address, before in destroyed.items():
        if address.endswith("aws_db_instance.database"):
            lifted = not settings["database"].get("deletion_protection", True)
            assert before["deletion_protection"] or lifted or settings["teardown"], address
        if ".aws_s3_bucket." in f".{address}":
            lifted = settings["artifact_store"].get("force_destroy", False)
            assert not before["force_destroy"] or lifted, address
        assert not address.endswith("aws_kms_key.data"), address


REFUSED: Mapping[str, Sequence[tuple[Given, str]]] = {
    "platform": [
        ({"network": {"cidr_block": "10.99.0.0/16"}}, "The VPC has the range 10.40.0.0/16"),
        (
            {"network": {"private_subnet_cidrs": ["10.40.64.0/20", "10.40.80.0/20"]}},
            "The subnet has the range 10.40.0.0/20",
        ),
        (
            {"network": {"availability_zones": ["us-east-1b", "us-east-1c"]}},
            "availability_zones names another zone",
        ),
    ],
    "bootstrap": [
        ({"github_provider": "existing"}, "Instance cannot be destroyed"),
        ({"environments": {"dev": steps.DEV}}, "Instance cannot be destroyed"),
        (
            {"environments": {"dev": steps.DEV, "prod": {"kms_key_arn": steps.KEY}}},
            "Instance cannot be destroyed",
        ),
        (
            {"environments": {"dev": steps.DEV, "prod": {"customer_managed_key": False}}},
            "Instance cannot be destroyed",
        ),
    ],
}


def test_what_would_destroy_what_others_use_is_refused(made: Applied) -> None:
    for change, said in REFUSED[made.root]:
        code, text, _ = made.planned(0, {**made.given[0], **change})
        assert code == 1, change
        assert said in " ".join(text.split()), text


def test_a_provider_of_its_own_in_place_of_the_accounts_destroys_nothing(made: Applied) -> None:
    """The way back, from "existing" to "create": IAM then says that there is one, and stops."""
    if made.root == "platform":
        return
    kind = "aws_iam_openid_connect_provider"
    kept = [one for one in made.states[0]["resources"] if one["type"] != kind]
    assert len(kept) == len(made.states[0]["resources"]) - 1
    made.states.append({**made.states[0], "resources": kept})
    code, text, plan = made.planned(len(made.states) - 1, made.given[0])
    assert code == 0, text[text.find("Error:") :]
    actions = {change["type"]: change["change"]["actions"] for change in plan.changes}
    assert actions[kind] == ["create"]
    assert not any("delete" in change["change"]["actions"] for change in plan.changes)


def test_another_environment_in_the_same_state_takes_no_data_along(made: Applied) -> None:
    """The kit keeps a state for each environment, so this needs the wrong backend key.

    RDS renames the database, and S3 refuses to delete a bucket that holds something.
    """
    if made.root == "bootstrap":
        return
    code, text, plan = made.planned(0, {**made.given[0], "environment": "test"})
    assert code == 0, text[text.find("Error:") :]
    destroyed = {
        change["address"]: change["change"]["before"]
        for change in plan.changes
        if "delete" in change["change"]["actions"]
    }
    assert "module.artifact_store.aws_s3_bucket.artifacts" in destroyed
    assert "module.metadata_store.aws_db_instance.database" not in destroyed
    guarded(destroyed, made.given[0])
