"""Whom a statement or a policy lets in, in words, with one token as the proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from scripts.github.subjects import repo_of
from scripts.iam.trust_lint.decide.automata import (
    Language,
    Operand,
    common_word,
    pattern,
    text,
    then,
)
from scripts.iam.trust_lint.decide.grammar import BRANCH, CLAIMS, OWNER, TAG, JobKind
from scripts.iam.trust_lint.decide.openness import Openness
from scripts.iam.trust_lint.decide.search import Asked, Token
from scripts.iam.trust_lint.fixes import Fix, exchanged

_MOST_APART = 8  # repositories whose contexts are told one by one
Level = Literal["nobody", "contexts", "repository", "name", "owner", "anybody"]
LEVELS: tuple[Level, ...] = ("nobody", "contexts", "repository", "name", "owner", "anybody")
"""From the narrowest: nobody, the contexts that are named, more contexts of the named repository,
whoever owns its name, other repositories of its owner, other owners."""


@dataclass(frozen=True)
class Reach:
    """Whom a statement or a policy lets in: how wide, in words, and one token as the proof.

    `everybody` says that no token of the issuer is kept out.
    """

    level: Level
    who: str
    token: Token | None = None
    issuer: str = ""
    everybody: bool = False


NOBODY = Reach("nobody", "nobody")


def together(found: Iterable[Reach]) -> Reach:
    """What statements let in, a policy lets in: all of them, the widest first and as the proof."""
    ordered = sorted(found, key=lambda reach: -LEVELS.index(reach.level))
    if not ordered or ordered[0].level == "nobody":
        return ordered[0] if ordered else NOBODY
    whole = {reach.issuer for reach in ordered if reach.everybody}
    said = dict.fromkeys(
        reach.who
        for reach in ordered
        if reach.level != "nobody" and (reach.everybody or reach.issuer not in whole)
    )
    return replace(ordered[0], who="; and ".join(said))


def reach(found: Openness) -> Reach:
    """Whom a statement lets in. Raises NotJudged and TooComplex."""
    widest_kind = replace(
        _reach(found),
        issuer=found.issuer.provider,
        everybody=found.anybody is not None and anybody(found) == found.issuer.anybody,
    )
    token = widest_kind.token
    if token is None or token.is_default:
        return replace(widest_kind, who=widest_kind.who + _by_template(found, widest_kind.level))
    template = f"with the subject template {_template(token)}"
    if not found.is_default:
        template += "; with GitHub's default subject nobody"
    return replace(widest_kind, who=f"{widest_kind.who}, {template}")


def _by_template(found: Openness, level: Level) -> str:
    """Who gets in beside the named repository's default subjects."""
    if level not in ("repository", "contexts") or found.by_template is None:
        return ""
    kind, token = found.by_template
    return f"; with the subject template {_template(token)} also {whoever_opens(found, kind)}"


def _reach(found: Openness) -> Reach:
    if found.anything is None:
        return replace(NOBODY, who=nobody(found))
    if found.anybody:
        return Reach("anybody", anybody(found), found.anybody)
    other = found.other_repository
    if other is not None and (other.is_default or not found.by_any_id):
        return Reach("owner", any_repository(found), other)
    if found.by_any_id:
        said = f"jobs of {repositories(found)}, and {whoever_has_the_names(found)}"
        return Reach("name", said, found.by_any_id)
    more = found.other_pull_request or found.other_ref or found.other_environment
    if more:
        return Reach("repository", more_contexts(found), more)
    return Reach("contexts", contexts(found), found.own(Asked()) or found.anything)


def nobody(found: Openness) -> str:
    """Nobody, and what that hangs on."""
    other = ", as long as the provider lists no other audience"
    return f"nobody{other if found.by_no_listed_audience else ''}"


def anybody(found: Openness) -> str:
    """Every owner's workflows, and what they must bring."""
    return (
        found.issuer.anybody
        + _jobs(found, found.find_anybody)
        + _limits(found, pinned=found.find_anybody(_elsewhere(found)) is None, called=_CALLED)
    )


