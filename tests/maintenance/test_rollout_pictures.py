"""The pictures of docs/rollouts.md come from the demos' pages, and each is shown."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.maintenance.rollout_pictures import PICTURES, main
from tests import ROOT

FOLDER = ROOT / "docs" / "pictures"
PAGE = "<html><h1>x</h1><svg width='9'><path d='M 1.23456 7.9'/></svg><table></table></html>"


def test_every_picture_is_there_and_shown() -> None:
    page = (ROOT / "docs" / "rollouts.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^]]+\]\(pictures/([^)]+)\.svg\)", page)

    assert sorted(shown) == sorted(PICTURES)
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(f"{n}.svg" for n in PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_shows_curves_and_loads_nothing(name: str) -> None:
    text = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")

    assert text.startswith("<svg") and 'xmlns="http://www.w3.org/2000/svg"' in text
    assert "requests" in text and "challenger" in text
    assert "<script" not in text and "<image" not in text and "url(http" not in text


def test_pictures_are_taken_out_of_pages(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    refused = CliRunner().invoke(main, [str(tmp_path), str(folder)])
    assert refused.exit_code == 1 and "keyless rollout demo canary good" in refused.output
    assert not folder.exists()
    for name in PICTURES:
        (tmp_path / f"{name}.html").write_text(PAGE)

    assert CliRunner().invoke(main, [str(tmp_path), str(folder)]).exit_code == 0
    assert {path.stem for path in folder.iterdir()} == set(PICTURES)
    text = (folder / f"{PICTURES[0]}.svg").read_text()
    assert text == "<svg width='9'><path d='M 1.2 7.9'/></svg>\n"
