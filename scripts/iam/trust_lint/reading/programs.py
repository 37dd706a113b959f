"""Rewrites programs in the forms that are read: Pulumi's `apply`, and Go, C# and Java.

Only objects, lists and names change; every line keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.iam.trust_lint.reading.literals import Reader, Unreadable
from scripts.iam.trust_lint.reading.parameters import Brackets

Edits = list[tuple[int, int, str]]

# https://www.pulumi.com/docs/iac/concepts/inputs-outputs/apply/
_APPLY = re.compile(r"\s*\.\s*(?:apply|ApplyT)\(\s*")
_RECEIVER = re.compile(r"[A-Za-z_][\w.]*(?:\[\w+\])?\Z")
_ALL = re.compile(r"\b(?:pulumi\.)?(?:Output\.)?[aA]ll\Z")
_TAKES = re.compile(
    r"lambda\s+(?P<lambda>\w+)\s*:"
    r"|(?:func|function)\s*\(\s*(?P<function>\w+)[^()]*\)"
    r"|\(?\s*(?:\[(?P<list>[^\]]*)\]|\{(?P<object>[^}]*)\}|(?P<one>\w+))\s*(?::[^=]*?)?\)?\s*=>"
)


def rewritten(text: str, kind: str) -> str:
    """A program's text as it is read; `kind` is how its file's name ends."""
    if form := {
        ".go": _go,
        ".cs": _csharp,
        ".java": _java,
        ".ps1": _powershell,
    }.get(kind):
        text = form(text)
    return _edited(text, list(_bound(text))) if _APPLY.search(text) else text


def _edited(text: str, edits: Edits) -> str:
    """A text with edits made, of which the earlier of two that overlap counts."""
    done, at = [], 0
    for start, end, new in sorted(edits):
        if start >= at:
            done += [text[at:start], new]
            at = end
    return "".join([*done, text[at:]])


def _bound(text: str) -> Iterator[tuple[int, int, str]]:
    """What an output is, in place of each parameter of the function that `apply` gives it to."""
    brackets = Brackets(text)
    opened = dict(brackets.pairs)
    starts = {end: start for start, end in brackets.pairs}
    for match in _APPLY.finditer(text):
        head = _TAKES.match(text, match.end())
        whole = text.find("(", match.start(), match.end() + 1)
        if head is None or whole not in opened:
            continue
        output = _output(text, match.start(), starts)
        for name, expression in _given(head, output):
            own = re.compile(rf"(?<![\w.\"'`]){name}(?![\w(]|\s*(?:=(?!=)|:(?!:)))")
            for one in own.finditer(text, head.end(), opened[whole]):
                # A name is none in quotes, unless a placeholder holds it.
                if brackets.bare[one.start()] != '"' or text[one.start() - 1] == "{":
                    yield one.start(), one.end(), expression


def _output(text: str, at: int, starts: Mapping[int, int]) -> Any:
    """What stands before `.apply`: an expression, or those that `all` takes."""
    if text[at - 1 : at] == ")" and at - 1 in starts:
        begin = starts[at - 1]
        if _ALL.search(text[max(0, begin - 40) : begin]):
            try:
                arguments = Reader(text, begin + 1).arguments()
            except Unreadable:
                return None
            if len(arguments) == 1 and not arguments[0][0]:
                return arguments[0][1]
            named = {name: one for name, one in arguments if name}
            return named or [one for _, one in arguments]
        return None
    match = _RECEIVER.search(text, max(0, at - 200), at)
    return f"${{{match[0]}}}" if match else None


def _given(head: re.Match[str], output: Any) -> Iterator[tuple[str, str]]:
    """The parameters of a function as patterns, and the expressions that they stand for."""
    pairs: list[tuple[str, Any]] = []
    name = head["lambda"] or head["function"] or head["one"]
    if head["list"] is not None and isinstance(output, list):
        pairs = list(zip(re.findall(r"\w+", head["list"]), output, strict=False))
    elif head["object"] is not None and isinstance(output, Mapping):
        for part in head["object"].split(","):
            key, _, own = (word.strip() for word in part.partition(":"))
            pairs.append((own or key, output.get(key)))
    elif name and isinstance(output, list):
        pairs = [(rf"{name}\[{at}\](?:\.\(\w+\))?", one) for at, one in enumerate(output)]
    elif name and isinstance(output, Mapping):
        pairs = [(rf"{name}(?:\.{key}|\[[\"']{key}[\"']\])", one) for key, one in output.items()]
    elif name:
        pairs = [(name, output)]
    for pattern, one in pairs:
        if pattern and isinstance(one, str) and re.fullmatch(r"\$\{[^{}\"'`]+\}", one):
            yield pattern, " ".join(one[2:-1].split())


_ARN = re.compile(r"\.(?:get)?OpenIdConnectProviderArn(?:\(\))?")
_GO_TYPE = r"(?:\*?(?:\w+\.)?\w+|map\[string\](?:\[\])?\*?[\w.]+)"
_GO_LITERAL = re.compile(
    rf"(?<![\w)])&?(?:(?P<list>\[\]{_GO_TYPE}|(?:\w+\.)?\w*Array)"
    rf"|map\[string\](?:\[\])?\*?(?:\w+\.)?\w+|(?:\w+\.)?[A-Z]\w*)(?=\{{)"
)
_GO_WRAPS = re.compile(r"\b(?:pulumi|jsii|aws)\.(?:String|Any|StringPtr)(?=\()")
_GO_MAKES = re.compile(r"\bNew(?=(?:Cfn)?(?:OpenIdConnect|WebIdentity|Federated|Role)\w*\()")


def _go(text: str) -> str:
    text = re.sub(r"\binterface\{\}", "any", text)
    text = re.sub(r"(?m)^(\s*\w+),\s*(?:err|_)\s*(?=:?=)", r"\1 ", text)
    text = _GO_MAKES.sub("", _GO_WRAPS.sub("", text))
    text = _ARN.sub(".openIdConnectProviderArn", text)
    text = re.sub(r"(?<=\w)\.Arn\b", ".arn", re.sub(r"(?<=\w)\.Url\b", ".url", text))
    opened = dict(Brackets(text).pairs)
    edits: Edits = []
    for match in _GO_LITERAL.finditer(text):
        closed = opened.get(match.end())
        if closed is not None:
            edits += _as(match.start(), match.end(), closed, "[]" if match["list"] else "{}")
    for match in re.finditer(r"\bjsii\.Strings(?=\()", text):
        closed = opened.get(match.end())
        if closed is not None:
            edits += _as(match.start(), match.end(), closed, "[]")
    return _edited(text, edits)


_PS_FORMAT = re.compile(r'"([^"\n]*)"\s*-f\s*(\$\w+(?:\s*,\s*\$\w+)*)')


def _powershell_formatted(match: re.Match[str]) -> str:
    names = re.findall(r"\$(\w+)", match[2])

    def filled(place: re.Match[str]) -> str:
        at = int(place[1])
        return f"${{{names[at]}}}" if at < len(names) else place[0]

    return '"' + re.sub(r"\{(\d+)\}", filled, match[1]) + '"'


def _powershell(text: str) -> str:
    """Variables without their sign where they are set, `$($NAME)` in a text as `${NAME}`, and
    `@{ A = 1; B = @(2) }` as an object with a list.

    https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_hash_tables
    """
    text = re.sub(r"(?m)^([ \t]*)\$(?=\w+[ \t]*=(?!=))", r"\1", text)
    text = re.sub(r"\$\(\$(\w+)\)", r"${\1}", text)
    text = _PS_FORMAT.sub(_powershell_formatted, text)
    brackets = Brackets(text)
    edits: Edits = []
    behind = 0
    for opened, closed in sorted(brackets.pairs):
        if text[opened - 1 : opened] != "@":
            continue
        edits += _as(opened - 1, opened, closed, "[]" if text[opened] == "(" else "{}")
        for match in re.finditer(r";|\$(?=\w)", text[max(opened, behind) : closed]):
            at = max(opened, behind) + match.start()
            if brackets.bare[at] != '"':
                edits.append((at, at + 1, "," if match[0] == ";" else ""))
        behind = max(behind, closed)
    return _edited(text, edits)


def _as(start: int, opened: int, closed: int, signs: str) -> Edits:
    """What stands between two brackets between two others, without what is before them."""
    return [(start, opened + 1, signs[0]), (closed, closed + 1, signs[1])]


_CS_NEW = re.compile(
    r"\bnew\s*(?:(?P<map>\w*Dictionary\s*<[^{}();]*?>)|(?P<list>List\s*<[^{}();]*?>|[\w.<>]*\s*\[\s*\])"
    r"|[\w.]+)\s*(?:\(\s*\))?(?P<gap>\s*)(?=\{)"
)
_TYPED = re.compile(
    r"(?m)^(?P<before>[ \t]*(?:(?:private|public|protected|internal|static|readonly|final|const)"
    r"[ \t]+)*)(?!return\b|new\b|else\b|throw\b|package\b|using\b|import\b)"
    r"[A-Za-z_][\w.]*(?:<[^=;(){}]*>)?(?:\[\])?[ \t]+(?=[A-Za-z_]\w*[ \t]*=(?!=))"
)


def _untyped(text: str) -> str:
    """Declarations of variables without their types."""
    return _TYPED.sub(lambda one: one["before"], text)


def _csharp(text: str) -> str:
    text = _ARN.sub(".openIdConnectProviderArn", text).replace('$"', 'f"')
    text = _untyped(re.sub(r"\b(?:S|s)tring\.Empty\b", '""', text))
    brackets = Brackets(text)
    opened = dict(brackets.pairs)
    edits: Edits = []
    for match in _CS_NEW.finditer(text):
        closed = opened.get(match.end())
        if closed is None:
            continue
        signs = "[]" if match["list"] else "{}"
        edits += [
            (match.start(), match.end() + 1, match["gap"] + signs[0]),
            (closed, closed + 1, signs[1]),
        ]
        if match["map"]:
            edits += _entries(brackets, opened, match.end() + 1, closed)
    return _edited(text, edits)


def _entries(brackets: Brackets, opened: Mapping[int, int], at: int, closed: int) -> Edits:
    """The `{ key, value }` of a dictionary as `key: value`."""
    edits: Edits = []
    while at < closed:
        end = opened.get(at)
        if end is not None and brackets.bare[at] == "{":
            comma = _comma(brackets, opened, at + 1, end)
            if comma >= 0:
                edits += [(at, at + 1, ""), (comma, comma + 1, ":"), (end, end + 1, "")]
        at = (end if end is not None else at) + 1
    return edits


def _comma(brackets: Brackets, opened: Mapping[int, int], at: int, end: int) -> int:
    """The first comma that stands in no further brackets, -1 if there is none."""
    while at < end:
        if brackets.bare[at] == ",":
            return at
        at = opened.get(at, at) + 1
    return -1


_JAVA_LIST = re.compile(
    r"\b(?:(?:Immutable)?(?:List|Set)\.of|Arrays\.asList|Collections\.singletonList|Stream\.of)(?=\()"
)
_JAVA_MAP = re.compile(r"\b(?:(?:Immutable)?Map\.of|Collections\.singletonMap)(?=\()")
_JAVA_ENTRIES = re.compile(r"\bMap\.ofEntries(?=\()")
_JAVA_ENTRY = re.compile(r"\b(?:Map\.)?entry(?=\()")
_JAVA_PUTS = re.compile(r"\bnew\s+\w*Map\s*<[^{}();]*>\s*\(\s*\)\s*\{(?=\s*\{)")
_JAVA_PUT = re.compile(r"\bput(?=\()")
_BUILDER = re.compile(r"\b(?P<type>[A-Z]\w*)\s*\.\s*(?:Builder\s*\.\s*create|builder)(?=\()")
_STEP = re.compile(r"\s*\.\s*(?P<name>\w+)(?=\()")


def _java(text: str) -> str:
    text = re.sub(r"\bString\.format(?=\()", "sprintf", _untyped(text))
    text = _ARN.sub(".openIdConnectProviderArn", text)
    brackets = Brackets(text)
    opened = dict(brackets.pairs)
    edits: Edits = []
    for form, signs in ((_JAVA_LIST, "[]"), (_JAVA_MAP, "{}"), (_JAVA_ENTRIES, "{}")):
        for match in form.finditer(text):
            closed = opened.get(match.end())
            if closed is None:
                continue
            edits += _as(match.start(), match.end(), closed, signs)
            at = match.end() + 1
            while form is _JAVA_MAP and (comma := _comma(brackets, opened, at, closed)) >= 0:
                edits.append((comma, comma + 1, ":"))
                further = _comma(brackets, opened, comma + 1, closed)
                at = further + 1 if further >= 0 else closed
    for form in (_JAVA_ENTRY, _JAVA_PUT):
        for match in form.finditer(text):
            closed = opened.get(match.end())
            comma = _comma(brackets, opened, match.end() + 1, closed) if closed else -1
            if closed is not None and comma >= 0:
                edits += [
                    (match.start(), match.end() + 1, ""),
                    (comma, comma + 1, ":"),
                    (closed, closed + 1, ""),
                ]
    for match in _JAVA_PUTS.finditer(text):
        closed = opened.get(match.end() - 1)
        if closed is not None:
            lines = "\n" * match[0].count("\n")
            edits += [(match.start(), match.end(), lines), (closed, closed + 1, "")]
    for match in _BUILDER.finditer(text):
        edits += _built(text, match, opened)
    return _edited(text, edits)


def _built(text: str, match: re.Match[str], opened: Mapping[int, int]) -> Edits:
    """`X.Builder.create(a).b(c).build()` as `X(a, {b: c})`."""
    at, first = opened.get(match.end()), match.end()
    if at is None:
        return []
    steps = []
    begin = at
    while step := _STEP.match(text, begin + 1):
        closed = opened.get(step.end())
        if closed is None:
            return []
        steps.append((step, closed))
        begin = closed
        if step["name"] == "build":
            break
    if not steps or steps[-1][0]["name"] != "build":
        return []
    own = text[first + 1 : at].strip()
    edits: Edits = [(match.start(), match.end(), match["type"] if own else "")]
    edits.append((first, first + 1, "(" if own else ""))
    edits.append((at, at + 1, ", {" if own else "{"))
    for step, closed in steps[:-1]:
        gap = "\n" * step[0].count("\n")
        edits += [
            (step.start(), step.end() + 1, f"{gap}{step['name']}: "),
            (closed, closed + 1, ","),
        ]
    last, closed = steps[-1]
    edits.append((last.start(), closed + 1, "\n" * last[0].count("\n") + ("})" if own else "}")))
    return edits
