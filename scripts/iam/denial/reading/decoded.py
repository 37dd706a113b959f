"""What `aws sts decode-authorization-message` prints, wherever it stands, cut or whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ENCODED = re.compile(r"[Ee]ncoded authorization failure message: ?([\w+/=-]{20,})")
_ANNOUNCED = re.compile(r"[Ee]ncoded authorization failure message(?!:? ?[\w+/=-]{20})")
# Nothing but such a code is as long a word.
_CODE_ALONE = re.compile(r"(?<![\w+/=.:%-])[\w-]{200,}(?![\w+/=.:%-])")
_COMMAND = re.compile(r"--encoded-message[= ]['\"]?([\w+/=-]{20,})")
_WHOLE = re.compile(r"\{\s*\"(?:allowed|explicitDeny|context)\"\s*:")
_BEGINS = re.compile(
    r"\"?DecodedMessage\b|\"allowed\"\s*:|\"explicitDeny\"\s*:|\"?context\"?[\s:]*\{\s*\"principal\""
)
_CUT = re.compile(r"\bDecodedMessage\b|\"explicitDeny\"\s*:|\"matchedStatements\"\s*:")
_FIELD = re.compile(
    r"\"allowed\"\s*:\s*(?P<allowed>true|false)|\"explicitDeny\"\s*:\s*(?P<explicit>true|false)"
    r"|\"?(?P<part>matchedStatements|failures|context)\b"
    r"|\"arn\"\s*:\s*\"(?P<arn>arn:[^\"]+)\"|\"action\"\s*:\s*\"(?P<action>[\w-]+:\w+)\""
    r"|\"resource\"\s*:\s*\"(?P<resource>[^\"]+)\""
    r"|\"key\"\s*:\s*\"(?P<key>[^\"]+)\"\s*,\s*\"values\"\s*:\s*\{\s*\"items\"\s*:\s*\["
    r"(?P<values>[^\]]*)\]"
)
_ACTION = re.compile(r"\"action\"\s*:\s*\"[\w-]+:\w")
_MATCHED = re.compile(r"\"matchedStatements\"\s*:\s*\{\s*\"items\"\s*:\s*\[\s*")
_COMMA = re.compile(r"\s*,\s*")
_STATEMENT = re.compile(
    r"\{\s*\"statementId\"\s*:\s*\"(?P<id>[^\"]+)\"(?:\s*,\s*\"effect\"\s*:\s*\"(?P<effect>\w+)\")?"
)
_VALUE = re.compile(r"\"value\"\s*:\s*\"([^\"]*)\"")
_BEFORE = re.compile(r"(?:\{\s*)?\"?(?:DecodedMessage\"?[\s:\"{]*)?$")
_BEHIND = re.compile(r"[\s\"}\]]*")
# As far as one field stands from the next.
_NEAR = 4000


@dataclass(frozen=True)
class Decoded:
    """What an answer tells, and where it stands. `explicit` and `allowed` are None where it does
    not tell, `answers` is the encoded part that it is the answer to, "" if there is none."""

    start: int
    end: int
    action: str
    principal: str = ""
    resource: str = ""
    allowed: bool | None = None
    explicit: bool | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whole: bool = False
    matched: str = ""
    answers: str = ""

    @property
    def lacks(self) -> bool:
        """Whether it tells that an Allow is lacking."""
        return self.explicit is False and not self.allowed

    def __str__(self) -> str:
        """As AWS's own sentence."""
        who = f"User: {self.principal} " * bool(self.principal)
        name = f'"{self.resource}"' if " " in self.resource else self.resource
        on = f" on resource: {name}" * bool(name)
        deny = " with an explicit deny" * bool(self.explicit)
        return f"{who}is not authorized to perform: {self.action}{on}{deny}"


def taken_out(text: str) -> tuple[list[Decoded], str]:
    """The answers that name who asked, and the text without them; in the place of an answer that
    does not, AWS's sentence. In the text no quote is escaped."""
    named, rest, until = [], "", 0
    for one in _answers(text):
        if one.principal:
            named.append(one)
        rest += text[until : one.start] + (f"\n{one}\n" if not one.principal else "\n")
        until = one.end
    return named, rest + text[until:]


def brought_near(plain: str) -> str:
    """The text with the encoded part behind the words that announce it, where it stands alone
    somewhere behind them."""
    announced = _ANNOUNCED.search(plain)
    codes = {one[0] for one in _CODE_ALONE.finditer(plain, announced.end())} if announced else ()
    if not announced or len(codes) != 1 or ENCODED.search(plain):
        return plain
    (code,) = codes
    rest = plain[announced.end() :].replace(code, "")
    return f"{plain[: announced.end()]}: {code} {rest}"


