"""Trust policies of a file that is not JSON alone, whichever way they are written there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.iam.trust_lint.reading.literals import TooTangled, begin
from scripts.iam.trust_lint.reading.names import given, names
from scripts.iam.trust_lint.reading.policies import Found, fences, policies
from scripts.iam.trust_lint.reading.templates import policies_in, template
from scripts.iam.trust_lint.terraform.documents import trust_policies
from scripts.names import GITHUB_HOST

MOST_CHARACTERS = 500_000
_MAY_HOLD = re.compile(
    r"assume_?role|principal|^\s*source\s*=\s*\"\.", re.IGNORECASE | re.MULTILINE
)
_KEY_OF_TOKENS = re.compile(rf"{re.escape(GITHUB_HOST)}:\w")


def written(text: str, file: Path | None = None) -> list[Found]:
    """The trust policies of a template, of Terraform, code, a script or a page of Markdown.

    `file` is where the text stands: names that its neighbours define are filled in, too. Raises
    TooTangled.
    """
    if not _MAY_HOLD.search(text):
        return []
    if len(text) > MOST_CHARACTERS:
        raise TooTangled(f"longer than the {MOST_CHARACTERS} characters that are read")
    begin()
    try:
        return _written(text, file)
    except RecursionError:
        raise TooTangled("it is nested too deeply to read") from None


def _written(text: str, file: Path | None) -> list[Found]:
    parts = fences(text) or [text]
    found: list[Found] = []
    beside = file if file and file.suffix in (".tf", ".tofu") else None
    for part in parts:
        read = trust_policies(part, beside)
        if read is None:
            content = template(part)
            read = policies_in(content) if content is not None else []
            read = read or policies(part, around(beside) if beside else {})
        found += [one for one in read if one not in found]
    return found


def conditions_alone(text: str) -> int:
    """How many blocks of a page show conditions on tokens and no statement that they are of."""
    return sum(
        bool(_KEY_OF_TOKENS.search(part)) and "Principal" not in part and "principals" not in part
        for part in fences(text)
    )


def around(file: Path) -> dict[str, Any]:
    """What names of a Terraform file stand for by the other files of its folder.

    Values are taken in the order in which Terraform takes them; what cannot be read is left out,
    so that its names stay open.
    https://developer.hashicorp.com/terraform/language/values/variables
    """
    found: dict[str, Any] = {}
    for one in sorted(file.parent.glob("*.tf")):
        found |= _of(one, names) if one != file else {}
    values = file.parent / "terraform.tfvars"
    for one in (
        *([values] if values.is_file() else []),
        *sorted(file.parent.glob("*.auto.tfvars")),
    ):
        found |= _of(one, given)
    return found


def _of(file: Path, read: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    try:
        text = file.read_text()
        begin()
        found = read(text) if len(text) <= MOST_CHARACTERS else {}
    except (OSError, UnicodeDecodeError, TooTangled, RecursionError):
        return {}
    return {name: value for name, value in found.items() if "." in name}
