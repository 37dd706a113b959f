"""Finds the trust policies in a text: Terraform, TypeScript, Python, scripts and Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scripts.iam.trust_lint.reading.literals import (
    PLACE,
    SPREAD,
    Call,
    Reader,
    Unreadable,
    calls,
    formatted,
    object_around,
    outside,
    placeholder,
    spread,
    texts,
)
from scripts.iam.trust_lint.reading.names import (
    changed,
    client_ids,
    defined,
    is_shell,
    names,
    or_else,
    providers,
    resolved,
)


@dataclass(frozen=True)
class Found:
    """A policy, where in the file it stands ("" if it names no place), and defaults that count."""

    place: str
    policy: dict[str, Any]
    defaults: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()  # what is taken for granted of conditions that are not known
    client_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # as in Setting
    allowed: tuple[str, ...] = ()  # actions that the role's own policies are known to allow


_QUOTED = re.compile(r"'\"?\$\{?(\w+)\}?\"?'")  # '$NAME' within a shell's single quotes
STATEMENT = re.compile(
    r"[\"']?\bstatements?[\"']?\s*(?:[:=]|=>)\s*(?:new\s+\w+)?\s*[\[{]", re.IGNORECASE
)
# https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_iam.FederatedPrincipal.html
_CDK = re.compile(
    r"\b(FederatedPrincipal|WebIdentityPrincipal|OpenIdConnectPrincipal)(?:\.new)?\s*\("
)
_ROLE = re.compile(
    r"\b(?:Cfn)?Role\(\s*((?:(?:this|self|scope|stack|\w*ctx)\s*,\s*)?[\"'`]([\w./${}-]+)[\"'`])"
)
_WITH = re.compile(r"\s*\.\s*[wW]ith_?[cC]onditions\s*\(")
_WITHIN = re.compile(r"PrincipalWithConditions\(\s*(?:principal\s*=\s*)?(?:new\s+)?(?:\w+\.)*\Z")
_COMMA = re.compile(r"\s*,")
_CDK_ARGUMENTS = ("federated", "conditions", "assumeroleaction")
_CDK_NAMES = ("identityprovider", "openidconnectprovider")
_ELSEWHERE = placeholder("conditions that are written elsewhere")
_WEB = "sts:AssumeRoleWithWebIdentity"
# A choice between two values, as TypeScript and Python write it.
_IF, _ELSE = re.compile(r"\bif\b"), re.compile(r"\belse\b")
_QUESTION, _COLON = re.compile(r"(?<![?:])\?(?![?.])"), re.compile(":")
_NOTHING = ("", "${null}", "${undefined}", "${None}")
_WORD = re.compile(r"[A-Za-z_]\w*")
_PLACES = re.compile(rf"{PLACE.pattern}|\$[A-Za-z_]\w*")
_REPLACES = re.compile(r"\bsed\b[^\n|;]*?[ \t](?:-\w*i\b|--in-place)")
# A client of IAM with an address of its own: Ceph, MinIO, LocalStack and others have IAM's API.
# https://docs.ceph.com/en/latest/radosgw/STS/
_ADDRESS = (
    r"(?:(?!\)\s*[;\n])[^;]){{0,500}}?"
    r"""\bendpoint(?:_?url)?["']?\s*[=:]\s*(?P<{}>[^\s,)}}]+)"""
)
_OTHER_IAM = re.compile(
    r"""\b(?:client|resource)\(\s*(?:service_name\s*=\s*)?["']iam["']"""
    + _ADDRESS.format("boto")
    + r"|\bIAM(?:Client)?\("
    + _ADDRESS.format("js")
    + r"|\baws[ \t](?=[^\n;|]*\biam[ \t])[^\n;|]*?--endpoint(?:-url)?[= \t](?P<cli>\S+)"
    r"|\bAWS_ENDPOINT_URL(?:_IAM)?=(?P<env>\S+)|\b(?P<ceph>radosgw-admin)[ \t]+role\b"
)
_STEPS = 5  # from one name to the next, as `resolved` goes them
_OR = re.compile(r"\?\?|\|\||\bor\b")


Spans = list[tuple[int, int]]


def prepared(text: str) -> str:
    """A text with what a program formats and a shell quotes in its place, line by line."""
    return formatted(_QUOTED.sub(r"${\1}", text) if is_shell(text) else text)


def policies(text: str) -> tuple[list[Found], Spans]:
    """The trust policies that a text holds, names of the text filled in.

    With them come the places in the text that were read.
    """
    found, spans = _read(text)
    if not found and '\\"' in text:
        found, _ = _read(text.replace('\\"', '"'))  # JSON within a shell's quotes
        spans = [(0, len(text))]
    return found, spans


