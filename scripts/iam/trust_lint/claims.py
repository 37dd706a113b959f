"""Rules on the claims beside the subject: audience, ids, ref, workflow, pull requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from scripts.iam.trust_lint.findings import Finding
from scripts.iam.trust_lint.rules import AUDIENCE, Check, Setting, finding
from scripts.iam.trust_lint.statement import Compared, Trusting

_IMMUTABLE = re.compile(r"repo:[^/@:]+@(\d+)/[^/@:]+@(\d+):.+")
_NAMES = re.compile(r"repo:([^/@:*?]+)/([^/@:*?]+):.+")
_SHA = re.compile(r"[0-9a-f]{40}")


def _audience(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    compared = [found for found in trusting.on("aud") if found.requires]
    if not compared:
        yield finding(
            "no-audience",
            trusting,
            setting,
            "there is no condition that requires aud",
            "whoever gets hold of a token that the job asked for another service",
            f"add StringEquals {trusting.host}:aud: {AUDIENCE}",
        )
    for found in compared:
        if not found.exact:
            continue
        others = [value for value in found.values if value not in setting.audiences]
        if others:
            yield finding(
                "other-audience",
                trusting,
                setting,
                f"aud may be {', '.join(others)}",
                "the service that such a token is made for, and whoever it gives it to",
                f"write StringEquals {trusting.host}:aud: {AUDIENCE}; if the audience is meant, "
                "name it with --audience",
            )


def _claim_patterns(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    for found in trusting.compared:
        if found.claim in ("sub", "job_workflow_ref") or found.operator.base != "StringLike":
            continue
        for value in found.values:
            if set("*?") & set(value):
                yield finding(
                    "claim-pattern",
                    trusting,
                    setting,
                    f"{found.written} {found.key} accepts everything like {value!r}",
                    "whoever can bring the claim into that form",
                    f"write StringEquals {found.key} with the whole value",
                )


def _repository_id(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    ids = trusting.exactly("repository_id")
    values = [value for _, value in _subjects(trusting)]
    key = f"{trusting.host}:repository_id"
    if not any(found.requires for found in trusting.on("repository_id")) and values:
        named = [value for value in values if not _IMMUTABLE.fullmatch(value)]
        yield finding(
            "no-repository-id",
            trusting,
            setting,
            "repository_id is not compared"
            + (f", and {named[0]!r} holds names alone" if named else ""),
            "whoever registers the name of a deleted or renamed owner or repository"
            if named
            else "nobody while GitHub keeps the id in the subject; the claim is the second lock",
            f"add StringEquals {key} with the number that `gh api repos/OWNER/REPOSITORY --jq .id` "
            "prints",
        )
    for value in values:
        match = _IMMUTABLE.fullmatch(value)
        if match and ids and match.group(2) not in ids:
            yield finding(
                "other-repository-id",
                trusting,
                setting,
                f"{value!r} is of repository {match.group(2)}, repository_id of {', '.join(ids)}",
                "nobody; no token can be of both",
                f"write the same id in the subject and in {key}",
            )


def _names_only(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    values = [value for _, value in _subjects(trusting)]
    with_ids = setting.with_ids | names_with_ids(values)
    for value in values:
        match = _NAMES.fullmatch(value)
        if match and (setting.immutable or f"{match.group(1)}/{match.group(2)}" in with_ids):
            yield finding(
                "names-only-subject",
                trusting,
                setting,
                f"{value!r} holds names alone although the repository's subjects carry ids",
                "whoever registers the names of a deleted owner or repository",
                "write repo:OWNER@OWNER_ID/REPOSITORY@REPOSITORY_ID:... and drop the names",
            )


def names_with_ids(subjects: Iterable[str]) -> frozenset[str]:
    """The repositories (owner/name) that stand with their ids in one of the subjects."""
    return frozenset(
        re.sub(r"@\d+", "", subject.removeprefix("repo:").partition(":")[0])
        for subject in subjects
        if _IMMUTABLE.fullmatch(subject)
    )


def _ref(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    if trusting.on("ref") and any(found.requires for found in trusting.on("ref")):
        return
    for _, value in _subjects(trusting):
        if ":environment:" in value and not set("*?") & set(value):
            yield finding(
                "no-ref",
                trusting,
                setting,
                f"{value!r} does not say which branch asks, and ref is not compared",
                "everyone who can push a branch, unless the environment itself is restricted",
                f"add StringEquals {trusting.host}:ref: refs/heads/main",
            )
            return


def _workflow(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    refs = trusting.exactly("ref")
    for found in trusting.on("job_workflow_ref"):
        for value in found.values:
            problem = _movable(value, found, trusting, refs)
            if problem:
                yield finding(
                    "movable-workflow",
                    trusting,
                    setting,
                    f"{found.written} {value!r}: {problem}",
                    "everyone who can move that ref to a workflow of their own",
                    "write OWNER/REPOSITORY/.github/workflows/FILE@ and the commit's SHA; for the "
                    "same repository a ref that is compared as well will do",
                )


def _movable(value: str, found: Compared, trusting: Trusting, refs: tuple[str, ...]) -> str:
    """Why the workflow that a value names can become another one, "" if it cannot."""
    if found.operator.base == "StringLike" and set("*?") & set(value):
        return "a pattern accepts other workflows or refs"
    path, at, ref = value.rpartition("@")
    if not at:
        return "there is no ref"
    if _SHA.fullmatch(ref):
        return ""
    repository = "/".join(path.split("/")[:2])
    own = any(_of_repository(subject, repository) for _, subject in _subjects(trusting))
    if own and (ref in refs or any(subject.endswith(f":ref:{ref}")
                                   for _, subject in _subjects(trusting))):  # fmt: skip
        return ""
    if ref.startswith("refs/tags/"):
        return "a tag can be moved"
    return "a branch moves" + ("" if own else ", and it is another repository's")


def _of_repository(subject: str, repository: str) -> bool:
    names = re.sub(r"@\d+", "", subject)
    return names.startswith(f"repo:{repository}:")


def _pull_request(trusting: Trusting, setting: Setting) -> Iterator[Finding]:
    exact = [value for _, value in _subjects(trusting) if value.endswith(":pull_request")]
    if not exact or setting.writes == ():
        return
    known = setting.writes is not None
    shown = ", ".join((setting.writes or ())[:3])
    yield finding(
        "pull-request" if known else "pull-request-unknown",
        trusting,
        setting,
        f"{exact[0]!r} may do {shown}"
        if known
        else f"{exact[0]!r}: what the role may do is not in this input",
        "whoever may push a branch: the pull request's own code runs with this role",
        "give pull requests a role of their own that reads configuration and no secret",
    )


def _subjects(trusting: Trusting) -> list[tuple[Compared, str]]:
    return [(found, value) for found in trusting.on("sub") if found.requires
            for value in found.values]  # fmt: skip


CLAIM_CHECKS: tuple[Check, ...] = (
    _audience,
    _claim_patterns,
    _repository_id,
    _names_only,
    _ref,
    _workflow,
    _pull_request,
)
