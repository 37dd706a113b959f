"""The decision: is a request allowed by identity, boundary, session and resource policies?

Rules: IAM User Guide, "How AWS enforcement code logic evaluates requests to allow or deny access"
(reference_policies_evaluation-logic_policy-eval-denyallow), "Cross-account policy evaluation
logic" (reference_policies_evaluation-logic-cross-account) and "Permissions boundaries"
(access_policies_boundaries); AWS KMS Developer Guide, "Key policies" (key-policies).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from scripts.iam.engine.documents import NAMES_CALLERS, Policy, PolicyKind
from scripts.iam.engine.errors import Unsupported
from scripts.iam.engine.principals import Named, Principal
from scripts.iam.engine.statements import CompiledStatement, Facts

__all__ = [
    "Context",
    "Decision",
    "PolicySet",
    "Principal",
    "Reason",
    "Request",
    "Unsupported",
    "evaluate",
    "evaluate_trust",
]

Context = Mapping[str, tuple[str, ...]]  # condition key, in any case -> values; absent if missing


@dataclass(frozen=True)
class Request:
    """What is asked. Without `resource_account`, the ARN's account counts, else the caller's.

    `unknown` are condition keys, in lower case, that the request may have without `context` telling
    (one that ends in a slash stands for all below it): a decision that needs one is Unsupported.
    """

    principal: Principal
    action: str
    resource: str
    context: Context
    resource_account: str | None = None
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PolicySet:
    """The policies that apply to a request.

    `boundary` and `session` are None where there is none; an empty tuple allows nothing.
    `resource` holds the resource's policy, or the role's trust policy for sts:AssumeRole*.
    `resource_required`: whether the resource's policy must allow even within one account, as for
    a KMS key. None decides by the resource: true for a KMS key and for a trust policy.
    `scp`, `rcp` and `endpoint`, the organization's policies and a VPC endpoint's, limit every
    caller: None where there is none. Of each one statement at least has to allow.
    """

    identity: tuple[Policy, ...] = ()
    boundary: tuple[Policy, ...] | None = None
    session: tuple[Policy, ...] | None = None
    resource: tuple[Policy, ...] = ()
    resource_required: bool | None = None
    scp: tuple[Policy, ...] | None = None
    rcp: tuple[Policy, ...] | None = None
    endpoint: tuple[Policy, ...] | None = None

    def __post_init__(self) -> None:
        own = (*self.identity, *(self.boundary or ()), *(self.session or ()), *(self.scp or ()))
        for policy in own:
            if policy.kind in NAMES_CALLERS:
                raise ValueError(f"policy {policy.name!r} is a {policy.kind} policy: not its place")
        for policy in self.resource:
            if policy.kind not in ("resource", "trust"):
                raise ValueError(f"policy {policy.name!r} is of kind {policy.kind}: not its place")

    @property
    def layers(self) -> tuple[tuple[Policy, ...], ...]:
        """Every layer, in the order in which a Deny is looked for."""
        own = (self.identity, self.boundary, self.session, self.resource)
        return tuple(layer or () for layer in (*own, self.scp, self.rcp, self.endpoint))


class Reason(StrEnum):
    """Why a request is allowed or denied."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicit deny"
    NO_IDENTITY_ALLOW = "no identity-based policy allows"
    NO_BOUNDARY_ALLOW = "no permissions boundary allows"
    NO_SESSION_ALLOW = "no session policy allows"
    NO_RESOURCE_ALLOW = "no resource-based policy allows"
    NO_SCP_ALLOW = "no service control policy allows"
    NO_RCP_ALLOW = "no resource control policy allows"
    NO_ENDPOINT_ALLOW = "no VPC endpoint policy allows"


@dataclass(frozen=True)
class Decision:
    """The answer, with the policy and statement (Sid or "#index") that gave it.

    Where nothing allows, `kind` says which kind of policy was missing an Allow, `policy` names it
    if there is exactly one, and `statement` is None. The root user's own account allows it
    without a policy: all three are None.
    """

    allowed: bool
    reason: Reason
    policy: str | None
    kind: PolicyKind | None
    statement: str | None


