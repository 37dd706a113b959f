"""Rules on single conditions: operators, unknown keys, audience, ids, patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches

from scripts.github.issuers import AUDIENCE
from scripts.iam.engine.documents import Condition
from scripts.iam.trust_lint.decide.automata import Operand, common_word, either, text
from scripts.iam.trust_lint.decide.grammar import CUSTOM, TOKEN_CLAIMS, VALUE
from scripts.iam.trust_lint.decide.search import audiences, closed
from scripts.iam.trust_lint.decide.statement import EXACT, Compared, has_wildcard
from scripts.iam.trust_lint.decide.who import takes_no_ids, whoever_took_the_names
from scripts.iam.trust_lint.findings import Finding
from scripts.iam.trust_lint.fixes import Fix, added, exchanged, without
from scripts.iam.trust_lint.rules import Check, Linted
from scripts.iam.trust_lint.shapes import is_stale, shapes

_IMMUTABLE = re.compile(r"repo:([^/@:]+)@(\d+)/([^/@:]+)@(\d+)(?::.+)?")
_NAMES = re.compile(r"repo:([^/@:*?]+)/([^/@:*?]+)(?::.+)?")
_STS_AUDIENCE = re.compile(r"sts\.(?:[a-z0-9-]+\.)*amazonaws\.[a-z.]+")


def unknown_keys(linted: Linted) -> Iterator[Finding]:
    """Keys that no request has: the condition is always true, or never."""
    one, dead = linted.one, linted.anything is None
    for condition in one.never:
        vacuous = one.lacking(condition)
        claim = _meant(linted, condition.key.strip(":").rpartition(":")[2].lower())
        right = f"{one.host}:{claim}"
        known = claim in linted.issuer.claims
        renamed = replace(condition, key=right)
        if known and right.lower() not in {found.key.lower() for found in one.compared}:
            fix: Fix | str = Fix(f"write {right}", exchanged(one, condition, renamed))
        elif vacuous or claim == "iss":
            # The provider itself says who issues its tokens.
            fix = Fix("take the condition out", without(one, condition))
        else:
            fix = _instead(linted, condition, claim)
        says = "true and checks nothing" if vacuous else "false and nobody gets in"
        yield linted.finding(
            "unknown-key",
            f"AWS never sets {condition.key} for a token of this provider, so "
            f"{condition.operator} is always {says}",
            linted.reach.who,
            fix,
            weight="note" if dead else None,
        )


def _meant(linted: Linted, claim: str) -> str:
    """The claim that a misspelt name stands for; any other name as it is."""
    if claim in TOKEN_CLAIMS or claim.startswith(CUSTOM):
        return claim
    return next(iter(get_close_matches(claim, linted.issuer.claims, 1, 0.8)), claim)


def _instead(linted: Linted, condition: Condition, claim: str) -> str:
    """What says the same as a condition on a key that AWS never sets."""
    if _keeps_strangers_out(linted, condition):
        return (
            f"compare {linted.one.host}:sub with the whole subject in its place; without this "
            "condition, which lets nobody in, anybody's repository would get in"
        )
    if not condition.key.lower().startswith(linted.one.host.lower()):
        return "take the condition out: no token of GitHub's brings this key along"
    if claim in TOKEN_CLAIMS or claim.startswith(CUSTOM):
        return (
            f"have the subject name {claim} (a subject template such as repo, context, {claim}) "
            f"and compare {linted.one.host}:sub; or take the condition out"
        )
    return f"compare one of the claims that AWS shows: {', '.join(linted.issuer.claims)}"


def _keeps_strangers_out(linted: Linted, condition: Condition) -> bool:
    """Whether owners that the statement does not name would get in without the condition."""
    change = Fix("", without(linted.one, condition))
    return Linted(change.applied(linted.one), linted.issuer, linted.setting).anybody is not None


def operators(linted: Linted) -> Iterator[Finding]:
    """Operators that also hold without the claim, or for another spelling of it."""
    for found in linted.one.compared:
        if found.operator.sets == "ForAllValues":
            yield _absent(linted, found, "for-all-values")
        if found.operator.if_exists:
            yield _absent(linted, found, "if-exists")
        if found.operator.base.endswith("IgnoreCase"):
            yield _ignores_case(linted, found)
        if found.negated and not any(
            not other.negated and other.operator.base != "Null"
            for other in linted.one.on(found.claim)
        ):
            yield linted.finding(
                "negated",
                f"{found.written} {found.key} accepts everything but {', '.join(found.values)}",
                linted.reach.who,
                f"write StringEquals {found.key} with what is meant",
                linted.reach.token,
            )


def _absent(linted: Linted, found: Compared, rule: str) -> Finding:
    plain = found.operator.base
    new = replace(found.condition, operator=plain)
    but = (
        "; the subject comes with every token of GitHub's today, a misspelt key never does"
        if found.claim == "sub"
        else ", so nothing requires the audience; GitHub's tokens have one today, and a wrong one "
        "is refused"
        if found.claim == "aud"
        else ""
    )
    return linted.finding(
        rule,
        f"{found.written} {found.key} is true when the token has no such claim{but}",
        linted.reach.who,
        Fix(
            f"write {plain} {found.key}: {' or '.join(found.values)}",
            exchanged(linted.one, found.condition, new),
        ),
    )


def _ignores_case(linted: Linted, found: Compared) -> Finding:
    value = next(iter(found.values), "")
    new = replace(found.condition, operator=found.written.replace("IgnoreCase", ""))
    return linted.finding(
        "ignores-case",
        f"{found.written} {found.key} also accepts {value.swapcase()!r}; names of branches and "
        "environments that differ in case only are different ones",
        "whoever may make such a branch or environment",
        Fix(
            f"write {new.operator} {found.key}: {' or '.join(found.values)}",
            exchanged(linted.one, found.condition, new),
        ),
    )


def equals_and_like(linted: Linted) -> Iterator[Finding]:
    """Both operators on one key: both must hold."""
    for claim in linted.issuer.claims:
        found = [one for one in linted.one.on(claim) if one.requires]
        if {one.operator.base in EXACT for one in found} == {True, False}:
            likes = [one for one in found if one.operator.base not in EXACT]
            yield linted.finding(
                "equals-and-like",
                f"{' and '.join(one.written for one in found)} on {found[0].key}: both must hold; "
                "they are not alternatives",
                "nobody beyond what the exact one accepts",
                Fix(
                    f"take {likes[0].written} {likes[0].key} out; what the exact one accepts and "
                    "it refuses goes out too",
                    without(linted.one, *(one.condition for one in likes)),
                ),
            )


def audience(linted: Linted) -> Iterator[Finding]:
    """A token for another service must not do."""
    compared = [found for found in linted.one.on("aud") if not found.negated]
    key = f"{linted.one.host}:aud"
    listed = {value for found in compared for value in found.values}
    operands = [Operand(VALUE), *(found.operand for found in compared)]
    beyond = common_word([*operands, Operand(either(*map(text, listed)), negated=True)])
    known = linted.setting.client_ids.get(linted.one.host, ())
    may = Operand(audiences(known))
    wanted = _usual_audience(linted)
    listen = (
        f"let the provider, which lists {' and '.join(known)} alone, list {wanted} as well, and "
        f"let the jobs ask for it (`audience:` of configure-aws-credentials, by default {AUDIENCE})"
        if known and common_word([may, Operand(text(wanted))]) is None
        else ""
    )
    if not compared or (beyond is not None and len(listed) <= 1 and "*" in listed):
        said = "there is no condition on aud" if not compared else f"{key} may be anything"
        values = closed(known) if listen else (wanted,)
        new = Condition("StringEquals", key, values)
        yield linted.finding(
            "no-audience",
            f"{said}; the provider lists one, {known[0]}" if len(known) == 1 else said,
            "nobody more, as long as the provider lists no other audience"
            if len(known) == 1
            else f"{linted.reach.who}, with a token for another service"
            + (" that the provider lists" if known else ", if the provider lists its audience"),
            Fix(
                f"add StringEquals {key}: {' or '.join(values)}"
                + (f"; or {listen}, and compare that" if listen else ""),
                exchanged(linted.one, compared[0].condition, new)
                if compared
                else added(linted.one, new.operator, key, values),
            ),
            weight="warning" if len(known) == 1 else None,
        )
        return
    others = sorted(
        value for value in listed
        if value not in linted.setting.audiences and not has_wildcard(value)
        and not (_elsewhere(linted) and _STS_AUDIENCE.fullmatch(value))
    )  # fmt: skip
    if others:
        refused = [
            value for value in others if known and common_word([may, Operand(text(value))]) is None
        ]
        write = f"write StringEquals {key}: {wanted}"
        yield linted.finding(
            "other-audience",
            f"aud may be {', '.join(others)}"
            + (f"; the provider does not list {', '.join(refused)}" if refused else ""),
            "nobody by such a token, as long as the provider does not list its audience"
            if refused == others
            else f"{linted.reach.who}, and the service that such a token is made for",
            (f"{listen}, and {write}" if listen else f"{write} and let the job ask for it")
            + ("" if refused == others else "; if the audience is meant, name it with --audience"),
        )


def _usual_audience(linted: Linted) -> str:
    """The audience to write: AWS's, which is another one in China, or the first that is meant."""
    meant = linted.setting.audiences
    china = linted.one.provider.startswith("arn:aws-cn:")
    return f"{AUDIENCE}.cn" if china and meant == (AUDIENCE,) else meant[0]


