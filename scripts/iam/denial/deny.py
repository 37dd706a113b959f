"""An explicit Deny: why it held, and what may be changed without opening it for others.

A Deny is there on purpose. So what is proposed is a request that it does not mean, or a Deny that
says more exactly what it means; each is tried out, on the request and on strangers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from scripts.iam.engine.documents import Policy
from scripts.iam.engine.elements import Condition, Statement
from scripts.iam.engine.errors import Unsupported
from scripts.iam.engine.evaluation import PolicySet, Principal, Request, evaluate
from scripts.iam.engine.explanation import Considered, Held
from scripts.iam.reference import GLOBAL_REGION, is_global, never_sets

_NEGATED = ("StringNot", "ArnNot", "NumericNot", "DateNot", "NotIpAddress")
# Headers that the sender of a request chooses.
_HEADERS = "s3:x-amz-"
# A request has these or not by the way it takes; a guard for their absence opens that way.
_NETWORK = frozenset(
    {"aws:sourceip", "aws:vpcsourceip", "aws:sourcevpce", "aws:sourcevpc", "aws:viaawsservice"}
)
_STRANGER = "999999999999"
_BOUNDARY = "iam:permissionsboundary"
_TAG = "aws:requesttag/"
_PRINCIPAL = "aws:principalarn"
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCompromisedKeyQuarantineV2.html
_QUARANTINE = ":iam::aws:policy/AWSCompromisedKeyQuarantine"


@dataclass(frozen=True)
class Proposal:
    """What to do: a request with other keys, or another statement in place of the Deny.

    `meant` are requests that the Deny is there for, and must go on to deny.
    """

    edit: str
    statement: Statement | None = None
    context: Mapping[str, tuple[str, ...]] | None = None
    meant: tuple[Request, ...] = ()


def reason(held: Held) -> str:
    """Why a condition held, in a sentence."""
    wanted = " or ".join(value or '""' for value in held.wanted)
    if not held.known:
        return f"{held.key} {held.operator} {wanted}; the message does not say what it was"
    if held.actual:
        return f"{held.key} is {', '.join(held.actual)} ({held.operator} {wanted})"
    base = held.operator.rpartition(":")[2]
    if base.startswith("Null"):
        return f"the request has no {held.key}, and Null asks for that"
    if base.endswith("IfExists"):
        return f"the request has no {held.key}, and ...IfExists is true without it"
    if base.startswith(_NEGATED):
        return (
            f"the request has no {held.key}, and {base} is true of a key that is not there "
            f"(wanted: {wanted})"
        )
    return f"the request has no {held.key}, and {held.operator} is true without it"


def reasons(request: Request, denier: Considered, statement: Statement) -> Iterator[str]:
    """Why a Deny held: what it excepts and the request is not among, and its conditions."""
    excepted = (
        ("NotAction", request.action, statement.not_actions),
        ("NotResource", request.resource, statement.not_resources),
    )
    for element, had, values in excepted:
        if values is not None:
            yield f"{had} is not among its {element} ({', '.join(values)})"
    if statement.not_principals is not None:
        yield f"{request.principal.arn} is not among its NotPrincipal"
    yield from map(reason, denier.held)


def proposals(request: Request, denier: Considered, statement: Statement) -> Iterator[Proposal]:
    """What could be done about a Deny, the safest first; nothing of it is tried out yet."""
    if statement.not_principals is not None:
        yield from _by_principal_arn(request, statement)
        return
    for held in denier.held:
        yield from _another_request(request, held)
    network = [held for held in denier.held if held.key.lower() in _NETWORK]
    if network:
        yield from _by_all_ways(request, statement)
        return
    for held in denier.held:
        header = held.key.lower().startswith(_HEADERS) and not never_sets(request.action, held.key)
        if header and not held.actual and _negated(held):
            guard = Condition("Null", held.key, ("false",))
            yield Proposal(
                f"deny only requests that have {held.key}: add a Null condition to it",
                replace(statement, conditions=(*statement.conditions, guard)),
                meant=(replace(request, context=_with(request, held.key, ("another value",))),),
            )


def never_tagged(action: str, resource: str, key: str) -> str | None:
    """Why no request carries a tag on this resource, if so: EC2 sets the tags of a request for what
    it makes, whose ARN still ends in a star, and for what CreateTags names.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """
    service, _, name = action.partition(":")
    made = resource.endswith("*") or name in ("CreateTags", "DeleteTags")
    if not key.lower().startswith(_TAG) or service != "ec2" or made:
        return None
    return (
        f"AWS sets {key} for what {action} makes, and {resource} is there already: "
        "no request carries it there"
    )


# Who puts a key into a request, where it is not the request's sender by a parameter.
_CARRIERS = {
    ":resourcetag/": "it is a tag of {resource}: tag that, if it is meant to be reached",
    ":existingobjecttag/": "it is a tag of the object: tag that, if it is meant to be reached",
    "aws:principaltag/": "it is a tag of the caller's role, user or session: tag that",
    "aws:principalorg": "AWS sets it where the caller is a user or role of an organization's "
    "account, and of no service; there aws:SourceOrgID and aws:SourceOrgPaths tell whose resource "
    "it acts for",
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html
    "aws:multifactorauth": "sign in with MFA (an access key alone never carries that: aws sts "
    "get-session-token --serial-number DEVICE --token-code CODE gives keys that do)",
    "aws:requestedregion": "send it to a region that is named",
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    "iam:permissionsboundary": "set that boundary on what the call makes (PermissionsBoundary)",
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
    "secretsmanager:versionstage": "name VersionStage in the call, which else has no such key",
    "aws:calledvia": "make the call through the service that is named",
    "aws:securetransport": "send it over TLS (https)",
    "aws:sourcevpc": "send it through the VPC endpoint",
}


def carried(request: Request, key: str) -> str:
    """How a request comes to have a key that it lacks."""
    return way(key).format(resource=request.resource) or "let the request carry it"


def way(key: str) -> str:
    """The way of a key into a request, where it is a known one; with a place for the resource."""
    return next((way for part, way in _CARRIERS.items() if part in key.lower()), "")


def nothing_fits(request: Request, denier: Considered) -> str:
    """Why no change of a Deny is proposed."""
    if _QUARANTINE in denier.policy:
        return (
            "AWS attaches this policy to a user whose access key was exposed, and says not to "
            "remove it: follow the support case that AWS opened for the account"
        )
    if ":iam::aws:policy/" in denier.policy:
        return (
            "no change is proposed: the policy is AWS's own, which nobody else edits; whoever "
            "attached it can tell what it is there for"
        )
    for held in denier.held:
        if not held.actual and never_sets(request.action, held.key):
            return (
                f"AWS never sets {held.key} for {request.action}, so every such request is denied; "
                "whoever wrote the Deny may limit it to actions that have the key"
            )
        if not held.actual and (never := never_tagged(request.action, request.resource, held.key)):
            return f"{never}; whoever wrote the Deny may limit its Resource to what the call makes"
    if any(held.key.lower() == _PRINCIPAL and _negated(held) for held in denier.held):
        return (
            "no change is proposed: the Deny excepts those that it names, and the caller is not "
            "among them; whether it should be is for whoever wrote it to say"
        )
    told = (
        "no change is proposed: nothing less than lifting the Deny was found; ask whoever wrote it"
    )
    if is_global(request.action) and any(
        held.key.lower() == "aws:requestedregion" for held in denier.held
    ):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_examples_aws_deny-requested-region.html
        told += (
            f". {request.action.partition(':')[0]} has one endpoint for all regions, in "
            f"{GLOBAL_REGION}; AWS's example of a Deny by region excepts such services by NotAction"
        )
    return told


def _negated(held: Held) -> bool:
    return held.operator.rpartition(":")[2].startswith(_NEGATED)


def _another_request(request: Request, held: Held) -> Iterator[Proposal]:
    """The same request with what the condition does not mean."""
    lower = held.key.lower()
    if not held.actual and never_sets(request.action, held.key):
        return
    if lower == "aws:securetransport" and held.actual == ("false",):
        context = _with(request, held.key, ("true",))
        yield Proposal("send the request over TLS (https)", context=context)
    plain = held.operator.removesuffix("IfExists") in ("StringNotEquals", "StringNotLike")
    fixed = [value for value in held.wanted if "*" not in value and "${" not in value]
    if lower == _BOUNDARY and plain and fixed:
        context = _with(request, held.key, (fixed[0],))
        yield Proposal(f"make the call with the permissions boundary {fixed[0]}", context=context)
    if (
        lower.startswith(_TAG)
        and not held.actual
        and never_tagged(request.action, request.resource, held.key) is None
    ):
        value = fixed[0] if plain and fixed else "a value"
        context = _with(request, held.key, (value,))
        yield Proposal(f"tag what the call makes: {held.key[len(_TAG) :]}={value}", context=context)
    if lower.startswith(_HEADERS) and plain and fixed:
        header = held.key.partition(":")[2]
        context = _with(request, held.key, (fixed[0],))
        yield Proposal(f"send the header {header}: {fixed[0]} with the request", context=context)


def _with(request: Request, key: str, values: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    kept = {name: had for name, had in request.context.items() if name.lower() != key.lower()}
    return {**kept, key: values}


def _by_principal_arn(request: Request, statement: Statement) -> Iterator[Proposal]:
    """NotPrincipal as a condition on the role or user, whatever the session is called.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
    """
    meant = [arn for arn in (statement.not_principals or {}).get("AWS", ()) if _is_identity(arn)]
    arns = tuple(dict.fromkeys(_role_of(arn) for arn in meant))
    own = request.principal.role_arn or request.principal.arn
    if own not in arns:
        return  # the Deny is meant for this caller
    yield Proposal(
        "name the excepted roles by a condition: ArnNotEquals on aws:PrincipalArn instead of "
        "NotPrincipal, which does not except a role's sessions",
        replace(
            statement,
            not_principals=None,
            principals={"*": ("*",)},
            conditions=(*statement.conditions, Condition("ArnNotEquals", "aws:PrincipalArn", arns)),
        ),
        meant=tuple(_by_strangers(request)),
    )


def _is_identity(arn: str) -> bool:
    return ":role/" in arn or ":user/" in arn or ":assumed-role/" in arn


def _role_of(arn: str) -> str:
    """The role of a session's ARN; the path of a role is not in it."""
    if ":assumed-role/" not in arn:
        return arn
    account, name = arn.split(":")[4], arn.split("/")[1]
    return f"arn:aws:iam::{account}:role/{name}"


