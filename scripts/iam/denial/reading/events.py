"""CloudTrail's events, in whatever form somebody pastes them: JSON, rows, YAML, cut or whole.

An event whose message says no more than that access was denied tells who called, what and on what
in its fields; in its place AWS's own sentence stands, as the fields tell it.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from scripts.iam.denial.reading.calls import action_of
from scripts.iam.denial.reading.s3 import action_of_s3
from scripts.iam.reference import besides, is_of, only_star, resources, spelled
from scripts.iam.reference import service as of_service

_SEPARATOR = r"(?:\s*[:=]\s*|[ \t]*\|[ \t]*|\t+[ \t]*)"
_TEXT = (
    r"(?:u(?=[\"']))?(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>[^\s,;|}\]{\[\"']+))"
)
# Fields that an event has once.
_NAME = (
    "event_?(?:version|time|source|name)|aws_?region|source_?ip_?address|user_?agent"
    "|error_?(?:code|message)|request_?id|vpc_?endpoint_?id"
)
_FIELD = re.compile(
    rf"(?<![\w.-])[\"']?(?P<name>{_NAME})[\"']?{_SEPARATOR}"
    rf"(?:{_TEXT})", re.IGNORECASE
)  # fmt: skip
_MESSAGE = re.compile(
    rf"(?<![\w.-])error_?message{_SEPARATOR}(?P<words>[^\s|\"'{{][^\n|]*?)(?=, *\w+=|[|}}\n]|$)",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"event_?source\b.*event_?name\b|event_?name\b.*event_?source\b", re.IGNORECASE
)
# Python prints a long string in pieces.
_PIECES = re.compile(r"(['\"])[ \t]*\r?\n[ \t]*\1(?=[^,:}\]])")
_WRITTEN = re.compile(r"\{\s*[\"']eventVersion[\"']")
_STRING = re.compile(r"\"[^\"]*\"")
_FIRST = re.compile(r"\{\s*$")
_ARN = re.compile(
    r"(?:(?<=\")arn:[^\"]+(?=\")|(?<=')arn:[^']+(?=')"
    r"|(?<![\"'])arn:[\w-]+:[\w-]+:[^\s:\"',]*:[^\s:\"',]*:[^\s\"',|}\]]+)"
)
_WHO = re.compile(
    rf"(?:(?<![\w.-])[\"']?arn[\"']?|user_?identity[._]arn){_SEPARATOR}[\"']?"
    r"(?P<arn>arn:[\w-]+:(?:iam|sts)::[^\s\"',|}]+)",
    re.IGNORECASE,
)
_IDENTITY = re.compile(r"user_?identity", re.IGNORECASE)
_ISSUER = re.compile(r"session_?issuer.{0,400}?arn:[^\s\"',|}]+", re.IGNORECASE | re.DOTALL)
_ACCOUNT = re.compile(
    rf"account_?id[\"']?{_SEPARATOR}[\"']?(?P<id>\d{{12}}|ANONYMOUS)", re.IGNORECASE
)
_INVOKED = re.compile(
    rf"invoked_?by[\"']?{_SEPARATOR}[\"']?(?P<by>[a-z][\w.-]*\.amazonaws\.com)", re.IGNORECASE
)
_ASKED = re.compile(
    r"request_?parameters[\"']?\s*[:=]\s*(?P<content>.*?)"
    r"(?=response_?elements|additional_?event_?data|[\"']?\b(?:request_?id|event_?id|read_?only"
    r"|resources)\b|$)",
    re.IGNORECASE | re.DOTALL,
)
# Of a value that nothing quotes the blanks are part.
_WORDS = _TEXT.replace(
    "[^\\s,;|}", "(?:[^\\s,;|}\\]{\\[\"'](?:[^,;|}\\]{\\[\"'=\\n]*(?=[,;|}\\n]|$))?)|[^\\s,;|}"
)
_LEAF = re.compile(rf"[\"']?(?P<name>\w+)[\"']?\s*[:=]\s*{_WORDS}")
_FLAT = re.compile(rf"request_?parameters\.(?P<name>\w+){_SEPARATOR}{_WORDS}", re.IGNORECASE)
_DENIED = re.compile(r"Access ?Denied|Unauthorized|NotAuthorized|AuthorizationError|Forbidden")
_SAYS_NOTHING = re.compile(
    r"(?:(?:api error )?Access ?denied(?:Exception)?(?:: Access Denied)?|Forbidden|null|None"
    r"|You are not authorized to perform this operation"
    r"|The request was denied due to a VPC endpoint policy)?[.\s]*"
    r"(?P<encoded>Encoded authorization failure message: ?[\w+/=-]{20,})?",
    re.IGNORECASE,
)
# The day of an API's version that some services put behind a call's name.
_VERSION = re.compile(r"(?:\d{8}(?:v\d+)?|\d{4}_\d\d_\d\d)$")
_VARIABLE = re.compile(r"<(\w+)>")
_ENDS = re.compile(r"(?:withpath|withoutleadingslash|name|id|url)+$")
_MOST = 12_000
BY_ITS_CALL = (
    "CloudTrail's event tells who called, the call and what it was on; the action is by the call's "
    "name, and why it was refused is not told"
)


@dataclass(frozen=True)
class Event:
    """A denial that an event tells, and where the event stands in the text."""

    start: int
    end: int
    principal: str
    action: str
    resource: str = ""
    layer: str = ""
    message: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def says(self) -> bool:
        """Whether its own message tells more than that access was denied."""
        return not _SAYS_NOTHING.fullmatch(self.message)

    @property
    def keys(self) -> dict[str, tuple[str, ...]]:
        """The condition keys that the event names."""
        named = {
            "aws:RequestedRegion": self.fields.get("awsregion", ""),
            "aws:UserAgent": self.fields.get("useragent", ""),
            "aws:SourceVpce": self.fields.get("vpcendpointid", ""),
            "aws:SourceIp": self.fields.get("sourceipaddress", ""),
        }
        # A service that asks in the caller's name stands there by its name.
        if not re.fullmatch(r"[\d.]+|[\da-fA-F]*:[\da-fA-F:.]+", named["aws:SourceIp"]):
            named["aws:SourceIp"] = ""
        return {key: (value,) for key, value in named.items() if value}

    def __str__(self) -> str:
        """As AWS's own sentence."""
        name = f'"{self.resource}"' if " " in self.resource else self.resource
        on = f" on resource: {name}" * bool(name)
        why = f" because no {self.layer} allows the {self.action} action" * bool(self.layer)
        nothing = _SAYS_NOTHING.fullmatch(self.message)
        encoded = f". {nothing['encoded']}" if nothing and nothing["encoded"] else ""
        return f"{self.principal} is not authorized to perform: {self.action}{on}{why}{encoded}"


