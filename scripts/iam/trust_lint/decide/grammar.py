"""What GitHub can send: the values of each claim, and the subjects that a template makes of them.

Formats: GitHub Docs, "OpenID Connect reference" (actions/reference/security/oidc);
git-check-ref-format(1) for refs.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Literal

from scripts.iam.trust_lint.decide.automata import (
    Language,
    Operand,
    after,
    both,
    but,
    chars,
    either,
    inserted,
    letters_of,
    network,
    optional,
    outside,
    repeated,
    replaced,
    text,
    then,
)

JobKind = Literal["ref", "pull_request", "environment"]
Values = Mapping[str, Language]  # claim -> the values it may have
Limited = Mapping[str, Sequence[Operand]]  # claim -> what its values must fulfil beside that

_PLAIN = string.ascii_letters + string.digits
_CONTROL = "".join(map(chr, (*range(32), 127)))
DIGITS = then(chars("123456789"), repeated(chars(string.digits), least=0))
OWNER = repeated(chars(_PLAIN + "-_"))
REPOSITORY = repeated(chars(_PLAIN + "-_."))
NAMES = then(OWNER, text("/"), REPOSITORY)
VALUE = repeated(but(_CONTROL))
_REF_LETTER = but(_CONTROL + " :~^?*[\\/.")
# No part of a ref is empty, begins or ends with a dot, or has two dots in a row.
_REF_PART = then(_REF_LETTER, repeated(either(_REF_LETTER, then(text("."), _REF_LETTER)), least=0))
REF_NAME = then(_REF_PART, repeated(then(text("/"), _REF_PART), least=0))
BRANCH = then(text("refs/heads/"), REF_NAME)
TAG = then(text("refs/tags/"), REF_NAME)
PULL = then(text("refs/pull/"), DIGITS, either(text("/merge"), text("/head")))
SHA = then(*(chars("0123456789abcdef"),) * 40)
_FOLDERS = repeated(but(_CONTROL + ":@*?"), least=0)
_FILE = but(_CONTROL + ":@*?/")  # its last letter: a path ends in a file
WORKFLOW = then(NAMES, text("/"), _FOLDERS, _FILE, text("@"), either(BRANCH, TAG, PULL, SHA))
_ACTOR = repeated(chars(_PLAIN + "-_[]"))
_WORD = repeated(chars(string.ascii_lowercase + "_"))

CLAIMS: Values = {
    "actor": _ACTOR,
    "actor_id": DIGITS,
    "aud": VALUE,
    "enterprise_id": DIGITS,
    "environment": VALUE,
    "job_workflow_ref": WORKFLOW,
    "ref": either(BRANCH, TAG, PULL),
    "repository": NAMES,
    "repository_id": DIGITS,
    "repository_owner_id": DIGITS,
    "workflow": VALUE,
}
"""The claims that AWS compares beside the subject."""

# Claims that a template may name and that nothing but the subject shows to AWS.
_OPEN: Values = {
    **dict.fromkeys(("check_run_id", "run_attempt", "run_id", "run_number"), DIGITS),
    **dict.fromkeys(("job_workflow_sha", "sha", "workflow_sha"), SHA),
    **dict.fromkeys(("environment_node_id", "issuer_scope"), repeated(chars(_PLAIN + "-_=/"))),
    **dict.fromkeys(("base_ref", "head_ref"), optional(REF_NAME)),
    "enterprise": OWNER,
    "event_name": _WORD,
    "ref_protected": either(text("true"), text("false")),
    "ref_type": either(text("branch"), text("tag")),
    "repository_owner": OWNER,
    "repository_visibility": either(*map(text, ("public", "private", "internal"))),
    "runner_environment": either(text("github-hosted"), text("self-hosted")),
    "workflow_ref": WORKFLOW,
}
TOKEN_CLAIMS = frozenset({"iss", "sub", *CLAIMS, *_OPEN})
"""Every claim of a token, but custom properties (repo_property_NAME)."""


def may_be(claim: str, value: str, kind: JobKind) -> bool:
    """Whether a claim of a subject is one of GitHub's and may have the value in such a job."""
    if claim in ("repo", "context"):
        return True
    if claim.startswith(CUSTOM):
        return VALUE.accepts(value)
    grammar = values_of(kind).get(claim)
    return grammar is not None and grammar.accepts(value)


REFS: Mapping[JobKind, Language] = {
    "ref": either(BRANCH, TAG),
    # Once it is merged, a pull request's run is on its base.
    # https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#github-context
    "pull_request": either(PULL, BRANCH),
    "environment": CLAIMS["ref"],
}
_PULL_EVENT = both(
    then(text("pull_request"), optional(then(text("_"), _WORD))),
    outside(text("pull_request_target")),
)
_OF_KIND: Mapping[JobKind, Values] = {
    # pull_request_target runs on the base branch, and has base_ref all the same.
    "ref": {"event_name": both(_WORD, outside(text("pull_request")))},
    "pull_request": {
        "event_name": _PULL_EVENT,
        "ref_type": text("branch"),
        **dict.fromkeys(("base_ref", "head_ref"), REF_NAME),
    },
    "environment": {},
}
OF_TYPE: Values = {"branch": either(BRANCH, PULL), "tag": TAG}
"""Which refs there are of each `ref_type`."""


@cache
def values_of(kind: JobKind) -> Values:
    """What each claim may be in a job of this kind, without an environment but in its own."""
    found = {**CLAIMS, **_OPEN, "ref": REFS[kind], **_OF_KIND[kind]}
    if kind != "environment":
        del found["environment"]
    return found


