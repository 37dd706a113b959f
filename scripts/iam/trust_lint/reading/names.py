"""What the names of a file stand for: its locals, defaults, constants and identity providers."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from scripts.iam.trust_lint.reading.literals import (
    Call,
    Reader,
    Unreadable,
    calls,
    placeholder,
    spread,
)
from scripts.iam.trust_lint.reading.parameters import Brackets, fields, parameters

ACCOUNT = "${the own account}"  # as nobody writes it
_ASSIGNED = re.compile(
    r"(?:^|(?<=[;{}:)&|])|\b(?:then|do|else)\b)[ \t]*"
    r"(?:(?:export|local|const|let|var|readonly|private|public|protected|static|final"
    r"|declare(?:[ \t]-\w+)*)[ \t]+)*(?:this\.|self\.)?"
    r"(?P<name>[A-Za-z_]\w*)(?:[ \t]*:[ \t]*(?:\{[^{}\n]*\}|[\w.<>\[\]| ])+)?"
    r"[ \t]*:?=[ \t]*(?![=>])",
    re.MULTILINE,
)
_MADE = re.compile(r"\b(?:new\s+)?(?:\w+\.)*((?:Cfn)?(?:OpenIdConnect|OIDC|Oidc)Provider)\w*\s*\(")
_LISTS = ("clientids", "clientidlist", "clientidlists")
_IMPORTED = re.compile(r"(?:from_?open_?id_?connect_?provider_?arn)\w*\s*\(", re.IGNORECASE)
# What gives a name a value in another way than by itself and a literal.
_NAMES = r"[A-Za-z_]\w*(?:[ \t]*,[ \t]*[A-Za-z_]\w*)"
_BOUND = re.compile(
    rf"\b(?:for|as)[ \t(]+(?:(?:const|let|var)[ \t]+)?(?P<each>{_NAMES}*)"
    rf"|\([ \t]*(?P<within>\w+)[ \t]*:=|\bread\b(?:[ \t]+-[^\n;]*?)?[ \t]+(?P<read>\w+)[ \t]*$"
    rf"|(?<![\w.)])(?P<arrow>\w+)[ \t]*=>"
    rf"|^[ \t]*(?:(?:const|let|var)[ \t]+)?[\[(]?(?P<together>{_NAMES}+)[\])]?[ \t]*=(?![=>])",
    re.MULTILINE,
)
_READ = (".append", ".push")  # of a list; see `names`
_WORD = re.compile(r"[A-Za-z_]\w*")
_ADDED = re.compile(r"\b(?P<name>\w+)\.(?:append|push)\(")
_PART = r"(?:\??\.\w+|\[[^\]\n]*\])"
# What takes a name's value as it is and changes it.
_CHANGED = re.compile(
    rf"(?<![\w.])(?:this\.|self\.)?(?P<name>[A-Za-z_]\w*)(?:{_PART}*[ \t]*(?:\+|\|)=|"
    rf"{_PART}+[ \t]*=(?![=>])|{_PART}*?(?P<how>\.(?:append|push|extend|insert|update|add|unshift"
    r"|splice|pop|remove|clear|setdefault|delete))\()"
)
_PLACE = re.compile(r"\$\{([^{}]*)\}|\$([A-Za-z_]\w*)")
# ${NAME:-a default} of a shell.
_OR_ELSE = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*):?[-=](?P<default>[\w./@:*-]+)\}")

_PARSED = re.compile(r"(?:json\.loads|JSON\.parse)\(([A-Za-z_]\w*)\)")
_SHELL = re.compile(r"\A#!.*sh\b|^[ \t]*(?:export[ \t]+\w+=|aws iam |cat\b.*<<)", re.MULTILINE)
_SHELL_WORD = re.compile(
    r"(?<==)(?:[\w./@:*-]+|<+[A-Za-z][^<>\n]*>+)(?=[ \t]*(?:$|[#;]))", re.MULTILINE
)


def provider_arn(url: str) -> str:
    """The ARN that a provider with this URL has, in an account that is not known."""
    return f"arn:aws:iam::{ACCOUNT}:oidc-provider/{url.removeprefix('https://').rstrip('/')}"


def client_ids(providers: Iterable[tuple[Any, Any]]) -> dict[str, tuple[str, ...]]:
    """The audiences that providers list, by their address; those of a list that is not known, or
    another for another provider with that address, are left out.

    An audience may hold a placeholder where what is written beside it tells it from the others.
    """
    found: dict[str, set[tuple[str, ...]]] = {}
    for url, listed in providers:
        texts: list[Any] = listed if isinstance(listed, list) else [None]
        known = all(isinstance(one, str) for one in texts) and _told_apart(texts)
        if isinstance(url, str):
            host = url.removeprefix("https://").rstrip("/")
            found.setdefault(host, set()).add(tuple(sorted(set(texts))) if known else ())
    return {host: next(iter(lists)) for host, lists in found.items() if len(lists) == 1}


def _told_apart(audiences: list[str]) -> bool:
    """Whether what is written out of each audience tells them apart."""
    open_ones = [one for one in audiences if "${" in one]
    others = [one for one in audiences if one not in open_ones]
    begin = [one.partition("${")[0] for one in open_ones]
    return not open_ones or (
        bool(others) and all(begin) and not any(one.startswith(tuple(begin)) for one in others)
    )


def providers(text: str, found: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Address and audiences of each provider that a program makes, `found` being its names; none
    where it may take one that is there."""
    if _IMPORTED.search(text) or is_shell(text):
        return
    for call in calls(text, _MADE):
        given = _arguments(call)
        low = {name.replace("_", "").lower(): value for name, value in given.items()}
        listed = next((low[name] for name in _LISTS if name in low), None)
        yield resolved(low.get("url"), found), resolved(listed, found)


