"""Rules on values that GitHub never sends: their form, and what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from scripts.github.issuers import AUDIENCE
from scripts.iam.engine.documents import Condition
from scripts.iam.trust_lint.decide.grammar import CLAIMS
from scripts.iam.trust_lint.decide.search import closed
from scripts.iam.trust_lint.decide.statement import EXACT, Compared, Trusting, has_wildcard
from scripts.iam.trust_lint.decide.who import nobody
from scripts.iam.trust_lint.findings import Finding
from scripts.iam.trust_lint.fixes import Fix, exchanged, without
from scripts.iam.trust_lint.rules import Linted

_STALE = re.compile(r"repo:([A-Za-z0-9-]+)-(\d+)/([A-Za-z0-9._-]+)-(\d+):(.+)")
_ADDRESS = re.compile(r"repo:(?:https?://)?(?:www\.)?github\.com/")
# https://docs.github.com/en/actions/reference/security/oidc#example-subject-claims
_WHOLE = re.compile(r"(?P<repo>repo:[^:/]+/[^:/]+):(?P<context>[^*?]+)")
_NAMED = re.compile(
    r"(?P<kind>env|environment|branch|tag|ref|heads|tags)s?[:=/](?P<name>[^:]+)", re.IGNORECASE
)


def shapes(linted: Linted) -> Iterator[Finding]:
    """Subjects that are written as GitHub never sends them."""
    one, known = linted.one, False
    for found in one.compared:
        for value in found.values:
            if found.claim == "sub" and is_stale(linted, value):
                known = True
                yield _stale(linted, found, value)
            if found.operator.base in EXACT and has_wildcard(value):
                known = True
                yield linted.finding(
                    "literal-wildcard",
                    f"{found.written} takes {value!r} letter for letter",
                    "nobody by this value",
                    "write the whole value; under StringLike it would let in "
                    "more than one",
                )  # fmt: skip
    dead = any(not one.lacking(condition) for condition in one.never)  # unknown-key says so
    if linted.anything is None and not known and not dead:
        yield from _never(linted)


def _stale(linted: Linted, found: Compared, value: str) -> Finding:
    right = _STALE.sub(r"repo:\1@\2/\3@\4:\5", value)
    values = tuple(right if old == value else old for old in found.values)
    new = replace(found.condition, values=values)
    closed = bool(linted.one.exactly("repository_id"))
    match = _STALE.fullmatch(value)
    assert match is not None
    return linted.finding(
        "stale-id-form",
        f"{value!r} joins the ids by -; GitHub joins them by @",
        "nobody; the job that should get in is refused"
        if closed
        else f"whoever registers the account {match[1]}-{match[2]}",
        Fix(f"write {right}", exchanged(linted.one, found.condition, new)),
        weight="note" if closed else None,
    )


def _never(linted: Linted) -> Iterator[Finding]:
    one = linted.one
    if not one.is_for_web_identities:
        yield linted.finding(
            "wrong-action",
            f"{', '.join(one.statement.actions or ())} is not what a token asks for",
            "nobody",
            Fix(
                "write sts:AssumeRoleWithWebIdentity",
                one.statement.conditions,
                ("sts:AssumeRoleWithWebIdentity",),
            ),
        )
        return
    if linted.by_no_listed_audience:
        yield _not_listed(linted)
        return
    values = [repr(value) for found in one.compared for value in found.values]
    alone = [found for found in one.compared if _lives_without(linted, found)]
    forms = [f"{found.key} as {_FORMS[found.claim]}" for found in alone if _is_malformed(found)]
    why = " or ".join(f"{found.written} {found.key}" for found in alone)
    if empty := [f"{found.written} {found.key}" for found in alone if not found.values]:
        yield linted.finding(
            "never-matches",
            f"{' and '.join(empty)} compares with an empty list, which nothing fulfils",
            "nobody; the job that should get in is refused",
            "write what is meant into the list, as `keyless doctor --github` prints it in the job",
        )
        return
    yield linted.finding(
        "never-matches",
        "no token that GitHub documents fulfils "
        + (" and ".join(values) or "this")
        + " together" * (len(values) > 1)
        + (f"; without {why} some would" if alone else ""),
        "nobody; the job that should get in is refused",
        _meant(one)
        or (f"write {' and '.join(forms)}" if forms else "")
        or "compare the values with those that `keyless doctor --github` prints in the job: by "
        "default a subject is repo:, the repository and one of :environment:NAME, :pull_request "
        "and :ref:REF, in lower case but for the names",
    )


def _not_listed(linted: Linted) -> Finding:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"""
    one, key = linted.one, f"{linted.one.host}:aud"
    compared = [found for found in one.on("aud") if not found.negated]
    asked = " or ".join(value for found in compared for value in found.values)
    audiences = " or ".join(linted.listed)
    kept = without(one, *(found.condition for found in compared))
    new = Condition("StringEquals", key, closed(linted.listed))
    return linted.finding(
        "never-matches",
        f"aud must be {asked}, and the provider lists {audiences} alone: STS refuses a token with "
        "an audience that the provider does not list",
        f"{nobody(linted)}; the job that should get in is refused",
        Fix(
            f"write StringEquals {key}: {audiences} and let the job ask for it (`audience:` of "
            f"configure-aws-credentials, by default {AUDIENCE}), or let the provider list {asked}",
            (*kept, new),
        ),
    )


