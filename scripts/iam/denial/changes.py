"""The smallest change of policies, or of a request, that would allow what was denied."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scripts.iam.account.identities import is_shared
from scripts.iam.denial import deny
from scripts.iam.denial.dangers import dangers
from scripts.iam.engine.documents import Condition, Policy, PolicyKind, Statement
from scripts.iam.engine.errors import Unsupported
from scripts.iam.engine.evaluation import Decision, PolicySet, Principal, Reason, Request, evaluate
from scripts.iam.engine.explanation import Considered, Failure, explain
from scripts.iam.engine.principals import ANYONE
from scripts.iam.reference import never_sets, only_star

# What the trust policy of the role that is asked for decides, beside sts:AssumeRole*.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html and the pages beside it
_OF_TRUST = ("sts:tagsession", "sts:setsourceidentity", "sts:setcontext")
# Whose else a layer's policies are.
_OF_MANY = {
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    "boundary": "this widens the boundary of every role and user that has it, and allows nothing "
    "by itself: the caller's own policies have to allow it, too",
    "scp": "this is the organization's: it widens what every account below it may",
    "rcp": "this is the organization's: it widens who may reach every account below it",
    "endpoint": "this widens what every caller may that takes the VPC endpoint",
}
# What allows nothing -> where it is kept in a PolicySet.
_LAYERS = {
    Reason.NO_IDENTITY_ALLOW: "identity",
    Reason.NO_BOUNDARY_ALLOW: "boundary",
    Reason.NO_SESSION_ALLOW: "session",
    Reason.NO_RESOURCE_ALLOW: "resource",
    Reason.NO_SCP_ALLOW: "scp",
    Reason.NO_RCP_ALLOW: "rcp",
    Reason.NO_ENDPOINT_ALLOW: "endpoint",
}


@dataclass(frozen=True)
class Change:
    """One edit: which policy, in which layer, what to write, and what speaks against it."""

    policy: str
    kind: PolicyKind
    edit: str
    statement: Mapping[str, Any] | None
    warnings: tuple[str, ...] = ()


def by_trust(action: str, resource: str) -> bool:
    """Whether the trust policy of a role decides, and the caller's policies."""
    lower = action.lower()
    return lower.startswith("sts:assumerole") or (lower in _OF_TRUST and ":role/" in resource)


def _allows(request: Request, policies: PolicySet) -> bool:
    try:
        return evaluate(request, policies).allowed
    except Unsupported:
        return False


@dataclass
class Amended:
    """Changes as they are found, and what they make of the request and its policies."""

    request: Request
    policies: PolicySet
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def allowed(self) -> bool:
        """Whether the changes suffice."""
        return _allows(self.request, self.policies)


def changed(request: Request, policies: PolicySet) -> Amended:
    """Amend one layer after the other until the engine allows the request, or nothing is safe."""
    found = Amended(request, _in_one_order(policies))
    for _ in range(8):
        try:
            decision = evaluate(found.request, found.policies)
        except Unsupported as error:
            found.notes.append(f"whether the changes suffice is unknown: {error}")
            break
        if decision.allowed or not _amend(found, decision):
            break
    if not found.allowed:
        found.changes.clear()
    return found


def _in_one_order(policies: PolicySet) -> PolicySet:
    """The same policies, so that no choice hangs on the order of files or statements: a caller's
    own before shared ones."""

    def ordered(policy: Policy) -> Policy:
        statements = sorted(policy.statements, key=lambda one: json.dumps(as_json(one)))
        return replace(policy, statements=tuple(statements))

    layers: dict[str, Any] = {
        kind: layer and tuple(ordered(one) for one in sorted(
            layer, key=lambda policy: (is_shared(policy.name), policy.name)))
        for kind in _LAYERS.values() for layer in [getattr(policies, kind)]
    }  # fmt: skip
    return replace(policies, **layers)


def _with(policies: PolicySet, layer: str, amended: tuple[Policy, ...]) -> PolicySet:
    return replace(policies, **{layer: amended})  # type: ignore[arg-type]


