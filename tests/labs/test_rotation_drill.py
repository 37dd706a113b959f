"""Lab 10's clock: what it reads, when it gives up, and what helps, without a cloud."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.console import UserError
from scripts.labs.catalogue.lab10_rotation_drill import drill
from scripts.labs.trial import Refused

KEY = "AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n"


def lab(folder: Path, text: str) -> Any:
    (folder / "consumers").mkdir(exist_ok=True)
    for name in drill.CONSUMERS:
        (folder / "consumers" / f"{name}.env").write_text(text)
    return SimpleNamespace(folder=folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ROLE=lab-exports", {"ROLE": "lab-exports"}),
        ("# was a key\nROLE = 'lab-exports'\n", {"ROLE": "lab-exports"}),
        (KEY, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}),
    ],
)
def test_a_consumers_file_names_a_role_or_a_key(
    tmp_path: Path, text: str, found: dict[str, str]
) -> None:
    assert drill.settings(lab(tmp_path, text), "reports") == found


@pytest.mark.parametrize("text", ["", "ROLE=", "AWS_ACCESS_KEY_ID=a"])
def test_a_file_without_either_is_wrong_input(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="names no role and no key") as raised:
        drill.settings(lab(tmp_path, text), "reports")
    assert raised.value.exit_code == 2


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Consumers that are refused once each, and work then."""
    asked: list[str] = []

    def work(_: object, name: str) -> str:
        asked.append(name)
        if asked.count(name) == 1:
            raise Refused("revoked")
        return "data"

    monkeypatch.setattr(drill, "work", work)
    monkeypatch.setattr(drill, "POLL_SECONDS", 0)
    return asked


def test_a_role_gets_another_session(tmp_path: Path, refusing: list[str]) -> None:
    drill.recover(lab(tmp_path, "ROLE=lab-exports"), 30)
    assert sorted(refusing) == sorted(drill.CONSUMERS * 2)


def test_nobody_brings_a_key_but_a_person(tmp_path: Path, refusing: list[str]) -> None:
    with pytest.raises(Refused):
        drill.recover(lab(tmp_path, KEY), 30)
    assert refusing == [drill.CONSUMERS[0]]
    refusing.clear()
    told: list[str] = []
    drill.recover(lab(tmp_path, KEY), 30, by_hand=True, tell=told.append)
    assert len(told) == len(drill.CONSUMERS)
