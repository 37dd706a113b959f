"""The list of roles: what it says, and what is refused of a list that says it wrongly."""

from pathlib import Path

import pytest

from pipeline import outputs
from scripts import names
from scripts.console import UserError
from tests import ROOT


def test_each_role_is_assumed_by_a_job_or_by_a_service() -> None:
    for role in names.roles().values():
        assert (role.context is None) != (role.service is None), role.name
        if role.workflow is not None:
            assert (ROOT / ".github" / "workflows" / role.workflow).is_file()


def test_the_stages_are_the_steps_of_the_flow_in_order() -> None:
    steps = [role.name for role in names.stages()]
    assert steps == ["ingest", "train", "promote", "predict", "monitor"]
    for step in steps:
        assert (ROOT / "pipeline" / f"{step}.py").is_file()


def test_a_github_environment_is_the_one_of_the_context() -> None:
    expected = {"plan": None, "plan-main": "prod-plan", "apply": "prod", "train": "prod-train"}
    assert {name: names.job_role(name).github_environment("prod") for name in expected} == expected


def test_a_role_of_a_part_that_is_off_by_default_is_there_where_the_part_is() -> None:
    usual = {role.name for role in names.job_roles()}
    assert {role.name for role in names.job_roles("model_server")} - usual == {"rollout"}
    assert names.job_role("rollout").github_environment("prod") == "prod-rollout"


def test_a_role_that_no_job_assumes_is_named_with_those_that_there_are() -> None:
    for name in ("nobody", "server"):
        with pytest.raises(UserError, match="database, ingest, train") as refused:
            names.job_role(name)
        assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: {root: platform, context: pull_request, workflows: x}", "there is no field workflows"),
        ("a: {root: elsewhere, service: ec2.amazonaws.com}", "root must be bootstrap or platform"),
        ("a: {root: platform}", "give a context or a service"),
        ("a: {root: platform, context: c, service: s}", "and not both"),
        ("a: {root: platform, context: pull_request}", "name the workflow"),
        ("- a", "list"),
        ("a: [", "flow"),
        ("a: b", "b"),
    ],
)
def test_a_list_that_cannot_be_is_refused(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "roles.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match="is not a list of roles") as refused:
        names.roles(file)
    assert why in refused.value.why
    assert refused.value.exit_code == 2


def test_the_pipeline_finds_its_contract_where_the_platform_puts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pipeline imports nothing of scripts, so it knows this one name by itself."""
    asked: list[str] = []
    monkeypatch.setattr(outputs, "_from_parameter", asked.append)
    outputs.load_platform(environ={"KEYLESS_ENVIRONMENT": "prod"})
    assert asked == [names.platform_parameter("prod")]