def _amend(found: Amended, decision: Decision) -> bool:
    """Find the next change; False if there is none that would be safe."""
    if decision.reason is Reason.EXPLICIT_DENY:
        return _lift_denies(found)
    policies = found.policies
    kind = _LAYERS[decision.reason]
    layer: tuple[Policy, ...] = getattr(policies, kind) or ()
    if kind == "resource" and only_star(found.request.action):
        found.notes.append(
            f"{found.request.action} takes no resource, so no policy of a resource can allow it: "
            "ask as somebody of the account whose it is"
        )
        return False
    if kind == "resource" and not layer:
        found.notes += _unread(found.request)
    if fixed := _cannot_edit(found.request.principal, layer, kind):
        asked = f"{found.request.action} on {grantable(found.request)}"
        found.notes.append(f"{fixed}; what lacks is an Allow of {asked}")
        if kind != "identity" or not _of_service(found.request.principal) or not policies.resource:
            return False
        layer, kind = policies.resource, "resource"  # which can name the role itself
    nearest = _nearest(found.request, policies, layer, kind)
    if isinstance(nearest, str):
        found.notes.append(nearest)
        return False
    change, amended = nearest
    found.notes += _by_reference(found.request, change)
    found.changes.append(change)
    found.policies = _with(policies, kind, amended)
    return True


def _by_reference(request: Request, change: Change) -> Iterator[str]:
    """What AWS's reference says of the action, where the change rests on it."""
    if only_star(request.action) and "*" in (change.statement or {}).get("Resource", ()):
        if request.resource == "*":
            yield f"{request.action} takes no resource, so a policy has to name *"
        else:
            yield (
                f"{request.action} takes no resource by AWS's reference, so * is named; "
                f"{request.resource}, which was asked for, may do if AWS checks it"
            )


def _unread(request: Request) -> Iterator[str]:
    """What is not known where no policy of the resource was found."""
    if request.principal.kind == "service":
        yield (
            "a service is allowed by the policy of what it asks for; none was found there: it has "
            "none, or is of a kind whose policy is not read"
        )
    elif foreign := _foreign(request):
        yield (
            f"what was asked for is account {foreign}'s: a policy of its own must allow it, too, "
            "and was not looked at; whoever keeps that account can tell what it says"
        )


def _foreign(request: Request) -> str:
    """The account of what was asked for, if it is not the caller's; "" if it is or is not known."""
    parts = request.resource.split(":", 5)
    owner = request.resource_account or (parts[4] if len(parts) == 6 else "")
    return owner if _differs(owner, request.principal.account) else ""


def foreign_account(arn: str, own: str) -> str:
    """The account in an ARN, if it is another one; "" if it is not or the ARN has none."""
    owner = [*arn.split(":", 5), "", "", "", "", ""][4]
    return owner if _differs(owner, own) else ""


def _differs(owner: str, own: str) -> bool:
    return bool(own) and owner.isdigit() and owner != own


def _lift_denies(found: Amended) -> bool:
    """Explain each Deny by what held, and take the first proposal that lifts them all and opens
    nothing else."""
    deniers = [
        one for one in explain(found.request, found.policies).considered
        if one.effect == "Deny" and one.matched
    ]  # fmt: skip
    for denier in deniers:
        _, policy, old = _place(found.policies, denier)
        whose = f"statement {old.label} of {policy.name} denies"
        why = "; ".join(deny.reasons(found.request, denier, old))
        found.notes.append(
            f"{whose} because {why}" if why else f"{whose} whatever the request carries"
        )
    if any(_lift(found, denier) for denier in deniers):
        return True
    found.notes += dict.fromkeys(deny.nothing_fits(found.request, one) for one in deniers)
    return False


def _place(policies: PolicySet, one: Considered) -> tuple[str, Policy, Statement]:
    """The layer, the policy and the statement that was considered."""
    name = "resource" if one.kind == "trust" else one.kind
    policy = next(each for each in getattr(policies, name) if each.name == one.policy)
    return name, policy, next(each for each in policy.statements if each.label == one.statement)


def _lift(found: Amended, denier: Considered) -> bool:
    name, policy, old = _place(found.policies, denier)
    for proposal in deny.proposals(found.request, denier, old):
        policies = found.policies
        if proposal.statement is not None:
            new = deny.amended_by(policy, old, proposal.statement)
            layer = getattr(policies, name)
            policies = _with(policies, name, tuple(new if one is policy else one for one in layer))
        edits_awss = proposal.statement is not None and _is_awss(policy.name)
        if edits_awss or not deny.tried(found.request, policies, proposal):
            continue
        if proposal.context is not None:
            found.request = replace(found.request, context=proposal.context)
        statement = None if proposal.statement is None else as_json(proposal.statement)
        warnings = () if proposal.statement is None else (
            f"statement {old.label} denies on purpose: ask whoever wrote it",
        )  # fmt: skip
        where = policy.name if proposal.statement is not None else "the request"
        found.changes.append(Change(where, denier.kind, proposal.edit, statement, warnings))
        found.policies = policies
        return True
    return False