def _elsewhere(linted: Linted) -> bool:
    """Whether the role is in another partition than AWS's commercial one, with its own STS."""
    return not linted.one.provider.startswith("arn:aws:")


def patterns(linted: Linted) -> Iterator[Finding]:
    """Patterns on claims beside the subject, the workflow and the ref of an environment."""
    for found in linted.one.compared:
        if found.claim in ("sub", "job_workflow_ref") or found.operator.base != "StringLike":
            continue
        for value in found.values:
            if not has_wildcard(value) or (found.claim == "aud" and value == "*"):
                continue
            if found.claim == "ref" and (linted.hidden_ref or linted.other_ref):
                continue  # the rules on refs say so
            if _is_dead(linted, found, value):
                continue  # accepts nothing
            yield linted.finding(
                "claim-pattern",
                f"{found.written} {found.key} accepts everything like {value!r}",
                linted.reach.who,
                f"write StringEquals {found.key} with the whole value",
                weight="note" if linted.reach.level == "contexts" and not linted.hidden_ref
                else None,
            )  # fmt: skip


# Each costs a search; no list in use is longer.
_MOST_VALUES = 30


def dead_values(linted: Linted) -> Iterator[Finding]:
    """Values of a list by which nobody gets in, whoever does by the others."""
    for found in linted.one.compared:
        for value in found.values:
            literal = found.operator.base in EXACT and has_wildcard(value)
            if literal or is_stale(linted, value) or found.claim == "aud":
                continue  # other rules say so
            if _is_dead(linted, found, value):
                yield linted.finding(
                    "never-matches",
                    f"no token that GitHub documents has {value!r} as its {found.claim} and "
                    "fulfils the rest",
                    "nobody by this value",
                    "take it out, or write what `keyless doctor --github` prints in the job that "
                    "is meant",
                )


