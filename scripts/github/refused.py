"""A refused token: its job, the statement that came closest, and how they differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from scripts.github import subjects
from scripts.github.issuers import Issuer, issuer_of, provider_of
from scripts.github.subjects import NoSubject, Part, Repo
from scripts.github.trust import Checked, Judged
from scripts.iam.engine.documents import Condition, Policy, Statement
from scripts.iam.trust_lint.decide.automata import (
    Operand,
    but,
    common_word,
    pattern,
    repeated,
    text,
    then,
)

Claims = Mapping[str, Any]


class Refused:
    """One refusal: the token's claims, the role's trust policy, and the judge's answer."""

    def __init__(self, role_arn: str, trust: Policy, claims: Claims, judged: Judged) -> None:
        self.role_arn = role_arn
        self.trust = trust
        self.claims = claims
        self.judged = judged
        self.provider = provider_of(claims)
        self.issuer: Issuer | None = issuer_of(self.provider)
        self.statement: Statement | None = next(
            (one for one in trust.statements if one.label == judged.statement), None
        )

    @property
    def subject(self) -> str:
        """The token's subject."""
        return str(self.claims.get("sub", ""))

    @property
    def template(self) -> tuple[str, ...]:
        """The template of the token's own subject."""
        return subjects.template_of(self.subject) or subjects.DEFAULT

    @property
    def repo(self) -> Repo | None:
        """The token's repository, with the ids that its subject carries."""
        owner, slash, name = str(self.claims.get("repository", "")).partition("/")
        found = subjects.repo_of(self.subject)
        return found or (Repo(owner, name) if slash else None)

    def wanted(self, key: str) -> tuple[str, ...]:
        """The values that the statement wants of a claim."""
        return tuple(
            value for one in self.judged.conditions if one.key == key for value in one.wanted
        )

    def own_kind_first(self, values: Iterable[str]) -> tuple[str, ...]:
        """Subjects, those of the token's own kind of job first."""
        own = str(subjects.context(self.claims)).partition(":")[0] if "ref" in self.claims else ""
        return tuple(sorted(values, key=lambda value: context_of(value).partition(":")[0] != own))

    def failed(self, key: str) -> Checked | None:
        """The condition on a claim, if it does not hold."""
        return next((one for one in self.judged.failed if one.key == key), None)

    @property
    def other_repository(self) -> str:
        """How the token's repository is another one than the role's; "" if it may be the same."""
        token_id, name = (
            str(self.claims.get(claim) or "") for claim in ("repository_id", "repository")
        )
        exact = [value for value in self.wanted("sub") if not set("*?") & set(value)]
        wanted = [repo for value in exact if (repo := subjects.repo_of(value))]
        ids = {*self.wanted("repository_id"), *(repo.id for repo in wanted if repo.id)}
        if ids and token_id and token_id not in ids:
            return (
                f"this is another repository: its id is {token_id}, the role is for "
                f"{' or '.join(sorted(ids))}. Whoever registers a freed name has new ids, so find "
                f"out whose {name} is now before anything else: gh api repos/{name}"
            )
        names = sorted(repo.names for repo in wanted)
        # Names that differ in the case of letters alone are one name to GitHub.
        known = {one.lower() for one in names}
        if not ids and names and name and name.lower() not in known and len(exact) == len(wanted):
            return (
                f"this is another repository: {name}; the role is for {' or '.join(names)}, and "
                "compares no id by which a renamed repository could be recognised"
            )
        return ""

    def job(self, **changes: Any) -> Claims | None:
        """The token of the same job with some claims changed; None if it has no such subject."""
        changed = {**self.claims, **changes}
        return self.rendered(changed, self.template)

    def rendered(
        self, claims: Claims, template: Sequence[str], *, immutable: bool | None = None
    ) -> Claims | None:
        """A token whose subject is made of its claims by a template."""
        own = subjects.repo_of(self.subject)
        ids = own is not None and own.immutable if immutable is None else immutable
        try:
            made = subjects.render(claims, template, immutable=ids)
        except (NoSubject, KeyError):
            return None
        return {**claims, "sub": made}

    def edited(
        self, *changes: tuple[Condition, Condition | None], also: Sequence[Condition] = ()
    ) -> Policy:
        """The trust policy with conditions of the closest statement exchanged, taken out, added."""
        assert self.statement is not None
        conditions = list(self.statement.conditions)
        for old, new in changes:
            place = conditions.index(old)
            conditions[place : place + 1] = [] if new is None else [new]
        statement = replace(self.statement, conditions=(*conditions, *also))
        statements = tuple(
            statement if one is self.statement else one for one in self.trust.statements
        )
        return Policy(self.trust.name, self.trust.kind, self.trust.version, statements)

    def conditions(self, key: str) -> list[Condition]:
        """The closest statement's conditions on a claim, or on a whole key."""
        if self.statement is None:
            return []
        whole = {f"{self.provider}:{key}".lower(), key.lower()}
        return [one for one in self.statement.conditions if one.key.lower() in whole]


