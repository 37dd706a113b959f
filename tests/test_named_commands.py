"""Every command that a message names exists, with the options that it is named with."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from scripts.cli import keyless
from tests import ROOT

# `keyless`, options of its own, a verb, and what stands behind it in the same code or sentence.
_NAMED = re.compile(r"\bkeyless (?:--[a-z-]+ )*([a-z][a-z-]*)((?: [^\s`'\";,()|&<>]+)*)")
_PROSE = {"in", "project", "platform"}
_FOLDERS = ("scripts", "pipeline", "terraform", ".github")


def texts(path: Path) -> Iterator[str]:
    """What of a file a person may read; of Python, every string that is no docstring."""
    if path.suffix != ".py":
        yield path.read_text()
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def named() -> Iterator[tuple[str, str, list[str]]]:
    """Where a command is named, its verb, and the words behind it."""
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            hidden = {".terraform", "__pycache__"} & set(path.parts)
            if path.suffix not in (".py", ".tf", ".yml", ".tftpl", ".sh") or hidden:
                continue
            for text in texts(path):
                for found in _NAMED.finditer(text):
                    if found[1] not in _PROSE:
                        yield str(path.relative_to(ROOT)), found[1], found[2].split()


def fault(verb: str, words: list[str]) -> str | None:
    """What is wrong with a named command; None for one that exists."""
    context = click.Context(keyless, info_name="keyless")
    command = keyless.get_command(context, verb)
    if command is None:
        return f"there is no keyless {verb}"
    if command.context_settings.get("ignore_unknown_options"):
        return None  # it hands its words on
    for word in words:
        if word == "--":
            return None
        if isinstance(command, click.Group) and not word.startswith(("-", "{")):
            inner = command.get_command(click.Context(command), word)
            if inner is None:
                break
            command = inner
        elif word.startswith("--"):
            option = word.partition("=")[0].rstrip(".:")
            known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            if option not in known | {"--help", "--home", "--debug", "--version"}:
                return f"keyless {verb} has no {option}"
    return None


@pytest.mark.slow
def test_every_command_that_a_message_names_exists() -> None:
    found = list(named())
    assert len({verb for _, verb, _ in found}) > 15
    wrong = {(where, told) for where, verb, words in found if (told := fault(verb, words))}
    assert wrong == set()


@pytest.mark.parametrize(
    ("verb", "words", "told"),
    [
        ("raise", [], "there is no keyless raise"),
        ("doctor", ["--everything"], "keyless doctor has no --everything"),
        ("lab", ["start", "{}", "--twice"], "keyless lab has no --twice"),
        ("doctor", ["--aws", "says"], None),
    ],
)
def test_a_command_that_does_not_exist_is_found(
    verb: str, words: list[str], told: str | None
) -> None:
    assert fault(verb, words) == told