CUSTOM = "repo_property_"
_CUSTOM = repeated(chars(_PLAIN + "_"))


@cache
def default_subjects(kind: JobKind, ids: tuple[bool, ...]) -> Language:
    """The subjects of GitHub's default template; `ids` are without and with immutable ids."""
    return then(_repo(ids), text(":"), _context(kind))


@cache
def all_subjects(kind: JobKind, ids: tuple[bool, ...], keys: frozenset[str]) -> Language:
    """The subjects of every template there can be.

    A claim but repository and context may come twice here, which no template allows: more is
    accepted, never less. `keys` are the claims that are worth telling apart; a workflow's name,
    which may be any text, and a pull request's branch stand for all others.
    """
    listed = [
        then(text(f"{claim}:"), encoded(values))
        for claim, values in values_of(kind).items()
        if claim in (*keys, "workflow", "base_ref") and claim != "aud"
    ]
    if CUSTOM in keys:
        listed.append(then(text(CUSTOM), _CUSTOM, text(":"), encoded(VALUE)))
    other = _part(either(*listed))
    repo, context = _part(_repo(ids)), _part(_context(kind))
    # The nodes: neither repository nor context so far, the one, the other, both.
    steps = [(node, other, node) for node in range(4)]
    steps += [(0, repo, 1), (2, repo, 3), (0, context, 2), (1, context, 3)]
    return after(":", network(4, steps, range(4)))


def _part(language: Language) -> Language:
    return then(text(":"), language)


def _repo(ids: tuple[bool, ...]) -> Language:
    forms = (NAMES, with_ids(NAMES, DIGITS, DIGITS))
    return then(text("repo:"), either(*(forms[form] for form in ids)))


def _context(kind: JobKind) -> Language:
    if kind == "environment":
        return then(text("environment:"), encoded(VALUE))
    if kind == "pull_request":
        return text("pull_request")
    return then(text("ref:"), encoded(REFS[kind]))


def with_ids(names: Language, owner_id: Language, repository_id: Language) -> Language:
    """`owner/repository` names with their immutable ids."""
    return inserted(names, "/", then(text("@"), owner_id), then(text("@"), repository_id))


def encoded(values: Language) -> Language:
    """Values as they stand in a subject."""
    return replaced(values, ":", "%3A")


def limit_on_subject(claim: str, values: Language, keys: frozenset[str]) -> list[Language]:
    """A limit on a claim as limits on the subject, one for each part that may carry the claim.

    Each says nothing of the other parts. `keys` are the claims that subjects may name.
    """
    found = []
    if claim in _IDENTITY:
        found.append(_only("repo", _repo_with(claim, values)))
    if claim == "repository" and "repository_owner" in keys:
        found.append(_only("repository_owner", owners(both(values, NAMES))))
    if claim in (*keys, "ref", "environment"):
        found.append(_only(claim, encoded(values)))
    return found


_IDENTITY = ("repository", "repository_id", "repository_owner_id")


def _repo_with(claim: str, values: Language) -> Language:
    """The repository parts, in both forms, where one claim has these values."""
    if claim == "repository":
        return either(values, with_ids(values, DIGITS, DIGITS))
    owner_id, repository_id = (values if claim == one else DIGITS for one in _IDENTITY[:0:-1])
    return either(NAMES, with_ids(NAMES, owner_id, repository_id))


_TOKEN = repeated(but(":"), least=0)


def _only(key: str, values: Language) -> Language:
    """Subjects whose part of this name, if there is one, has one of these values."""
    steps = [
        (0, _part(text("pull_request")), 0),
        (0, _other_part(key), 0),
        (0, then(_part(text(key)), _part(values)), 0),
    ]
    return after(":", network(1, steps, [0]))


def at_most(times: int, key: str) -> Language:
    """Subjects that have no more parts of this name."""
    steps = []
    for node in range(times + 1):
        steps += [(node, _part(text("pull_request")), node), (node, _other_part(key), node)]
        if node < times:
            steps.append((node, then(_part(text(key)), _part(_TOKEN)), node + 1))
    return after(":", network(times + 1, steps, range(times + 1)))


@cache
def _other_part(key: str) -> Language:
    """A part of a subject with another name than this one."""
    name = both(_TOKEN, outside(either(text(key), text("pull_request"))))
    return then(_part(name), _part(_TOKEN))


def keys_in(patterns: Iterable[str]) -> frozenset[str]:
    """The claims whose names, or an end of them, stand beside a colon in one of the patterns.

    Any other claim of a template lies wholly under a wildcard, or its value does.
    """
    pieces = {
        piece
        for value in patterns
        for run in re.split(r"[*?]", value)
        for piece in run.split(":")
        if piece
    }
    known = {*TOKEN_CLAIMS, CUSTOM}
    return frozenset(
        claim
        for claim in known
        if any(claim.startswith(piece) or piece.startswith(claim) or claim.endswith(piece)
               for piece in pieces)
    )  # fmt: skip


def owners(names: Language) -> Language:
    """The owners of `owner/repository` names."""
    return both(_prefixes(names), OWNER)


_SLASH = letters_of("/")


def _prefixes(language: Language) -> Language:
    """Every beginning, up to a slash, of a text of the language."""
    empty = [list(targets) for targets in language.empty]
    end = len(language.edges)
    for state, outgoing in enumerate(language.edges):
        if any(letters & _SLASH for letters, _ in outgoing):
            empty[state].append(end)
    edges = (*language.edges, ())
    return Language(edges, (*map(tuple, empty), ()))
