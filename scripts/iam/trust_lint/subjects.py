"""The subjects that GitHub sends, as languages, and which strangers a pattern lets in.

Format: GitHub Docs, "OpenID Connect reference" (actions/reference/security/oidc).
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from scripts.iam.trust_lint.automata import (
    ANY_LETTER,
    Language,
    Operand,
    chars,
    common_word,
    either,
    repeated,
    text,
    then,
)

Stranger = Literal["owner", "id", "repository", "context", "ref", "environment"]

DIGITS = repeated(chars(string.digits))
_OWNER = repeated(chars(string.ascii_letters + string.digits + "-_"))
_REPOSITORY = repeated(chars(string.ascii_letters + string.digits + "-_."))
# A colon inside a value is sent as %3A.
_VALUE = repeated(chars(ANY_LETTER - {":"}))
# git-check-ref-format(1) forbids these in a ref.
_REF_VALUE = repeated(chars(ANY_LETTER - set(": ~^?*[\\")))
_CLAIM = repeated(chars(string.ascii_lowercase + "_"))
_PULL_REQUEST = text("pull_request")
_BRANCH = then(text("ref:refs/heads/"), _REF_VALUE)
_TAG = then(text("ref:refs/tags/"), _REF_VALUE)
_ENVIRONMENT = then(text("environment:"), _VALUE)
# What a customised template appends, such as ":job_workflow_ref:octo-org/...".
_APPENDED = repeated(then(text(":"), _CLAIM, text(":"), _VALUE), least=0)
_CUSTOMISED = then(_CLAIM, text(":"), _VALUE, _APPENDED)
_ORDINARY = then(text("repo:"), repeated(chars(ANY_LETTER), least=0))


@dataclass(frozen=True)
class Pinned:
    """Claims other than the subject that a statement compares with exact values.

    They come from the same token, so they limit which subjects can come with them.
    """

    repository: tuple[str, ...] = ()
    repository_id: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    ref: tuple[str, ...] = ()


def subjects(pinned: Pinned, *, appended: bool = False) -> Language:
    """Every subject of GitHub's default template that can come with the pinned claims.

    `appended` adds those of customised templates that continue the default one.
    """
    more = [_APPENDED] if appended else []
    return then(_repository(pinned), text(":"), _contexts(pinned), *more)


def _repository(pinned: Pinned) -> Language:
    number = either(*map(text, pinned.repository_id)) if pinned.repository_id else DIGITS
    if not pinned.repository:
        names = then(_OWNER, text("/"), _REPOSITORY)
        ids = then(_OWNER, text("@"), DIGITS, text("/"), _REPOSITORY, text("@"), number)
        return then(text("repo:"), either(names, ids))
    known = []
    for full_name in pinned.repository:
        owner, _, name = full_name.partition("/")
        known.append(text(full_name))
        known.append(then(text(f"{owner}@"), DIGITS, text(f"/{name}@"), number))
    return then(text("repo:"), either(*known))


def _contexts(pinned: Pinned) -> Language:
    if pinned.environment:
        return either(*(text(f"environment:{escaped(name)}") for name in pinned.environment))
    if not pinned.ref:
        return either(_PULL_REQUEST, _BRANCH, _TAG, _ENVIRONMENT)
    refs = [text(f"ref:{escaped(ref)}") for ref in pinned.ref if not ref.startswith("refs/pull/")]
    # An environment hides the ref from the subject, whichever it is.
    pulls = [_PULL_REQUEST] if len(refs) < len(pinned.ref) else []
    return either(_ENVIRONMENT, *refs, *pulls)


def escaped(value: str) -> str:
    """A claim's value as it stands in a subject."""
    return value.replace(":", "%3A")


@dataclass(frozen=True)
class Parts:
    """A subject pattern taken apart. `owner` and `repository` (with their ids) are None where a
    wildcard leaves them open; the heads are what is literal before it."""

    owner: str | None
    owner_head: str
    repository: str | None = None
    repository_head: str = ""
    context: str | None = None
    context_head: str = ""


_WILD = re.compile(r"[*?]")


