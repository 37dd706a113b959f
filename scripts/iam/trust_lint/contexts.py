"""Rules on what of the named repository gets in: refs, environments, pull requests, workflows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from scripts.iam.trust_lint.decide import who
from scripts.iam.trust_lint.decide.automata import (
    Operand,
    but,
    common_word,
    pattern,
    repeated,
    text,
    then,
)
from scripts.iam.trust_lint.decide.grammar import BRANCH, TAG, JobKind
from scripts.iam.trust_lint.decide.search import ON_TARGET, Token
from scripts.iam.trust_lint.decide.statement import EXACT, Compared, has_wildcard
from scripts.iam.trust_lint.decide.who import listed
from scripts.iam.trust_lint.findings import Finding
from scripts.iam.trust_lint.fixes import Fix, added, exchanged, without
from scripts.iam.trust_lint.rules import Check, Linted, alike, exact_subject, under_template
from scripts.iam.trust_lint.rules import requires_subject as _requires_subject
from scripts.iam.trust_lint.unfilled import made_up

_QUEUE = re.compile(r"(?:.*:)?(?:ref:)?refs/heads/gh-readonly-queue/(?P<base>[^*?]+)/pr-[^*?]*\*")
_SHA = re.compile(r"[0-9a-f]{40}")
_IN_SUBJECT = re.compile(r"(?:^|:)job_workflow_ref:([^:]*)")


def _strangers_matter_more(linted: Linted) -> bool:
    """Whether whole owners or repositories get in, so that a context is the least worry."""
    other = linted.other_repository
    by_default = other is not None and (other.is_default or not linted.is_default)
    return linted.anybody is not None or by_default


def _by_its_own_value(linted: Linted) -> Token | None:
    """A pull request of the named repository, by another value than the one for strangers."""
    token, other = linted.other_pull_request, linted.anybody or linted.other_repository
    if token is None or other is None or not token.is_default:
        return None
    value = linted.values_for(token)
    return token if value and value != linted.values_for(other) else None


def context(linted: Linted) -> Iterator[Finding]:
    """More contexts of the repository than those that the statement names."""
    if linted.setting.subjects or not _requires_subject(linted.one):
        return
    if _strangers_matter_more(linted):
        if token := _by_its_own_value(linted):
            yield _open(linted, "any-context", "every context of the repository", token)
        return
    if token := _by_a_template_alone(linted):
        yield _template_decides(linted, token)
    elif token := linted.other_pull_request:
        yield _open(linted, "any-context", "every context of the repository", token)
    else:
        if token := linted.other_ref:
            yield _merge_queue(linted, token) or _open(
                linted, "any-ref", "more refs than it names", token
            )
        if token := linted.other_environment:
            yield _open(linted, "any-environment", "more environments than it names", token)
        if linted.by_template is not None:
            yield _more_by_template(linted, *linted.by_template)


def _open(linted: Linted, rule: str, what: str, token: Token) -> Finding:
    values = alike(linted, token, _context)
    said = f"{listed(values)} accept" if values else "the conditions accept"
    said += f"s {what}" if len(values) == 1 else f" {what.replace('it names', 'they name')}"
    fix = exact_subject(linted)
    if rule == "any-ref" and ":refs/tags/" in token.subject:
        fix += (
            "; where each tag is new, let its job name an environment that such tags alone may "
            "deploy to, which has a subject of its own"
        )
    return linted.finding(rule, said + under_template(token), _who(linted, rule), fix, token)


def _context(value: str) -> str:
    """What a subject's pattern leaves open behind the repository: the kind of context if it says
    one, else all that it says; "" if nothing is open."""
    context = value.partition(":")[2].partition(":")[2]
    kind = context.partition(":")[0]
    return "" if not has_wildcard(context) else context if has_wildcard(kind) else kind


def _who(linted: Linted, rule: str) -> str:
    kinds: dict[str, JobKind] = {"any-ref": "ref", "any-environment": "environment"}
    if rule in kinds:
        return who.whoever_opens(linted, kinds[rule])
    return who.more_contexts(linted)


def _by_a_template_alone(linted: Linted) -> Token | None:
    """The widest token that no default subject brings and no wildcard asks for."""
    if linted.is_default:
        return None
    token = linted.other_ref or linted.other_environment
    exact = token is not None and not linted.by_wildcard(token)
    return linted.other_pull_request or (token if exact else None)


def _beside_the_names(value: str) -> str:
    """A subject without its repository; "repo" if it is nothing else."""
    return re.sub(r"^repo:[^/:*?]+/[^:*?]+", "", value) or "repo"


def _template_decides(linted: Linted, token: Token) -> Finding:
    values = alike(linted, token, _beside_the_names)
    value = listed(values) if values else "the conditions"
    value += " is" if len(values) == 1 else " are"
    template = ", ".join(token.template)
    opened = {
        "pull requests": linted.other_pull_request,
        "branches": linted.loose("ref", claims={"ref": BRANCH}),
        "tags": linted.loose("ref", claims={"ref": TAG}),
        "environments": linted.other_environment,
    }
    what = [
        ON_TARGET if opening.claims["event_name"] == ON_TARGET else name
        for name, opening in opened.items()
        if opening
    ]
    return linted.finding(
        "template-decides",
        f"{value} not GitHub's default subject{'s' * (len(values) > 1)}, with which nobody gets "
        f"in; with the template {template} {listed(list(dict.fromkeys(what)))} get in without "
        "being named",
        f"nobody, or with that template {who.more_contexts(linted)}",
        f"`{linted.issuer.gh_api} repos/OWNER/REPOSITORY/actions/oidc/customization/sub` says "
        "which template the repository has: with the default one write the whole subject, else "
        "put context into the template",
        token,
    )


def _more_by_template(linted: Linted, kind: JobKind, token: Token) -> Finding:
    value = linted.values_for(token) or "the conditions"
    what = {
        "pull_request": "pull requests",
        "ref": "more refs than it names",
        "environment": "more environments than it names",
    }[kind]
    return linted.finding(
        "template-decides",
        f"{value} accepts {what} as soon as the repository's subject has the template "
        f"{', '.join(token.template)}; with GitHub's default subject it does not",
        f"with that template {who.whoever_opens(linted, kind)}",
        exact_subject(linted),
        token,
    )


def _merge_queue(linted: Linted, token: Token) -> Finding | None:
    """Branches of a merge queue, which no exact subject can cover, and nothing beyond them."""
    patterns = [
        _QUEUE.fullmatch(value) for found in linted.one.on("sub") for value in found.values
        if found.takes(value, token.subject)
    ]  # fmt: skip
    first = patterns[0] if patterns and all(patterns) else None
    return None if first is None else _queue_finding(linted, first["base"], token)


def _queue_finding(linted: Linted, base: str, token: Token | None) -> Finding:
    return linted.finding(
        "merge-queue",
        f"every run of the merge queue of {base} is accepted: its branch has a new name each time",
        f"everyone who can add a pull request to the queue of {base}, and who can push a branch "
        "called gh-readonly-queue/... unless a rule forbids it",
        "forbid branches gh-readonly-queue/** to people by a ruleset, and give the role no right "
        "that a pull request should not have",
        token,
    )


def contradicted(linted: Linted) -> Iterator[Finding]:
    """A default subject, and beside it a claim that no job with this subject has."""
    if linted.setting.subjects or linted.anything is None or linted.is_default:
        return
    against = [
        found
        for found in linted.one.compared
        if found.claim not in ("sub", "aud") and not found.negated
        and _by_default_without(linted, found)
    ]  # fmt: skip
    if not against:
        return
    claims = " or ".join(f"{found.claim} {' or '.join(found.values)}" for found in against)
    keys = " or ".join(found.key for found in against)
    yield linted.finding(
        "template-decides",
        f"with GitHub's default subject nobody gets in: no job with {claims} has a subject that "
        "the policy takes",
        linted.reach.who,
        "write the subject that `keyless doctor --github` prints in the job (one with an "
        f"environment ends in environment:NAME, whatever its branch), or take {keys} out",
        weight="note",
    )


def _by_default_without(linted: Linted, found: Compared) -> bool:
    """Whether the default subject gets in if one condition is not there."""
    change = Fix("", without(linted.one, found.condition))
    return Linted(change.applied(linted.one), linted.issuer, linted.setting).is_default


_REPOSITORY = then(text("repo:"), repeated(but(":")), text(":"))
_SUBJECTS = {
    "pull_request": then(_REPOSITORY, text("pull_request")),
    "environment": then(_REPOSITORY, text("environment:"), pattern("*")),
}


def _of(linted: Linted, kind: str) -> Linted:
    """The statement with those values of the subject alone that take such a job."""
    one = linted.one
    for found in one.on("sub"):
        kept = tuple(
            value
            for value in found.values
            if common_word(
                [
                    Operand(pattern(value, wildcards=found.operator.base not in EXACT)),
                    Operand(_SUBJECTS[kind]),
                ]
            )
        )
        if kept and kept != found.values and not found.negated:
            new = replace(found.condition, values=kept)
            one = Fix("", exchanged(one, found.condition, new)).applied(one)
    return linted if one is linted.one else Linted(one, linted.issuer, linted.setting)


def ref(linted: Linted) -> Iterator[Finding]:
    """An environment's subject does not say which branch asks."""
    token = linted.hidden_ref
    if linted.setting.subjects or token is None or _strangers_matter_more(linted):
        return
    if linted.other_pull_request or (
        linted.other_environment and not linted.speaks_of_environments
    ):
        return
    compared = linted.one.on("ref")
    queue = [_QUEUE.fullmatch(value) for found in compared for value in found.values]
    if queue and all(queue) and queue[0] is not None:
        yield _queue_finding(linted, queue[0]["base"], token)
        return
    server = linted.issuer.kind == "server"
    host = linted.one.host
    key = f"{host}:ref"
    fix: Fix | str = (
        "restrict the environment to its branches: AWS shows no ref of a server's token"
    )
    if not server:
        fix = Fix(
            f"add StringEquals {key} with the branch that deploys, such as refs/heads/main",
            added(linted.one, "StringEquals", key, ["refs/heads/main"]),
        )
    if compared:
        fix = f"write StringEquals {key} with whole refs"
    yield linted.finding(
        "no-ref",
        f"{token.subject!r} does not say which branch asks, and "
        + (f"{compared[0].written} {key} leaves it open" if compared else "ref is not compared"),
        f"everyone who can push a branch to {who.repositories(_of(linted, 'environment'))}, unless "
        "the environment itself is restricted",
        fix,
        token,
        weight="note" if server else None,
    )


