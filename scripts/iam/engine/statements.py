"""One policy statement, compiled: does it speak of this request?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.iam.engine.conditions import CompiledCondition, compile_condition
from scripts.iam.engine.errors import PolicyError, Unsupported, all_hold, any_holds
from scripts.iam.engine.patterns import (
    Test,
    Token,
    Values,
    Variable,
    Wild,
    arn_components,
    expand,
    glob,
    resource_like,
    tokens,
    variable_keys,
)
from scripts.iam.engine.principals import Named, NotPrincipalTest, Principal, PrincipalTest

if TYPE_CHECKING:
    from scripts.iam.engine.elements import Statement


class Facts:
    """A request as the statements see it: action and condition keys in lower case."""

    __slots__ = ("action", "bounded", "context", "principal", "resource")

    def __init__(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: Values,
        bounded: bool,
        unknown: frozenset[str] = frozenset(),
    ) -> None:
        self.principal = principal
        self.action = action.lower()
        self.resource = resource
        known = _lower_keys(context)
        self.context = _PartlyKnown(known, unknown) if unknown else known
        self.bounded = bounded


class _PartlyKnown(dict[str, tuple[str, ...]]):
    """A context that says so where it does not know a key."""

    def __init__(self, known: Values, unknown: frozenset[str]) -> None:
        super().__init__(known)
        self._unknown = unknown
        self._stems = tuple(key for key in unknown if key.endswith(("/", ":")))

    def get(self, key: str, default: Any = None) -> Any:
        """The values of a key; raises Unsupported for one that is not known."""
        if key not in self and (key in self._unknown or key.startswith(self._stems)):
            raise Unsupported(f"the value of the condition key {key} is not known here")
        return super().get(key, default)


def _lower_keys(context: Values) -> Values:
    result: dict[str, tuple[str, ...]] = {}
    for key, values in context.items():
        lower = key.lower()
        # Keys that differ in case only are one key, with the values of both.
        known = result.get(lower)
        result[lower] = values if known is None else tuple(dict.fromkeys((*known, *values)))
    return result


@dataclass(frozen=True)
class CompiledStatement:
    """A statement's four elements as tests. `keys` are the condition keys that it reads."""

    source: Statement
    allow: bool
    action: Test  # of the action in lower case
    resource: Callable[[Facts], bool]
    principal: Callable[[Facts], Named] | None
    conditions: tuple[CompiledCondition, ...]
    tests: tuple[Callable[[Facts], bool], ...]  # the resource and the conditions
    keys: frozenset[str]

    def applies(self, facts: Facts) -> Named:
        """How the statement names the caller if all its elements match, else Named.NOT.

        Raises Unsupported where an element is not modelled and no other one fails.
        """
        if not self.action(facts.action):
            return Named.NOT
        named = Named.DIRECTLY
        if self.principal is not None:
            try:
                named = self.principal(facts)
            except Unsupported:
                if all_hold(self.tests, facts):
                    raise
                return Named.NOT
        return named if named and all_hold(self.tests, facts) else Named.NOT


def compile_statement(statement: Statement, *, variables: bool) -> CompiledStatement:
    """Compile a statement. Raises PolicyError for a bad resource, variable or condition."""
    if statement.unreadable is not None:
        return _unreadable(statement, statement.unreadable)
    conditions = []
    for condition in statement.conditions:
        try:
            conditions.append(
                compile_condition(
                    condition.operator, condition.key, condition.values, variables=variables
                )
            )
        except PolicyError as error:
            place = f"Condition.{condition.operator}.{condition.key}"
            raise PolicyError(f"{place}: {error}") from None
    resource, patterns = _resources(statement, variables)
    keys = {condition.key.lower() for condition in conditions}
    keys.update(*map(variable_keys, patterns))
    keys.update(*(condition.variables for condition in conditions))
    return CompiledStatement(
        source=statement,
        allow=statement.effect == "Allow",
        action=_actions(statement),
        resource=resource,
        principal=_principals(statement),
        conditions=tuple(conditions),
        tests=(resource, *(_in_context(condition) for condition in conditions)),
        keys=frozenset(keys),
    )


