"""One Allow statement for a web identity, read as GitHub's claims and how they are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from scripts.iam.engine.conditions import Operator, parse_operator
from scripts.iam.engine.documents import Policy, Statement
from scripts.iam.trust_lint.automata import Operand, either, pattern
from scripts.iam.trust_lint.subjects import Accepted, Pinned

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
CLAIMS = (
    "actor",
    "actor_id",
    "aud",
    "enterprise_id",
    "environment",
    "job_workflow_ref",
    "ref",
    "repository",
    "repository_id",
    "sub",
    "workflow",
)
EXACT = ("StringEquals", "StringEqualsIgnoreCase")
LIKE = ("StringLike",)


@dataclass(frozen=True)
class Compared:
    """One condition on a claim. `claim` is in lower case, `written` the operator as written."""

    operator: Operator
    written: str
    key: str
    claim: str
    values: tuple[str, ...]

    @property
    def negated(self) -> bool:
        """Whether it is one of the operators with Not."""
        return "Not" in self.operator.base

    @property
    def requires(self) -> bool:
        """Whether the claim must be there and be one of the values."""
        return (
            self.operator.base in (*EXACT, *LIKE)
            and self.operator.sets != "ForAllValues"
            and not self.operator.if_exists
        )

    @property
    def exact(self) -> bool:
        """Whether it must equal one of the values, letter for letter and without a wildcard."""
        if not self.requires:
            return False
        if self.operator.base == "StringLike":
            return not any(set("*?") & set(value) for value in self.values)
        return self.operator.base == "StringEquals"

    @property
    def operand(self) -> Operand | None:
        """The claim's values that fulfil this condition, None for operators on other types."""
        base = self.operator.base.replace("Not", "")
        if base not in (*EXACT, *LIKE):
            return None
        values = (
            pattern(value, wildcards=base in LIKE, ignore_case=base.endswith("IgnoreCase"))
            for value in self.values
        )
        return Operand(either(*values), negated=self.negated)


@dataclass(frozen=True)
class Trusting:
    """An Allow statement that names an OIDC provider, with the policy's denies beside it.

    `host` is the provider's, with the path of an enterprise's own issuer.
    """

    statement: Statement
    host: str
    denies: tuple[Statement, ...] = ()

    @cached_property
    def compared(self) -> tuple[Compared, ...]:
        """The conditions on this provider's claims."""
        return tuple(_compared(self.statement, self.host))

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
    def pinned(self) -> Pinned:
        """What the statement says exactly of the repository and its context."""
        return Pinned(
            repository=self.exactly("repository"),
            repository_id=self.exactly("repository_id"),
            environment=self.exactly("environment"),
            ref=self.exactly("ref"),
        )

    def accepted(self, without: Compared | None = None) -> Accepted:
        """The accepted subjects; `without` leaves one condition on the subject out."""
        operands = [
            found.operand for found in self.on("sub") if found is not without and found.operand
        ]
        for deny in self.denies:
            operands += _subtracted(deny, self.host)
        return Accepted(tuple(operands), self.pinned)


def _compared(statement: Statement, host: str) -> Iterable[Compared]:
    prefix = f"{host}:".lower()
    for condition in statement.conditions:
        key = condition.key.lower()
        if key.startswith(prefix):
            yield Compared(
                parse_operator(condition.operator),
                condition.operator,
                condition.key,
                key.removeprefix(prefix),
                condition.values,
            )


def _subtracted(deny: Statement, host: str) -> list[Operand]:
    """A Deny for one condition on the subject takes these subjects away; others are not counted,
    so that the linter never takes a policy for stricter than it is."""
    compared = list(_compared(deny, host))
    if len(deny.conditions) != 1 or len(compared) != 1 or compared[0].claim != "sub":
        return []
    condition, operand = compared[0], compared[0].operand
    if operand is None or condition.operator.sets or deny.not_principals is not None:
        return []
    return [Operand(operand.language, negated=not operand.negated)]


def trusting(policy: Policy) -> list[Trusting]:
    """The Allow statements of a trust policy that name an OIDC provider."""
    denies = tuple(found for found in policy.statements if found.effect == "Deny")
    return [
        Trusting(statement, provider.partition(":oidc-provider/")[2], denies)
        for statement in policy.statements
        if statement.effect == "Allow"
        for provider in (statement.principals or {}).get("Federated", ())
        if ":oidc-provider/" in provider
    ]
