"""What to do about a refused token: each advice is tried before it is given.

An advice changes the job or the trust policy. Following it must let the job in, and a changed
policy may let in nobody else: lint-trust's automata decide that. Where no advice passes, what
differs is said and nothing is advised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.github import subjects
from scripts.github.changes import Change, of_the_job, of_the_policy
from scripts.github.refused import Claims, Refused, differences
from scripts.github.trust import Judged, judge, trusted_providers
from scripts.iam.engine.documents import Policy
from scripts.iam.trust_lint.decide import who
from scripts.iam.trust_lint.decide.automata import TooComplex
from scripts.iam.trust_lint.decide.openness import Openness
from scripts.iam.trust_lint.decide.statement import NotJudged, Trusting, trusting


@dataclass(frozen=True)
class Answer:
    """What differs, and what was tried and helps. No advice means that none is known.

    `also` says whom a role lets in beside this job that it does not name; "" if nobody.
    """

    differs: tuple[str, ...]
    advice: tuple[str, ...] = ()
    also: str = ""


def advise(role_arn: str, trust: Policy, claims: Claims, judged: Judged) -> Answer:
    """Say what differs between a refused token and the role, and what helps, once it was tried."""
    case = Refused(role_arn, trust, claims, judged)
    if case.issuer is None or case.provider not in trusted_providers(trust):
        return Answer(())  # the judge's remark says so
    if case.other_repository:
        return Answer((case.other_repository,))
    candidates = [*of_the_job(case), *of_the_policy(case)]
    helping = [found for found in candidates if _helps(case, found)]
    # A change of the job is the smaller one: it changes nobody's rights.
    jobs = _smallest(case, [found for found in helping if found.trust is trust])
    chosen = jobs or helping[:1]
    beside = [found for found in helping if found.beside and found not in chosen]
    return Answer(tuple(differences(case)), tuple(found.text for found in (*chosen, *beside)))


def _smallest(case: Refused, helping: Sequence[Change]) -> list[Change]:
    """Those that change no more than another one that helps too."""
    changed = [
        {name for name, value in found.claims.items() if value != case.claims.get(name)}
        for found in helping
    ]
    return [
        found
        for found, own in zip(helping, changed, strict=True)
        if not any(other < own for other in changed)
    ]


def others(trust: Policy) -> str:
    """Whom a trust policy lets in that it does not name; "" if nobody, or if it is not known."""
    try:
        for one in trusting(trust):
            if one.issuer is None:
                continue
            found = Openness(one, one.issuer)
            if found.anybody or found.other_repository or found.by_any_id:
                return who.reach(found).who
            if found.by_name:
                return who.whoever_took_the_names(found)
    except (NotJudged, TooComplex):
        pass
    return ""


def _helps(case: Refused, change: Change) -> bool:
    """Whether following a change lets the job in, and nobody new that it does not name."""
    if not judge(case.role_arn, change.trust, change.claims).allowed:
        return False
    if change.trust is not case.trust:
        return not _widens(case.trust, change.trust)
    # With another template the same policy may take every job of the repository.
    template = subjects.template_of(str(change.claims["sub"]))
    return template in (None, case.template, subjects.DEFAULT) or not _is_open(case.trust)


def _widens(before: Policy, after: Policy) -> bool:
    """Whether a changed policy lets in strangers, or more of the repository than it names."""
    try:
        known = [_openings(one) for one in trusting(before)]
        return any(
            new and not any(old[kind] for old in known)
            for one in trusting(after)
            for kind, new in enumerate(_openings(one))
        )
    except (NotJudged, TooComplex):
        return True  # do not advise what could not be judged


def _is_open(trust: Policy) -> bool:
    """Whether a policy takes tokens that it does not name, under some template."""
    try:
        return any(any(_openings(one)) for one in trusting(trust))
    except (NotJudged, TooComplex):
        return True


def _openings(one: Trusting) -> tuple[bool, ...]:
    """Which kinds of strangers get in. Names alone and a hidden ref are no advice's doing."""
    if one.issuer is None:
        return (False,) * 6
    found = Openness(one, one.issuer)
    strangers = (found.anybody, found.other_repository, found.by_any_id)
    contexts = (found.other_pull_request, found.other_ref, found.other_environment)
    return tuple(token is not None for token in (*strangers, *contexts))
