"""Finds a token that a statement lets in: decided by automata, then tried on the one judge."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from scripts.github import subjects
from scripts.github.issuers import AUDIENCE, Issuer
from scripts.github.trust import judge
from scripts.iam.engine.documents import Policy
from scripts.iam.trust_lint.decide.automata import (
    Language,
    Operand,
    TooComplex,
    both,
    but,
    common_word,
    either,
    outside,
    pattern,
    repeated,
    text,
    then,
)
from scripts.iam.trust_lint.decide.grammar import (
    CLAIMS,
    CUSTOM,
    OF_TYPE,
    PULL,
    REFS,
    REPOSITORY,
    TOKEN_CLAIMS,
    JobKind,
    Limited,
    all_subjects,
    at_most,
    default_subjects,
    keys_in,
    limit_on_subject,
    may_be,
)
from scripts.iam.trust_lint.decide.statement import Limits, Trusting

KINDS: tuple[JobKind, ...] = ("ref", "pull_request", "environment")
MOST_TRIES = 30
ON_TARGET = "pull_request_target"
NO_KEYS: frozenset[str] = frozenset()
ALL_KEYS = TOKEN_CLAIMS | {CUSTOM}


@dataclass(frozen=True)
class Asked:
    """Which tokens are looked for: limits on claims and subject, kinds of job, forms of subject.

    `forms` are those without immutable ids (False) and with them (True); `default` leaves out
    customised subjects.
    """

    claims: Limited = field(default_factory=dict)
    kinds: tuple[JobKind, ...] = KINDS
    subject: tuple[Operand, ...] = ()
    forms: tuple[bool, ...] = (False, True)
    default: bool = False

    def also(self, **claims: Language | None) -> Asked:
        """The same with more limits on claims."""
        more = dict(self.claims)
        for claim, language in claims.items():
            if language is not None:
                more[claim] = (*more.get(claim, ()), Operand(language))
        return replace(self, claims=more)


@dataclass(frozen=True)
class Token:
    """A token that is let in: its claims and the template that made its subject."""

    claims: Mapping[str, str]
    template: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The `sub` claim."""
        return self.claims["sub"]

    @property
    def is_default(self) -> bool:
        """Whether GitHub sends it without a customised subject."""
        return self.template == subjects.DEFAULT

    def quoting(self, quoted: Callable[[str], str]) -> Token:
        """The same token with what its claims quote as it was written."""
        claims = {name: quoted(value) for name, value in self.claims.items()}
        return Token(claims, self.template)


_PLACE = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")


def audiences(listed: tuple[str, ...]) -> Language:
    """What a provider lists, of which a placeholder may stand for anything."""
    return either(*(pattern(_PLACE.sub("*", one)) if "${" in one else text(one) for one in listed))


def closed(listed: tuple[str, ...]) -> tuple[str, ...]:
    """The audiences of a list that hold no placeholder."""
    return tuple(one for one in listed if not _PLACE.search(one))


