"""Policies that were given as files, in place of an account's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.iam.account.identities import Identities, Identity
from scripts.iam.denial.changes import by_trust, foreign_account
from scripts.iam.denial.denials import Denial
from scripts.iam.denial.reading.callerless import is_of_tags
from scripts.iam.denial.reading.messages import Refusal
from scripts.iam.engine.documents import Policy, PolicyError, PolicyKind, parse_policy
from scripts.iam.engine.evaluation import PolicySet
from scripts.iam.engine.patterns import expand, glob, tokens
from scripts.iam.reference import only_star

Documents = Mapping[str, Mapping[str, Any]]
# What AWS calls a layer, and the field and option that give it.
LAYERS = {
    "identity-based policy": ("identity", "--policy"),
    "permissions boundary": ("boundary", "--boundary"),
    "resource-based policy": ("resource", "--resource-policy"),
    "role trust policy": ("resource", "--trust"),
    "session policy": ("session", "--session-policy"),
    "service control policy": ("scp", "--scp"),
    "resource control policy": ("rcp", "--rcp"),
    "VPC endpoint policy": ("endpoint", "--endpoint-policy"),
}
_AROUND: tuple[PolicyKind, ...] = ("session", "scp", "rcp", "endpoint")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
_ENDPOINT = (
    "; a request has that key only if it comes through a VPC endpoint of the service's: without "
    "one this Allow is not met"
)
NOT_GIVEN = "(not given)"
# https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
# https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
_FULL: dict[PolicyKind, str] = {"scp": "FullAWSAccess", "rcp": "RCPFullAWSAccess"}
# https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
_OF_SSO = "aws-reserved/sso.amazonaws.com/"
_REGION = re.compile(r"(?<=:)[a-z]{2,3}(?:-[a-z]+)+-\d(?=:)")
_ACCOUNT = re.compile(r"(?<=:)\d{12}(?=:)")


@dataclass(frozen=True)
class GivenPolicy:
    """The policy of what was asked for, as a file gave it; None where none did. One that is
    `assumed` stands in for it."""

    policy: Policy | None
    assumed: bool = False

    def __call__(self, _arn: str) -> Policy | None:
        """The policy, of whatever was asked for."""
        return self.policy

    def unknown(self, arn: str) -> str:
        """Why nothing is known of it, if so."""
        option = "--trust" if ":role/" in arn else "--resource-policy"
        return "" if self.policy and not self.assumed else f"it was not given ({option} FILE)"


@dataclass(frozen=True)
class Given:
    """What was given for a message, by the names of the files: the caller's own policies, its
    boundary and its session's; the policies of what it asked for, which of a role is the trust
    policy; and the organization's (SCP, RCP) and a VPC endpoint's."""

    identity: Documents = field(default_factory=dict)
    boundary: Documents = field(default_factory=dict)
    resource: Documents = field(default_factory=dict)
    session: Documents = field(default_factory=dict)
    scp: Documents = field(default_factory=dict)
    rcp: Documents = field(default_factory=dict)
    endpoint: Documents = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.boundary) > 1 or len(self.endpoint) > 1:
            raise PolicyError("a caller has one boundary, and an endpoint one policy")
        for kind in ("identity", "boundary"):
            self._parsed(kind)  # what is no policy is refused here
        self.around()

    @property
    def _all(self) -> list[Mapping[str, Any]]:
        return [
            document
            for layer in (self.identity, self.boundary, self.resource,
                          *(getattr(self, kind) for kind in _AROUND))
            for document in layer.values()
        ]  # fmt: skip

    @property
    def is_empty(self) -> bool:
        """Whether nothing was given."""
        return not self._all

    @property
    def account(self) -> str:
        """The one account that the policies name, or ""."""
        found = set(_ACCOUNT.findall(json.dumps(self._all)))
        return found.pop() if len(found) == 1 else ""

    @property
    def regions(self) -> set[str]:
        """The regions that the policies name."""
        return set(_REGION.findall(json.dumps(self._all)))

    def lacks(self, refusal: Refusal) -> str:
        """What has to be given, too, before anything is decided; "" if nothing has."""
        layer, option = LAYERS.get(refusal.layer, ("", ""))
        elsewhere = layer in _AROUND
        if elsewhere or not layer:
            pass
        elif not getattr(self, layer) and (self._all or refusal.explicit):
            lifts = "; no Allow lifts its Deny" * refusal.explicit
            return f"AWS names the {refusal.layer}, which was not given: {option} FILE{lifts}"
        elif refusal.explicit:
            return ""
        has_own = refusal.role or ":user/" in refusal.principal
        if refusal.explicit and not layer and not self._all:
            return (
                "a policy denies it, and AWS does not say whose: the caller's own or its groups' "
                "(--policy FILE), its boundary's (--boundary), the resource's (--resource-policy), "
                "the organization's (--scp, --rcp), the session's or a VPC endpoint's; no Allow "
                "lifts it"
            )
        elsewhere = elsewhere or self._may_deny(refusal)
        if has_own and not self.identity and not elsewhere and (self._all or refusal.explicit):
            return "the caller's own policies decide, too, and were not given: --policy FILE"
        return ""

    def notes(self, refusal: Refusal) -> Iterator[str]:
        """On what policies the answer rests."""
        if self._all:
            yield "by the policies given alone"
            if not self.identity and self._stands_in(refusal):
                yield "the caller's own policies were not given: they are taken to allow it"
            for kind in _FULL:
                if len(getattr(self, kind)) > 1:
                    action = refusal.action.lower()
                    without = [
                        policy.name for policy in self._parsed(kind)
                        if policy.allows and not any(one.action(action) for one in policy.allows)
                    ]  # fmt: skip
                    yield (
                        f"the files of --{kind} are taken as those of one level: where they are of "
                        "several (root, units, account), each level has to allow it"
                    ) + (
                        f", and one with no other policies than {' or '.join(without)} does not, "
                        f"as no Allow there names {refusal.action}"
                    ) * bool(without)
            return
        said = refusal.layer or refusal.explicit or refusal.lacks or refusal.is_of_an_api
        sure = "" if said else (
            "; that does not tell whether an Allow is lacking or a policy denies it, and what is "
            "proposed, if anything is, is for the first"
        )  # fmt: skip
        yield (
            f"no policy was looked at, so this is by AWS's message alone{sure}: --policy FILE and "
            "the options beside it give policies, --aws reads the account's"
        )

    def members(self, refusal: Refusal) -> Identities:
        """The caller and, where a role is asked for, that role, with what was given."""
        members = {}
        partition = [*refusal.principal.split(":"), "aws"][1]
        arn = refusal.principal
        if refusal.role:
            path = _OF_SSO if refusal.role.startswith("AWSReservedSSO_") else ""
            arn = refusal.role_arn or (
                f"arn:{partition}:iam::{refusal.account}:role/{path}{refusal.role}"
            )
        if refusal.role or ":user/" in arn:
            name = arn.rpartition("/")[2]
            trust: Mapping[str, Any] | None = {} if refusal.role else None
            members[arn] = Identity(arn, name, self._own(refusal), self._bound(refusal),
                                    trust_document=trust)  # fmt: skip
        target = refusal.arn or ""
        if by_trust(refusal.action, target) and ":role/" in target:
            own = members.get(target, Identity(target, target.rpartition("/")[2]))
            found = self._of_resource(refusal)
            trust_document = next(iter(found.values()), {})
            members[target] = Identity(target, own.name, own.identity, own.boundary,
                                       trust_document=trust_document)  # fmt: skip
        return Identities(members)

    def around(self) -> PolicySet:
        """What limits the caller beside its own policies and its boundary."""
        layers: dict[PolicyKind, tuple[Policy, ...] | None] = {}
        for kind in _AROUND:
            layers[kind] = self._parsed(kind) or None
        for kind, name in _FULL.items():
            layer = layers[kind]
            # Who gives Denies alone leaves out what AWS itself attaches.
            if layer and not any(policy.allows for policy in layer):
                layers[kind] = (*layer, _everything(f"{name} (taken as attached)", kind))
        return PolicySet(**layers)  # type: ignore[arg-type]

    def policy(self, refusal: Refusal) -> GivenPolicy:
        """The policy of what it asked for. Raises PolicyError if it is of another kind."""
        kind: PolicyKind = "trust" if by_trust(refusal.action, refusal.arn or "*") else "resource"
        for name, written in self._of_resource(refusal).items():
            found = parse_policy(_attached(written, refusal), name=name, kind=kind)
            actions = [one for statement in found.statements for one in statement.actions or ()]
            if kind == "resource" and actions and all(one.startswith("sts:") for one in actions):
                raise PolicyError(
                    f"policy {name!r}: it is a role's trust policy, and {refusal.action} is "
                    f"decided by the policy of {refusal.resource or 'its resource'}"
                )
            return GivenPolicy(found)
        if self._leaves_it(refusal):
            # https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
            written = {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
                       "Principal": {"AWS": f"arn:aws:iam::{refusal.account}:root"}}  # fmt: skip
            document = {"Version": "2012-10-17", "Statement": written}
            return GivenPolicy(
                parse_policy(document, name=f"the key's {NOT_GIVEN}", kind=kind),
                not _of_no_key(refusal),
            )
        names_it = not refusal.layer or LAYERS[refusal.layer][0] == "resource"
        decides = (
            refusal.action.startswith("kms:")
            or refusal.principal.endswith(".amazonaws.com")
            or foreign_account(refusal.arn or "", refusal.account)
        )
        if names_it and decides and not self._all:
            return GivenPolicy(Policy("the policy of what was asked for", kind, "2012-10-17", ()))
        return GivenPolicy(None)

    def _leaves_it(self, refusal: Refusal) -> bool:
        """Whether a key's policy, which was not given, is taken to leave it to its account's own
        policies: as the one that AWS gives it, and where AWS says that those allow nothing."""
        return (
            not self._of_resource(refusal)
            and refusal.action.startswith("kms:")
            and refusal.layer in ("", "identity-based policy")
            and not refusal.explicit
            and refusal.account.isdigit()
            and not foreign_account(refusal.arn or "", refusal.account)
        )

    def _of_resource(self, refusal: Refusal) -> Documents:
        """Of several policies of resources the one that is this resource's."""
        if len(self.resource) < 2:
            return self.resource
        service = refusal.action.partition(":")[0]
        trusts = by_trust(refusal.action, refusal.arn or "*")
        fits = {name: one for name, one in self.resource.items() if service in _services(one)
                and ("Resource" in json.dumps(one)) is not trusts}  # fmt: skip
        own = {name: one for name, one in fits.items() if _names(one, refusal.arn or "")}
        return own if len(own) == 1 else fits if len(fits) == 1 else {}

    def _parsed(self, kind: PolicyKind) -> tuple[Policy, ...]:
        for name, written in getattr(self, kind).items():
            if kind in ("identity", "boundary") and _has_principal(written):
                trust = all(one.startswith("sts:") for one in _actions(written))
                raise PolicyError(
                    f"policy {name!r} names a Principal, so it is not the caller's own: "
                    + ("it is a role's trust policy, which --trust FILE gives" if trust else
                       "it is the policy of what was asked for, which --resource-policy FILE gives")
                )  # fmt: skip
        return tuple(parse_policy(written, name=name, kind=kind)
                     for name, written in getattr(self, kind).items())  # fmt: skip

    def _stands_in(self, refusal: Refusal) -> bool:
        return refusal.layer not in ("", "identity-based policy") or self._may_deny(refusal)

    def _may_deny(self, refusal: Refusal) -> bool:
        """Whether AWS says that a policy denies it, not which, and one that was given denies."""
        return refusal.explicit and not refusal.layer and any(
            statement.get("Effect") == "Deny"
            for written in self._all for statement in _statements(written)
        )  # fmt: skip

    def _own(self, refusal: Refusal) -> tuple[Policy, ...]:
        if not self.identity and self._stands_in(refusal):
            return (_everything(f"the caller's own policies {NOT_GIVEN}", "identity"),)
        return self._parsed("identity")

    def _bound(self, refusal: Refusal) -> tuple[Policy, ...] | None:
        if not self._all and refusal.layer == "permissions boundary" and not refusal.explicit:
            return (Policy(f"the boundary {NOT_GIVEN}", "boundary", "2012-10-17", ()),)
        return self._parsed("boundary") or None