def _by_all_ways(request: Request, statement: Statement) -> Iterator[Proposal]:
    """A Deny by address that knows of VPC endpoints and of services that act for a caller.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies-vpc-endpoint.html
    """
    context = {key.lower(): values for key, values in request.context.items()}
    addresses = next(
        (one for one in statement.conditions if one.key.lower() == "aws:sourceip"), None
    )
    if addresses is None or not addresses.operator.startswith("NotIpAddress"):
        return
    endpoint = context.get("aws:sourcevpce", ())
    if context.get("aws:sourceip") or not endpoint:
        return  # the request came from an address that the Deny is meant for
    others = tuple(one for one in statement.conditions if one.key.lower() not in _NETWORK)
    conditions = (
        Condition("NotIpAddressIfExists", addresses.key, addresses.values),
        Condition("StringNotEqualsIfExists", "aws:SourceVpce", endpoint),
        Condition("BoolIfExists", "aws:ViaAWSService", ("false",)),
    )
    yield Proposal(
        f"except the endpoint {endpoint[0]} and AWS's services in the same Deny: requests through "
        "a VPC endpoint have no aws:SourceIp",
        replace(statement, conditions=(*others, *conditions)),
        meant=tuple(_from_elsewhere(request)),
    )


def tried(request: Request, amended: PolicySet, proposal: Proposal) -> bool:
    """Whether a proposal lifts this Deny, and leaves it in force for whom it means."""
    asked = request if proposal.context is None else replace(request, context=proposal.context)
    return not _denies_explicitly(asked, amended) and all(
        _denies_explicitly(one, amended) for one in proposal.meant
    )