def cut_before_its_action(text: str) -> str:
    """What an answer tells that breaks off before its action; "" if there is none."""
    begins = _CUT.search(text)
    if begins is None or _ACTION.search(text, begins.start()):
        return ""
    found = {one.lastgroup: one for one in _FIELD.finditer(text, begins.start())}
    who = f" {found['arn']['arn']} asked." if "arn" in found else ""
    explicit = found["explicit"]["explicit"] if "explicit" in found else ""
    why = {
        "true": " A Deny decided, and no Allow lifts it.",
        "false": " No Deny decided: an Allow is lacking.",
    }
    matched = _matched_in(text, begins.start(), len(text))
    told = (
        f" What matched, without the operators of its conditions (true beside a key is most often "
        f"Null's: the request lacks it): {matched}."
    ) * bool(matched)
    return (
        f"the decoded message breaks off before its action.{who}{why.get(explicit, '')}{told} "
        "Paste it whole: its context holds the action, the resource and the keys"
    )


def _answers(text: str) -> Iterator[Decoded]:
    until, last = 0, max((one.start() for one in _ACTION.finditer(text)), default=0)
    while begins := _BEGINS.search(text, until, last):
        found = _whole(text, begins.start()) or _cut(text, begins.start())
        if "action" not in found:
            until = max(begins.end(), found["end"])  # nor does one begin in between that has it
            continue
        start = _BEFORE.search(text, until, found["start"])
        end = _BEHIND.match(text, found["end"])
        assert start is not None and end is not None
        found |= {"start": start.start(), "end": end.end()}
        yield Decoded(**found, answers=_code(text, until, start.start()))
        until = end.end()


def _code(text: str, since: int, start: int) -> str:
    """The encoded part that was decoded: the command's, or the nearest one."""
    for pattern in (_COMMAND, ENCODED):
        if found := [*pattern.finditer(text, since, start)]:
            return found[-1][1]
    behind = ENCODED.search(text, start, start + 5 * _NEAR)
    return behind[1] if behind else ""


def _whole(text: str, start: int) -> dict[str, Any]:
    begins = _WHOLE.search(text, max(0, start - 20), start + 60)
    if begins is None:
        return {}
    try:
        content, end = json.JSONDecoder(strict=False).raw_decode(text, begins.start())
        context = content["context"]
        return {
            "start": begins.start(),
            "end": end,
            "principal": context["principal"]["arn"],
            "action": context["action"],
            "resource": context["resource"],
            "allowed": content.get("allowed"),
            "explicit": content["explicitDeny"] is True,
            "keys": {one["key"]: _values(one["values"]) for one in context["conditions"]["items"]},
            "whole": True,
            "matched": "; ".join(_matched(content.get("matchedStatements") or {})),
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _values(listed: Any) -> tuple[str, ...]:
    return tuple(str(one["value"]) for one in listed["items"])


def _matched(statements: Mapping[str, Any]) -> Iterator[str]:
    """The statements that matched, in words."""
    for one in statements.get("items", []):
        where = [
            f"{each['key']} {' or '.join(_values(each['values']))}"
            for each in one.get("conditions", {}).get("items", [])
        ]
        name = f" {one['statementId']}" if one.get("statementId") else ""
        yield (
            f"{one.get('effect', '')}{name} of {', '.join(_values(one['actions']))} on "
            f"{', '.join(_values(one['resources']))}{' with ' * bool(where)}{', '.join(where)}"
        )


def _cut(text: str, start: int) -> dict[str, Any]:
    """What is there of an answer that is cut or was edited, and where it ends."""
    told: dict[str, Any] = {"keys": {}}
    part, end = "", start
    parts: set[str] = set()
    while (found := _FIELD.search(text, end, end + _NEAR)) is not None:
        name = str(found.lastgroup)
        name = "key" if name == "values" else name
        if name in told or (name == "allowed" and "action" in told) or found["part"] in parts:
            break  # the next answer
        if name == "part":
            part = found["part"]
            parts.add(part)
        elif name == "key":
            if part in ("", "context"):
                told["keys"][found["key"]] = tuple(_VALUE.findall(found["values"]))
        else:
            told[name] = found[name]
        end = found.end()
    if "action" not in told or not (part or "arn" in told):
        return {"end": end}
    told["principal"] = told.pop("arn", "")
    for name in ("allowed", "explicit"):
        if name in told:
            told[name] = told[name] == "true"
    return {**told, "start": start, "end": end, "matched": _matched_in(text, start, end)}


def _matched_in(text: str, start: int, end: int) -> str:
    """The statements that matched; of one that breaks off its name."""
    begins = _MATCHED.search(text, start, end)
    return "; ".join(_statements(text, begins.end())) if begins else ""


def _statements(text: str, place: int) -> Iterator[str]:
    try:
        while text[place : place + 1] == "{":
            statement, end = json.JSONDecoder(strict=False).raw_decode(text, place)
            yield from _matched({"items": [statement]})
            behind = _COMMA.match(text, end)
            place = behind.end() if behind else len(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if name := _STATEMENT.match(text, place):
            yield f"{name['effect'] or 'a statement'} {name['id']}, which breaks off"