def _nearest(
    request: Request, policies: PolicySet, layer: tuple[Policy, ...], kind: str
) -> tuple[Change, tuple[Policy, ...]] | str:
    """Widen the Allow that lacks least; else add a statement. One that fits but for its condition
    comes first: whatever else is widened goes round that condition. A text says why neither
    would be safe."""
    alone = explain(request, PolicySet(resource=policies.resource) if kind == "resource"
                    else PolicySet(identity=_as_identity(layer)))  # fmt: skip
    allows = [
        one for one in alone.considered
        if one.effect == "Allow" and one.failures and not any(
            f.unsupported or f.element not in ("Resource", "Condition") for f in one.failures)
    ]  # fmt: skip
    guards = [
        one for one in allows
        if not _lacks_resource(one) and not all(is_dead(request.action, f) for f in one.failures)
    ]  # fmt: skip
    if allows:
        closest = min(allows, key=lambda one: (_lacks_resource(one), len(one.failures),
                                               _is_awss(one.policy)))  # fmt: skip
        if refused := _must_not_widen(request, closest):
            return refused
        dead = [failure for failure in closest.failures if is_dead(request.action, failure)]
        # Of a statement that lacks more than its resource, little fits.
        little = guards or len(closest.failures) - len(dead) <= 1 or kind != "identity"
        if little and not _is_awss(closest.policy):
            return _widened(request, layer, closest, kind)
    if request.principal.kind == "anonymous":
        return (
            "a statement that lets in an anonymous request lets in everybody, so none is proposed: "
            "sign the request, or limit such a statement by what the network tells"
        )
    change, amended = _added(request, layer, kind)
    round_it = tuple(
        f"this goes round statement {one.statement} of {one.policy}, which allows it only with "
        + " and ".join(str(failure.key) for failure in one.failures)
        for one in guards
    )
    return replace(change, warnings=(*round_it, *change.warnings)), amended


def _lacks_resource(one: Considered) -> bool:
    return any(failure.element == "Resource" for failure in one.failures)


def _cannot_edit(caller: Principal, layer: tuple[Policy, ...], kind: str) -> str | None:
    """Why no policy of this layer is anybody's here to edit.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
    https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
    """
    role = caller.role_arn or ""
    if kind == "identity" and _of_service(caller):
        return f"{role} is its service's own: AWS alone edits what it may"
    if kind == "identity" and ":role/aws-reserved/" in role:
        return f"{role} is IAM Identity Center's: edit its permission set there"
    if kind == "boundary" and layer and all(_is_awss(one.name) for one in layer):
        return f"the boundary {layer[0].name} is AWS's own: another one must take its place"
    return None


def _of_service(caller: Principal) -> bool:
    """Whether the caller's role is a service-linked one."""
    return ":role/aws-service-role/" in (caller.role_arn or "")


def _is_awss(policy: str) -> bool:
    """Whether a managed policy is AWS's, which nobody else edits."""
    return ":iam::aws:policy/" in policy


def _as_identity(layer: tuple[Policy, ...]) -> tuple[Policy, ...]:
    return tuple(replace(policy, kind="identity") for policy in layer)


def _widened(
    request: Request, layer: tuple[Policy, ...], closest: Considered, kind: str
) -> tuple[Change, tuple[Policy, ...]]:
    policy = next(one for one in layer if one.name == closest.policy)
    old = next(one for one in policy.statements if one.label == closest.statement)
    dead = {f.key for f in closest.failures if is_dead(request.action, f)}
    alone = policy.kind == "trust" or (_is_for(request.action, old) and not dead)
    new, edits, warnings = old if alone else _like(old, request), [], []
    new = replace(new, conditions=tuple(one for one in new.conditions if one.key not in dead))
    for failure in closest.failures:
        if failure.key in dead and failure.key is not None:
            edits.append(f"without {failure.key}, which AWS never sets for {request.action}")
            continue
        if failure.element == "Resource":
            if alone:
                new = replace(new, resources=(*(new.resources or ()), grantable(request)))
            edits.append(f"add {grantable(request)} to its resources")
            continue
        assert failure.key is not None
        kept = failure.wanted if alone else ()
        new = _with_values(new, failure, (*kept, *failure.actual[:1]))
        has = ", ".join(failure.actual) or "no value"
        edits.append(
            f"{failure.key}: it wants {' or '.join(failure.wanted)} ({failure.operator}), the "
            f"request has {has}; let the request carry the wanted value, or widen the condition"
        )
        warnings.append(f"widening the condition on {failure.key} opens it for every request")
    if policy.kind == "trust":
        warnings.append("this edits a trust policy: it decides who becomes the role")
    if kind in _OF_MANY:
        warnings.append(_OF_MANY[kind])
    warnings += dangers(request.action, new.resources or (), [one.key for one in new.conditions])
    if alone:
        edit = f"in statement {old.label}: " + "; ".join(edits)
        statements = tuple(new if one is old else one for one in policy.statements)
    else:
        edit = f"add a statement; {old.label} lacks only this, and allows other actions too"
        if dead:
            edit = f"add a statement like {old.label}, " + "; ".join(edits)
        statements = (*policy.statements, new)
    change = Change(policy.name, policy.kind, edit, as_json(new), tuple(dict.fromkeys(warnings)))
    amended = replace(policy, statements=statements)
    return change, tuple(amended if one is policy else one for one in layer)


