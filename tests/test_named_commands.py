"""Every command that a message names exists, with the options that it is named with."""

from __future__ import annotations

import ast
import contextlib
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from scripts.cli import keyless
from tests import ROOT

# `keyless`, options of its own, a verb, and what stands behind it in the same code or sentence.
_NAMED = re.compile(r"\bkeyless (?:--[a-z-]+ )*([a-z][a-z-]*)((?: [^\s`'\";,()|&<>]+)*)")
_PROSE = {"in", "project", "platform", "docs", "dev"}
# A target of make in backticks, or as a line of its own; a module that Python runs.
_TARGET = re.compile(r"(?:`|^ *)make ([a-z][a-z-]*)(?=`| *(?:#.*)?$)", re.MULTILINE)
# What a message sends the reader to a page for: `words` in docs/page.md.
_ON_A_PAGE = re.compile(r"`([^`\n]+)` in (docs/[a-z-]+\.md)")
_MODULE = re.compile(r"python3? -m ((?:scripts|pipeline|tests)(?:\.[a-z_]+)+)")


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


@functools.cache
def written() -> tuple[tuple[str, str], ...]:
    """Every text that a person may read, with its file: all that is tracked, but for tests and for
    the changelog, which names what was."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    found = []
    for name in listed:
        if name.startswith("tests/") or name == "CHANGELOG.md":
            continue
        with contextlib.suppress(UnicodeDecodeError):
            found += [(name, text) for text in texts(ROOT / name)]
    return tuple(found)


def named() -> Iterator[tuple[str, str, list[str]]]:
    """Where a command is named, its verb, and the words behind it."""
    for name, text in written():
        for found in _NAMED.finditer(text):
            if found[1] not in _PROSE:
                yield name, found[1], found[2].split()


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


@pytest.mark.slow
def test_every_kind_of_file_is_read_that_names_a_command() -> None:
    """Terraform's and the labs' texts, workflows, pipelines, Pulumi's, the docs and the pages."""
    where = {name for name, _, _ in named()}
    for folder in ("terraform/", "scripts/labs/catalogue/", ".github/workflows/", "pipeline/",
                   "docs/", "scripts/watch/page/"):  # fmt: skip
        assert any(name.startswith(folder) for name in where), folder
    assert {Path(name).suffix for name in where} >= {".py", ".md", ".tf", ".yml", ".toml", ".html"}


@pytest.mark.slow
def test_every_target_and_module_that_a_text_names_exists() -> None:
    rules = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {(name, found) for name, text in written() for found in _TARGET.findall(text)}
    assert len({target for _, target in targets}) > 5
    assert {one for one in targets if one[1] not in rules} == set()
    modules = {(name, found) for name, text in written() for found in _MODULE.findall(text)}
    assert len({module for _, module in modules}) > 10
    assert {one for one in modules if not _is_module(one[1])} == set()


@pytest.mark.slow
def test_what_a_message_sends_to_a_page_for_stands_there() -> None:
    found = {(name, *told) for name, text in written() for told in _ON_A_PAGE.findall(text)}
    assert found
    assert {one for one in found if one[1] not in (ROOT / one[2]).read_text()} == set()


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


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
