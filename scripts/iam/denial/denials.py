"""Why a request in the decision log was denied, and the smallest change that would allow it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scripts.iam.account.decision_log import Record
from scripts.iam.account.identities import Identities, Identity, is_shared
from scripts.iam.denial.changes import Change, by_trust, changed
from scripts.iam.denial.nearly import near_misses, without_a_name
from scripts.iam.engine.documents import Policy
from scripts.iam.engine.evaluation import PolicySet, Principal, Reason, Request
from scripts.iam.engine.explanation import Explanation, explain

# The decision log's reasons of a decision; any other is the code of an earlier refusal.
_DECIDED = {str(reason) for reason in Reason}
# A policy that applies uses what the engine does not model.
_UNSUPPORTED = "unsupported"
# Nothing that limits a caller besides its own policies.
ALONE = PolicySet()
_LIMITS = ("session", "scp", "rcp", "endpoint")
ResourcePolicy = Callable[[str], Policy | None]


class NoSuchDenial(LookupError):
    """The log holds no such request, or the request was not denied.

    `probe` is the last denial of a request that was sent to be refused, where only such remain.
    """

    def __init__(self, message: str, probe: Record | None = None) -> None:
        super().__init__(message)
        self.probe = probe


@dataclass(frozen=True)
class Denial:
    """A denied permission explained. `changes` together allow it, which was tried out with the
    engine (`proved`); they are empty where no policy decided."""

    record: Record
    explanation: Explanation | None
    changes: tuple[Change, ...] = ()
    proved: bool = False
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        decision = self.explanation.decision if self.explanation else None
        return {
            "request_id": self.record.request_id,
            "principal": self.record.principal,
            "action": self.record.action,
            "resource": self.record.resource,
            "reason": self.record.reason,
            "decided_by": {"policy": self.record.policy, "statement": self.record.statement},
            "today": None
            if decision is None
            else {"allowed": decision.allowed, "reason": str(decision.reason)},
            "considered": [
                {
                    "policy": one.policy,
                    "kind": one.kind,
                    "statement": one.statement,
                    "effect": one.effect,
                    "matched": one.matched,
                    "failures": [vars(failure) for failure in one.failures],
                }
                for one in (self.explanation.considered if self.explanation else ())
            ],
            "changes": [
                {
                    "policy": change.policy,
                    "kind": change.kind,
                    "edit": change.edit,
                    "statement": change.statement,
                    "warnings": list(change.warnings),
                }
                for change in self.changes
            ],
            "proved": self.proved,
            "notes": list(self.notes),
        }


_LEAST_OF_AN_ID = 8


def denied(records: Sequence[Record], request_id: str | None) -> list[Record]:
    """The denied permissions of a request; without an id, of the last that was not a probe.

    The beginning of an id will do where one request alone has it. Raises NoSuchDenial, saying what
    the log holds instead.
    """
    if request_id is None:
        refused = [record for record in records if not record.allowed]
        needed = [record for record in refused if not record.probe]
        if not needed:
            but = f", but for {len(refused)} that were tried on purpose" if refused else ""
            raise NoSuchDenial(
                f"none of the {len(records)} permissions in the log was denied{but}",
                refused[-1] if refused else None,
            )
        request_id = needed[-1].request_id
    elif len(request_id) >= _LEAST_OF_AN_ID:  # a terminal or a log may have cut it
        begun = {one.request_id for one in records if one.request_id.startswith(request_id)}
        request_id = begun.pop() if len(begun) == 1 else request_id
    mine = [record for record in records if record.request_id == request_id]
    if not mine:
        raise NoSuchDenial(f"no request {request_id!r} is in the log")
    found = [record for record in mine if not record.allowed]
    if not found:
        raise NoSuchDenial(f"request {request_id!r} was allowed, by {_decider(mine[0])}")
    return found


def _decider(record: Record) -> str:
    return f"statement {record.statement} of {record.policy}"


def explain_denial(
    record: Record,
    members: Identities,
    resource_policy: ResourcePolicy,
    ruled_out: Collection[tuple[str, str]] = (),
    around: PolicySet = ALONE,
) -> Denial:
    """Explain one denied permission by the policies as they are now.

    `ruled_out` are statements, by policy and label, that are known not to have applied. `around`
    has what limits the caller besides: its session, the organization, a VPC endpoint.
    """
    if record.reason not in _DECIDED | {_UNSUPPORTED}:
        return Denial(record, None, notes=(_no_policy(record),))
    request, policies, member = asked(record, members, resource_policy, around)
    policies = without(policies, ruled_out)
    found = explain(request, policies)
    notes = []
    if member is None and request.principal.kind == "assumed-role":
        notes.append("the caller's role no longer exists")
    if (
        record.reason == str(Reason.NO_SESSION_ALLOW)
        and around.session is None
        and not record.probe
    ):
        notes.append("a session policy decided; the log does not keep it: give the session less "
                     "narrow a policy when the role is assumed")  # fmt: skip
    if found.decision is not None and found.decision.allowed:
        notes.append(
            "the policies as they are now would allow it"
            + ", and it was tried on purpose, to see the answer" * record.probe
        )
        return Denial(record, found, notes=tuple(notes))
    if found.unsupported:
        notes.append(f"{found.unsupported}; docs/policy-engine.md says what to write instead")
        return Denial(record, found, notes=tuple(notes))
    if record.probe:
        notes.append("it was tried on purpose, to see the answer: no work needs it, so it is to "
                     "stay refused, and no change is proposed")  # fmt: skip
        return Denial(record, found, notes=tuple(notes))
    amended = changed(request, policies)
    if request.principal.kind == "assumed-role":
        notes += without_a_name(found.considered)
    notes += [*near_misses(found.considered), *amended.notes]
    notes += _shared(amended.changes, member, members)
    return Denial(record, found, tuple(amended.changes), amended.allowed, tuple(notes))


def _shared(
    changes: Sequence[Change], member: Identity | None, members: Identities
) -> Iterator[str]:
    """Whose a policy that changes is besides the caller's: a group's or a managed one."""
    for change in changes:
        others = sorted(
            one.name
            for one in members.members.values()
            if one is not member and is_shared(change.policy)
            and any(policy.name == change.policy for policy in one.identity)
        )  # fmt: skip
        if change.kind == "identity" and others:
            who = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if others[3:] else "")
            yield f"{change.policy} applies to others, too ({who}): the change is theirs as well"


def asked(
    record: Record,
    members: Identities,
    resource_policy: ResourcePolicy,
    around: PolicySet = ALONE,
) -> tuple[Request, PolicySet, Identity | None]:
    """What a record asked, the policies that decide it now, and the caller if it still exists."""
    request, member = _request(record, members)
    policies = _policies(record, member, members, resource_policy)
    limits: dict[str, Any] = {name: getattr(around, name) for name in _LIMITS}
    return request, replace(policies, **limits), member


def without(policies: PolicySet, gone: Collection[tuple[str, str]]) -> PolicySet:
    """The policies without the statements that are named by policy and label."""

    def cut(layer: tuple[Policy, ...]) -> tuple[Policy, ...]:
        return tuple(
            replace(
                policy,
                statements=tuple(
                    one for one in policy.statements if (policy.name, one.label) not in gone
                ),
            )
            for policy in layer
        )

    limits: dict[str, Any] = {
        name: layer and cut(layer) for name in _LIMITS for layer in [getattr(policies, name)]
    }
    return replace(
        policies,
        identity=cut(policies.identity),
        boundary=None if policies.boundary is None else cut(policies.boundary),
        resource=cut(policies.resource),
        **limits,
    )


def _no_policy(record: Record) -> str:
    if record.reason == "unmapped":
        return ("the local cloud has no permission mapping for this operation and refuses it; "
                "no policy was asked")  # fmt: skip
    return f"the request was refused with {record.reason} before any policy was asked"


def _request(record: Record, members: Identities) -> tuple[Request, Identity | None]:
    arn, member = record.principal, None
    parts = arn.split(":", 5)
    account = parts[4] if len(parts) > 4 else ""
    if record.role:
        member = members.role(record.role)
        role_arn = member.arn if member else f"arn:aws:iam::{account}:role/{record.role}"
        principal = Principal(arn, account, "assumed-role", role_arn=role_arn)
    elif arn == "*":
        principal = Principal("*", "", "anonymous")
    elif ":oidc-provider/" in arn or ":saml-provider/" in arn:
        principal = Principal(arn, account, "federated", federated_provider=arn)
    elif arn.endswith(".amazonaws.com"):
        principal = Principal(arn, "", "service", service=arn)
    elif arn.endswith(":root"):
        principal = Principal(arn, account, "root")
    else:
        member = members.members.get(arn)
        principal = Principal(arn, account, "user")
    owner = record.keys.get("aws:ResourceAccount")
    request = Request(
        principal, record.action, record.resource, record.keys, owner[0] if owner else None
    )
    return request, member


def _policies(
    record: Record,
    member: Identity | None,
    members: Identities,
    resource_policy: ResourcePolicy,
) -> PolicySet:
    if by_trust(record.action, record.resource):
        target = members.members.get(record.resource)
        policy = target.trust if target else None
    else:
        policy = resource_policy(record.resource)
    resource = (policy,) if policy else ()
    if member is None:
        return PolicySet(resource=resource)
    return PolicySet(identity=member.identity, boundary=member.boundary, resource=resource)
