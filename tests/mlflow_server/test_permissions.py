"""Rules of the permission sets, without a server."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.mlflow_server.box import SERVER, SETS

sys.path.insert(0, str(SERVER))

from guard import PERMISSIONS, Call, Permissions, PermissionSet, Refused

ROOT_URI = "s3://keyless-dev-artifacts/mlflow"
ROLES = {
    "train": ["keyless-dev-train"],
    "promote": ["keyless-dev-promote"],
    "operate": ["an administrator"],
}


@pytest.fixture(scope="module")
def permissions() -> Permissions:
    return Permissions(ROLES, ROOT_URI)


def message(**given: Any) -> Any:
    """What MLflow parses a request to; a field that is not sent is empty there, too."""
    empty = {"tags": [], "metrics": [], "params": [], "run_name": "", "source": "", "end_time": 0}
    return SimpleNamespace(**{**empty, "artifact_location": "", **given})


def keyed(*keys: str) -> list[Any]:
    return [SimpleNamespace(key=key) for key in keys]


def able(permissions: Permissions, operation: str, given: Any) -> list[str]:
    """The sets that may."""
    found = []
    for one in permissions.sets.values():
        try:
            permissions.judge(one, operation, given)
        except Refused:
            continue
        found.append(one.name)
    return found


@pytest.mark.parametrize(
    "operation", ["set_registered_model_alias", "delete_registered_model_alias"]
)
@pytest.mark.parametrize(
    ("alias", "setting", "deleting"),
    [
        ("challenger", ["train", "promote", "operate"], ["train", "operate"]),
        ("champion", ["promote", "operate"], ["operate"]),
        ("previous", ["promote", "operate"], ["operate"]),
        ("Challenger", ["operate"], ["operate"]),
        ("challenger ", ["operate"], ["operate"]),
        ("", ["operate"], ["operate"]),
    ],
)
def test_aliases(
    permissions: Permissions, operation: str, alias: str, setting: list[str], deleting: list[str]
) -> None:
    wanted = setting if operation.startswith("set") else deleting
    assert able(permissions, operation, message(alias=alias)) == wanted


@pytest.mark.parametrize(
    ("operation", "given", "wanted"),
    [
        ("set_tag", message(key="note"), ["train", "operate"]),
        ("set_tag", message(key="keyless.result"), ["train", "operate"]),
        ("set_tag", message(key="keyless.decision"), ["promote", "operate"]),
        ("set_tag", message(key="mlflow.runName"), ["operate"]),
        ("set_model_version_tag", message(key="note"), ["train", "operate"]),
        ("set_model_version_tag", message(key="keyless.files"), ["operate"]),
        ("set_model_version_tag", message(key="keyless.decision.by"), ["promote", "operate"]),
        ("set_registered_model_tag", message(key="mlflow.prompt.is_prompt"), ["operate"]),
        ("set_registered_model_tag", message(key="_mlflow_prompt_type"), ["operate"]),
        ("set_logged_model_tags", message(tags=keyed("a", "mlflow.x")), ["operate"]),
        (
            "set_logged_model_tags",
            message(tags=keyed("mlflow.modelVersions")),
            ["train", "operate"],
        ),
        ("log_metric", message(key="auc"), ["train", "operate"]),
        ("log_metric", message(key="holdout_auc"), ["promote", "operate"]),
        ("log_batch", message(), ["train", "promote", "operate"]),
        ("log_batch", message(params=keyed("p")), ["train", "operate"]),
        ("log_batch", message(metrics=keyed("auc", "holdout_auc")), ["operate"]),
        ("log_batch", message(tags=keyed("a", "mlflow.runName")), ["operate"]),
        ("create_run", message(tags=keyed("keyless.decision")), ["operate"]),
        ("create_run", message(tags=keyed("keyless.git_commit")), ["train", "operate"]),
        ("update_run", message(), ["train", "operate"]),
        ("update_run", message(run_name="other"), ["operate"]),
        ("update_run", message(end_time=1 << 62), ["operate"]),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_names(permissions: Permissions, operation: str, given: Any, wanted: list[str]) -> None:
    assert able(permissions, operation, given) == wanted


@pytest.mark.parametrize(
    "location",
    [f"{ROOT_URI}/wine", f"{ROOT_URI}/wine/1", "models:/m-1", "models:/wine/1", "runs:/1/model"],
)
def test_a_location_that_the_server_keeps(permissions: Permissions, location: str) -> None:
    for operation, field in (
        ("create_experiment", "artifact_location"),
        ("create_model_version", "source"),
    ):
        assert able(permissions, operation, message(**{field: location})) == ["train", "operate"]


@pytest.mark.parametrize(
    "location",
    [
        ROOT_URI,
        f"{ROOT_URI}-other/wine",
        f"{ROOT_URI}/../wheelhouse",
        f"{ROOT_URI}/%2e%2e/wheelhouse",
        f"{ROOT_URI}/a?b",
        f"{ROOT_URI}/a#b",
        f"{ROOT_URI}//a",
        f"{ROOT_URI}/a\\..\\b",
        "s3://another-bucket/mlflow",
        "file:///etc",
        "/etc/keyless",
        "http://169.254.169.254/latest",
        "mlflow-artifacts:/1/2",
        "models:/../../etc",
        "models:/m-1?x",
        "runs:/1/../../2",
        "runs:/1/model\n",
        "models:/m-1\nx",
    ],
)
def test_a_location_of_somebody_else_is_for_no_set(permissions: Permissions, location: str) -> None:
    for operation, field in (
        ("create_experiment", "artifact_location"),
        ("create_model_version", "source"),
    ):
        assert able(permissions, operation, message(**{field: location})) == []


def test_a_refusal_says_which_set_may_and_who_opens_it(permissions: Permissions) -> None:
    with pytest.raises(Refused) as refused:
        permissions.judge(
            permissions.sets["train"], "set_registered_model_alias", message(alias="champion")
        )
    assert str(refused.value) == (
        "set_registered_model_alias is refused for permission set 'train': it may not touch the "
        "alias 'champion'. Permission set 'promote' or 'operate' allows it. A session to its port "
        "may be opened by keyless-dev-promote or an administrator."
    )


def test_what_the_file_does_not_name_is_refused_by_its_name(permissions: Permissions) -> None:
    for one in permissions.sets.values():
        with pytest.raises(Refused, match="launch_rockets is an operation that"):
            permissions.judge(one, "launch_rockets", None)


def test_what_is_off_is_off_for_everybody_and_says_why(permissions: Permissions) -> None:
    for operation, why in permissions.off.items():
        for one in permissions.sets.values():
            with pytest.raises(Refused, match=re.escape(why)):
                permissions.judge(one, operation, None)


def test_no_set_but_operate_deletes_restores_or_renames(permissions: Permissions) -> None:
    ending = re.compile("delete|restore|rename|remove|abort|transition")
    found = {name for name in permissions.allowed if ending.search(name)}
    # An alias is a pointer; which one is what the alias rule decides.
    assert "delete_run" in found
    for operation in found - {"delete_registered_model_alias"}:
        assert permissions.allowed[operation] == {"operate"}, operation


def test_read_may_nothing_but_what_everybody_may(permissions: Permissions) -> None:
    reading = {name for name, sets in permissions.allowed.items() if "read" in sets}
    assert reading == permissions.reads
    changing = re.compile(
        "^(set|create|update|log|start|finalize|register|upsert|upload|add|link)_"
    )
    assert not [name for name in reading if changing.match(name)]


def test_no_operation_is_listed_twice() -> None:
    words = re.findall(
        r'"""\n(.+?)"""|= "([a-z_ ]+)"$', PERMISSIONS.read_text(), re.DOTALL | re.MULTILINE
    )
    listed = " ".join(first or second for first, second in words).split()
    shared = {"log_batch", "log_metric", "set_model_version_tag", "set_registered_model_alias"}
    shared |= {"set_registered_model_tag", "set_tag"}
    assert {name for name in listed if listed.count(name) > 1} == shared


def test_the_sets_are_those_that_have_a_port(permissions: Permissions) -> None:
    assert tuple(permissions.sets) == SETS


def test_who_may_change_what_is_finished_is_named(permissions: Permissions) -> None:
    call = Call(PermissionSet("train", names="free", runs="unfinished"), "log_metric")
    reason = str(permissions.finished(call, "run 1 is FINISHED"))
    assert "Permission set 'operate' allows it" in reason


def test_a_set_of_ones_own_is_a_table_in_the_file(tmp_path: Path) -> None:
    """docs/mlflow-access.md shows these lines."""
    text = PERMISSIONS.read_text()
    text = text.replace("[sets.operate]", '[sets.label]\nnames = "free"\n[sets.operate]')
    text = text.replace("# Beside all of the above.", 'label = "create_assessment set_trace_tag"')
    (tmp_path / "permissions.toml").write_text(text)
    made = Permissions({}, ROOT_URI, tmp_path / "permissions.toml")
    assert able(made, "create_assessment", message()) == ["train", "label", "operate"]
    assert able(made, "create_run", message()) == ["train", "operate"]
    assert "label" in able(made, "get_run", None)
