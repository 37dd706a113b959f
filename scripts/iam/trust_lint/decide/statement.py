"""One Allow statement for a web identity, read as claims of GitHub's and how they are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

from scripts.github.issuers import Issuer, issuer_of
from scripts.github.trust import WEB_IDENTITY
from scripts.iam.engine.conditions import Operator, compile_condition, parse_operator
from scripts.iam.engine.documents import Condition, Policy, Statement
from scripts.iam.engine.evaluation import Principal
from scripts.iam.engine.patterns import Variable, Wild, tokens
from scripts.iam.engine.statements import Facts, compile_statement
from scripts.iam.trust_lint.decide.automata import (
    ANY_LETTER,
    NOTHING,
    Language,
    Operand,
    TooComplex,
    either,
    one,
    pattern,
    repeated,
    text,
    then,
)

EXACT = ("StringEquals", "StringEqualsIgnoreCase")
LIKE = ("StringLike",)
MOST_BRANCHES = 64
# AWS sets these for callers with an identity in AWS, for session tags, or for sts:AssumeRole. A
# token of GitHub's brings none of them.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
_NEVER_SET = (
    "aws:multifactorauth",
    "aws:principal",
    "aws:requesttag/",
    "aws:sourceidentity",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:userid",
    "aws:username",
    "sts:externalid",
    "sts:sourceidentity",
    "sts:transitivetagkeys",
)


class NotJudged(Exception):
    """The linter cannot judge what a statement admits. The message says what is unknown."""


@dataclass(frozen=True)
class Compared:
    """One condition on a claim. `claim` is in lower case, `written` the operator as written."""

    operator: Operator
    condition: Condition
    claim: str
    variables: bool = True

    @property
    def written(self) -> str:
        """The operator as written."""
        return self.condition.operator

    @property
    def key(self) -> str:
        """The condition key as written."""
        return self.condition.key

    @property
    def values(self) -> tuple[str, ...]:
        """The values as written."""
        return self.condition.values

    @property
    def negated(self) -> bool:
        """Whether it is one of the operators with Not."""
        return "Not" in self.operator.base

    @property
    def absent(self) -> bool:
        """Whether the condition holds for a token without the claim."""
        compiled = compile_condition(
            self.written, self.key, self.values, variables=self.variables
        )  # fmt: skip
        return compiled.holds({})

    @property
    def requires(self) -> bool:
        """Whether the claim must be there and be one of the values."""
        return self.operator.base in (*EXACT, *LIKE) and not self.absent

    @property
    def exact(self) -> bool:
        """Whether it must equal one of the values, letter for letter and without a wildcard."""
        if not self.requires or self.operator.base == "StringEqualsIgnoreCase":
            return False
        return self.operator.base == "StringEquals" or not any(map(has_wildcard, self.values))

    @cached_property
    def holds(self) -> Language:
        """The values of a claim that is there and fulfils the condition. Raises NotJudged."""
        base = self.operator.base.replace("Not", "")
        if base == "Null":
            there = self.values[0].lower() == "false"
            return repeated(one(ANY_LETTER)) if there else NOTHING
        if base not in (*EXACT, *LIKE):
            raise NotJudged(
                f"{self.written} compares {self.key} as something else than text; what that "
                "admits is not modelled"
            )
        return either(*filter(None, (self._value(value, base) for value in self.values)))

    def takes(self, value: str, actual: str) -> bool:
        """Whether one of the values matches a claim's value."""
        language = self._value(value, self.operator.base.replace("Not", ""))
        return language is not None and language.accepts(actual)

    def _value(self, value: str, base: str) -> Language | None:
        """What one value matches; None for a variable that no request has: it matches nothing."""
        ignore_case = base.endswith("IgnoreCase")
        parts = []
        for token in tokens(value, variables=self.variables, wildcards=base in LIKE):
            if isinstance(token, Variable):
                if token.default is None and never_set(token.key):
                    return None
                if token.default is None or not never_set(token.key):
                    raise NotJudged(f"{self.key} is compared with the variable ${{{token.key}}}")
                parts.append(text(token.default, ignore_case=ignore_case))
            elif isinstance(token, Wild):
                parts.append(pattern(token.value))
            else:
                parts.append(text(token, ignore_case=ignore_case))
        return then(*parts) if parts else text("")

    @property
    def operand(self) -> Operand:
        """The values of a claim that is there and fulfils the condition."""
        return Operand(self.holds, negated=self.negated)

    @property
    def opposite(self) -> Operand:
        """The values of a claim that is there and does not fulfil the condition."""
        return Operand(self.holds, negated=not self.negated)


def has_wildcard(value: str) -> bool:
    """Whether a value has a wildcard, were it a pattern."""
    return bool(set("*?") & set(value))


def never_set(key: str) -> bool:
    """Whether a request with a token of GitHub's never has this key of the request."""
    lower = key.lower()
    return lower.startswith(_NEVER_SET) or not lower.startswith(("aws:", "sts:"))


@dataclass(frozen=True)
class Limits:
    """What the claims of one token must be: one way to fulfil the Allow and to pass each Deny.

    A claim that is not in `present` may be anything; `absent` says of each claim with a condition
    whether a token without it passes. `subjects` are all there can be, None if they are not
    listed.
    """

    present: Mapping[str, tuple[Operand, ...]]
    absent: Mapping[str, bool]
    denies: tuple[Statement, ...] = ()
    subjects: tuple[str, ...] | None = None

    def takes(self, subject: str) -> bool:
        """Whether the conditions on the subject hold."""
        return all(operand.accepts(subject) for operand in self.present.get("sub", ()))

    def may_lack(self, claim: str) -> bool:
        """Whether a token without the claim passes."""
        return self.absent.get(claim, True)