def any_repository(found: Openness) -> str:
    """Every repository of the named owners."""
    owners = _owners(found)
    token = found.other_repository
    if token is not None and not token.is_default and found.is_default:
        return (
            f"everyone who administers another repository of {owners}: with the subject template "
            f"{_template(token)} it sends this subject"
        )
    pinned = found.find_other_repository(_elsewhere(found)) is None
    limits = _jobs(found, found.find_other_repository)
    limits += _limits(found, pinned=pinned, called=_CALLED)
    if whole := _wholly_open(found):
        # Of some owners all repositories get in, of the others some do.
        owners = listed(whole)
        rest = listed([one for one in sorted(found.names.owners) if one not in whole])
        limits = f", or to one of {rest} whose name fits{limits}"
    some = _some_repositories(found, token)
    if _names_alone(found, token):
        which = (
            f"{some}, of those of {owners} that send" if some
            else f"any repository of {owners} that sends"
        )  # fmt: skip
        return f"everyone who can push to {which} names without ids, {_OLDER}{limits}"
    if some:
        return f"everyone who can push to {some}, or make such a repository of {owners}{limits}"
    return f"everyone who can push to any repository of {owners}{limits}"


# https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens/
_OLDER = "as one made before 15 July 2026 does until it is switched, renamed or transferred"


def _on_github(found: Openness) -> bool:
    return found.issuer.kind in ("github.com", "enterprise")


_WITH_IDS = Asked(forms=(True,))


def _has_names(found: Openness, token: Token | None) -> bool:
    """Whether a token of GitHub's names its repository in its subject."""
    return token is not None and _on_github(found) and bool(repo_of(token.subject))


def _names_alone(found: Openness, token: Token | None) -> bool:
    """Whether no repository gets in whose subject has ids, as that of a new one has."""
    return _has_names(found, token) and found.find_other_repository(_WITH_IDS) is None


def _wholly_open(found: Openness) -> list[str]:
    """The owners all of whose repositories get in, where that is so of some of several."""
    owners = sorted(found.names.owners)
    whole = [
        one for one in owners
        if len(owners) > 1 and found.find_other_repository(
            Asked().also(repository=then(text(one, ignore_case=True), text("/"), _ODD_NAME)))
    ]  # fmt: skip
    return whole if len(whole) < len(owners) else []


# A name that nobody chooses: a policy that takes it takes any.
_ODD_NAME = text("zq9.x-8w_7j")
_ANY_NAME = then(OWNER, text("/"), _ODD_NAME)


def _some_repositories(found: Openness, token: Token | None) -> str:
    """Which of an owner's repositories get in, if it is not all of them."""
    if found.find_other_repository(Asked().also(repository=_ANY_NAME)) is not None:
        return ""
    taken = "" if token is None else found.values_for(token)
    return f"a repository that {taken} takes" if taken else "a repository whose name fits"


def whoever_has_the_names(found: Openness) -> str:
    """Today's owner of the names and any later one; of an owner's number, that owner alone."""
    if found.names.owner_ids and found.by_any_id and not found.find_freed(Asked()):
        return (
            f"whoever makes a repository of {_owners(found)} with the name of "
            f"{repositories(found)} once that is deleted, renamed or transferred"
        )
    return (
        f"whoever registers {repositories(found)} once the name of the owner or repository is "
        "free: deleted, renamed or transferred"
    )


def whoever_took_the_names(found: Openness) -> str:
    """Whoever can send a subject of these names without ids.

    https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens/
    """
    where, token = repositories(found), found.by_name
    if token is not None and found.other_repository and not _is_shown(found, token):
        where = f"a repository of {_owners(found)}"
    if _has_names(found, token):
        return (
            f"whoever registered {where} before 15 July 2026, when the name of the owner or "
            "repository had become free; a repository made, renamed or transferred since then "
            "sends ids"
        )
    ids = ", if its subjects then carry no ids" if found.issuer.kind == "ghe.com" else ""
    return f"whoever registers {where} once the name of the owner or repository is free{ids}"


def takes_no_ids(found: Openness) -> bool:
    """Whether a subject of these names is let in without ids, and none with them."""
    return _has_names(found, found.by_name) and found.search.find(_WITH_IDS) is None


