"""A call of S3's in a tool's own words: "error reading S3 Bucket (logs) versioning".

A verb and what stands behind it are compared with the names that S3's own calls have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# The name of a group -> what a call's name begins with.
_VERBS = {
    "lists": ("List",),
    "reads": ("Get", "List"),
    "looks": ("Head",),
    "writes": ("Put",),
    "makes": ("Create", "Put"),
    "deletes": ("Delete",),
    "copies": ("Copy",),
}
_PHRASE = re.compile(
    r"\b(?:(?P<lists>list)|(?P<reads>get|read|fetch|retriev|download|open|check|load)"
    r"|(?P<looks>stat|head)|(?P<writes>put|upload|writ|sav|set|updat|persist|push|stor|enabl|apply)"
    r"|(?P<makes>creat|initiat)|(?P<deletes>delet|remov|destroy)|(?P<copies>copy))"
    r"(?:t|d|p)?(?:e|es|s|ed|ing)? "
    r"(?:(?!(?:and|to|from|in|of|on|at|for|with|failed|because|backend)\b)"
    r"(?:[A-Za-z][\w-]*(?!\w|[/.]\w)|\([^()]{1,80}\)|\"[^\"]{1,80}\"|'[^']{1,80}') ?){1,6}",
    re.IGNORECASE,
)
_NAMES = re.compile(r"\([^()]*\)|\"[^\"]*\"|'[^']*'")
# Words that a tool and a call's name have or leave out as they like.
_FILLING = re.compile(
    r"^(?:the|an?|of|new|all|aws|amazon|s3|current|existing|multiple|your|default|server-side)$"
)
_LOOSE = re.compile(r"configuration|config|settings?|bucket|policies")
_SAME = {"tags": "tagging", "file": "object", "files": "objects", "key": "object",
         "keys": "objects", "blob": "object"}  # fmt: skip
_OF_S3 = re.compile(r"\b(?:S3|bucket|object|file|key|blob)s?\b", re.IGNORECASE)
_OBJECT = "on the object, arn:aws:s3:::BUCKET/KEY"
_LISTS = "s3:ListBucket on the bucket itself, arn:aws:s3:::BUCKET"
# What a verb is about where the thing is the tool's own.
_ABOUT = {
    ("List",): f"{_LISTS} (of the list of all buckets s3:ListAllMyBuckets on *)",
    ("Get", "List"): f"s3:GetObject {_OBJECT}, or {_LISTS}",
    ("Head",): f"s3:GetObject {_OBJECT}, or {_LISTS}",
    ("Put",): f"s3:PutObject {_OBJECT}",
    ("Delete",): f"s3:DeleteObject {_OBJECT}",
}


def calls(words: str, end: int, names: Iterable[str]) -> set[str]:
    """Which of the calls' names a verb before `end`, with the thing behind it, can be."""
    for begins, phrase in _phrases(words, end)[:3]:
        if _OF_S3.search(phrase) and (found := _called(begins, phrase, names)):
            return found
    return set()


_WAYS = {
    "GetObject": re.compile(
        r"\b(?:download|read|load|fetch|get)\w* (?:\S+ )?from (?:\S+ )?S3\b", re.IGNORECASE
    ),
    "PutObject": re.compile(
        r"\b(?:upload|writ|sav|put|cop|stor)\w* (?:\S+ )?(?:to|in|into) (?:\S+ )?S3\b",
        re.IGNORECASE,
    ),
}


def moved(words: str, end: int) -> str:
    """The call that takes something out of S3 or puts it there, by words before `end`; or ""."""
    return next((call for call, way in _WAYS.items() if way.search(words, 0, end)), "")


def about(words: str, end: int) -> str:
    """What the nearest verb before `end` says that was done, and what that needs; or ""."""
    for begins, phrase in _phrases(words, end)[:1]:
        if begins in _ABOUT and "bucket" not in phrase.lower():
            return f'the words around it say "{phrase}", which fits {_ABOUT[begins]}'
    return ""


def _phrases(words: str, end: int) -> list[tuple[tuple[str, ...], str]]:
    """Each verb with what a call's name may begin with; the nearest before `end` first."""
    found = []
    for one in _PHRASE.finditer(words, 0, end):
        begins = next(calls for verb, calls in _VERBS.items() if one[verb])
        found.append((begins, one[0].strip()))
    return found[::-1]


def _called(begins: tuple[str, ...], phrase: str, names: Iterable[str]) -> set[str]:
    _, *thing = _NAMES.sub(" ", phrase).lower().split()
    asked = _squeezed(thing)
    return {
        name for name in names for verb in begins
        if asked and name.startswith(verb) and _squeezed(_parts(name.removeprefix(verb))) == asked
    }  # fmt: skip


def _parts(name: str) -> list[str]:
    return [one.lower() for one in re.findall(r"[A-Z][a-z\d]*", name.removesuffix("V2"))]


def _squeezed(parts: list[str]) -> str:
    kept = [_SAME.get(one, one) for one in parts if not _FILLING.match(one)]
    whole = "".join(kept).replace("-", "")
    return _LOOSE.sub("", whole) or whole
