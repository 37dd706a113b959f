"""Which strangers a statement lets in, each with a token of theirs as the proof."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from scripts.github.issuers import Issuer
from scripts.github.subjects import repo_of
from scripts.iam.trust_lint.decide.automata import Language
from scripts.iam.trust_lint.decide.grammar import BRANCH, PULL, JobKind
from scripts.iam.trust_lint.decide.mentions import Mentions, mentions
from scripts.iam.trust_lint.decide.search import Asked, Search, Token
from scripts.iam.trust_lint.decide.statement import Trusting


class Openness:
    """Answers which strangers a statement lets in. Raises NotJudged and TooComplex.

    Who sets a subject's template is an administrator of the repository. A stranger is one of their
    own repository, so every template counts for strangers; of the named repository the default
    template counts first, and `by_template` says what a customised one lets in beyond it.
    """

    def __init__(self, one: Trusting, issuer: Issuer, listed: tuple[str, ...] = ()) -> None:
        self.one = one
        self.issuer = issuer
        self.listed = listed  # the audiences that the provider lists, () if they are not known
        self.search = Search(one, issuer, listed)

    def values_for(self, token: Token) -> str:
        """The values of the subject that take a token, as they are written; "" if there are none.

        A subject that is not compared, or only by what it is not, has none.
        """
        return " and ".join(map(repr, self.taking(token)))

    def taking(self, token: Token) -> list[str]:
        """The values of the subject that take a token."""
        taken = [
            value
            for found in self.one.on("sub")
            if not found.negated
            for value in found.values
            if found.takes(value, token.subject)
        ]
        return list(dict.fromkeys(taken))

    def by_wildcard(self, token: Token) -> bool:
        """Whether the token gets in by a wildcard, so that a whole subject would keep it out."""
        return bool(set("*?") & set(self.values_for(token)))

    @cached_property
    def names(self) -> Mentions:
        """What the statement names."""
        return mentions(self.one)

    @cached_property
    def anything(self) -> Token | None:
        """Any token at all."""
        return self.search.find(Asked())

    @cached_property
    def by_no_listed_audience(self) -> bool:
        """Whether somebody would get in if the provider listed the audience."""
        dead = bool(self.listed) and self.anything is None
        return dead and Openness(self.one, self.issuer).anything is not None

    @cached_property
    def anybody(self) -> Token | None:
        """A token of an owner that the statement does not name, neither by name nor by id."""
        return self.find_anybody(Asked())

    def find_anybody(self, asked: Asked) -> Token | None:
        """A token of an owner that the statement does not name, with further limits."""
        names = self.names
        return self.search.find(
            asked.also(
                repository=names.repository("other"),
                repository_owner_id=names.other("repository_owner_id"),
                repository_id=names.other("repository_id"),
            )
        )

    def find_freed(self, asked: Asked) -> Token | None:
        """A token of somebody who registered the named owner once its name was free: with the
        named repository, else with any."""
        names = self.names
        if not names.owners:
            return None
        strange = asked.also(
            repository_owner_id=names.other("repository_owner_id"),
            repository_id=names.other("repository_id"),
        )
        named = self.search.find(strange.also(repository=names.repository("named", "named")))
        return named or self.search.find(strange.also(repository=names.repository("named")))

    @cached_property
    def by_any_id(self) -> Token | None:
        """Such a token whose subject has ids that nothing fixes."""
        asked = Asked(forms=(True,))
        found = self.find_freed(asked) or self._again(asked)
        return found if found and repo_of(found.subject) else None

    @cached_property
    def by_name(self) -> Token | None:
        """Such a token whose subject has names alone, or no repository at all."""
        return self.find_freed(Asked(forms=(False,)))

    def _again(self, asked: Asked) -> Token | None:
        """A token of a repository that the named owner deleted and made again."""
        names = self.names
        if not (names.owner_ids and names.repositories):
            return None
        return self.search.find(
            asked.also(
                repository=names.repository("named", "named"),
                repository_owner_id=names.own("repository_owner_id"),
                repository_id=names.other("repository_id"),
            )
        )

    @cached_property
    def other_repository(self) -> Token | None:
        """A token of another repository of the named owner."""
        return self.find_other_repository(Asked())

    def find_other_repository(self, asked: Asked) -> Token | None:
        """A token of another repository of the named owner, with further limits."""
        names = self.names
        asked = asked.also(repository_id=names.other("repository_id"))
        if names.owners:
            found = self.search.find(asked.also(repository=names.repository("named", "other")))
            if found is not None:
                return found
        if names.owner_ids:
            return self.search.find(
                asked.also(
                    repository=names.repository("any", "other") if names.repositories else None,
                    repository_owner_id=names.own("repository_owner_id"),
                )
            )
        return None

    def own(self, asked: Asked) -> Token | None:
        """A token of the named repository; of any, if none is named."""
        names = self.names
        exact = asked.also(
            repository=names.repository("named", "named"),
            repository_owner_id=names.own("repository_owner_id"),
            repository_id=names.own("repository_id"),
        )
        found = self.search.find(exact)
        if found is None and names.ids:
            # The repository by its id, whatever it is called now.
            found = self.search.find(asked.also(repository_id=names.own("repository_id")))
        return found

    @cached_property
    def is_default(self) -> bool:
        """Whether the named repository gets in with GitHub's default subject."""
        return self.own(Asked(default=True)) is not None

    def loose(
        self,
        kind: JobKind,
        *,
        any_workflow: bool = False,
        any_template: bool = False,
        claims: Mapping[str, Language | None] | None = None,
    ) -> Token | None:
        """A token of the named repository of one kind of job, with these limits on its claims,
        that runs in no workflow which the statement names."""
        asked = Asked(kinds=(kind,), default=self.is_default and not any_template)
        workflow = None if any_workflow else self.names.other("job_workflow_ref")
        return self.own(asked.also(**(claims or {}), job_workflow_ref=workflow))

    @cached_property
    def speaks_of_environments(self) -> bool:
        """Whether the statement names environments, or says that the subject has one."""
        return bool(self.names.environments) or any(
            "environment:" in value for found in self.one.on("sub") for value in found.values
        )

    @cached_property
    def _looked_for(self) -> tuple[tuple[JobKind, dict[str, Language | None]] | None, ...]:
        """What of the named repository the statement does not name: a pull request, another ref,
        another environment, and a named environment on another ref.

        On a ref that the statement fixes any environment will do, unless it speaks of some. A
        pull request that is merged is code of its base, so it counts as that branch does.
        """
        names = self.names
        other_ref = names.other("ref")
        other_environment = names.other("environment")
        on_ref = None if self.speaks_of_environments else other_ref
        return (
            None if names.pull_requests else ("pull_request", {"ref": PULL}),
            ("ref", {"ref": other_ref}),
            ("environment", {"environment": other_environment, "ref": on_ref}),
            ("environment", {"environment": names.own("environment"), "ref": other_ref}),
        )

    def openings(self, *, any_workflow: bool = False) -> tuple[Token | None, ...]:
        """A token of each that gets in, None where none does."""
        return tuple(
            None if job is None else self.loose(job[0], any_workflow=any_workflow, claims=job[1])
            for job in self._looked_for
        )

    @cached_property
    def by_template(self) -> tuple[JobKind, Token] | None:
        """The widest of these that gets in with a customised subject alone, by a wildcard, beside
        what gets in with GitHub's default subject."""
        if not self.is_default:
            return None
        for job, by_default in zip(self._looked_for[:3], self._openings, strict=False):
            if by_default is not None:
                return None  # as wide as it gets
            if job is None:
                continue
            token = self.loose(job[0], any_template=True, claims=job[1])
            if token is not None and self.by_wildcard(token):
                return job[0], token
        return None

    @cached_property
    def _openings(self) -> tuple[Token | None, ...]:
        return self.openings()

    @property
    def other_pull_request(self) -> Token | None:
        """A pull request's token, where the statement does not name pull requests."""
        return self._openings[0]

    @property
    def other_ref(self) -> Token | None:
        """A token on a branch or tag that the statement does not name."""
        return self._openings[1]

    @property
    def other_environment(self) -> Token | None:
        """A token of an environment that the statement does not name."""
        return self._openings[2]

    @property
    def hidden_ref(self) -> Token | None:
        """A token of a named environment on a ref that the statement does not name."""
        return self._openings[3]

    @cached_property
    def pull_request(self) -> Token | None:
        """A token of a pull request that is not merged, where the statement names pull requests."""
        return self._named_pull_request(PULL)

    @cached_property
    def merged_pull_request(self) -> Token | None:
        """A token of one that is merged, where the statement names pull requests."""
        return self._named_pull_request(BRANCH)

    def _named_pull_request(self, ref: Language) -> Token | None:
        if not self.names.pull_requests:
            return None
        return self.own(Asked(kinds=("pull_request",), default=self.is_default).also(ref=ref))
