"""Bootstrap and platform in Pulumi against the same in Terraform: everything that both make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pulumi import mocked
from tests.pulumi.configurations import BOOTSTRAP, ELSEWHERE, PLATFORM
from tests.pulumi.conftest import ENVIRONMENTS, WHERE
from tests.pulumi.names import logical_name, snake_case, terraform_type
from tests.pulumi.parity import (
    comparable,
    dependencies,
    differences,
    from_pulumi,
    from_terraform,
    lifecycles,
)
from tests.pulumi.places import located
from tests.terraform.conftest import PROJECT

pytestmark = pytest.mark.terraform

NAMES = {
    "platform": [*ENVIRONMENTS, *PLATFORM, *ELSEWHERE],
    "bootstrap": [*BOOTSTRAP],
}
# What the engine writes for a value that is known after the update.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
CASES = [(root, name) for root, names in NAMES.items() for name in names]


@pytest.mark.parametrize(("root", "name"), CASES)
def test_pulumi_makes_what_terraform_makes(
    states: dict[str, Any], recordings: dict[str, Any], root: str, name: str
) -> None:
    state, recording = states[root][name], recordings[root][name]
    assert "refused" not in recording, recording
    folder = PROJECT / "terraform" / root
    found = differences(from_terraform(state, folder), from_pulumi(recording))
    found += dependencies(state, recording, folder)
    found += lifecycles(state, recording, folder)
    differing = located(found, recording)
    assert not differing, "\n".join(differing)
    assert recording["misfits"] == []
    told = {key: output["value"] for key, output in state["outputs"].items()}
    assert comparable(recording["exports"]) == comparable(told)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_resource_gets_the_tags_of_the_environment(
    states: dict[str, Any], recordings: dict[str, Any], name: str
) -> None:
    resources = recordings["platform"][name]["resources"]
    (provider,) = (each for each in resources if each["type"] == "pulumi:providers:aws")
    given = json.loads(provider["inputs"]["defaultTags"])["tags"]
    assert given == {"Environment": name, "Project": "keyless-mlops"}
    assert {each["provider"] for each in resources if each["type"].startswith("aws:")} == {
        "pulumi:providers:aws::aws"
    }
    planned = states["platform"][name]["planned"].values()
    tagged = [tags for each in planned if (tags := (each["after"] or {}).get("tags_all"))]
    assert len(tagged) > 40
    assert all(given.items() <= tags.items() for tags in tagged)


def test_the_sets_make_every_resource_of_the_code(states: dict[str, Any]) -> None:
    made: set[str] = set()
    written: set[str] = set()
    for root in NAMES:
        folder = PROJECT / "terraform" / root
        written |= mocked.everything(folder)
        for state in states[root].values():
            made |= {
                f"{mocked.folder_of(folder, each['address']).name}."
                + ".".join(mocked.resource_of(each["address"]))
                for each in mocked.resources(state)
            }
    assert made == written


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_stacks_region_profile_and_role_reach_the_provider(
    recordings: dict[str, Any], name: str
) -> None:
    """Pulumi hands them to its default provider alone, and this program makes its own."""
    resources = recordings["platform"][name]["resources"]
    (provider,) = (each for each in resources if each["type"] == "pulumi:providers:aws")
    for key, value in WHERE[name].items():
        given = provider["inputs"][key.removeprefix("aws:")]
        assert given == value if isinstance(value, str) else json.loads(given) == value
    assert ("profile" in provider["inputs"]) == (name == "prod")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_first_preview_shows_every_resource_and_what_terraforms_plan_shows(
    states: dict[str, Any], recordings: dict[str, Any], name: str
) -> None:
    previewed, made = (recordings[each][name] for each in ("previews", "platform"))
    assert "refused" not in previewed, previewed

    def registered(recording: dict[str, Any]) -> set[tuple[str, str]]:
        return {(each["type"], each["name"]) for each in recording["resources"]}

    assert registered(previewed) == registered(made)
    changes = states["platform"][name]["planned"]
    known = {
        f"{mocked.resource_of(address)[0]}::{logical_name(address)}": change["after_unknown"]
        for address, change in changes.items()
        if mocked.resource_of(address)[0] != "data"
    }
    hidden = [
        f"{twin}.{key}"
        for each in previewed["resources"]
        if each["type"].startswith("aws:")
        for twin in [f"{terraform_type(each['type'])}::{each['name']}"]
        for key, value in each["inputs"].items()
        if value == UNKNOWN and not known[twin].get(snake_case(key), False)
    ]
    assert hidden == []
