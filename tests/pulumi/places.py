"""Where in Pulumi's program a difference is to be changed: the file and the line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from tests import ROOT
from tests.pulumi.names import terraform_type

PACKAGE = "scripts/pulumi_platform"
# The first argument of a statement.
_SID = re.compile(r'(?:^\s*|\(|, )(f?)"([A-Z][\w{}.]*)"(?=,|$)')


def located(found: Iterable[str], recording: Mapping[str, Any]) -> list[str]:
    """Each difference with the line that makes the property or the statement.

    For what Pulumi lacks, the line of the resource whose name is nearest to it.
    """
    lines = {
        f"{terraform_type(each['type'])}::{each['name']}": each["lines"]
        for each in recording["resources"]
        if each["type"].startswith("aws:")
    }
    return [f"{each} ({_place(each, lines)})" for each in found]


def _place(text: str, lines: Mapping[str, list[str]]) -> str:
    names = [name for name in lines if re.match(rf"{re.escape(name)}[.:]", text)]
    if not names:
        word = text.partition("::")[2]
        near = max(lines, key=lambda name: _common(name.partition("::")[2], word))
        return f"beside {lines[near][0]}"
    name = max(names, key=len)
    property_, _, below = text[len(name) + 1 :].partition(":")[0].partition(".")
    sid = below.rpartition(".")[2]
    return _statement(sid) or _argument(lines[name], property_)


def _common(one: str, other: str) -> int:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return len(list(same))


def _statement(sid: str) -> str | None:
    """The lines that name a statement of a policy: one, or those of several policies."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / PACKAGE).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if any(_names(sid, *each.groups()) for each in _SID.finditer(line))
    ]
    return " or ".join(found) or None


def _names(sid: str, made: str, text: str) -> bool:
    """Whether a text of the program is a Sid; one with an f before it is made of parts."""
    pattern = re.escape(text)
    return (
        re.fullmatch(re.sub(r"\\{.*?\\}", r"\\w+", pattern) if made else pattern, sid) is not None
    )


def _argument(calls: list[str], name: str) -> str:
    """The line of an argument, in the call that makes the resource or one that leads to it."""
    for call in calls:
        path, _, start = call.rpartition(":")
        lines = (ROOT / path).read_text().splitlines()
        indent = len(lines[int(start) - 1]) - len(lines[int(start) - 1].lstrip())
        for number, line in enumerate(lines[int(start) - 1 :], int(start)):
            if re.search(rf'\b{name}(s|es)?(=|": )', line):
                return f"{path}:{number}"
            if number > int(start) and len(line) - len(line.lstrip()) <= indent:
                break  # the call ends
    return calls[0]