class Search:
    """Finds tokens for one statement. Raises NotJudged and TooComplex."""

    def __init__(self, one: Trusting, issuer: Issuer, listed: tuple[str, ...] = ()) -> None:
        self._one = one
        self._issuer = issuer
        # STS refuses a token whose audience the provider does not list.
        audience = (Operand(audiences(listed)),)
        self._listed_audiences: Limited = {"aud": audience} if listed else {}
        self._values: dict[tuple[int, JobKind], Claims | None] = {}
        self._parts: dict[tuple[str, Operand, frozenset[str]], list[Operand]] = {}

    def find(self, asked: Asked) -> Token | None:
        """The token with the shortest subject, of the default template if there is one."""
        for default in (True,) if asked.default else (True, False):
            found = [
                token
                for way in range(len(self._one.ways))
                for kind in asked.kinds
                if (token := self._of_kind(way, kind, replace(asked, default=default)))
            ]
            if found:
                return min(found, key=lambda token: (len(token.subject), token.subject))
        return None

    def _of_kind(self, way: int, kind: JobKind, asked: Asked) -> Token | None:
        allowed = self._allowed(way, kind)
        if allowed is None or (kind != "environment" and "environment" in asked.claims):
            return None
        values = allowed.also(asked.claims)
        if values is None:
            return None
        limits = self._one.ways[way]
        if limits.subjects is not None:
            return self._listed(limits, values, asked)
        return self._token(limits, values, asked)

    def _allowed(self, way: int, kind: JobKind) -> Claims | None:
        """What the claims of such a job may be; None if none will do."""
        if (way, kind) not in self._values:
            limits = self._one.ways[way]
            lacks = kind != "environment" and not limits.may_lack("environment")
            known = Claims(kind, {}).also(self._listed_audiences)
            self._values[way, kind] = known.also(limits.present) if known and not lacks else None
        return self._values[way, kind]

    def _listed(self, limits: Limits, values: Claims, asked: Asked) -> Token | None:
        """The first of the subjects that the statement lists which comes with such a token."""
        for subject in sorted(limits.subjects or (), key=len):
            if not limits.takes(subject):
                continue
            if not all(operand.accepts(subject) for operand in asked.subject):
                continue
            repo = subjects.repo_of(subject)
            if repo is not None and repo.immutable not in self._forms(asked):
                continue
            for token in _tokens(subject, values, self._issuer):
                if token.is_default >= asked.default and self._lets_in(limits, token):
                    return token
        return None

    def _token(self, limits: Limits, values: Claims, asked: Asked) -> Token | None:
        """The token with the shortest subject that the patterns accept."""
        forms = self._forms(asked)
        # A subject that is asked for may name any claim.
        keys = ALL_KEYS if asked.subject else self._keys
        if asked.default:
            possible = default_subjects(values.kind, forms)
        else:
            possible = all_subjects(values.kind, forms, keys)
        operands = [
            *limits.present.get("sub", ()),
            *asked.subject,
            Operand(possible),
            *self._limits_on_subject(values, NO_KEYS if asked.default else keys | {"workflow"}),
        ]
        refused: list[Operand] = []
        for _ in range(MOST_TRIES):
            subject = common_word([*operands, *refused])
            if subject is None:
                return None
            for token in _tokens(subject, values, self._issuer):
                if self._lets_in(limits, token):
                    return token
            refused.append(_without(subject))
        raise TooComplex(f"{MOST_TRIES} subjects in a row contradict themselves")

    def _limits_on_subject(self, values: Claims, keys: frozenset[str]) -> Iterator[Operand]:
        for claim, operands in values.limits.items():
            for operand in operands:
                known = (claim, operand, keys)
                if known not in self._parts:
                    parts = limit_on_subject(claim, operand.accepted, keys)
                    self._parts[known] = [Operand(part) for part in parts]
                yield from self._parts[known]

    def _forms(self, asked: Asked) -> tuple[bool, ...]:
        return tuple(form for form in asked.forms if self._issuer.sends_ids or not form)

    @cached_property
    def _keys(self) -> frozenset[str]:
        """The claims that the statement's patterns may tell apart in a subject."""
        return keys_in(
            value
            for statement in self._one.policy.statements
            for found in self._one.claims_of(statement)
            if found.claim == "sub"
            for value in found.values
        )

    def _lets_in(self, limits: Limits, token: Token) -> bool:
        """Ask the judge; what the request brings beside the token is taken as fitting."""
        one = self._one
        kept = tuple(
            found for found in one.statement.conditions if found not in one.elsewhere
        )  # fmt: skip
        allow = replace(one.statement, conditions=kept)
        policy = Policy("trust", "trust", one.policy.version, (allow, *limits.denies))
        role = f"{one.provider.partition(':oidc-provider/')[0]}:role/any"
        return judge(role, policy, token.claims).allowed


@dataclass(frozen=True)
class Claims:
    """What the claims of one kind of job may be: GitHub's grammar, and limits beside it."""

    kind: JobKind
    limits: Mapping[str, tuple[Operand, ...]]

    def also(self, limits: Limited) -> Claims | None:
        """The same with more limits; None if some claim has no value left."""
        more = dict(self.limits)
        for claim, operands in limits.items():
            if claim in self.names:
                more[claim] = (*more.get(claim, ()), *operands)
        found = Claims(self.kind, more)
        return found if all(map(found.shortest, limits.keys() & self.names)) else None

    @property
    def names(self) -> frozenset[str]:
        """The claims of the job's token."""
        return frozenset(CLAIMS) - (set() if self.kind == "environment" else {"environment"})

    def _operands(self, claim: str) -> list[Operand]:
        grammar = REFS[self.kind] if claim == "ref" else CLAIMS[claim]
        return [*self.limits.get(claim, ()), Operand(grammar)]

    def take(self, claim: str, value: str) -> bool:
        """Whether the claim may have the value."""
        return all(operand.accepts(value) for operand in self._operands(claim))

    def shortest(self, claim: str, *also: Operand) -> str | None:
        """The shortest value that the claim may have; None if there is none."""
        return common_word([*self._operands(claim), *also])


def _tokens(subject: str, values: Claims, issuer: Issuer) -> Iterator[Token]:
    """Tokens with this subject, whose claims agree with it and with each other."""
    parts = subjects.parts_of(subject)
    if parts is None or len({part.key for part in parts}) < len(parts):
        return
    if not all(may_be(part.key, part.value, values.kind) for part in parts):
        return
    said = {part.key: part.value for part in parts}
    repo = subjects.repo_of(subject)
    repository = repo.names if repo is not None else _repository(said, values)
    claims = None if repository is None else _claims(repository, repo, said, values)
    if claims is None:
        return
    whole = {**claims, "iss": issuer.url}
    for template in _templates(tuple(part.key for part in parts), values.kind):
        try:
            immutable = repo is not None and repo.immutable
            made = subjects.render(whole, template, immutable=immutable)
        except subjects.NoSubject:
            continue
        if made == subject:
            yield Token({**whole, "sub": subject}, template)
            return