def _by_strangers(request: Request) -> Iterator[Request]:
    """The same request by others: of another account, of this one, and of nobody."""
    for account, name in ((_STRANGER, "stranger"), (request.principal.account, "neighbour")):
        arn = f"arn:aws:iam::{account}:role/{name}"
        session = f"arn:aws:sts::{account}:assumed-role/{name}/session"
        principal = Principal(session, account, "assumed-role", role_arn=arn)
        keys = _with(request, "aws:PrincipalArn", (arn,))
        yield replace(request, principal=principal, context=keys)
    keys = {k: v for k, v in request.context.items() if k.lower() != "aws:principalarn"}
    yield replace(request, principal=Principal("*", "", "anonymous"), context=keys)


def _from_elsewhere(request: Request) -> Iterator[Request]:
    """The same request from another endpoint, and from another address."""
    kept = {k: v for k, v in request.context.items() if k.lower() not in _NETWORK}
    own = {"aws:ViaAWSService": ("false",)}
    yield replace(request, context={**kept, **own, "aws:SourceVpce": ("vpce-0stranger",)})
    yield replace(request, context={**kept, **own, "aws:SourceIp": ("198.51.100.99",)})


def _denies_explicitly(request: Request, policies: PolicySet) -> bool:
    try:
        return str(evaluate(request, policies).reason) == "explicit deny"
    except Unsupported:
        return True


def amended_by(policy: Policy, old: Statement, new: Statement) -> Policy:
    """The policy with one statement in another's place."""
    return replace(
        policy, statements=tuple(new if one is old else one for one in policy.statements)
    )