class _Names:
    """What the names of a text stand for, and which of them others may set."""

    def __init__(self, text: str) -> None:
        own, asked = names(text), or_else(text)
        self.values = {name: value for name, value in asked.items() if value is not None} | own
        # A script's names are its environment's, unless it sets them to something else.
        self.defaults = [
            name
            for name, value in asked.items()
            if value is not None and self.values[name] == value
        ]
        self.passed = [name for name in asked if name in own and name not in self.defaults]

    def but(self, name: str) -> dict[str, Any]:
        """What the others stand for."""
        return {one: value for one, value in self.values.items() if one != name}

    def used(self, raw: Iterable[Any]) -> set[str]:
        """The names in values, and those that they stand for in turn."""
        words = {word for one in raw for word in _words(one)}
        for _ in range(_STEPS):
            words |= {further for one in words for further in _words(self.values.get(one))}
        return words


def _read(text: str) -> tuple[list[Found], Spans]:
    spans: Spans = []
    known = _Names(text)
    objects = [*_objects(text, spans)]
    told = [*_altered(text, spans)]
    read = [*objects, *_principals(text, known.values, spans)]
    spans += defined(text, {word for _, raw in read for word in _words(raw)})
    used = known.used(raw for _, raw in [*objects, *_principals(text, {}, [])])
    without = {
        name: [*objects, *_principals(text, known.but(name), [])]
        for name in (*known.defaults, *known.passed)
        if name in used
    }
    found: list[Found] = []
    listed = client_ids(providers(text, known.values)) if read else {}
    for number, (place, raw) in enumerate(read):
        whole = resolved(raw, known.values)
        counts = [
            name
            for name, others in without.items()
            if resolved(others[number][1], known.but(name)) != whole
        ]
        defaults = tuple(name for name in counts if name in known.defaults)
        given = [
            f"what callers give for {name} is not known; {known.values[name]!r} was taken, as it "
            "is set here"
            for name in counts
            if name in known.passed
        ]
        given += [*(told[number] if number < len(told) else ()), *_edited(text)]
        given += _of_another_iam(text)
        for one, taken in _each_way(whole, known.values):
            policy = policy_of(one)
            if policy is not None and (place, policy) not in [(a.place, a.policy) for a in found]:
                more = (*given, *taken, *beside(one))
                found.append(Found(place, policy, defaults, more, listed))
    return found, spans


def _altered(text: str, objects: Spans) -> Iterator[list[str]]:
    """Of each object, that the text changes it further down."""
    later = [*changed(text)] if objects else []
    for at, _ in objects:
        yield [
            f"line {line} changes {name}, and how is not read"
            for start, end, name, line in later
            if start <= at < end
        ]


def _edited(text: str) -> Iterator[str]:
    """That a script changes what it wrote, in a way that is not read."""
    for match in _REPLACES.finditer(text) if is_shell(text) else ():
        line = text.count("\n", 0, match.start()) + 1
        yield f"line {line} changes a file with sed, and how is not read"


def _of_another_iam(text: str) -> list[str]:
    """That a program asks another service than AWS's IAM to take the policy."""
    found = {match[match.lastgroup or 0].strip("\"'") for match in _OTHER_IAM.finditer(text)}
    return [
        f"it is given to {address}, which need not be AWS's IAM; what is said of it is true of AWS"
        for address in sorted(found)
        if not re.search(r"\.amazonaws\.com(?:\.cn)?\b", address)
    ]


def _words(value: Any) -> set[str]:
    """The names in a value's placeholders."""
    places = (place[0] for one in texts(value) for place in _PLACES.finditer(one))
    return {word for place in places for word in _WORD.findall(place)}


def _each_way(
    whole: Any, known: Mapping[str, Any], depth: int = 2
) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """A value with each of the two values between which an expression of a program chooses."""
    places = (one[0] for text in texts(whole) for one in PLACE.finditer(text)) if depth else ()
    for written in places:
        if ways := _ways(written[2:-1], known):
            for told, value in ways:
                for one, taken in _each_way(_with(whole, written, value), known, depth - 1):
                    yield one, (*told, *taken)
            return
    yield whole, ()