def _of_no_key(refusal: Refusal) -> bool:
    """Whether no key is there whose policy could decide: none is asked for, or one is being made
    with its tags."""
    made = refusal.resource is None and is_of_tags(refusal.action)
    return made or only_star(refusal.action)


def _everything(name: str, kind: PolicyKind) -> Policy:
    document = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    principal = {"Principal": "*"} if kind == "rcp" else {}
    written = {"Version": "2012-10-17", "Statement": {**document, **principal}}
    return parse_policy(written, name=name, kind=kind)


def _statements(written: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = written.get("Statement", [])
    return [found] if isinstance(found, Mapping) else list(found)


def _actions(written: Mapping[str, Any]) -> list[str]:
    listed = [one.get("Action", []) for one in _statements(written)]
    return [str(one) for each in listed for one in ([each] if isinstance(each, str) else each)]


def _services(written: Mapping[str, Any]) -> set[str]:
    return {one.partition(":")[0].lower() for one in _actions(written)}


def _names(written: Mapping[str, Any], arn: str) -> bool:
    """Whether a statement names what was asked for, or what it belongs to."""
    listed = [one.get("Resource", []) for one in _statements(written)]
    named = [one for each in listed for one in ([each] if isinstance(each, str) else each)]
    whole = arn.partition("/")[0]
    patterns = [expand(tokens(part, variables=False), {})
                for one in named for part in (str(one), str(one).partition("/")[0])]  # fmt: skip
    return any(pattern is not None and (glob(pattern)(arn) or glob(pattern)(whole))
               for pattern in patterns)  # fmt: skip


def _attached(written: Mapping[str, Any], refusal: Refusal) -> str:
    """The policy with whole ARNs, where an API's leaves out what it is attached to.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-examples.html
    """
    api = (refusal.arn or "").partition("/")[0]
    whole = api if ":execute-api:" in api else "arn:aws:execute-api:*:*:*"
    return json.dumps(written).replace('"execute-api:/', f'"{whole}/')


def of_its_path(refusal: Refusal, found: Denial) -> str:
    """What a change that names the caller's role leaves open: a session does not tell its path."""
    named = [one for one in found.changes if one.kind in ("resource", "trust")]
    if refusal.role_arn or not refusal.role:
        return ""
    if f"/{refusal.role}" not in json.dumps([one.statement for one in named]):
        return ""
    region = ", behind which the region stands unless it is us-east-1" * (
        refusal.role.startswith("AWSReservedSSO_")
    )
    return (
        f"a session's ARN leaves out the path of its role{region}: the principal has to be the "
        f"whole ARN that `aws iam get-role --role-name {refusal.role}` prints"
    )


def said_of(written: Mapping[str, Any], name: str, action: str) -> Iterator[str]:
    """What a resource's policy says of an action, in words: who asks for what is not known."""
    said = False
    for one in _statements(written):
        listed = one.get("Action", [])
        actions = [listed] if isinstance(listed, str) else listed
        patterns = [expand(tokens(str(each).lower(), variables=False), {}) for each in actions]
        if not any(glob(each or ())(action.lower()) for each in patterns):
            continue
        said = True
        does = "denies" if one.get("Effect") == "Deny" else "allows"
        where = " and ".join(
            f"{operator} {key}: {_listed(value)}"
            for operator, compared in one.get("Condition", {}).items()
            for key, value in compared.items()
        )
        yield (
            f"{name} {does} {action}{_whom(one)} on {_listed(one.get('Resource', '*'))}"
            + (f", if {where}" if where else ", with no condition")
            + _ENDPOINT * (does == "allows" and "aws:sourcevpc" in where.lower())
        )
    if not said:
        yield f"{name} names {action} in no statement's Action"


def _whom(statement: Mapping[str, Any]) -> str:
    """Whom a statement of a resource's policy names, "" if it names everybody or none."""
    named = statement.get("Principal")
    if not isinstance(named, Mapping):
        return ""
    return f" to {' and '.join(_listed(who) for who in named.values())}"


def _listed(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)


def document(text: str, name: str, *, whose: str = "") -> Mapping[str, Any]:
    """The policy in a file: a document, its statements, or what the CLI printed around it
    (get-role-policy, get-policy-version, get-bucket-policy, get-key-policy, get-role, ...).

    Of several, the one that fits `whose` it is: a caller's own have no principal.
    Raises PolicyError if it holds none, or several that fit.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        content = _cut_out(text) if text.lstrip().startswith(("{", "[")) else _yaml(text)
        if content is None:
            raise PolicyError(f"policy {name!r}: not JSON: {error}") from None
    found = _documents(content)
    if len(found) > 1 and whose in ("identity", "boundary", "resource"):
        found = [one for one in found if _has_principal(one) is (whose == "resource")] or found
    if len(found) != 1:
        raise PolicyError(f"policy {name!r}: {len(found) or 'no'} policies in it; give one a file")
    return found[0]


def _cut_out(text: str) -> Any:
    """Statements that were copied out of a list, with its commas; None if they are none."""
    try:
        content = json.loads(f"[{text.strip().rstrip(',')}]")
    except (ValueError, RecursionError):
        return None
    return content if all(map(_is_statement, content)) else None


def _yaml(text: str) -> Any:
    """Plain YAML, with every scalar as its text; None if it is none, or has tags like !Sub."""
    import yaml

    try:
        if any(isinstance(one, yaml.NodeEvent) and "!" in (getattr(one, "tag", "") or "")
               for one in yaml.parse(text)):  # fmt: skip
            return None
        return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it makes texts alone
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _has_principal(written: Mapping[str, Any]) -> bool:
    return any("Principal" in one or "NotPrincipal" in one for one in _statements(written))


def _is_statement(content: Any) -> bool:
    return isinstance(content, dict) and "Effect" in content and (
        "Action" in content or "NotAction" in content
    )  # fmt: skip


def _documents(content: Any) -> Sequence[Mapping[str, Any]]:
    if isinstance(content, str) and content.lstrip().startswith("{"):
        try:
            content = json.loads(content)
        except ValueError:
            return []
    if _is_statement(content):
        content = [content]
    if isinstance(content, dict):
        if "Statement" in content:
            return [content]
        return [one for value in content.values() for one in _documents(value)]
    if isinstance(content, list):
        if content and all(map(_is_statement, content)):
            # What frameworks and reports show of a policy is often its statements alone.
            return [{"Version": "2012-10-17", "Statement": content}]
        return [one for value in content for one in _documents(value)]
    return []