def _is_for(action: str, statement: Statement) -> bool:
    """Whether a statement is for this action alone: a wider one is wider for nothing else."""
    return [one.lower() for one in statement.actions or ()] == [action.lower()]


def _like(statement: Statement, request: Request) -> Statement:
    """A statement with the same conditions and principals, for the one request."""
    return replace(
        statement,
        sid=None,
        index=99,
        actions=(request.action,),
        not_actions=None,
        resources=(grantable(request),),
        not_resources=None,
    )


def grantable(request: Request) -> str:
    """What a policy has to name for the action: its resource, or * where it takes none."""
    if request.action.lower() == "secretsmanager:createsecret":
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
        # The name ends in six characters that are new with each try.
        return re.sub(r"-[A-Za-z0-9]{6}$", "-??????", request.resource)
    if request.action.lower() in ("logs:createlogstream", "logs:putlogevents"):
        # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html
        # Lambda makes another stream for each environment that runs a function.
        return re.sub(r":log-stream:\d{4}/\d\d/\d\d/.*", ":log-stream:*", request.resource)
    return "*" if only_star(request.action) else request.resource


def is_dead(action: str, failure: Failure) -> bool:
    """Whether a condition fails because AWS never sets its key for the action."""
    return failure.key is not None and not failure.actual and never_sets(action, failure.key)


# Everything of a service, by an ARN with an account and no name.
_ALL_OF_IT = re.compile(r"arn:[\w-]+:[\w-]+:[\w-]*:[^:]+:\*")
# Operators whose list of values may grow by one that the request has.
_LISTS = ("StringEquals", "StringLike", "ArnLike", "ArnEquals", "StringEqualsIfExists")


def _must_not_widen(request: Request, closest: Considered) -> str | None:
    """Why a statement's failed conditions are none to widen, if so."""
    for failure in closest.failures:
        nameless = _ALL_OF_IT.fullmatch(request.resource) and not only_star(request.action)
        if failure.element == "Resource" and nameless:
            return (
                f"AWS names {request.resource} where what was asked for has no valid name, or "
                "none: the request is to be put right, and no policy is to allow that"
            )
        if failure.key is None or is_dead(request.action, failure):
            continue
        place = f"statement {closest.statement} of {closest.policy}"
        wanted = " or ".join(value or '""' for value in failure.wanted)
        if not failure.actual and (
            never := deny.never_tagged(request.action, request.resource, failure.key)
        ):
            return f"{never}; allow the action on it in a statement without this condition"
        if not failure.actual:
            return (
                f"{place} wants {failure.key} to be {wanted} ({failure.operator}), and the request "
                f"has no such key: {deny.carried(request, failure.key)}; without the condition "
                "everybody's request would pass"
            )
        if failure.key.lower() in _GUARDS:
            return (
                f"{place} wants {failure.key} to be {wanted} ({failure.operator}), and the request "
                f"has {', '.join(failure.actual)}: let the request carry the wanted value; a wider "
                "condition would take the guard away"
            )
        listed = (failure.operator or "").rpartition(":")[2] in _LISTS
        if len(failure.actual) != 1 or not listed or failure.key.lower() in _OF_THE_WAY:
            return (
                f"{place} wants {failure.key} to be {wanted} ({failure.operator}), and the request "
                f"has {', '.join(failure.actual)}: no wider condition is proposed, it would pass "
                "more than this request"
            )
    return None


# Keys by which whoever makes identities is held to bounded ones.
_GUARDS = frozenset({"iam:permissionsboundary"})
# Keys that say how a request came; the value seen here is this machine's.
_OF_THE_WAY = frozenset({"aws:sourceip", "aws:sourcevpce", "aws:sourcevpc", "aws:vpcsourceip",
                         "aws:securetransport"})  # fmt: skip