def _ways(expression: str, known: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
    """The values between which an expression chooses, and what each takes for granted; none where
    it does not choose or nothing is known of either."""
    if (at := outside(expression, _IF)) and (behind := outside(expression, _ELSE, at.end())):
        asked = expression[at.end() : behind.start()]
        written = (expression[: at.start()], expression[behind.end() :])
    elif (at := outside(expression, _QUESTION)) and (
        behind := outside(expression, _COLON, at.end())
    ):
        asked = expression[: at.start()]
        written = (expression[at.end() : behind.start()], expression[behind.end() :])
    elif at := outside(expression, _OR):
        asked = ""
        written = (expression[: at.start()], expression[at.end() :])
    else:
        return []
    try:
        values = [resolved(Reader(one).value(), known) for one in written]
    except Unreadable:
        return []
    if not asked and (values[0] in _NOTHING or "${" not in str(values[0])):
        return [((), values[values[0] in _NOTHING])]
    if all(PLACE.fullmatch(str(one)) for one in values):
        return []
    if asked:
        said = f"whether {asked.strip()} holds is not known; this is judged as if it did"
    else:
        said = f"whether {written[0].strip()} counts is not known; this is judged as if it did"
    return [((said,), values[0]), ((f"{said} not",), values[1])]


def _with(value: Any, written: str, text: Any) -> Any:
    """A value with another in the place of a placeholder."""
    if isinstance(value, Mapping):
        return spread({key: _with(one, written, text) for key, one in value.items()})
    if isinstance(value, list):
        parts = ((one, _with(one, written, text)) for one in value)
        return [
            part
            for one, made in parts
            for part in (made if isinstance(made, list) and isinstance(one, str) else [made])
        ]
    if value == written or not isinstance(value, str):
        return text if value == written else value
    if written in value and isinstance(text, list) and all(isinstance(one, str) for one in text):
        return [value.replace(written, one) for one in text]  # a text for each item
    return value.replace(written, text) if isinstance(text, str) else value


def _objects(text: str, spans: Spans) -> Iterator[tuple[str, dict[str, Any]]]:
    """Policies as objects, and statements that a module takes as one."""
    behind = 0
    for match in STATEMENT.finditer(text):
        if match.start() >= behind:
            read, behind = object_around(text, match.start() + 1)
            if read is not None:
                spans.append((match.start(), behind))
                yield _role(text, match.start()), read


def _principals(
    text: str, known: Mapping[str, Any], spans: Spans
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Roles of CDK, whose trust policy is the principal with its conditions."""
    for call in calls(text, _CDK):
        spans.append((call.start, call.end))
        # By position, or by name.
        by_place = (one for key, one in call.arguments if not key)
        arguments = dict(zip(_CDK_ARGUMENTS, by_place, strict=False))
        for key, one in call.arguments:
            short = key.replace("_", "").lower()
            arguments["federated" if short in _CDK_NAMES else short] = one
        web = call.name != "FederatedPrincipal"
        action = _WEB if web else arguments.get("assumeroleaction", "sts:AssumeRole")
        parts = [arguments.get("conditions", {}), *_further_conditions(text, call, spans)]
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": arguments.get("federated")},
            "Action": action,
            "Condition": _together([resolved(part, known) for part in parts]),
        }
        yield _role(text, call.start), {"Statement": [statement]}


def _role(text: str, before: int) -> str:
    """The role whose arguments stand there, as CDK and Pulumi name it; "" if it is none."""
    made = [*_ROLE.finditer(text, max(0, before - 1500), before)]
    reader = Reader(text, made[-1].start(1)) if made else None
    try:
        inside = reader is not None and reader.arguments() != [] and reader.at > before
    except Unreadable:
        inside = False
    return made[-1][2] if inside else ""


def _further_conditions(text: str, call: Call, spans: Spans) -> Iterator[Any]:
    """The conditions that follow a principal, and those of the statement that it stands in."""
    match = _WITH.match(text, call.end)
    within = _WITHIN.search(text, max(0, call.start - 200), call.start)
    comma = _COMMA.match(text, call.end)
    reader = Reader(text, match.end() if match else comma.end() if comma else call.end)
    if match or (within and comma):
        try:
            yield from (one for _, one in reader.arguments())
        except Unreadable:
            yield _ELSEWHERE
        spans.append((call.end, reader.at))
    around, _ = object_around(text, call.start)
    if around is not None and "principals" in around and "conditions" in around:
        yield around["conditions"]


def _together(parts: list[Any]) -> Any:
    """All conditions; one that is not written out stays a placeholder, and is not judged."""
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        for operator, compared in part.items() if isinstance(part, Mapping) else [("", part)]:
            if not isinstance(compared, Mapping):
                return compared if isinstance(compared, str) else _ELSEWHERE
            found[operator] = {**found.get(operator, {}), **compared}
    return found


def policy_of(raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """A trust policy in IAM's own words; None if it is none."""
    low = {str(key).lower(): value for key, value in raw.items()}
    written = low.get("statement", low.get("statements"))
    items = written if isinstance(written, list) else [written]
    statements = [_statement(item) for item in items if isinstance(item, Mapping)]
    trusts = any(
        {"Principal", "NotPrincipal"} & set(one) and "Resource" not in one for one in statements
    )
    assumes = any("AssumeRole" in str(one.get("Action")) for one in statements)
    return {"Version": "2012-10-17", "Statement": statements} if trusts and assumes else None


def web_identity(policy: dict[str, Any]) -> list[Any]:
    """The statements that let web identities in."""
    return [one for one in policy["Statement"] if _WEB in str(one.get("Action"))]


def lets_in(policy: dict[str, Any]) -> list[Any]:
    """The statements that let web identities in, or anybody."""
    return [
        one
        for one in policy["Statement"]
        if _WEB in str(one.get("Action")) or "NotPrincipal" in one or _anybody(one.get("Principal"))
    ]


def _anybody(principal: Any) -> bool:
    if isinstance(principal, Mapping):
        principal = principal.get("AWS", ())
    return "*" in principal if isinstance(principal, list) else principal == "*"


def alike_once(found: list[Found]) -> list[Found]:
    """One of those that let the same in, and what they all take for granted."""
    kept: list[Found] = []
    some = any(lets_in(one.policy) for one in found)
    for one in found:
        own = lets_in(one.policy)
        same = next((at for at, other in enumerate(kept) if lets_in(other.policy) == own), None)
        if same is not None:
            both = tuple(line for line in kept[same].taken if line in one.taken)
            kept[same] = replace(kept[same], taken=both)
        elif own or not some:
            kept.append(one)
    return kept


def beside(raw: Any) -> tuple[str, ...]:
    """That a policy takes statements in of which nothing is known."""
    low = {str(key).lower(): one for key, one in raw.items()} if isinstance(raw, Mapping) else {}
    listed = low.get("statement", low.get("statements"))
    return tuple(
        f"which statements {one} adds is not known"
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, str)
    )


_WORDS = {
    "sid": "Sid",
    "effect": "Effect",
    "action": "Action",
    "actions": "Action",
    "notaction": "NotAction",
    "not_actions": "NotAction",
    "principal": "Principal",
    "principals": "Principal",
    "notprincipal": "NotPrincipal",
    "not_principals": "NotPrincipal",
    "condition": "Condition",
    "conditions": "Condition",
    "resource": "Resource",
    "resources": "Resource",
}


def _statement(raw: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"Effect": "Allow"}
    if taken_in := _open_spread(raw):
        found["Condition"] = taken_in  # conditions may be in it, among others
    for key, value in raw.items():
        word = _WORDS.get(str(key).lower())
        if word is None or value in ("", None):
            continue
        if word == "Effect":
            value = "Deny" if "deny" in str(value).lower() else "Allow"
        elif word.endswith("Principal"):
            value = _principal(value)
        elif word == "Condition":
            value = taken_in or _condition(value)
        found[word] = value
    return found


def _principal(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    found: dict[str, list[Any]] = {}
    for one in value:
        if not isinstance(one, Mapping) or "type" not in one:
            return _ELSEWHERE
        if one["type"] == "*":
            return "*"
        listed = one.get("identifiers", [])
        found.setdefault(one["type"], []).extend(listed if isinstance(listed, list) else [listed])
    return found


def _open_spread(value: Any) -> str:
    """What an object takes in of which nothing is known, at any depth; "" if nothing."""
    if not isinstance(value, Mapping):
        return ""
    own = (placeholder(str(one)) for key, one in value.items() if key.startswith(SPREAD))
    return next(own, "") or next(filter(None, map(_open_spread, value.values())), "")


def _without_nulls(value: Any) -> Any:
    """Conditions with a placeholder for each null, which IAM does not take as a value."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    return placeholder("null") if value is None else value


def _condition(value: Any) -> Any:
    if not isinstance(value, list):
        return _open_spread(value) or _without_nulls(value)
    found: dict[str, dict[str, list[Any]]] = {}
    for one in value:
        if not isinstance(one, Mapping) or not {"test", "variable", "values"} <= set(one):
            return _ELSEWHERE
        listed = one["values"] if isinstance(one["values"], list) else [one["values"]]
        found.setdefault(one["test"], {}).setdefault(one["variable"], []).extend(listed)
    return found