def _is_shown(found: Openness, token: Token) -> bool:
    """Whether the repository of a token is one that the reader is shown."""
    name = str(token.claims.get("repository", "")).lower()
    return any(
        name.startswith(one.rstrip("*").lower()) if one.endswith("*") else name == one.lower()
        for one in found.names.shown
    )


def more_contexts(found: Openness) -> str:
    """Those who choose what the statement leaves open."""
    limits = _limits(found, pinned=False)
    if found.other_pull_request:
        return whoever_opens(found, "pull_request") + limits
    opened: list[JobKind] = ["ref"] if found.other_ref else []
    opened += ["environment"] if found.other_environment else []
    said = [whoever_opens(found, kind) for kind in opened]
    if found.pull_request:
        said.append(f"pull requests of {repositories(found)}")
    return "; and ".join(one + limits for one in said)


def whoever_opens(found: Openness, kind: JobKind) -> str:
    """Those who choose what a job of this kind leaves open."""
    where = repositories(found)
    return {
        "pull_request": f"everyone who can push a branch to {where} or open a pull request from "
        "one there",
        "ref": f"everyone who can push such a {_refs(found)} to {where}",
        "environment": f"everyone who can run a job of {where} in an environment of their own: "
        "GitHub makes the environment that a job names, without protection",
    }[kind]


def _refs(found: Openness) -> str:
    """Which kinds of ref get in: branches, tags or both."""
    kinds = {"branch": BRANCH, "tag": TAG}
    takes = [
        kind for kind, refs in kinds.items()
        if found.own(Asked(kinds=("ref",)).also(ref=refs)) is not None
    ]  # fmt: skip
    return " or ".join(takes or kinds)


def contexts(found: Openness) -> str:
    """The named contexts that get in, apart for repositories of which others do."""
    together: dict[str, list[str]] = {}
    for part in _by_repository(found):
        together.setdefault(_contexts(part), []).append(repositories(part))
    if len(together) < 2:
        together = {_contexts(found): [repositories(found)]}
    said = [f"{listed(sorted(where))}{what}" for what, where in together.items()]
    return f"jobs of {'; of '.join(said)}" + _limits(found, pinned=bool(found.names.workflows))


def _by_repository(found: Openness) -> list[Openness]:
    """The statement for each of a few repositories whose subjects it lists."""
    compared = [one for one in found.one.on("sub") if not one.negated]
    by_repository: dict[str, list[str]] = {}
    for value in compared[0].values if len(compared) == 1 else ():
        by_repository.setdefault(":".join(value.split(":")[:2]).lower(), []).append(value)
    if not 2 <= len(by_repository) <= _MOST_APART:
        return []
    parts = []
    for values in by_repository.values():
        new = replace(compared[0].condition, values=tuple(values))
        change = Fix("", exchanged(found.one, compared[0].condition, new))
        parts.append(Openness(change.applied(found.one), found.issuer, found.listed))
    return [part for part in parts if part.anything is not None]


def _contexts(found: Openness) -> str:
    names = found.names
    said = [
        *(f"environment {name}{_at_ref(found)}" for name in sorted(names.environments)
          if _gets_in(found, "environment", environment=name)),
        *(ref for ref in sorted(names.refs) if _gets_in(found, "ref", ref=ref)),
        *(
            ["pull requests"]
            if found.pull_request
            else ["pull requests once they are merged"]
            if found.merged_pull_request
            else []
        ),
    ]  # fmt: skip
    if said and names.workflows:
        said += _further(found)
    return f": {', '.join(said)}" if said else ""


def _further(found: Openness) -> list[str]:
    """What a statement lets in beside the contexts that it names, in a workflow that it names."""
    opened = found.openings(any_workflow=True)
    return [
        f"{kind} such as {token.claims[claim]}"
        for kind, claim, token, named in (
            ("refs", "ref", opened[1], found.names.refs),
            ("environments", "environment", opened[2], found.names.environments),
        )
        if named and token is not None and claim in token.claims
    ]