def taken_out(text: str) -> tuple[list[Event], str]:
    """The denials that events tell, and the text with AWS's sentence in the place of an event that
    has no such words."""
    if not re.search(r"event_?source", text, re.IGNORECASE):
        return [], text
    text = _mended(text)
    found, rest, until = [], "", 0
    for event in _events(text):
        found.append(event)
        if event.says:
            continue
        rest += f"{text[until : event.start]}\n{event}\n"
        until = event.end
    return found, rest + text[until:]


def named(text: str) -> str:
    """The rows of a table of events with each column's name beside its value."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not _HEADER.search(line) or re.search(r"[:={]", line):
            continue
        sign = next((one for one in "\t|," if one in line), "")
        if not sign:
            continue
        names = [one.strip().strip('"') for one in line.strip("| ").split(sign)]
        for row, further in enumerate(lines[number + 1 :], number + 1):
            cells = next(csv.reader([further.strip("| ")], delimiter=sign), [])
            if len(cells) == len(names) > 2:
                cells = [one.strip() for one in cells]
                lines[row] = "\n".join(
                    f"{name}={one}" if one[:1] in "{[" else f'{name}="{one}"'
                    for name, one in zip(names, cells, strict=True)
                )
        return "\n".join((*lines[:number], *lines[number + 1 :]))
    return text


def _mended(text: str) -> str:
    """Without the ends of lines within an event's strings."""
    text = _PIECES.sub("", text)
    begins = _WRITTEN.search(text)
    if begins is None:
        return text
    before, event = text[: begins.start()], text[begins.start() :]
    lines = event.split("\n")
    width = len(before.rpartition("\n")[2]) + len(lines[0])
    joined = lines[0]
    for number, line in enumerate(lines[1:], 1):
        # What a terminal breaks is as wide as that; a blank at the beginning of a line is gone.
        whole = number == 1 or width - 2 <= len(lines[number - 1]) <= width
        if not whole or (number == 1 and not (len(lines) > 2 and 0 <= width - len(line) < 3)):
            return before + _STRING.sub(_joined, event)
        joined += " " * (0 < width - len(line) < 3) + line
        if len(line) < width - 2:
            return before + "\n".join((joined, *lines[number + 1 :]))
    return before + joined