def context_of(subject: str) -> str:
    """The context part of a subject; "" if it has none."""
    parts = subjects.parts_of(subject) or ()
    return next((part.value for part in parts if part.key == "context"), "")


def differences(case: Refused) -> Iterator[str]:
    """What the token has and the role wants, a sentence for each condition that fails."""
    for one in case.judged.failed:
        name = one.key.rpartition(":")[2]
        shown = case.issuer.claims if case.issuer else ()
        if not one.got and (case.claims.get(name) or name.lower() not in shown):
            own = case.claims.get(name)
            other = f"; this job's is {own}" if own and own not in one.wanted else ""
            yield f"AWS never sets {one.key}: no token can fulfil this condition{other}"
        elif not one.got:
            yield f"the token has no {one.key}"
        elif one.key == "sub" and one.operator.endswith("Equals") and _literal(one.wanted):
            yield (
                f"{one.operator} takes {' and '.join(one.wanted)} letter for letter: under it * "
                "and ? are no wildcards"
            )
        elif "Not" in one.operator:
            yield f"{one.key} is {one.got[0]}, which the role refuses"
        elif one.key == "sub":
            yield from _about_subject(case, one)
        elif one.key == "ref" and case.claims.get("event_name") == "pull_request":
            yield f"a pull request's ref is {one.got[0]}: it is never a branch"
        else:
            yield f"{one.key} is {one.got[0]}, the role is for {' or '.join(one.wanted)}"


def _literal(wanted: Sequence[str]) -> bool:
    """Whether every value holds what would be a wildcard under another operator."""
    return all(set("*?") & set(value) for value in wanted)


def _about_subject(case: Refused, failed: Checked) -> Iterator[str]:
    base = subjects.queue_base(str(case.claims.get("ref", "")))
    if base is not None:
        yield (
            f"the job runs in the merge queue of {base}: its ref is a new one each time, so no "
            "exact subject covers it"
        )
        return
    have = subjects.parts_of(case.subject)
    for wanted in case.own_kind_first(failed.wanted)[:1]:
        need = subjects.parts_of(wanted)
        if have is not None and need is not None and _keys(have) == _keys(need):
            yield from (
                f"{mine.key} is {mine.value}, the role is for {theirs.value}"
                for mine, theirs in zip(have, need, strict=True)
                if not re.fullmatch(_regex(theirs.value), mine.value)
            )
        elif have is not None and set("*?") & set(wanted):
            yield _where_it_ends(case.subject, have, wanted)
        elif have is None or need is None:
            yield f"the subject has another form than {wanted}"
        else:
            yield (
                f"the subject is made of {', '.join(_keys(have))}; the role wants "
                + ", ".join(_keys(need))
            )


def _keys(parts: Sequence[Part]) -> list[str]:
    return [part.key for part in parts]


def _where_it_ends(subject: str, parts: Sequence[Part], wanted: str) -> str:
    """The first part of a subject behind which nothing can make it fit a pattern any more."""
    for count, part in enumerate(parts, 1):
        if not _may_go_on(":".join(map(_written, parts[:count])), wanted):
            return f"{part.key} is {part.value}, which {wanted} does not take"
    have = {part.key: part.value for part in parts}
    for key, value in pairwise(wanted.split(":")):
        if key in have and not set("*?") & set(value) and have[key] != value.replace("%3A", ":"):
            return f"{key} is {have[key]}, the role is for {value}"
    return f"{wanted} wants more than {subject}"


def _written(part: Part) -> str:
    """A part as it stands in a subject."""
    if part.key != "context":
        return f"{part.key}:{subjects.escaped(part.value)}"
    kind, colon, value = part.value.partition(":")
    return f"{kind}{colon}{subjects.escaped(value)}"


def _may_go_on(begun: str, wanted: str) -> bool:
    """Whether some text that begins like this matches a pattern."""
    anything = Operand(then(text(begun), repeated(but(""), least=0)))
    return common_word([Operand(pattern(wanted)), anything]) is not None


def _regex(pattern: str) -> str:
    """A part of a wanted subject; GitHub sends no wildcards, so they are meant as such."""
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