def pull_request(linted: Linted) -> Iterator[Finding]:
    """Pull requests that the statement names."""
    token, writes = linted.pull_request, linted.setting.writes
    if token is None or writes == ():
        return
    known = writes is not None and linted.loose("pull_request") is not None
    shown = ", ".join((writes or ())[:3])
    yield linted.finding(
        "pull-request" if known else "pull-request-unknown",
        f"{token.subject!r} may do {shown}"
        if known
        else f"{token.subject!r}: what the role may do was not judged"
        if writes is None
        else f"{token.subject!r} may do {shown} in the named workflow",
        f"whoever may push a branch to {who.repositories(_of(linted, 'pull_request'))}: "
        + (
            "what the named workflow runs of the pull request, it runs with this role"
            if _is_elsewhere(linted)
            else "the pull request's own code runs with this role"
        ),
        "give pull requests a role of their own that reads configuration and no secret",
        token,
    )


def _is_elsewhere(linted: Linted) -> bool:
    """Whether the workflow is compared, and never with one as the pull request itself has it."""
    compared = list(_workflows(linted))
    return bool(compared) and not any(
        at_ref.startswith("refs/pull/") or set("*?") & set(at_ref)
        for _, value in compared
        for at_ref in [value.rpartition("@")[2]]
    )