def take_apart(value: str) -> Parts | None:
    """Split a pattern into owner, repository and context; None if it has no wildcard."""
    first = _WILD.search(value)
    if first is None:
        return None
    head = value[: first.start()].removeprefix("repo:")
    owner, slash, rest = head.partition("/")
    if not slash:
        return Parts(None, owner)
    repository, colon, context = rest.partition(":")
    if not colon:
        return Parts(owner, owner, None, repository)
    return Parts(owner, owner, repository, repository, None, context)


@dataclass(frozen=True)
class Lets:
    """Strangers that a pattern lets in, and one of their subjects."""

    kind: Stranger
    subject: str


@dataclass(frozen=True)
class Accepted:
    """The subjects that a statement accepts: conditions on the subject, all of which must hold."""

    operands: Sequence[Operand]
    pinned: Pinned = field(default_factory=Pinned)

    def witness(self, *more: Operand) -> str | None:
        """The shortest real subject that is accepted and fulfils `more` as well."""
        return common_word([Operand(subjects(self.pinned)), *self.operands, *more])

    @property
    def nobody(self) -> bool:
        """Whether no subject that GitHub sends is accepted, customised ones included."""
        continued = Operand(subjects(self.pinned, appended=True))
        if common_word([continued, *self.operands]) is not None:
            return False
        ordinary = Operand(_ORDINARY, negated=True)
        return common_word([Operand(_CUSTOMISED), ordinary, *self.operands]) is None

    def strangers(self, value: str, own: Language) -> Lets | None:
        """Whom one pattern of the statement lets in beyond what its literal part names."""
        parts = take_apart(value)
        if parts is None:
            return None
        for kind, outside in _outside(parts, self.pinned):
            subject = self.witness(Operand(own), Operand(outside))
            if subject is not None:
                return Lets(kind, subject)
        return None


def _outside(parts: Parts, pinned: Pinned) -> list[tuple[Stranger, Language]]:
    """Kinds of strangers, the widest first, each with the language of their subjects."""
    found: list[tuple[Stranger, Language]] = []
    ids = either(text(""), then(text("@"), DIGITS))
    if not pinned.repository_id:
        if parts.owner is None:
            found += _other_owners(parts.owner_head, ids)
        if parts.repository is None:
            found += _other_repositories(parts, ids)
    everybody = then(_repository(pinned), text(":"))
    rest = _APPENDED
    for kind, context in _other_contexts(parts, pinned):
        found.append((kind, then(everybody, context, rest)))
    return found


def _other_owners(head: str, ids: Language) -> list[tuple[Stranger, Language]]:
    name, at, _ = head.partition("@")
    tail = then(text("/"), _REPOSITORY, ids, text(":"), _contexts(Pinned()), _APPENDED)
    if at:
        # The name is fixed, its id is not: whoever registers the name next.
        return [("id", then(text(f"repo:{name}@"), DIGITS, tail))]
    other = _names_but(name, _OWNER)
    return [("owner", then(text("repo:"), other, ids, tail))]


def _other_repositories(parts: Parts, ids: Language) -> list[tuple[Stranger, Language]]:
    owner = _OWNER if parts.owner is None else text(parts.owner)
    name, at, _ = parts.repository_head.partition("@")
    tail = then(text(":"), _contexts(Pinned()), _APPENDED)
    owners = then(text("repo:"), owner, ids if parts.owner is None else text(""), text("/"))
    if at:
        return [("id", then(owners, text(f"{name}@"), DIGITS, tail))]
    return [("repository", then(owners, _names_but(name, _REPOSITORY), ids, tail))]


def _names_but(name: str, names: Language) -> Language:
    """Names that are not `name`: shorter ones never match its pattern, so longer ones are meant."""
    return then(text(name), names) if name else names


def _other_contexts(parts: Parts, pinned: Pinned) -> list[tuple[Stranger, Language]]:
    if parts.context is not None or parts.repository is None or pinned.environment:
        return []
    head = parts.context_head
    if head.startswith("environment:"):
        name = head.removeprefix("environment:")
        return [("environment", then(text("environment:"), _names_but(name, _VALUE)))]
    if pinned.ref:
        return []  # any job on that ref, which the statement says in so many words
    if head.startswith("ref:"):
        return [("ref", then(text("ref:refs/"), _REF_VALUE))]
    return [("context", _PULL_REQUEST), ("context", either(_BRANCH, _TAG, _ENVIRONMENT))]
