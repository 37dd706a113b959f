"""The import files, by the rules that both tools have for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.cli import keyless
from scripts.console import UserError
from scripts.migration.code import read
from scripts.migration.to_pulumi import import_file, managed
from scripts.migration.to_terraform import import_blocks, rendered
from scripts.migration.twins import TOKENS
from tests import ROOT
from tests.migration.states import pulumi_state

TERRAFORM = ROOT / "terraform"
STATE: dict[str, Any] = {
    "version": 4,
    "resources": [
        {
            "module": "module.network",
            "mode": "managed",
            "type": "aws_route_table_association",
            "name": "private",
            "instances": [
                {
                    "index_key": "1",
                    "attributes": {
                        "id": "rtbassoc-1",
                        "subnet_id": "subnet-1",
                        "route_table_id": "rtb-1",
                    },
                }
            ],
        },
        {
            "module": "module.model_server[0]",
            "mode": "managed",
            "type": "aws_lb",
            "name": "serve",
            "instances": [{"attributes": {"id": "arn:aws:elasticloadbalancing:lb"}}],
        },
        {
            "module": 'module.workload_roles.module.role["train"]',
            "mode": "managed",
            "type": "aws_iam_role_policy",
            "name": "github",
            "instances": [
                {"index_key": "metrics", "attributes": {"id": "keyless-dev-train:metrics"}}
            ],
        },
        {
            "mode": "managed",
            "type": "aws_ssm_parameter",
            "name": "platform",
            "instances": [{"attributes": {"id": "/keyless/dev/platform"}}],
        },
        {
            "module": "module.network",
            "mode": "managed",
            "type": "aws_flow_log",
            "name": "vpc",
            "instances": [{"index_key": 0, "attributes": {"id": "fl-1"}}],
        },
        {"mode": "data", "type": "aws_region", "name": "current", "instances": [{}]},
    ],
}
"""What `terraform state pull` prints, cut down to what decides names and ids."""


def written() -> dict[str, Any]:
    return import_file(STATE, TERRAFORM / "platform", "dev")


def refused(file: Mapping[str, Any]) -> list[str]:
    """What `pulumi import --file` would say, by its own rules.

    https://github.com/pulumi/pulumi/blob/master/pkg/cmd/pulumi/operations/import.go
    """
    resources, table = file["resources"], file["nameTable"]
    names = [each["name"] for each in resources]
    found = [each["name"] for each in resources if not each.get("type") or not each.get("name")]
    found += [each["name"] for each in resources if bool(each.get("component")) == ("id" in each)]
    for each in resources:
        if "parent" in each and names.count(each["parent"]) + (each["parent"] in table) != 1:
            found.append(f"{each['name']} has an ambiguous or unknown parent")
        if "provider" in each and (each["provider"] not in table or each["provider"] in names):
            found.append(f"{each['name']} has an ambiguous or unknown provider")
    return found


def test_the_file_keeps_the_rules_of_pulumi_import() -> None:
    file = written()
    assert refused(file) == []
    names = [each["name"] for each in file["resources"]]
    assert len(set(names)) == len(names)
    assert file["nameTable"]["aws"].endswith("::pulumi:providers:aws::aws")


def test_ids_are_those_of_the_import_and_parents_are_the_components() -> None:
    entries = {each["name"]: each for each in written()["resources"]}
    told = {
        each["logicalName"]: (each["id"], each["parent"])
        for each in entries.values()
        if "id" in each
    }
    assert told == {
        "network-private-1": ("subnet-1/rtb-1", "network"),
        "model-server-serve": ("arn:aws:elasticloadbalancing:lb", "model-server"),
        "workload-roles-role-train-github-metrics": (
            "keyless-dev-train:metrics",
            "workload-roles-role-train",
        ),
        "platform": ("/keyless/dev/platform", "platform"),
        "network-vpc": ("fl-1", "network"),
    }
    above = {name: each.get("parent") for name, each in entries.items() if each.get("component")}
    assert above == {
        "platform": None,
        "network": "platform",
        "model-server": "platform",
        "workload-roles": "platform",
        "workload-roles-role-train": "workload-roles",
    }
    assert entries["workload-roles-role-train"]["type"] == "keyless:platform:GithubRole"


def test_there_and_back_is_the_same_address() -> None:
    root, ids = import_blocks(pulumi_state(written(), STATE), TERRAFORM)
    assert root == "platform"
    assert ids == {
        'module.network.aws_route_table_association.private["1"]': "subnet-1/rtb-1",
        "module.model_server[0].aws_lb.serve": "arn:aws:elasticloadbalancing:lb",
        'module.workload_roles.module.role["train"].aws_iam_role_policy.github["metrics"]': (
            "keyless-dev-train:metrics"
        ),
        "aws_ssm_parameter.platform": "/keyless/dev/platform",
        "module.network.aws_flow_log.vpc[0]": "fl-1",
    }


def test_what_pulumi_keeps_in_its_bucket_is_read_as_what_it_exports() -> None:
    exported = pulumi_state(written(), STATE)
    kept = {"version": 3, "checkpoint": {"stack": "dev", "latest": exported["deployment"]}}
    assert import_blocks(kept, TERRAFORM) == import_blocks(exported, TERRAFORM)


def test_a_block_is_an_address_and_a_quoted_id() -> None:
    text = rendered({'module.a.aws_b.c["k"]': 'x"${y}'})
    assert text == 'import {\n  to = module.a.aws_b.c["k"]\n  id = "x\\"$${y}"\n}\n'


def changed(**instance: Any) -> dict[str, Any]:
    """The state with something else in its first resource."""
    state: dict[str, Any] = json.loads(json.dumps(STATE))
    for name, value in instance.items():
        where = state["resources"][0]
        (where if name in where else where["instances"][0])[name] = value
    return state


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (changed(type="aws_sqs_queue"), "no component makes a aws_sqs_queue"),
        (changed(module="module.mine"), "no module mine in the kit"),
        (changed(deposed="0a1b2c3d"), "it is replaced and not yet deleted"),
        (changed(attributes={"id": "rtbassoc-1", "subnet_id": "subnet-1"}), "route_table_id"),
    ],
)
def test_what_pulumi_does_not_make_is_named_and_nothing_is_written(
    state: dict[str, Any], why: str, tmp_path: Path
) -> None:
    source, output = tmp_path / "state.json", tmp_path / "out.json"
    source.write_text(json.dumps(state))
    words = ["migrate", "--to", "pulumi", "--from", str(source), "--output", str(output)]
    done = CliRunner().invoke(keyless, words)
    assert done.exit_code == 2
    assert why in done.stderr
    assert list(tmp_path.iterdir()) == [source]


def stack_with(**resource: Any) -> dict[str, Any]:
    stack = pulumi_state(written(), STATE)
    made = next(
        each for each in stack["deployment"]["resources"] if "outputs" in each and each["id"] != "1"
    )
    made |= resource
    return stack


@pytest.mark.parametrize(
    ("stack", "why"),
    [
        ({}, "neither deployment.resources"),
        (
            {"deployment": {"resources": [{"urn": "u", "type": "t", "custom": False}]}},
            "none of the",
        ),
        (stack_with(type="aws:sqs/queue:Queue"), "no module makes this type"),
        (
            stack_with(urn="urn:pulumi:dev::p::t::network-mine"),
            "nothing in the code is called mine",
        ),
        (stack_with(delete=True), "it is replaced and not yet deleted"),
        (stack_with(parent=""), "it is in no component"),
        (stack_with(outputs={"subnetId": "subnet-1"}), "its state has no route_table_id"),
    ],
)
def test_what_terraform_does_not_make_is_named(stack: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError) as refusal:
        import_blocks(stack, TERRAFORM)
    assert refusal.value.exit_code == 2
    assert why in f"{refusal.value.what} {refusal.value.why}"


@pytest.mark.parametrize("text", ["", "[]", "no state"])
def test_what_is_no_state_is_refused(text: str, tmp_path: Path) -> None:
    source = tmp_path / "state.json"
    source.write_text(text)
    words = ["migrate", "--to", "terraform", "--from", str(source)]
    done = CliRunner().invoke(keyless, words)
    assert done.exit_code == 2
    assert "it is not a JSON object" in done.stderr


@pytest.mark.parametrize(
    "state",
    [
        {"format_version": "1.0", "values": {"root_module": {}}},
        {"version": 3, "deployment": {"resources": []}},
        {"version": 3, "modules": []},
        {"version": 4, "resources": None},
    ],
    ids=["terraform show -json", "pulumi stack export", "Terraform 0.11", "nothing"],
)
def test_another_kind_of_file_is_called_that(state: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="no state of Terraform's") as refusal:
        import_file(state, TERRAFORM / "platform", "dev")
    assert refusal.value.exit_code == 2


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    words = ["migrate", "--to", "terraform", "--from", str(tmp_path / "gone.json")]
    done = CliRunner().invoke(keyless, words)
    assert done.exit_code == 2
    assert "There is no file" in done.stderr


def test_an_empty_state_is_refused() -> None:
    with pytest.raises(UserError, match="The state is empty"):
        import_file({"version": 4, "resources": []}, TERRAFORM / "platform", "dev")


def test_every_type_of_the_code_has_a_twin() -> None:
    def below(folder: Path) -> set[str]:
        code = read(folder)
        return {kind for kind, _ in code.resources}.union(
            *(below(called.folder) for called in code.modules.values())
        )

    assert below(TERRAFORM / "platform") | below(TERRAFORM / "bootstrap") == set(TOKENS)


def test_the_code_is_read_as_terraform_reads_it() -> None:
    code = read(TERRAFORM / "modules" / "network")
    assert code.resources["aws_subnet", "private"] == "for_each"
    assert code.resources["aws_internet_gateway", "main"] == "count"
    assert code.resources["aws_vpc", "main"] is None
    called = read(TERRAFORM / "modules" / "workload_roles").modules["role"]
    assert (called.folder.name, called.repeated) == ("github_role", "for_each")
    assert len(list(managed(STATE))) == 5