def _at_ref(found: Openness) -> str:
    """The refs that a job must be of whose subject names its environment in their place."""
    refs = [value for compared in found.one.on("ref") for value in compared.values]
    return f" at {listed(sorted(set(refs)), 'or')}" if refs else ""


def _gets_in(found: Openness, kind: JobKind, **values: str) -> bool:
    asked = Asked(kinds=(kind,)).also(**{claim: text(value) for claim, value in values.items()})
    return found.own(asked) is not None


def repositories(found: Openness) -> str:
    """The named repositories as a reader should see them."""
    names = found.names
    if exact := found.one.exactly("repository"):
        return listed(sorted(exact))
    if names.shown:
        return listed(sorted(set(names.shown)))
    if names.ids:
        return f"repository {listed(sorted(names.ids))}"
    return f"a repository of {_owners(found)}"


def _owners(found: Openness) -> str:
    names = found.names
    if names.owners:
        return listed(sorted(names.owners))
    return f"account {listed(sorted(names.owner_ids))}" if names.owner_ids else "any owner"


def listed(values: list[str], last: str = "and") -> str:
    """Several in a sentence."""
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} {last} {values[-1]}"


def _template(token: Token) -> str:
    return ", ".join(token.template)


def _elsewhere(found: Openness) -> Asked:
    """Tokens of jobs that run in no workflow which the statement names."""
    return Asked().also(job_workflow_ref=found.names.strange_workflow)


def _jobs(found: Openness, find: Callable[[Asked], Token | None]) -> str:
    """Of which refs and environments a stranger's job must be, where that is fixed.

    `find` gives a token of such a stranger.
    """
    names = found.names
    other = {claim: names.other(claim) for claim in ("ref", "environment")}
    free = {
        "ref": {"ref": other["ref"]},
        "environment": other,
        "pull_request": {"ref": other["ref"]},
    }
    kinds: list[JobKind] = ["ref", "environment"]
    if not names.pull_requests:
        kinds.append("pull_request")
    if any(find(Asked(kinds=(kind,)).also(**free[kind])) for kind in kinds):
        return ""

    def let_in(kind: JobKind, **claims: Language) -> bool:
        return find(Asked(kinds=(kind,)).also(**claims)) is not None

    said = [
        *(f"environment {name}" for name in sorted(names.environments)
          if let_in("environment", environment=text(name))),
        *(name for name in sorted(names.refs) if let_in("ref", ref=text(name))),
        *(["pull requests"] if names.pull_requests and let_in("pull_request") else []),
    ]  # fmt: skip
    return f", from a job of {listed(said, 'or')}" if said else ""


def _like(found: Openness, claim: str) -> list[str]:
    """The patterns that a claim must be like and can be, none if it is open."""
    return [
        value
        for one in found.one.on(claim)
        if one.requires and one.operator.base == "StringLike"
        for value in one.values
        if common_word([Operand(CLAIMS[claim]), Operand(pattern(value))]) is not None
    ]


# https://docs.github.com/en/actions/how-tos/reuse-automations/reuse-workflows
_CALLED = ", which they may call if its repository is public or shares its workflows with theirs"


def _limits(found: Openness, *, pinned: bool, called: str = "") -> str:
    """What else a caller must fulfil; `called`: what one repository's workflow asks of others."""
    said = []
    if pinned and found.names.workflows:
        begun = found.names.beginnings
        workflows = [
            f"{name}*" if name in begun else name for name in sorted(found.names.workflows)
        ]
        of_one = not any("*" in "/".join(name.split("/")[:2]) for name in workflows)
        said.append(f"in a job of {listed(workflows, 'or')}{called if of_one else ''}")
    actors = found.one.exactly("actor") or found.one.exactly("actor_id") or _like(found, "actor")
    if actors:
        said.append(f"in a run that {listed(list(actors), 'or')} starts")
    if workflows_named := found.one.exactly("workflow"):
        said.append(f"in a run of the workflow {listed(list(workflows_named), 'or')}")
    if found.one.elsewhere:
        keys = sorted({condition.key for condition in found.one.elsewhere})
        said.append(f"where {listed(keys)} lets them")
    return "".join(f", {one}" for one in said)