def _arguments(call: Call) -> dict[str, Any]:
    return {
        key: one
        for _, part in call.arguments
        if isinstance(part, dict)
        for key, one in part.items()
    } | dict(call.arguments)


def is_shell(text: str) -> bool:
    """Whether a text is a shell's script."""
    return _SHELL.search(text) is not None


def or_else(text: str) -> dict[str, Any]:
    """What counts for names that others may set, None where nothing does: `${NAME:-default}` of a
    shell, and a program's parameters."""
    found: dict[str, Any] = {} if is_shell(text) else parameters(text, Brackets(text))
    return found | {match["name"]: match["default"] for match in _OR_ELSE.finditer(text)}


def _provider(found: dict[str, Any], name: str, url: object) -> None:
    if isinstance(url, str):
        whole = resolved(url, found)
        # IAM gives the address back without its scheme.
        # https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetOpenIDConnectProvider.html
        host = whole.removeprefix("https://")
        found[f"{name}.url"] = found[f"{name}.openIdConnectProviderIssuer"] = host
        for arn in ("arn", "id", "openIdConnectProviderArn", "open_id_connect_provider_arn"):
            found[f"{name}.{arn}"] = provider_arn(whole)


def names(text: str) -> dict[str, Any]:
    """What each name stands for that a file defines once."""
    found: dict[str, Any] = {}
    twice = set()
    bare = text if is_shell(text) else Brackets(text).bare
    for match, value in _set(text):
        name = match["name"]
        if isinstance(value, str) and _MADE.search(value):
            for call in calls(text[match.end() :], _MADE):
                given = {key.lower(): one for key, one in _arguments(call).items()}
                _provider(found, name, given.get("url"))
                found.setdefault(name, found.get(f"{name}.arn", value))
                break
            continue
        known = found.get(name)
        if (
            isinstance(value, str)
            and (imported := _IMPORTED.search(text, match.end(), match.end() + 200))
            and imported.start() < match.end() + 80
        ):
            value = _imported(text, imported.end(), found) or value
            for arn in ("openIdConnectProviderArn", "open_id_connect_provider_arn"):
                found[f"{name}.{arn}"] = value
        if name in found and known != value:
            twice.add(name)
        found[name] = value
    for more in _ADDED.finditer(text):
        if isinstance(found.get(more["name"]), list):
            try:
                found[more["name"]] = [*found[more["name"]], Reader(text, more.end()).value()]
            except Unreadable:
                twice.add(more["name"])
    twice |= {name for name, how, _ in changes(bare) if how not in _READ}
    for match in _BOUND.finditer(bare):
        twice |= set(_WORD.findall(match[match.lastgroup or 0]))
    return {name: value for name, value in found.items() if name not in twice}


def changes(text: str) -> Iterator[tuple[str, str, int]]:
    """The names whose values a text changes: how, where that is by a method, and the line."""
    line, seen = 1, 0
    for match in _CHANGED.finditer(text):
        # `this.name = ` sets a name.
        line, seen = line + text.count("\n", seen, match.start()), match.start()
        direct = match.start("how") == match.end("name")
        yield match["name"], match["how"] if direct else "", line