# What GitHub writes in a claim, where a value is often something else.
_FORMS = {
    "actor_id": "a number",
    "job_workflow_ref": "OWNER/REPOSITORY/.github/workflows/FILE@REF",
    "ref": "refs/heads/BRANCH or refs/tags/TAG",
    "repository": "OWNER/REPOSITORY",
    "repository_id": "a number",
    "repository_owner_id": "a number",
}


def _is_malformed(found: Compared) -> bool:
    """Whether no value that a claim is compared with has the form of that claim."""
    return found.claim in _FORMS and not any(
        has_wildcard(value) or CLAIMS[found.claim].accepts(value) for value in found.values
    )


def _meant(one: Trusting) -> str:
    """What to write for subjects of a form that GitHub does not send; "" if none is known."""
    said = [
        f"write {right!r} for {value!r}: {why}"
        for found in one.on("sub")
        if not found.negated
        for value in found.values
        for right, why in [meant_subject(value)]
        if right
    ]
    return "; ".join(dict.fromkeys(said))


def meant_subject(value: str) -> tuple[str, str]:
    """The subject that one of another form stands for, and what is wrong with it; "" if unknown."""
    if _ADDRESS.match(value):
        return _closed(_ADDRESS.sub("repo:", value)), "a subject has no host"
    if re.match(r"[\w.-]+(?:@\d+)?/[\w.*-]+(?:@\d+)?(?::|$)", value):
        return _closed(f"repo:{value}"), "a subject begins with repo:"
    if lone := re.fullmatch(r"repo:([^:/*?]+)(:.*)?", value):
        context = lone[2] if lone[2] and not has_wildcard(lone[2]) else ":ref:refs/heads/BRANCH"
        return f"repo:OWNER/{lone[1]}{context}", "the owner stands before the repository"
    whole = _WHOLE.fullmatch(value)
    context = _meant_context(whole["context"]) if whole else ""
    if whole is None or not context or context == whole["context"]:
        return "", ""
    kind = "an environment" if context.startswith("environment") else "a ref"
    kind = "a pull request" if context == "pull_request" else kind
    return f"{whole['repo']}:{context}", f"so GitHub writes {kind}"


def _closed(value: str) -> str:
    """A subject with one context in place of every one."""
    return re.sub(r"(?<=[\w.-])(?::?\*|)$", ":ref:refs/heads/BRANCH", value, count=1) if (
        value.count(":") < 2 or value.endswith(":*")) else value  # fmt: skip


def _meant_context(context: str) -> str:
    """The end of a subject that one of another form stands for, "" if it is not known."""
    if re.fullmatch(r"(?:ref:)?refs/(?:heads|tags)/[^:]+", context):
        return "ref:" + context.removeprefix("ref:")
    if re.fullmatch(r"pull[-_ ]?requests?", context, re.IGNORECASE):
        return "pull_request"
    if named := _NAMED.fullmatch(context):
        kind, name = named["kind"].lower(), named["name"]
        if kind.startswith("env"):
            return f"environment:{name}"
        name = re.sub(r"^(?:refs/)?(?:heads|tags)/", "", name)
        tag = kind.startswith("tag") or "tags/" in named["name"]
        return f"ref:refs/{'tags' if tag else 'heads'}/{name}"
    return f"ref:refs/heads/{context}" if re.fullmatch(r"[\w.-]+", context) else ""


def _lives_without(linted: Linted, found: Compared) -> bool:
    """Whether somebody would get in if one condition were not there."""
    change = Fix("", without(linted.one, found.condition))
    return Linted(change.applied(linted.one), linted.issuer, linted.setting).anything is not None


def is_stale(linted: Linted, value: str) -> bool:
    """Whether a subject joins its ids by -, as GitHub did before the form was settled."""
    match = _STALE.fullmatch(value)
    if match is None:
        return False
    ids = linted.one.exactly("repository_id")
    # An owner may be called studio-54: only the ids tell, where they are given.
    return match[4] in ids if ids else len(match[2]) > 3 or len(match[4]) > 3