def _with_values(statement: Statement, failure: Failure, values: tuple[str, ...]) -> Statement:
    """The statement with other values in the condition that failed."""
    assert failure.operator is not None and failure.key is not None
    new = Condition(failure.operator, failure.key, values)
    return replace(
        statement,
        conditions=tuple(
            new if (one.operator, one.key) == (new.operator, new.key) else one
            for one in statement.conditions
        ),
    )


def _added(
    request: Request, layer: tuple[Policy, ...], kind: str
) -> tuple[Change, tuple[Policy, ...]]:
    # A role's trust policy and a repository's policy are taken with no Resource alone.
    # https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policy-examples.html
    trust = by_trust(request.action, request.resource)
    bare = trust or request.action.startswith("ecr:")
    principals = None
    if kind == "resource":
        principals = _named(request.principal, layer)
    elif kind in ("rcp", "endpoint"):
        principals = {ANYONE: (ANYONE,)}
    statement = Statement(
        sid=None,
        index=99,
        effect="Allow",
        actions=(request.action,),
        resources=None if bare and kind == "resource" else (grantable(request),),
        principals=principals,
        conditions=_limits(request),
    )
    warnings = dangers(
        request.action, [grantable(request)], [one.key for one in statement.conditions]
    )
    if kind == "resource" and request.principal.arn.endswith(":root"):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
        warnings.insert(
            0,
            f"{request.principal.arn} as a principal is the whole account: everybody in it whose "
            "own policies allow the action; ask as a role, which can be named alone",
        )
    if kind == "resource" and not trust and request.principal.kind == "service":
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
        warnings.append(
            "the service acts for every account: limit the statement to what it acts for "
            "(aws:SourceArn, aws:SourceAccount)"
        )
    if kind == "resource" and trust:
        warnings.insert(0, "this edits a trust policy: it decides who becomes the role")
    if kind in _OF_MANY:
        warnings.insert(0, _OF_MANY[kind])
    own = [policy for policy in layer if not _is_awss(policy.name)]
    if own:
        target = own[0]
        longer = replace(target, statements=(*target.statements, statement))
        amended = tuple(longer if one is target else one for one in layer)
        name, where = target.name, target.kind
    else:
        made: PolicyKind = "resource" if kind == "resource" else "identity"
        version = "2012-10-17"
        foreign = kind == "resource" and _foreign(request)
        whose = "role's trust" if trust else "resource's"
        name = f"the {whose} policy in account {foreign}" if foreign else f"a new {kind} policy"
        where = made
        amended = (*layer, Policy(name, made, version, (statement,)))
    edit = "add a statement"
    return Change(name, where, edit, as_json(statement), tuple(warnings)), amended


# The keys that say for which service a role is: an Allow without them is for every service.
_LIMITED = {
    "iam:passrole": "iam:PassedToService",
    "iam:createservicelinkedrole": "iam:AWSServiceName",
}


def _limits(request: Request) -> tuple[Condition, ...]:
    """The condition that keeps an Allow to the service of this request, where it is known."""
    key = _LIMITED.get(request.action.lower(), "")
    known = (had for name, had in request.context.items() if name.lower() == key.lower() and had)
    return tuple(Condition("StringEquals", key, had) for had in known)


def _named(caller: Principal, layer: tuple[Policy, ...]) -> Mapping[str, tuple[str, ...]]:
    """The caller as a Principal: its role, or this session alone where sessions are told apart."""
    if caller.kind == "federated":
        return {"Federated": (str(caller.federated_provider),)}
    if caller.kind == "service":
        return {"Service": (str(caller.service),)}
    of_role = caller.arn.rpartition("/")[0]
    apart = "/" in of_role and any(
        caller.kind == "assumed-role" and name.startswith(f"{of_role}/")
        for policy in layer
        for statement in policy.statements
        for name in (statement.principals or {}).get("AWS", ())
    )
    return {"AWS": (caller.arn if apart else caller.role_arn or caller.arn,)}


def as_json(statement: Statement) -> dict[str, Any]:
    """A statement as a policy document has it."""
    content: dict[str, Any] = {"Sid": statement.sid} if statement.sid else {}
    content["Effect"] = statement.effect
    for element, values in (
        ("Action", statement.actions),
        ("NotAction", statement.not_actions),
        ("Resource", statement.resources),
        ("NotResource", statement.not_resources),
    ):
        if values is not None:
            content[element] = list(values)
    if statement.principals is not None:
        named = {kind: list(names) for kind, names in statement.principals.items()}
        content["Principal"] = ANYONE if ANYONE in named else named
    conditions: dict[str, dict[str, list[str]]] = {}
    for condition in statement.conditions:
        conditions.setdefault(condition.operator, {})[condition.key] = list(condition.values)
    if conditions:
        content["Condition"] = conditions
    return content
