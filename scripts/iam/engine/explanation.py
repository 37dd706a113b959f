"""Why a request was decided as it was: every statement considered, and what in it did not match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scripts.iam.engine.documents import Policy, PolicyKind
from scripts.iam.engine.errors import Unsupported
from scripts.iam.engine.evaluation import Decision, PolicySet, Request, evaluate, facts_of
from scripts.iam.engine.statements import CompiledStatement, Facts

Element = Literal[
    "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition"
]


@dataclass(frozen=True)
class Failure:
    """An element of a statement that does not match the request.

    For a condition, `operator` and `key` name it and `actual` holds the request's values of the
    key (empty: the key is absent); for the others `actual` is the request's action, resource or
    caller. `unsupported` says why the outcome is not modelled, where it is not.
    """

    element: Element
    wanted: tuple[str, ...]
    actual: tuple[str, ...]
    operator: str | None = None
    key: str | None = None
    unsupported: str | None = None


@dataclass(frozen=True)
class Held:
    """A condition that the request fulfils; `actual` is empty where it lacks the key, or where it
    is not known whether it has it (`known` is false)."""

    operator: str
    key: str
    wanted: tuple[str, ...]
    actual: tuple[str, ...]
    known: bool = True


@dataclass(frozen=True)
class Considered:
    """One statement, and every element of it that did not match; none if it applies.

    `held` are its conditions that do match: of a Deny, why it denies. `excepted` is what its
    NotResource has.
    """

    policy: str
    kind: PolicyKind
    statement: str
    effect: Literal["Allow", "Deny"]
    failures: tuple[Failure, ...]
    held: tuple[Held, ...] = ()
    excepted: tuple[str, ...] = ()

    @property
    def matched(self) -> bool:
        """Whether the statement applies to the request."""
        return not self.failures


@dataclass(frozen=True)
class Explanation:
    """The decision, or why there is none, and every statement in the order of its layers."""

    decision: Decision | None
    unsupported: str | None
    considered: tuple[Considered, ...]


def explain(request: Request, policies: PolicySet) -> Explanation:
    """Evaluate a request and show for each statement whether it matched and which elements failed.

    Slower than evaluate(), which it agrees with. Never raises Unsupported: it shows it.
    """
    decision, unsupported = None, None
    try:
        decision = evaluate(request, policies)
    except Unsupported as error:
        unsupported = str(error)
    facts = facts_of(request, policies)
    considered = tuple(
        _consider(policy, statement, facts, request.action)
        for layer in policies.layers
        for policy in layer
        for statement in policy.compiled
    )
    return Explanation(decision, unsupported, considered)


def _consider(
    policy: Policy, statement: CompiledStatement, facts: Facts, action: str
) -> Considered:
    source = statement.source
    if source.unreadable is not None:
        failure = Failure("Condition", (), (), unsupported=source.unreadable)
        return Considered(policy.name, policy.kind, source.label, source.effect, (failure,))
    failures = [
        *_action(statement, action),
        *_resource(statement, facts),
        *_principal(statement, facts),
        *_conditions(statement, facts),
    ]
    failed = {(failure.operator, failure.key) for failure in failures}
    held = tuple(
        Held(one.operator, one.key, one.values, facts.context.get(one.key.lower(), ()))
        for one in statement.conditions
        if (one.operator, one.key) not in failed
    )
    return Considered(
        policy.name, policy.kind, source.label, source.effect, tuple(failures), held,
        source.not_resources or (),
    )  # fmt: skip


def _action(statement: CompiledStatement, action: str) -> list[Failure]:
    if statement.action(action.lower()):
        return []
    source = statement.source
    element: Element = "NotAction" if source.actions is None else "Action"
    wanted = source.actions or source.not_actions or ()
    return [Failure(element, wanted, (action,))]


def _resource(statement: CompiledStatement, facts: Facts) -> list[Failure]:
    unsupported = None
    try:
        if statement.resource(facts):
            return []
    except Unsupported as error:
        unsupported = str(error)
    source = statement.source
    element: Element = "Resource" if source.not_resources is None else "NotResource"
    wanted = source.resources or source.not_resources or ()
    return [Failure(element, wanted, (facts.resource,), unsupported=unsupported)]


def _principal(statement: CompiledStatement, facts: Facts) -> list[Failure]:
    unsupported = None
    try:
        if statement.principal is None or statement.principal(facts):
            return []
    except Unsupported as error:
        unsupported = str(error)
    source = statement.source
    element: Element = "NotPrincipal" if source.principals is None else "Principal"
    written = source.principals or source.not_principals or {}
    wanted = tuple(name for names in written.values() for name in names)
    return [Failure(element, wanted, (facts.principal.arn,), unsupported=unsupported)]


def _conditions(statement: CompiledStatement, facts: Facts) -> list[Failure]:
    failures = []
    for condition in statement.conditions:
        unsupported = None
        try:
            if condition.holds(facts.context):
                continue
        except Unsupported as error:
            unsupported = str(error)
        failures.append(
            Failure(
                "Condition",
                condition.values,
                facts.context.get(condition.key.lower(), ()),
                operator=condition.operator,
                key=condition.key,
                unsupported=unsupported,
            )
        )
    return failures