def changed(text: str) -> Iterator[tuple[int, int, str, int]]:
    """The literals of a text that it changes: from where to where, their name, and the line."""
    lines = {name: line for name, _, line in changes(text)}
    for match in _ASSIGNED.finditer(text) if lines else ():
        if match["name"] in lines:
            reader = Reader(text, match.end())
            with suppress(Unreadable):
                reader.value()
                yield match.end(), reader.at, match["name"], lines[match["name"]]


def _set(text: str) -> Iterator[tuple[re.Match[str], Any]]:
    """The places where a text sets a name to a literal, with it."""
    shell = is_shell(text)
    brackets = Brackets("" if shell else text)
    given = {match.start("name") for match in fields(text)}
    for match in _ASSIGNED.finditer(text if shell else brackets.bare):
        at = match.start("name")
        if at in given or brackets.gives(at):
            continue
        word = _SHELL_WORD.match(text, match.end()) if shell else None
        try:
            value = word[0] if word else Reader(text, match.end()).value()
        except Unreadable:
            continue
        itself = _OR_ELSE.fullmatch(value) if isinstance(value, str) else None
        if itself is None or itself["name"] != match["name"]:  # NAME="${NAME:-default}"
            yield match, value


def defined(text: str, wanted: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where a text says what these names stand for."""
    for match in _ASSIGNED.finditer(text):
        if match["name"] in wanted:
            reader = Reader(text, match.end())
            with suppress(Unreadable):
                reader.value()
                yield match.start(), reader.at


def _imported(text: str, at: int, known: Mapping[str, Any]) -> str:
    """The ARN of a provider that CDK takes from elsewhere, "" if it is not written there."""
    try:
        arguments = Reader(text, at).arguments()
    except Unreadable:
        return ""
    arns = [resolved(one, known) for _, one in arguments if isinstance(one, str)]
    return next((one for one in reversed(arns) if "oidc-provider" in str(one)), "")


def resolved(value: Any, known: Mapping[str, Any], depth: int = 5) -> Any:
    """A value with every name in it that is known in its place."""
    if isinstance(value, list):
        parts = [part for one in value for part in _each(one, known)]
        return [item for one in parts for item in _items(resolved(one, known, depth))]
    if isinstance(value, Mapping):
        return spread({
            str(resolved(key, known, depth)): resolved(one, known, depth)
            for key, one in value.items()
        })  # fmt: skip
    if not isinstance(value, str) or depth == 0:
        return value
    whole = _PLACE.fullmatch(value)
    if whole and not isinstance(_known(whole, known), str | None):
        return resolved(_known(whole, known), known, depth - 1)
    filled = _PLACE.sub(lambda one: _filled(one, known), value)
    return filled if filled == value else resolved(filled, known, depth - 1)


def _each(value: Any, known: Mapping[str, Any]) -> list[Any]:
    """A text for each item of the list that stands in it."""
    if isinstance(value, str) and not _PLACE.fullmatch(value):
        for match in _PLACE.finditer(value):
            items = _known(match, known)
            if isinstance(items, list) and all(isinstance(one, str) for one in items):
                return [value.replace(match[0], one) for one in items]
            for name in re.findall(r"\b([A-Za-z_]\w*)\.\w", match[1] or ""):
                items = known.get(name)
                if isinstance(items, list) and all(isinstance(one, Mapping) for one in items):
                    return [_of_item(value, name, one) for one in items]
    return [value]


def _of_item(text: str, name: str, item: Mapping[str, Any]) -> str:
    """A text with what one object of a list has for `name.key`."""

    def filled(match: re.Match[str]) -> str:
        key = (match[1] or "").removeprefix(f"{name}.")
        if isinstance(item.get(key), str):
            return str(item[key])
        own = re.compile(rf"\b{name}\.(\w+)")
        literal = own.sub(lambda one: json.dumps(item.get(one[1])), match[1] or "")
        return placeholder(literal) if match[1] else match[0]

    return _PLACE.sub(filled, text)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _known(match: re.Match[str], known: Mapping[str, Any]) -> Any:
    name = (match[1] or match[2]).strip().removeprefix("this.")
    if default := _OR_ELSE.fullmatch(match[0]):
        name = default["name"]
    name = name.removeprefix("self.")
    if read := _PARSED.fullmatch(name):
        name = read[1]
    if name in known:
        return known[name]
    hosts = {
        value.removeprefix("https://")
        for key, value in known.items()
        if key.endswith(".url") and key in name and isinstance(value, str)
    }
    return hosts.pop() if len(hosts) == 1 else None


def _filled(match: re.Match[str], known: Mapping[str, Any]) -> str:
    value = _known(match, known)
    same = value is None or not isinstance(value, str) or value == placeholder(match[0])
    return match[0] if same else value
