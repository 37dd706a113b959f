"""Bootstrap and platform in Pulumi against the same in Terraform: everything that both make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.outputs import Platform
from tests.pulumi import mocked
from tests.pulumi.configurations import BOOTSTRAP, ELSEWHERE, PLATFORM
from tests.pulumi.conftest import ENVIRONMENTS
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
def test_the_pipeline_reads_a_platform_that_pulumi_made(
    recordings: dict[str, Any], name: str
) -> None:
    contract = recordings["platform"][name]["exports"]["platform"]
    read = Platform.model_validate_json(json.dumps(contract))
    assert read.environment == name
    (parameter,) = (
        resource["inputs"]["value"]
        for resource in recordings["platform"][name]["resources"]
        if resource["name"] == "platform" and resource["type"] == "aws:ssm/parameter:Parameter"
    )
    assert Platform.model_validate_json(parameter) == read