class _Hit(NamedTuple):
    policy: Policy
    statement: CompiledStatement
    named: Named


def evaluate(request: Request, policies: PolicySet) -> Decision:
    """Decide a request as AWS does: an explicit deny wins, and nothing is allowed by default.

    Raises Unsupported where the outcome depends on something that is not modelled.
    """
    facts = facts_of(request, policies)
    denied = _explicit_deny(facts, policies)
    if denied:
        return denied
    decision = _by_account(request, facts, policies)
    return (_beyond_organization(facts, policies) if decision.allowed else None) or decision


def _by_account(request: Request, facts: Facts, policies: PolicySet) -> Decision:
    principal = request.principal
    if principal.kind in ("anonymous", "service", "federated"):
        return _resource_alone(facts, policies)
    if resource_account(request) != principal.account or _is_chained_identity(request):
        return _across_accounts(facts, policies)
    return _within_account(facts, policies, _is_required(request, policies))


def evaluate_trust(request: Request, trust: Policy) -> Decision:
    """Decide sts:AssumeRole* by the role's trust policy alone.

    That is the whole answer for a service and for AssumeRoleWithWebIdentity, whose callers have
    no identity policies. A user or role that the trust policy names only by its account, or from
    another account, needs an identity policy too and is denied here: call evaluate() with both.
    """
    return evaluate(request, PolicySet(resource=(trust,)))


def _is_chained_identity(request: Request) -> bool:
    """Whether a role sets the source identity of another's session: both roles' policies must allow
    that, in one account, too.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
    """
    chained = request.principal.kind == "assumed-role"
    return chained and request.action.lower() == "sts:setsourceidentity"


def resource_account(request: Request) -> str:
    """The account that owns the resource, as far as the request says."""
    if request.resource_account is not None:
        return request.resource_account
    parts = request.resource.split(":", 5)
    if len(parts) == 6 and len(parts[4]) == 12 and parts[4].isdigit():
        return parts[4]
    return request.principal.account


def facts_of(request: Request, policies: PolicySet) -> Facts:
    """The request in the form that compiled statements read."""
    return Facts(
        request.principal,
        request.action,
        request.resource,
        request.context,
        bounded=policies.boundary is not None,
        unknown=request.unknown,
    )


def _is_required(request: Request, policies: PolicySet) -> bool:
    if policies.resource_required is not None:
        return policies.resource_required
    parts = request.resource.split(":", 5)
    if len(parts) == 6 and parts[2] == "kms" and parts[5].startswith("key/"):
        return True
    return any(policy.kind == "trust" for policy in policies.resource)


def _explicit_deny(facts: Facts, policies: PolicySet) -> Decision | None:
    unknown: Unsupported | None = None
    for layer in policies.layers:
        for policy in layer:
            for statement in policy.denies:
                try:
                    if statement.applies(facts):
                        hit = _Hit(policy, statement, Named.DIRECTLY)
                        return _decided(Reason.EXPLICIT_DENY, hit)
                except Unsupported as error:
                    unknown = unknown or _located(error, policy, statement)
    if unknown:
        raise unknown
    return None


def _located(error: Unsupported, policy: Policy, statement: CompiledStatement) -> Unsupported:
    return Unsupported(f"policy {policy.name!r}, statement {statement.source.label!r}: {error}")


def _best_allow(
    facts: Facts, layer: tuple[Policy, ...], enough: Named = Named.ACCOUNT
) -> tuple[_Hit | None, Unsupported | None]:
    """The Allow that names the caller most directly, and what is unknown."""
    best: _Hit | None = None
    unknown: Unsupported | None = None
    for policy in layer:
        for statement in policy.allows:
            try:
                named = statement.applies(facts)
            except Unsupported as error:
                unknown = unknown or _located(error, policy, statement)
                continue
            if named and (best is None or named > best.named):
                best = _Hit(policy, statement, named)
                if named >= enough:
                    return best, None
    return best, unknown


