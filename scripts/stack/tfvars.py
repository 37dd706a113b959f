"""Read single values of a tfvars file, without Terraform."""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(
    r'(?P<skip>\s+|#[^\n]*|//[^\n]*|/\*.*?\*/)|"(?P<text>(?:\\.|[^"\\])*)"|(?P<word>[\w.-]+)|.',
    re.DOTALL,
)


def literals(text: str) -> Mapping[tuple[str, ...], str]:
    """Texts, numbers and truth values by their path, such as ("server", "instance_type").

    Lists are left out; a tfvars file holds no expressions.
    """
    found: dict[tuple[str, ...], str] = {}
    path: list[str] = []
    name, assigned, lists = "", False, 0
    for token in _TOKEN.finditer(text):
        sign = token[0]
        value = token["text"] if token["text"] is not None else token["word"]
        if token["skip"]:
            continue
        if sign in "[(" or lists:
            lists += (sign in "[(") - (sign in ")]")
            name, assigned = "", False
        elif sign == "{":
            path.append(name)
            name, assigned = "", False
        elif sign == "}":
            path[-1:] = []
            name, assigned = "", False
        elif value is None:
            assigned = bool(name) and sign in "=:"
        elif assigned:
            found[(*path, name)] = value
            name, assigned = "", False
        else:
            name = value
    return found