def _unreadable(statement: Statement, why: str) -> CompiledStatement:
    def refuse(_: Facts) -> bool:
        raise Unsupported(why)

    allow = statement.effect == "Allow"
    return CompiledStatement(
        statement, allow, _actions(statement), refuse, None, (), (refuse,), frozenset()
    )


def _in_context(condition: CompiledCondition) -> Callable[[Facts], bool]:
    holds = condition.holds
    return lambda facts: holds(facts.context)


def _actions(statement: Statement) -> Test:
    negated = statement.actions is None
    exact: set[str] = set()
    prefixes: list[str] = []
    globs: list[Test] = []
    for action in (statement.actions or statement.not_actions) or ():
        head, star, tail = action.lower().partition("*")
        if "?" in action or tail:
            globs.append(glob(expand(tokens(action.lower(), variables=False), {}) or ()))
        elif star:
            prefixes.append(head)
        else:
            exact.add(head)
    names, starts = frozenset(exact), tuple(prefixes)

    def matches(action: str) -> bool:
        # Most statements are not about the action: two lookups in C decide that.
        found = action in names or action.startswith(starts)
        return (found or (bool(globs) and any(test(action) for test in globs))) is not negated

    return matches


def _resources(
    statement: Statement, variables: bool
) -> tuple[Callable[[Facts], bool], list[tuple[Token, ...]]]:
    negated = statement.not_resources is not None
    element = "NotResource" if negated else "Resource"
    written = statement.not_resources if negated else statement.resources
    if written is None:
        return lambda _facts: True, []
    patterns = []
    for text in written:
        try:
            patterns.append(_resource_pattern(text, variables))
        except PolicyError as error:
            raise PolicyError(f"{element}: {error}") from None
    if (Wild.ANY,) in patterns:
        return lambda _facts: not negated, patterns
    tests = [_resource_test(pattern) for pattern in patterns]
    return lambda facts: any_holds(tests, facts) is not negated, patterns


def _resource_test(pattern: tuple[Token, ...]) -> Callable[[Facts], bool]:
    if not variable_keys(pattern):
        fixed = resource_like(expand(pattern, {}) or ())
        return lambda facts: fixed(facts.resource)

    def test(facts: Facts) -> bool:
        # A pattern whose variable has no value matches no resource.
        expanded = expand(pattern, facts.context)
        return expanded is not None and resource_like(expanded)(facts.resource)

    return test


def _resource_pattern(text: str, variables: bool) -> tuple[Token, ...]:
    pattern = tokens(text, variables=variables)
    if pattern == (Wild.ANY,):
        return pattern
    if not text.startswith("arn:"):
        raise PolicyError(f'{text!r} is not an ARN; write one, or "*" for every resource')
    _no_early_variable(pattern, text)
    components = arn_components(pattern)
    if components[-1][-1:] != (Wild.ANY,) and (len(components) < 6 or not components[-1]):
        raise PolicyError(
            f"{text!r} is not a complete ARN; write arn:aws:service:region:account:resource"
        )
    if len(components) > 3 and any(isinstance(token, Wild) for token in components[2]):
        raise PolicyError(f"{text!r}: a wildcard cannot stand for the service; write its name")
    if len(components) < 4:
        raise PolicyError(f"{text!r}: the service must be written in full; write arn:aws:service:*")
    return pattern


def _no_early_variable(pattern: tuple[Token, ...], text: str) -> None:
    colons = 0
    for token in pattern:
        if isinstance(token, Variable) and colons < 5:
            raise PolicyError(
                f"{text!r}: a variable can stand in the ARN's resource part only, after the "
                "fifth colon"
            )
        if isinstance(token, str):
            colons += token.count(":")


def _principals(statement: Statement) -> Callable[[Facts], Named] | None:
    if statement.principals is not None:
        test = PrincipalTest(statement.principals)
        return lambda facts: test.named(facts.principal)
    if statement.not_principals is not None:
        excepted = NotPrincipalTest(statement.not_principals)
        return lambda facts: (
            Named.DIRECTLY
            if excepted.applies(facts.principal, facts.action, bounded=facts.bounded)
            else Named.NOT
        )
    return None