def _joined(string: re.Match[str]) -> str:
    """A string without the ends of lines in it, which stand within a word or for a blank."""
    glue = "" if " " not in string[0] else " "
    return re.sub(r"[ \t]*\r?\n[ \t]*", glue, string[0])


def _events(text: str) -> Iterator[Event]:
    groups: list[list[re.Match[str]]] = []
    for one in filter(_value, _FIELD.finditer(text)):
        name = _squeezed(one["name"])
        at = one.start()
        first = name == "eventversion" and _FIRST.search(text, max(0, at - 20), at)
        last = groups[-1] if groups else []
        if (
            not last
            or first
            or any(_squeezed(other["name"]) == name for other in last)
            or at - last[0].start() > _MOST
        ):
            groups.append([])
        groups[-1].append(one)
    since = 0
    for group, further in zip_longest(groups, groups[1:]):
        until = further[0].start() if further else len(text)
        event = _event(text, group, since, min(until, group[-1].end() + _MOST))
        since = group[-1].end()
        if event:
            yield event


def _event(text: str, group: list[re.Match[str]], since: int, until: int) -> Event | None:
    told = {_squeezed(one["name"]): _value(one) for one in group}
    start, end = group[0].start(), group[-1].end()
    # Of an event that is cut before its version who called comes first.
    before = [*_IDENTITY.finditer(text, max(since, start - _MOST), start)]
    if before and "eventversion" not in told and not _IDENTITY.search(text, start, until):
        start = before[-1].start()
        opens = re.search(r"\{\s*[\"']?$", text[:start])
        start = opens.end() if opens else start
    if message := _MESSAGE.search(text, start, until):
        told["errormessage"] = message["words"].strip()
        end = max(end, message.end())
    source, name = told.get("eventsource", ""), told.get("eventname", "")
    code, message_of = told.get("errorcode", ""), told.get("errormessage", "")
    if not source.endswith((".amazonaws.com", ".amazonaws.com.cn")) or not re.fullmatch(
        r"\w+", name
    ):
        return None
    if not _DENIED.search(code or message_of):
        return None
    # What stands behind the last field up to the end of the event's own brackets.
    whole = text[start:until]
    closed = _closed(text, start, until)
    whole, end = (text[start:closed], closed) if closed else (whole, end)
    action = _action(source, name)
    principal, account = _caller(whole)
    if not action or not principal:
        return None
    partition = _ARN.match(principal.removeprefix("User: "))
    resource = _resource(
        whole,
        action,
        partition[0].split(":")[1] if partition else "aws",
        told.get("awsregion", ""),
        account,
    )
    layer = "VPC endpoint policy" * code.startswith("Vpce")
    if not closed:
        last = max((whole.rfind(one) for one in filter(None, (resource,))), default=-1)
        end = max(end, start + last + len(resource)) if last >= 0 else end
        asked = _ASKED.search(whole)
        end = max(end, start + asked.end()) if asked else end
        who = _WHO.search(whole)
        end = max(end, start + who.end()) if who else end
    return Event(start, min(end, until), principal, action, resource, layer, message_of, told)