@dataclass(frozen=True)
class Trusting:
    """An Allow statement that names one of GitHub's OIDC providers, with its policy.

    `provider` is the provider's ARN; the issuer is None where it is none of GitHub's.
    """

    statement: Statement
    provider: str
    policy: Policy

    @property
    def host(self) -> str:
        """The provider's address, with which its condition keys begin."""
        return self.provider.partition(":oidc-provider/")[2]

    @property
    def issuer(self) -> Issuer | None:
        """The GitHub that the provider stands for; None if it is none."""
        return issuer_of(self.host)

    @property
    def variables(self) -> bool:
        """Whether the policy's values may hold policy variables."""
        return self.policy.version == "2012-10-17"

    @cached_property
    def principal(self) -> Principal:
        """Who asks with a token of the provider."""
        account = self.provider.split(":")[4]
        return Principal(self.provider, account, "federated", federated_provider=self.provider)

    @cached_property
    def compared(self) -> tuple[Compared, ...]:
        """The conditions on this provider's claims, those that AWS never sets left out."""
        return tuple(self.claims_of(self.statement))

    def claims_of(self, statement: Statement) -> Iterator[Compared]:
        """The conditions of a statement on this provider's claims."""
        for condition in statement.conditions:
            claim = self.claim_of(condition.key)
            if claim is not None:
                operator = parse_operator(condition.operator)
                yield Compared(operator, condition, claim, self.variables)

    def claim_of(self, key: str) -> str | None:
        """The claim that a condition key stands for, None for a key of another kind."""
        prefix = f"{self.host}:".lower()
        claim = key.lower().removeprefix(prefix)
        known = self.issuer is not None and claim in self.issuer.claims
        return claim if key.lower().startswith(prefix) and known else None

    def on(self, claim: str) -> list[Compared]:
        """The conditions on one claim."""
        return [found for found in self.compared if found.claim == claim]

    def exactly(self, claim: str) -> tuple[str, ...]:
        """The values that a claim must equal, () if it is open."""
        for found in self.on(claim):
            if found.exact:
                return found.values
        return ()

    @cached_property
    def never(self) -> tuple[Condition, ...]:
        """The conditions on keys that no request with this provider's token has."""
        return tuple(
            condition
            for condition in self.statement.conditions
            if self.claim_of(condition.key) is None and never_set(condition.key)
        )

    @cached_property
    def elsewhere(self) -> tuple[Condition, ...]:
        """The conditions on the request beside the token, such as its address."""
        return tuple(
            condition
            for condition in self.statement.conditions
            if self.claim_of(condition.key) is None and not never_set(condition.key)
        )

    @property
    def is_for_web_identities(self) -> bool:
        """Whether the statement's actions are the one that a token asks for."""
        return compile_statement(self.statement, variables=self.variables).action(
            WEB_IDENTITY.lower()
        )

    def lacking(self, condition: Condition) -> bool:
        """Whether a condition holds where its key is absent."""
        compiled = compile_condition(
            condition.operator, condition.key, condition.values, variables=self.variables
        )
        return compiled.holds({})

    @cached_property
    def ways(self) -> tuple[Limits, ...]:
        """The ways to get in by this statement; none if it lets nobody in.

        Each way says how every Deny is passed: by one condition of it that does not hold. Raises
        NotJudged and TooComplex.
        """
        if not self.is_for_web_identities or not all(map(self.lacking, self.never)):
            return ()
        ways = [self._escapes(deny) for deny in self.denies]
        if prod(map(len, ways)) > MOST_BRANCHES:
            raise TooComplex(f"over {MOST_BRANCHES} ways to pass the Deny statements")
        return tuple(self._limits(combined) for combined in product(*ways))

    @cached_property
    def denies(self) -> list[Statement]:
        """The Deny statements that speak of this provider and action."""
        facts = Facts(self.principal, WEB_IDENTITY, "", {}, bounded=False)
        return [
            statement.source
            for statement in self.policy.denies
            if statement.action(WEB_IDENTITY.lower())
            and (statement.principal is None or statement.principal(facts))
        ]

    def _escapes(self, deny: Statement) -> list[tuple[Statement, Compared] | None]:
        """Each way to make a Deny not apply; [None] if that needs nothing of the token.

        Whoever asks chooses the request's address, time and session name.
        """
        others = [found for found in deny.conditions if self.claim_of(found.key) is None]
        if any(not never_set(found.key) or not self.lacking(found) for found in others):
            return [None]
        return [(deny, compared) for compared in self.claims_of(deny)]

    def _limits(self, escapes: Sequence[tuple[Statement, Compared] | None]) -> Limits:
        present: dict[str, tuple[Operand, ...]] = {}
        absent: dict[str, bool] = {}
        passed = [found for found in escapes if found is not None]
        for compared in self.compared:
            present[compared.claim] = (*present.get(compared.claim, ()), compared.operand)
            absent[compared.claim] = absent.get(compared.claim, True) and compared.absent
        for _, failing in passed:
            present[failing.claim] = (*present.get(failing.claim, ()), failing.opposite)
            absent[failing.claim] = absent.get(failing.claim, True) and not failing.absent
        listed = min(
            (found.values for found in self.on("sub") if found.exact), key=len, default=None
        )
        return Limits(present, absent, tuple(deny for deny, _ in passed), listed)


def trusting(policy: Policy) -> list[Trusting]:
    """The Allow statements of a trust policy that name an OIDC provider, one for each provider."""
    return [
        Trusting(statement, provider, policy)
        for statement in policy.statements
        if statement.effect == "Allow"
        for provider in (statement.principals or {}).get("Federated", ())
        if ":oidc-provider/" in provider
    ]