def _is_dead(linted: Linted, found: Compared, value: str) -> bool:
    """Whether nobody gets in by one value of several."""
    several = 1 < len(found.values) <= _MOST_VALUES
    if found.negated or found.operator.sets or not several:
        return False
    one = linted.one
    alone = exchanged(one, found.condition, replace(found.condition, values=(value,)))
    changed = Linted(Fix("", alone).applied(one), linted.issuer, linted.setting)
    return changed.anything is None


def repository_id(linted: Linted) -> Iterator[Finding]:
    """Names that can be registered again once they are free."""
    if linted.anybody is not None or linted.setting.subjects:
        return
    one, token = linted.one, linted.by_name
    key = f"{one.host}:repository_id"
    same = linted.by_any_id
    if token is None or (same and linted.values_for(same) == linted.values_for(token)):
        return  # any-id says so
    server = linted.issuer.kind == "server"
    hold = "hold names alone" if len(linted.taking(token)) > 1 else "holds names alone"
    said = f"{linted.values_for(token) or 'what is compared'} {hold}"
    yield linted.finding(
        "no-repository-id",
        said if server else f"repository_id is not compared, and {said}",
        whoever_took_the_names(linted),
        "nothing: a server sends no ids in the subject, and AWS shows no other claim of its tokens"
        if server
        else f"add StringEquals {key} with the number of each repository that is meant: "
        f"`{linted.issuer.gh_api} repos/OWNER/REPOSITORY --jq .id` prints it"
        + (
            "; a repository that sends ids is let in by its subject with them alone"
            * takes_no_ids(linted)
        ),
        token,
        weight="note" if server else None,
    )