def workflow(linted: Linted) -> Iterator[Finding]:
    """A workflow that is the unit of trust must stay what it is."""
    for operator, value in _workflows(linted):
        if problem := _movable(linted, operator, value):
            yield linted.finding(
                "movable-workflow",
                f"{operator} {value!r}: {problem}",
                "everyone who can move that ref to a workflow of their own",
                "write OWNER/REPOSITORY/.github/workflows/FILE@ and the commit's SHA; for the "
                "same repository a branch will do",
                weight=None
                if _is_the_unit_of_trust(linted) and not any(map(made_up, linted.names.shown))
                else "note",
            )


def _is_the_unit_of_trust(linted: Linted) -> bool:
    """Whether more would get in if the workflow were not compared, and it may be a stranger's.

    A policy that names the repository by its id alone does not say whose the workflow is.
    """
    if linted.names.ids and not linted.names.owners:
        return False
    strangers = linted.anybody or linted.other_repository
    return bool(strangers) or any(linted.openings(any_workflow=True))


def _workflows(linted: Linted) -> Iterator[tuple[str, str]]:
    for found in linted.one.on("job_workflow_ref"):
        if not found.negated:
            yield from ((found.written, value) for value in found.values)
    for found in linted.one.on("sub"):
        if not found.negated:
            for value in found.values:
                for inner in _IN_SUBJECT.findall(value):
                    yield found.written, inner.replace("%3A", ":")


def _movable(linted: Linted, operator: str, value: str) -> str:
    """Why the workflow that a value names can become another one, "" if it cannot."""
    if "Like" in operator and set("*?") & set(value):
        return "a pattern accepts other workflows or refs"
    path, at, at_ref = value.rpartition("@")
    if not at:
        return "there is no ref"
    if _SHA.fullmatch(at_ref):
        return ""
    own = "/".join(path.split("/")[:2]).lower() in {name.lower() for name in linted.names.shown}
    if own and at_ref.startswith("refs/heads/"):
        return ""  # as good as that branch of the repository itself
    if at_ref.startswith("refs/tags/"):
        return "a tag can be moved"
    may = "may be" if any(map(made_up, linted.names.shown)) else "is"
    other = f", and it {may} another repository's" if linted.names.owners else ""
    return "a branch moves" + ("" if own else other)


CONTEXT_CHECKS: tuple[Check, ...] = (context, contradicted, ref, pull_request, workflow)