def _layer_allow(facts: Facts, layer: tuple[Policy, ...]) -> _Hit | None:
    hit, unknown = _best_allow(facts, layer)
    if hit is None and unknown:
        raise unknown
    return hit


def _within_account(facts: Facts, policies: PolicySet, required: bool) -> Decision:
    hit, unknown = _best_allow(facts, policies.resource, enough=Named.DIRECTLY)
    if hit and hit.named is Named.DIRECTLY:
        # Named itself, the caller is not limited by what other policies leave out.
        return _decided(Reason.ALLOWED, hit)
    decision = _with_own_policies(facts, policies, required, hit)
    if unknown and not decision.allowed:
        raise unknown
    return decision


def _with_own_policies(
    facts: Facts, policies: PolicySet, required: bool, hit: _Hit | None
) -> Decision:
    if required and hit is None:
        return _missing(Reason.NO_RESOURCE_ALLOW, "resource", policies.resource)
    if facts.principal.kind == "root":
        return Decision(True, Reason.ALLOWED, None, None, None)
    # An Allow for the role stands in for an identity policy; one for the account only lets
    # the account's own policies decide.
    grant = hit if hit and hit.named is Named.ROLE else _layer_allow(facts, policies.identity)
    if grant is None:
        return _missing(Reason.NO_IDENTITY_ALLOW, "identity", policies.identity)
    return _beyond_limits(facts, policies) or _decided(Reason.ALLOWED, grant)


def _across_accounts(facts: Facts, policies: PolicySet) -> Decision:
    grant = None
    if facts.principal.kind != "root":
        grant = _layer_allow(facts, policies.identity)
        if grant is None:
            return _missing(Reason.NO_IDENTITY_ALLOW, "identity", policies.identity)
        limited = _beyond_limits(facts, policies)
        if limited:
            return limited
    hit = _layer_allow(facts, policies.resource)
    if hit is None:
        return _missing(Reason.NO_RESOURCE_ALLOW, "resource", policies.resource)
    return _decided(Reason.ALLOWED, grant or hit)


def _resource_alone(facts: Facts, policies: PolicySet) -> Decision:
    hit = _layer_allow(facts, policies.resource)
    if hit is None:
        return _missing(Reason.NO_RESOURCE_ALLOW, "resource", policies.resource)
    return _decided(Reason.ALLOWED, hit)


def _beyond_limits(facts: Facts, policies: PolicySet) -> Decision | None:
    """The denial by a boundary or session policy that does not allow, if there is one."""
    if policies.boundary is not None and not _layer_allow(facts, policies.boundary):
        return _missing(Reason.NO_BOUNDARY_ALLOW, "boundary", policies.boundary)
    if policies.session is not None and not _layer_allow(facts, policies.session):
        return _missing(Reason.NO_SESSION_ALLOW, "session", policies.session)
    return None


def _beyond_organization(facts: Facts, policies: PolicySet) -> Decision | None:
    """The denial by the organization's or an endpoint's policies, if they do not allow."""
    limits: tuple[tuple[Reason, PolicyKind, tuple[Policy, ...] | None], ...] = (
        (Reason.NO_SCP_ALLOW, "scp", policies.scp),
        (Reason.NO_RCP_ALLOW, "rcp", policies.rcp),
        (Reason.NO_ENDPOINT_ALLOW, "endpoint", policies.endpoint),
    )
    for reason, kind, layer in limits:
        if layer is not None and not _layer_allow(facts, layer):
            return _missing(reason, kind, layer)
    return None


def _decided(reason: Reason, hit: _Hit) -> Decision:
    label = hit.statement.source.label
    return Decision(reason is Reason.ALLOWED, reason, hit.policy.name, hit.policy.kind, label)


def _missing(reason: Reason, kind: PolicyKind, layer: tuple[Policy, ...]) -> Decision:
    only = layer[0] if len(layer) == 1 else None
    return Decision(False, reason, only.name if only else None, only.kind if only else kind, None)
