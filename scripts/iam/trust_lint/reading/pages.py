"""What a page shows: fenced blocks, and whole blocks of Terraform or a template without a fence."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from textwrap import dedent

from scripts.iam.trust_lint.reading.literals import Unreadable
from scripts.iam.trust_lint.reading.policies import STATEMENT
from scripts.iam.trust_lint.reading.templates import template
from scripts.iam.trust_lint.terraform.syntax import end_of_block

_FENCE = re.compile(r"^[ \t]*(```|~~~)[^\n]*\n(.*?)^[ \t]*\1", re.DOTALL | re.MULTILINE)
_PRE = re.compile(r"<pre\b[^>]*>(.*?)</pre>", re.DOTALL | re.IGNORECASE)
# What colours a text; a placeholder such as <OWNER> stays.
_COLOURS = re.compile(r"</?(?:code|span|a|b|i|em|strong|mark|font|div)\b[^>]*>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_BLOCK = re.compile(
    r'^[ \t]*((?:data|resource)(?:[ \t]+"[\w-]+"){2}|(?:module|variable|provider|output)'
    r'[ \t]+"[\w-]+"|locals|terraform)[ \t]*\{',
    re.MULTILINE,
)
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
_SECTION = (
    r"(?:(?:AWSTemplateFormatVersion|Description|Transform)[ ]*:[^\n]*"
    r"|(?:Metadata|Parameters|Rules|Mappings|Conditions|Globals|Resources|Outputs)[ ]*:[ \t]*$"
    r"|\w+:[ \t]*(?=\n(?P=by)[ ]+Type:[ ]*[\"']?AWS::))"
)
_TEMPLATE = re.compile(
    rf"^(?P<by>[ ]*){_SECTION}(?:\n(?:(?P=by)(?:{_SECTION}|[ ]+\S[^\n]*|\#[^\n]*)|[ \t]*$))*",
    re.MULTILINE,
)


def shown(text: str, *, unfenced: bool) -> list[str]:
    """What a page sets apart from its prose, and the rest of it where a policy may stand there.

    With `unfenced` come blocks of Terraform and templates that stand in the prose and are whole.
    """
    found = [match[2] for match in _FENCE.finditer(text)]
    rest = _FENCE.sub("\n", text) if found else text
    if unfenced:
        found += [_plain(match[1]) for match in _PRE.finditer(rest)]
        rest = _PRE.sub("\n", rest)
    fenced = bool(found)
    if unfenced:
        modules, rest = _modules(rest)
        templates, rest = _templates(rest)
        found += [*modules, *templates]
    # Beside what is fenced, prose may hold a key of a token and no policy.
    return [*found, rest] if found and (not fenced or STATEMENT.search(rest)) else found


def _plain(marked: str) -> str:
    """A text of HTML as it is shown."""
    return html.unescape(_COLOURS.sub("", _BREAK.sub("\n", marked)))


def _modules(text: str) -> tuple[list[str], str]:
    """Terraform's blocks in a text, those of one example together, and what is left of it."""
    examples: list[dict[str, str]] = [{}]
    left, behind = [], 0
    for match in _BLOCK.finditer(text):
        start = match.start(1)
        if start < behind:
            continue
        try:
            end = end_of_block(text, start)
        except Unreadable:
            continue
        # The same block again is another example; a file has it once, but locals.
        name = match[1] if '"' in match[1] else f"{match[1]} {start}"
        if name in examples[-1]:
            examples.append({})
        examples[-1][name] = text[start:end]
        left.append(text[behind:start])
        behind = end
    rest = "\n".join([*left, text[behind:]])
    if not rest.strip():
        return [], text  # Terraform's alone, whatever the file is called
    return ["\n".join(one.values()) for one in examples if one], rest


def _templates(text: str) -> tuple[list[str], str]:
    """CloudFormation's templates in a text, and what is left of it."""
    found = []

    def taken(match: re.Match[str]) -> str:
        part = dedent(match[0])
        if "AWS::IAM::Role" not in part or not isinstance(template(part), Mapping):
            return match[0]
        found.append(part)
        return "\n"

    return found, _TEMPLATE.sub(taken, text)
