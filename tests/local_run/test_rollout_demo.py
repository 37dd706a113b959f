"""A demo ends what an earlier demo left, and nothing of a person's."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.rollouts.policies import Policies
from pipeline.storage import FolderStore
from scripts.console import UserError
from scripts.local_run.rollout_demo import Demo
from tests.pipeline.rollouts.test_verbs import MODEL, begun


def demo(folder: Path, told: list[Any]) -> Demo:
    made = object.__new__(Demo)
    policies = Policies(FolderStore(folder), f"rollouts/{MODEL}")
    made.__dict__.update(
        _policies=lambda: policies, _verb=lambda _, *arguments: told.append(arguments)
    )
    return made


@pytest.mark.parametrize("later", [{}, {"why": "the guards hold", "version": 2}])
def test_a_rollout_of_a_persons_is_not_ended(tmp_path: Path, later: dict[str, Any]) -> None:
    told: list[Any] = []
    policy = begun(tmp_path, why="trained on October")
    policies = Policies(FolderStore(tmp_path), f"rollouts/{MODEL}")
    if later:
        policies.write(policy.model_copy(update=later), policies.read())
    with pytest.raises(UserError, match="A rollout is under way: canary"):
        demo(tmp_path, told)._end_what_is_left(tmp_path)
    assert told == []


def test_what_a_demo_left_is(tmp_path: Path) -> None:
    told: list[Any] = []
    policy = begun(tmp_path, why="a demo with a good challenger")
    policies = Policies(FolderStore(tmp_path), f"rollouts/{MODEL}")
    policies.write(policy.model_copy(update={"why": "10 %", "version": 2}), policies.read())
    demo(tmp_path, told)._end_what_is_left(tmp_path)
    assert told == [("abort", "--why", "another demo begins")]
