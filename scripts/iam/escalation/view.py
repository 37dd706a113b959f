"""The account as one identity sees it, and the steps that it can take from there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from scripts.iam.account.identities import Identity
from scripts.iam.engine.documents import Policy, parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal
from scripts.iam.escalation.inventory import Inventory

_EVERYTHING = parse_policy(
    {
        "Version": "2012-10-17",
        "Statement": {"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"},
    },
    name="everything",
    kind="identity",
)


@dataclass(frozen=True)
class Actor:
    """An identity that the caller acts as; `rewritten` once it may write its own policies,
    `unbounded` once its boundary is gone."""

    arn: str
    rewritten: bool = False
    unbounded: bool = False

    @property
    def label(self) -> str:
        """The ARN and what the identity has done to its own policies."""
        extra = [
            word
            for word, there in (
                ("any policy", self.rewritten),
                ("no boundary", self.unbounded),
            )
            if there
        ]
        return self.arn + (f" ({', '.join(extra)})" if extra else "")


@dataclass(frozen=True)
class Step:
    """One step of a path: the rule of steps.yaml, from where to where, and what allows it."""

    rule: str
    start: str
    end: str
    detail: str


@dataclass(frozen=True)
class View:
    """The account as one actor sees it: who it is and which policies decide its requests."""

    inventory: Inventory
    actor: Actor
    member: Identity

    @cached_property
    def principal(self) -> Principal:
        """The principal of its requests."""
        return self.member.principal

    @cached_property
    def policies(self) -> PolicySet:
        """What decides its requests, but for a resource's own policy."""
        return PolicySet(
            identity=(_EVERYTHING,) if self.actor.rewritten else self.member.identity,
            boundary=None if self.actor.unbounded else self.member.boundary,
        )

    def with_resource(self, policy: Policy | None) -> PolicySet:
        """The policies beside a resource's own."""
        if policy is None:
            return self.policies
        return replace(self.policies, resource=(policy,))

    @property
    def is_administrator(self) -> bool:
        """Whether nothing limits it any more."""
        return self.actor.rewritten and self.policies.boundary is None


Edge = tuple[Step, Actor | None]
