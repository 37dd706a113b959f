"""The pictures of docs/rollouts.md come from the demos, and each is shown."""

import re

import pytest
from click import ClickException

from scripts.maintenance.rollout_pictures import PICTURES, last_demo, shortened
from tests import ROOT

FOLDER = ROOT / "docs" / "pictures"


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


def test_only_coordinates_are_shortened_and_no_label() -> None:
    svg = '<svg><path d="M 1.23456 7.9 L 2.5\\n3.14159"/><text x="1.23456">0.4567</text></svg>'

    assert shortened(svg) == (
        '<svg><path d="M 1.2 7.9 L 2.5\\n3.1"/><text x="1.23456">0.4567</text></svg>\n'
    )


def test_a_demo_that_was_not_run_is_named() -> None:
    with pytest.raises(ClickException, match="keyless rollout demo ab good"):
        last_demo([], "ab", "good")
