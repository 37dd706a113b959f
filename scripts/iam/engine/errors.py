"""Exceptions of the policy engine, and any/all that tolerate unknown outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class PolicyError(ValueError):
    """A policy document that AWS would not accept. Names the place and says what to write."""


class Unsupported(Exception):
    """A policy feature whose outcome is not modelled. The request is refused, never let through."""


def any_holds(tests: Iterable[Callable[..., bool]], *arguments: object) -> bool:
    """Whether any test is true; an Unsupported one counts only if no other is true."""
    unknown: Unsupported | None = None
    for test in tests:
        try:
            if test(*arguments):
                return True
        except Unsupported as error:
            unknown = unknown or error
    if unknown:
        raise unknown
    return False


def all_hold(tests: Iterable[Callable[..., bool]], *arguments: object) -> bool:
    """Whether all tests are true; an Unsupported one counts only if no other is false."""
    unknown: Unsupported | None = None
    for test in tests:
        try:
            if not test(*arguments):
                return False
        except Unsupported as error:
            unknown = unknown or error
    if unknown:
        raise unknown
    return True
