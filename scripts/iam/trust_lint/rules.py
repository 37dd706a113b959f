"""Rules on the subject: each looks at one statement that trusts GitHub and yields findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scripts.iam.trust_lint.automata import Operand, either, pattern, text
from scripts.iam.trust_lint.findings import Finding
from scripts.iam.trust_lint.statement import CLAIMS, EXACT, Trusting
from scripts.iam.trust_lint.subjects import Lets

ANYBODY = "any GitHub user, with a workflow in a repository of their own"
AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True)
class Setting:
    """What is known beside the policy: where it stands and what it is meant to accept.

    `subjects` are the intended ones, if the user names them; `immutable` says that every
    repository has subjects with ids, `with_ids` names those known to have them (owner/name);
    `writes` is what the role may change or read of secrets, None if unknown.
    """

    origin: str
    subjects: tuple[str, ...] = ()
    immutable: bool = False
    with_ids: frozenset[str] = frozenset()
    audiences: tuple[str, ...] = (AUDIENCE,)
    writes: tuple[str, ...] | None = None


Check = Callable[[Trusting, Setting], Iterator[Finding]]


def finding(
    rule: str,
    trusting: Trusting,
    setting: Setting,
    message: str,
    who: str,
    fix: str,
    witness: str | None = None,
) -> Finding:
    """A finding about one statement, with what to write in its place."""
    return Finding(rule, setting.origin, trusting.statement.label, message, who, fix, witness)


def _unknown_keys(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    known = {f"{trusting.host}:{claim}".lower() for claim in CLAIMS}
    for condition in trusting.statement.conditions:
        key = condition.key.lower()
        if key in known or key.startswith(("aws:", "sts:")):
            continue
        vacuous = (
            condition.operator.startswith("ForAllValues")
            or condition.operator.endswith("IfExists")
            or "Not" in condition.operator
        )
        claim = key.rpartition(":")[2]
        right = f"{trusting.host}:{claim}"
        fix = (
            f"write {right}"
            if claim in CLAIMS
            else f"compare one of: {', '.join(f'{trusting.host}:{name}' for name in CLAIMS)}"
        )
        yield finding(
            "unknown-key",
            trusting,
            setting,
            f"AWS never sets {condition.key}, so {condition.operator} is always "
            + ("true and checks nothing" if vacuous else "false and nobody gets in"),
            ANYBODY if vacuous else "nobody; the next edit is likely to open it too far",
            fix,
        )


def _no_subject(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    compared = trusting.on("sub")
    if any(found.requires for found in compared):
        return
    how = ", ".join(found.written for found in compared)
    yield finding(
        "no-subject",
        trusting,
        setting,
        f"sub is compared only by {how}, which holds for a token without the right subject"
        if compared
        else "there is no condition on sub",
        _who_without_subject(trusting),
        f"add StringEquals {trusting.host}:sub with the whole subject, "
        "repo:OWNER@OWNER_ID/REPOSITORY@REPOSITORY_ID:environment:NAME",
    )


def _who_without_subject(trusting: Trusting) -> str:
    if trusting.exactly("repository_id") or trusting.exactly("repository"):
        return "every workflow of the repository: any branch, tag or pull request"
    return ANYBODY


def _operators(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    for found in trusting.compared:
        value = found.values[0]
        if found.operator.sets == "ForAllValues":
            yield finding(
                "for-all-values",
                trusting,
                setting,
                f"{found.written} {found.key} is true when the token has no such claim",
                "whoever gets a token without the claim, and everybody if the key is misspelt",
                f"write StringEquals {found.key}: {value}",
            )
        if found.operator.if_exists:
            yield finding(
                "if-exists",
                trusting,
                setting,
                f"{found.written} {found.key} is true when the token has no such claim",
                "whoever gets a token without the claim",
                f"write StringEquals {found.key}: {value}",
            )
        if found.operator.base.endswith("IgnoreCase"):
            yield finding(
                "ignores-case",
                trusting,
                setting,
                f"{found.written} {found.key} also accepts {value.swapcase()!r}; names of "
                "branches and environments that differ in case only are different ones",
                "whoever may make such a branch or environment",
                f"write StringEquals {found.key}: {value}",
                value.swapcase() if found.claim == "sub" else None,
            )
    yield from _negated(trusting, setting)


def _negated(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    for found in trusting.compared:
        if found.negated and not any(other.requires for other in trusting.on(found.claim)):
            yield finding(
                "negated",
                trusting,
                setting,
                f"{found.written} {found.key} accepts everything but {', '.join(found.values)}",
                "everybody who is not named",
                f"write StringEquals {found.key} with what is meant",
            )


def _equals_and_like(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    for claim in CLAIMS:
        both = [found for found in trusting.on(claim) if found.requires]
        if {found.operator.base in EXACT for found in both} == {True, False}:
            yield finding(
                "equals-and-like",
                trusting,
                setting,
                f"{' and '.join(found.written for found in both)} on {both[0].key}: both must "
                "hold; they are not alternatives",
                "fewer than it seems; whoever mends that is likely to keep the wider one",
                f"write one StringEquals {both[0].key} with a list of the whole values",
            )


def _strangers(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    if setting.subjects or any(found.exact for found in trusting.on("sub")):
        return
    for found in trusting.on("sub"):
        if not found.requires or found.operator.base != "StringLike":
            continue
        accepted = trusting.accepted(without=found)
        for value in found.values:
            lets = accepted.strangers(value, pattern(value))
            if lets is not None:
                yield _stranger(trusting, setting, value, lets)


_STRANGERS = {
    "owner": ("owners with other names", ANYBODY),
    "id": (
        "whatever id the name has",
        "whoever registers the name once it is free: deleted accounts and repositories",
    ),
    "repository": ("other repositories", "everyone who can push to any repository of the owner"),
    "context": (
        "every context of the repository",
        "everyone who can push a branch or open a pull request from one in the repository",
    ),
    "ref": ("more refs than one", "everyone who can push such a branch or tag"),
    "environment": (
        "more environments than one",
        "everyone who can make an environment in the repository, or run a job in another one",
    ),
}


def _stranger(trusting: Trusting, setting: Setting, value: str, lets: Lets) -> Finding:
    what, who = _STRANGERS[lets.kind]
    return finding(
        f"any-{lets.kind}",
        trusting,
        setting,
        f"{value!r} accepts {what}",
        who,
        f"write StringEquals {trusting.host}:sub with each whole subject",
        lets.subject,
    )


def _intended(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    if not setting.subjects or not any(found.requires for found in trusting.on("sub")):
        return
    accepted = trusting.accepted()
    meant = either(*map(text, setting.subjects))
    other = accepted.witness(Operand(meant, negated=True))
    if other is not None:
        yield finding(
            "not-the-intended",
            trusting,
            setting,
            "a subject is accepted that is not among the intended ones",
            "whoever gets that subject",
            f"write StringEquals {trusting.host}:sub: {' or '.join(setting.subjects)}",
            other,
        )
    for subject in setting.subjects:
        if accepted.witness(Operand(text(subject))) is None:
            yield finding(
                "not-the-intended",
                trusting,
                setting,
                f"the intended subject {subject!r} is not accepted",
                "nobody; the job that should get in is refused",
                f"write StringEquals {trusting.host}:sub: {' or '.join(setting.subjects)}",
            )


_STALE = re.compile(r"repo:([A-Za-z0-9-]+)-(\d+)/([A-Za-z0-9._-]+)-(\d+):(.+)")


def _shape(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    stale = False
    for found in trusting.on("sub"):
        for value in found.values:
            if _is_stale(value, trusting):
                stale = True
                yield finding(
                    "stale-id-form",
                    trusting,
                    setting,
                    f"{value!r} joins the ids by -; GitHub joins them by @",
                    "nobody by intent; an owner and repository literally named so get in",
                    "write " + _STALE.sub(r"repo:\1@\2/\3@\4:\5", value),
                )
    wild = False
    for found in trusting.compared:
        for value in found.values:
            if found.operator.base in EXACT and set("*?") & set(value):
                wild = True
                yield finding(
                    "literal-wildcard",
                    trusting,
                    setting,
                    f"{found.written} takes {value!r} letter for letter",
                    "nobody; whoever mends that by StringLike lets strangers in",
                    "write the whole value",
                )
    if stale or wild or not any(found.requires for found in trusting.on("sub")):
        return
    if trusting.accepted().nobody:
        values = ", ".join(repr(v) for found in trusting.on("sub") for v in found.values)
        yield finding(
            "never-matches",
            trusting,
            setting,
            f"GitHub sends no subject that fulfils {values} together with the other conditions",
            "nobody; the job that should get in is refused",
            "write repo:OWNER@OWNER_ID/REPOSITORY@REPOSITORY_ID:CONTEXT as GitHub sends it, with "
            "repo, environment, ref and pull_request in lower case",
        )


def _is_stale(value: str, trusting: Trusting) -> bool:
    match = _STALE.fullmatch(value)
    if match is None:
        return False
    ids = trusting.exactly("repository_id")
    # An owner may be called studio-54: only the ids tell, where they are given.
    return match.group(4) in ids if ids else len(match.group(2)) > 3 or len(match.group(4)) > 3


SUBJECT_CHECKS: tuple[Check, ...] = (
    _unknown_keys,
    _no_subject,
    _operators,
    _equals_and_like,
    _strangers,
    _intended,
    _shape,
)
