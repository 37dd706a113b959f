"""The sheet to print: every lab's story once, room to write, and nothing from elsewhere."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from scripts.cli import keyless
from scripts.labs.lab import Lab, labs
from scripts.labs.sheet import QUESTIONS, html, markdown

EVERY = [pytest.param(lab, id=lab.slug) for lab in labs()]


@pytest.mark.parametrize("lab", EVERY)
def test_a_sheet_has_the_story_the_points_and_room(lab: Lab) -> None:
    text = markdown(lab)
    assert text.startswith((lab.folder / "README.md").read_text().rstrip())
    assert f"About {lab.minutes} minutes" in text
    assert all(question in text for question in QUESTIONS)
    assert all(hint.text not in text for hint in lab.hints)


def test_a_page_has_every_lab_on_a_sheet_of_its_own() -> None:
    page = html(list(labs()))
    assert page.count("<section>") == len(labs())
    headings = re.findall(r"<h1>Lab (\d+): ", page)
    assert headings == [str(lab.number) for lab in labs()]
    assert "break-after:page" in page
    assert not re.findall(r'(?:src|href)="?http', page)
    assert "<script" not in page


def test_the_verb_prints_the_labs_that_are_named_or_all() -> None:
    one = CliRunner().invoke(keyless, ["lab", "sheet", "2"])
    every = CliRunner().invoke(keyless, ["lab", "sheet", "--html"])
    assert (one.exit_code, every.exit_code) == (0, 0)
    assert one.stdout.startswith("# Lab 2")
    assert "# Lab 3" not in one.stdout
    assert every.stdout.count("<h1>") == len(labs())


def test_a_lab_that_does_not_exist_has_no_sheet() -> None:
    done = CliRunner().invoke(keyless, ["lab", "sheet", "1", "77"])
    assert done.exit_code == 2
    assert done.stdout == ""