def _without(subject: str) -> Operand:
    """Leaves out a subject whose parts contradict each other, and those that do so likewise.

    A claim stands there twice, or the context names another ref or environment than the claim.
    Other contradictions, as two names of one repository, are left out one by one.
    """
    parts = subjects.parts_of(subject) or ()
    keys = [part.key for part in parts]
    for key in keys:
        if keys.count(key) > 1:
            return Operand(at_most(2 if key in ("environment", "ref") else 1, key))
    said = {part.key: part.value for part in parts}
    kind, _, value = said.get("context", "").partition(":")
    if value and kind in said and said[kind] != value:
        at = keys.index("context")
        before = "".join(f"{part.key}:{subjects.escaped(part.value)}:" for part in parts[:at])
        rest = "".join(f":{part.key}:{subjects.escaped(part.value)}" for part in parts[at + 1 :])
        others = both(repeated(but(":")), outside(text(subjects.escaped(said[kind]))))
        return Operand(then(text(f"{before}{kind}:"), others, text(rest)), negated=True)
    return Operand(text(subject), negated=True)


def _templates(keys: tuple[str, ...], kind: JobKind) -> Iterator[tuple[str, ...]]:
    """The template that the subject shows, with the claim itself where it is no context."""
    yield keys
    if "context" in keys:
        claim = "environment" if kind == "environment" else "ref"
        yield tuple(claim if key == "context" else key for key in keys)
        yield tuple("ref" if key == "context" else key for key in keys)


def _repository(said: Mapping[str, str], values: Claims) -> str | None:
    """The repository of a subject that does not name it by `repo`."""
    if "repository" in said or "repository_owner" not in said:
        return said.get("repository") or values.shortest("repository")
    owned = then(text(f"{said['repository_owner']}/"), REPOSITORY)
    return values.shortest("repository", Operand(owned))


def _claims(
    repository: str, repo: subjects.Repo | None, said: Mapping[str, str], values: Claims
) -> dict[str, str] | None:
    """The claims of a job that has this subject; None where no value of some claim fits."""
    fixed = values.also({"ref": tuple(_fix_ref(said, values.kind))})
    if fixed is None:
        return None
    values = fixed
    pull_request = values.kind == "pull_request"
    wanted = {claim: said[claim] for claim in CLAIMS if claim in said} | {"repository": repository}
    context_kind, _, context_value = said.get("context", "").partition(":")
    if context_value:
        wanted[context_kind] = context_value
    if repo is not None and repo.owner_id is not None and repo.id is not None:
        wanted |= {"repository_owner_id": repo.owner_id, "repository_id": repo.id}
    target = values.kind == "ref" and bool(said.get("base_ref") or said.get("head_ref"))
    found = {
        "event_name": ON_TARGET if target else "pull_request" if pull_request else "push",
        "base_ref": "main" if pull_request or target else "",
        "head_ref": "change" if pull_request or target else "",
        "repository_owner": repository.partition("/")[0],
        **{key: value for key, value in said.items() if key not in ("repo", "context")},
        "repository": repository,
    }
    # The workflow's usual ref is the run's, so the ref comes first.
    for claim in sorted(values.names, key=lambda claim: (claim != "ref", claim)):
        if claim in wanted and not values.take(claim, wanted[claim]):
            return None
        value = wanted.get(claim) or _preferred(claim, found, values)
        if value is None:
            return None
        found[claim] = value
    return found


def _fix_ref(said: Mapping[str, str], kind: JobKind) -> Iterator[Operand]:
    """What the claims of a subject that are no ref say of the ref."""
    if "ref_type" in said:
        yield Operand(OF_TYPE[said["ref_type"]])
    if base := said.get("base_ref"):
        # pull_request_target runs on the base; in an environment it may be pull_request, too.
        on_base = text(f"refs/heads/{base}")
        yield Operand(on_base if kind == "ref" else either(on_base, PULL))


def _preferred(claim: str, found: Mapping[str, str], values: Claims) -> str | None:
    """A value that a reader takes for usual, else the shortest."""
    usual = {
        "aud": AUDIENCE,
        "ref": "refs/pull/1/merge" if values.kind == "pull_request" else "refs/heads/main",
        "actor": "octocat",
        "workflow": "deploy",
        "job_workflow_ref": (
            f"{found['repository']}/.github/workflows/deploy.yml@"
            f"{found.get('ref', 'refs/heads/main')}"
        ),
    }.get(claim)
    return usual if usual is not None and values.take(claim, usual) else values.shortest(claim)