def disagreeing_ids(linted: Linted) -> Iterator[Finding]:
    """A subject of one repository, and repository_id of another."""
    ids = linted.one.exactly("repository_id")
    for value in _subjects(linted):
        match = _IMMUTABLE.fullmatch(value)
        if match and ids and match[4] not in ids:
            yield linted.finding(
                "other-repository-id",
                f"{value!r} is of repository {match[4]}, repository_id of {', '.join(ids)}",
                "nobody; no token can be of both",
                f"write the same id in the subject and in {linted.one.host}:repository_id",
            )


def names_only(linted: Linted) -> Iterator[Finding]:
    """Names left over where the repository's subjects carry ids."""
    values = list(_subjects(linted))
    own = names_with_ids(values)
    with_ids = linted.setting.with_ids | own
    for value in values:
        match = _NAMES.fullmatch(value)
        if not match or not linted.issuer.sends_ids:
            continue
        if not linted.setting.immutable and f"{match[1]}/{match[2]}" not in with_ids:
            continue
        open_to_others = linted.by_name is not None
        where = f"{match[1]}/{match[2]}"
        yield linted.finding(
            "names-only-subject",
            f"{value!r} holds names alone although the repository's subjects carry ids",
            whoever_took_the_names(linted)
            if open_to_others
            else "nobody else while repository_id is compared; it is a leftover",
            _drop(linted, value)
            if where in own
            else "write repo:OWNER@OWNER_ID/REPOSITORY@REPOSITORY_ID:... and drop the names",
            weight=None if open_to_others else "note",
        )


def _drop(linted: Linted, value: str) -> Fix | str:
    """Take one subject out of the list that it stands in."""
    for found in linted.one.on("sub"):
        if value in found.values and len(found.values) > 1:
            rest = tuple(kept for kept in found.values if kept != value)
            new = replace(found.condition, values=rest)
            return Fix(f"take {value!r} out", exchanged(linted.one, found.condition, new))
    return "write repo:OWNER@OWNER_ID/REPOSITORY@REPOSITORY_ID:... and drop the names"


def names_with_ids(subjects: Iterable[str]) -> frozenset[str]:
    """The repositories (owner/name) that stand with their ids in one of the subjects."""
    found = (_IMMUTABLE.match(subject) for subject in subjects)
    return frozenset(f"{match[1]}/{match[3]}" for match in found if match)


def _subjects(linted: Linted) -> Iterator[str]:
    for found in linted.one.on("sub"):
        if found.operator.base in (*EXACT, "StringLike"):
            yield from found.values


CLAIM_CHECKS: tuple[Check, ...] = (
    operators,
    audience,
    patterns,
    dead_values,
    repository_id,
    names_only,
)
"""Rules for a statement that lets somebody in."""

DEAD_CHECKS: tuple[Check, ...] = (unknown_keys, equals_and_like, shapes, disagreeing_ids)
"""Rules that also say why a statement lets nobody in."""
