"""A text as it was before logs, pages, mails and terminals escaped its signs or broke its lines."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

_SIGNS = {"quot": '"', "apos": "'", "lt": "<", "gt": ">", "amp": "&", "nbsp": " "}
_ENTITY = re.compile(
    r"&(?:amp;)*(?:(?P<name>quot|apos|lt|gt|amp|nbsp)|#(?P<number>x?[\da-fA-F]+));"
)
_UNICODE = re.compile(r"\\+u00(?P<number>[2-7][\da-fA-F])")
# Of a whole sentence alone: some ARNs have another one in them, whose signs stay escaped.
_PERCENT = re.compile(r"(?<!\S)\S*\bis(?P<blank>\+|%20)not(?P=blank)authorized\S*")
# https://www.rfc-editor.org/rfc/rfc2045#section-6.7
_SOFT = re.compile(r"(?m)^([^\r\n]{60,77})=\r?\n")
_QUOTED = re.compile(r"=([2-7][\dA-F])")
# A line's end, or what stands for one in a string.
_END = re.compile(r"\\+r?\\*n(?:\\+t)*")
_BREAK = r"[ \t]*\r?\n[ \t]*"
_LINE = re.compile(r"\n[ \t]*")
# What AWS's own sentence goes on with tells where an ARN ends that lines break.
_BROKEN = tuple(
    re.compile(words)
    for words in (
        rf"(?<=User:)\s+arn:[^\s\"]+(?:{_BREAK}(?!is\s)[^\s\"]+){{1,4}}(?=\s+is\s+not\s+authorized\s)",
        rf"(?<=resource:)\s+\"?arn:[^\s\"]+(?:{_BREAK}(?!because\s|with\s)[^\s\"]+){{1,4}}"
        r"(?=\"?[.,]?\s+(?:because\s+(?:no|public)\s|with\s+an\s+explicit\s))",
    )
)
# From the beginning of its line on, with the lines behind it that are one word each.
_IN_COLUMN = re.compile(
    r"(?m)^[ \t]*resource: arn:[^\s\"]+(?:[ \t]*\r?\n[ \t]*[^\s\"]+(?=[ \t]*$))+"
)
# Lines of a stack, and one that is cut.
_STACK = re.compile(r"(?: at [\w$.<>/ -]{1,200}?\([^()]{0,200}\))+(?: at(?: \S*)?$)?")
_NARROW = 40
_SPOKEN = re.compile(
    r"(?:^|\s)(?:User:|is|not|authorized|to|perform:|on|resource:|because|no|policy|allows|the"
    r"|identity-based|resource-based|with|an?|explicit|deny|in|action|operation:|calling|when)$"
)

# A line that ends in the middle of what AWS says before the action, or behind the resource.
_OPEN = re.compile(
    r"\bUser: \S*(?: [a-z]+){0,5}$|\bto perform: \S+ on? ?(?:r\w*)?:?$"
    r"|\bbecause no [a-z -]*$|\bwith an e[a-z ]*$"
)
_FULL_STOP = re.compile(r"[.!?][\"')\]]*$")
# Errors, and a tool's own words before a denial.
_ERROR = (
    r"\W{0,3}(?:An error occurred|User: |User with account|(?:Error: )?Failed to |\w+ failed: "
    r"|(?:AccessDenied(?:Exception)?|UnauthorizedOperation)(?=[\s:(\[,]|$)(?! operation)"
    r"|\w*(?:Exception|[Ee]rror|AccessDenied|UnauthorizedOperation)(?=[\s:(\[,]|$)"
    r"(?! because | with an | operation)|[A-Z]\w*:? (?!operation).{0,80}?User: arn:)|\{"
)
# Those, and lines of a list, a log and a stack.
_NEW_ERROR = re.compile(_ERROR)
_ANEW = re.compile(
    rf"{_ERROR}|\W{{0,3}}(?:arn:|Caused by\b|Traceback\b|at [\w$.]+\(|\d+[.)] |[-*•] "
    r"|\d{4}[-/]\d\d[-/]\d\d|\d\d:\d\d:\d\d|(?:TRACE|DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL)\b)"
)


def unescaped(text: str) -> str:
    """The text without the escapes of HTML, JSON, URLs and mail."""
    if len(_SOFT.findall(text)) > 1 or (_SOFT.search(text) and "=3D" in text):
        text = _QUOTED.sub(lambda sign: chr(int(sign[1], 16)), _SOFT.sub(r"\1", text))
    text = _PERCENT.sub(
        lambda words: (unquote_plus if words["blank"] == "+" else unquote)(words[0]), text
    )
    text = _UNICODE.sub(lambda sign: chr(int(sign["number"], 16)), text)
    return _END.sub("\n", _ENTITY.sub(_sign, text))


def _sign(entity: re.Match[str]) -> str:
    if entity["name"]:
        return _SIGNS[entity["name"]]
    number = entity["number"]
    code = int(number[1:], 16) if number[0] == "x" else int(number) if number.isdigit() else 0
    return chr(code) if 32 <= code < 0x10000 else entity[0]


def without_stack(words: str) -> str:
    """The words without lines of a stack, which tell nothing where they are quoted."""
    return _STACK.sub(" …", words)


def unbroken(text: str) -> str:
    """The text without the ends of lines that a terminal or a page put within its words."""
    text = _unfolded(text)
    text = _unbroken_column(text)
    for pattern in _BROKEN:
        text = pattern.sub(_whole_again, text)
    return text


def _whole_again(found: re.Match[str]) -> str:
    """An ARN without the ends of lines within it, unless one of its lines begins an error."""
    lines = _LINE.finditer(found.string, found.string.index("arn:", found.start()), found.end())
    anew = any(_ANEW.match(found.string, line.end()) for line in lines)
    return found[0] if anew else f" {''.join(found[0].split())}"


def _unbroken_column(text: str) -> str:
    """Without the ends of lines in an ARN behind "resource:" that fills more than one of them."""
    found = _IN_COLUMN.search(text)
    if not found:
        return text
    first, *rest = (line.strip() for line in found[0].split("\n"))
    full = [line for line in rest if len(line) == len(first)]
    if not full or full != rest[: len(full)] or any(map(begins_anew, rest[: len(full) + 1])):
        return text
    whole = first + "".join(rest[: len(full) + 1])
    left = "".join(f"\n{line}" for line in rest[len(full) + 1 :])
    return text[: found.start()] + whole + left + _unbroken_column(text[found.end() :])


def _unfolded(text: str) -> str:
    """Without the ends of lines that all come after the same number of letters.

    Whoever folds at blanks leaves lines of many lengths; a log's lines of one length begin alike.
    Two lines may be as long as each other by chance: of an edge there are three, or the first ends
    where AWS's sentence does not.
    """
    lines = text.split("\n")
    width = max(map(len, lines))
    full = [number for number, line in enumerate(lines) if len(line) == width]
    begins = {lines[one][:6] for one in full}
    broken = {one for one in full if one + 1 < len(lines) and _goes_on(*lines[one : one + 2])}
    edge = any(
        one + 1 in full and (_OPEN.search(lines[one]) or (one + 1 in broken and one + 2 in full))
        for one in broken
    )
    if width < _NARROW or not edge or len(begins) < len(full):
        return text
    joined = lines[0]
    for number, line in enumerate(lines[1:]):
        joined += ("" if number in broken else "\n") + line
    return joined


def _goes_on(before: str, line: str) -> bool:
    """Whether a word may go on from a line to the next one."""
    ends = _SPOKEN.search(before) or (_FULL_STOP.search(before) and line[:1].isupper())
    return bool(line) and not ends and not begins_anew(line)


def begins_anew(line: str) -> bool:
    """Whether a line begins as an error or an entry of a log does."""
    return _ANEW.match(line) is not None


def begins_error(line: str) -> bool:
    """Whether a line begins as an error does, or a tool's words before one."""
    return _NEW_ERROR.match(line) is not None