def _closed(text: str, start: int, until: int) -> int:
    """Where the brackets end that an event stands in; 0 if it is cut or has none."""
    begins = _FIRST.search(text, max(0, start - 20), start)
    if begins is None:
        return 0
    depth = 1
    for one in re.finditer(r"[{}]", text[start:until]):
        depth += 1 if one[0] == "{" else -1
        if not depth:
            return start + one.end()
    return 0


def _value(found: re.Match[str]) -> str:
    told = found["double"] or found["single"] or found["bare"] or ""
    return "" if told in ("null", "None", "-") else " ".join(told.split())


def _squeezed(name: str) -> str:
    return name.replace("_", "").lower()


def _action(source: str, name: str) -> str:
    """The action that the call needs, by its name."""
    label = source.partition(".")[0]
    prefix = of_service(label) or label
    call = _VERSION.sub("", name)
    of_s3 = action_of_s3(call) if prefix == "s3" else ""
    return of_s3 or action_of(prefix, call) or spelled(f"{prefix}:{call}")


def _caller(whole: str) -> tuple[str, str]:
    """Who called, as AWS's sentence has it, and the account; "" if the event does not tell."""
    identity = _IDENTITY.search(whole)
    place = identity.start() if identity else 0
    issuer = _ISSUER.search(whole, place)
    who = _WHO.search(whole, place)
    account = _ACCOUNT.search(whole, place)
    if who and not (issuer and issuer.start() < who.start() < issuer.end()):
        return f"User: {who['arn']}", who["arn"].split(":")[4]
    if invoked := _INVOKED.search(whole, place):
        return invoked["by"], account["id"] if account else ""
    if account and account["id"] == "ANONYMOUS":
        return "User: anonymous", ""
    return (f"User with accountId: {account['id']}", account["id"]) if account else ("", "")


def _resource(whole: str, action: str, partition: str, region: str, account: str) -> str:
    """The ARN of what the call was on, as the event's resources or parameters tell it."""
    if only_star(action):
        return ""
    required, _ = besides(action)
    if len(required) > 1:
        return ""  # which of them lacked is not told
    forms = required or resources(action)
    rest = _ISSUER.sub(" ", whole, count=1)
    arns = {one[0].rstrip(".") for one in _ARN.finditer(rest) if not _of_caller(one)}
    told = {one for one in arns if any(is_of(form, one) for form in forms)}
    asked = _ASKED.search(whole)
    leaves = [*_LEAF.finditer(asked["content"])] if asked else []
    leaves += _FLAT.finditer(whole)
    values = {_ENDS.sub("", _squeezed(one["name"])): _value(one) for one in reversed(leaves)}
    filled = [one for form in forms if (one := _filled(form, values, action))]
    longest = max(filled, key=lambda one: one.count("/") + one.count(":"), default="")
    named = (
        longest.replace("arn:aws:", f"arn:{partition}:", 1)
        .replace(":REGION:", f":{region or 'REGION'}:", 1)
        .replace(":ACCOUNT:", f":{account or 'ACCOUNT'}:", 1)
    )
    if not told:
        return named
    # A name with blanks ends at the first where nothing quotes it.
    first, *more = sorted(told)
    return "" if more else named if named.startswith(f"{first} ") else first


def _of_caller(arn: re.Match[str]) -> bool:
    return arn[0].split(":")[2] == "sts"


def _filled(form: str, values: Mapping[str, str], action: str) -> str:
    """A form of the reference's with what was asked for in the place of its words; or ""."""
    names = _VARIABLE.findall(form)
    for name in names:
        short = _ENDS.sub("", name.lower())
        value = values.get(short) or values.get("key" if short == "object" else "", "")
        if not value and len(names) == 1:
            value = values.get("", "")  # a name alone
        if not value or value.startswith(("arn:", "alias/")):
            return ""
        if short == "queue":
            value = value.rpartition("/")[2]
        if action.startswith("secretsmanager:"):
            value += "-??????"  # https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
        if name.endswith("WithoutLeadingSlash"):
            value = value.removeprefix("/")
        form = form.replace(f"<{name}>", value, 1)
    return form if names else ""
