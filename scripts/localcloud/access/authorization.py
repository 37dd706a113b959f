"""Decides a permission: policies and condition keys in, a logged decision out."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts.iam.account.decision_log import Record, Via
from scripts.iam.engine.documents import PolicyError, parse_policy
from scripts.iam.engine.evaluation import (
    Decision,
    PolicySet,
    Reason,
    Request,
    Unsupported,
    evaluate,
)
from scripts.iam.requests import Need
from scripts.iam.requests.unset import unset
from scripts.localcloud.access.context import OF_THE_WAY, Keys, caller_keys, resource_keys
from scripts.localcloud.access.decisions import DecisionLog
from scripts.localcloud.access.errors import AwsError, Fault, Refusal
from scripts.localcloud.access.policies import Backends, PolicyStore, View
from scripts.localcloud.access.principals import Caller

# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_IMPLICIT = {
    Reason.NO_IDENTITY_ALLOW: "no identity-based policy allows the {action} action",
    Reason.NO_BOUNDARY_ALLOW: "no permissions boundary allows the {action} action",
    Reason.NO_SESSION_ALLOW: "no session policy allows the {action} action",
    Reason.NO_RESOURCE_ALLOW: "no resource-based policy allows the {action} action",
}
_EXPLICIT = {
    "identity": "an identity-based policy",
    "boundary": "a permissions boundary",
    "session": "a session policy",
    "resource": "a resource-based policy",
    "trust": "a resource-based policy",
}

# Some services add these to a request that came through a VPC endpoint.
_OF_ENDPOINT = frozenset({"aws:sourcevpcarn", "aws:vpceaccount"})

# What stores a resource's policy, or changes what it is judged by -> what takes the policy away.
_REMOVALS = {
    "kms:PutKeyPolicy": "kms:PutKeyPolicy",
    "kms:TagResource": "kms:PutKeyPolicy",
    "s3:PutBucketPolicy": "s3:DeleteBucketPolicy",
    "secretsmanager:PutResourcePolicy": "secretsmanager:DeleteResourcePolicy",
    "secretsmanager:TagResource": "secretsmanager:DeleteResourcePolicy",
    "sns:CreateTopic": "sns:SetTopicAttributes",
    "sns:SetTopicAttributes": "sns:SetTopicAttributes",
    "sns:TagResource": "sns:SetTopicAttributes",
}
_EVERYTHING = parse_policy(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}},
    name="everything",
    kind="identity",
)


@dataclass(frozen=True)
class RequestInfo:
    """Which request a decision belongs to, for the log."""

    request_id: str
    service: str
    operation: str
    via: Via = "gateway"


class Authorizer:
    """Evaluates permissions against the account's policies and records every decision."""

    def __init__(
        self,
        account_id: str,
        backends: Backends,
        log: DecisionLog,
        consistency: View | None = None,
    ) -> None:
        self._account_id = account_id
        self._backends = backends
        self._log = log
        self.policies = PolicyStore(backends, consistency)

    def decide(
        self, caller: Caller, need: Need, keys: Mapping[str, tuple[str, ...]], info: RequestInfo
    ) -> Decision:
        """Decide one permission and record it.

        `keys` are the keys of the request; those of caller, resource and need are added here.
        Raises AwsError where a policy uses a feature that the engine does not model.
        """
        context = self.context(caller, need, keys)
        try:
            policies = self.policies.policies(caller, need.resource)
            decision = self._evaluate(caller, need, context, policies)
        except (Unsupported, PolicyError) as error:
            self.record(caller, need.action, need.resource, context, info, "unsupported")
            raise AwsError(
                "LocalCloudUnsupportedPolicy",
                f"The local cloud refuses {need.action} because it cannot evaluate a policy that "
                f"applies: {error}",
                403,
            ) from error
        self.record(caller, need.action, need.resource, context, info, decision)
        return decision

    def require(
        self, caller: Caller, needs: list[Need], keys: Mapping[str, tuple[str, ...]],
        info: RequestInfo,
    ) -> None:  # fmt: skip
        """Decide every permission of a request; raises Refusal for the first that is denied."""
        denied = None
        for need in needs:
            decision = self.decide(caller, need, keys, info)
            if not decision.allowed and denied is None:
                denied = (need, decision)
        if denied is not None:
            raise Refusal(Fault.DENIED, explain(caller, *denied))

    def keep_removable(
        self, caller: Caller, needs: list[Need], given: Mapping[str, Any], keys: Keys
    ) -> None:
        """Refuse a resource's policy, or a tag beside it, by which nobody can tell who may take the
        policy away: it would keep everybody out for good.

        On AWS every policy can be judged, and the account's root remains.
        """
        for need in needs:
            removal = _REMOVALS.get(need.action)
            stored = _document(given) if removal else None
            if removal is None or (stored is None and not need.action.endswith(":TagResource")):
                continue
            tags = {
                name.replace("RequestTag/", "ResourceTag/"): values
                for name, values in need.context.items()
                if "RequestTag/" in name
            }
            kept = {
                name: values
                for name, values in need.context.items()
                if "RequestTag/" not in name and name != "aws:TagKeys"
            }
            asked = Need(removal, need.resource, {**kept, **tags})
            try:
                resource = (
                    self.policies.of_resource(need.resource)
                    if stored is None
                    else (parse_policy(stored, name=need.resource, kind="resource"),)
                )
                policies = PolicySet(identity=(_EVERYTHING,), resource=resource)
                self._evaluate(caller, asked, self.context(caller, asked, keys), policies)
            except PolicyError:
                return  # the service's own rule refuses it, in its own words
            except Unsupported as error:
                raise AwsError(
                    "LocalCloudUnsupportedPolicy",
                    f"The local cloud refuses {need.action} because nobody could take the policy "
                    f"away again, which it cannot evaluate: {error}",
                    403,
                ) from error

    def context(self, caller: Caller, need: Need, keys: Mapping[str, tuple[str, ...]]) -> Keys:
        """All condition keys of one permission."""
        if _by_service(need):
            keys = {name: values for name, values in keys.items() if name not in OF_THE_WAY}
        return {
            **keys,
            **caller_keys(caller, self._tags(caller)),
            **resource_keys(need.action, need.resource, self._account_id),
            **need.context,
        }

    def record(
        self,
        caller: Caller,
        action: str,
        resource: str,
        keys: Mapping[str, tuple[str, ...]],
        info: RequestInfo,
        outcome: Decision | str,
    ) -> None:
        """Log a decision, or why there was none."""
        decision = outcome if isinstance(outcome, Decision) else None
        self._log.append(
            Record(
                time=time.time(),
                request_id=info.request_id,
                principal=caller.principal.arn,
                role=caller.role_name,
                service=info.service,
                operation=info.operation,
                action=action,
                resource=resource,
                keys=keys,
                allowed=decision is not None and decision.allowed,
                reason=str(decision.reason if decision else outcome),
                policy=decision.policy if decision else None,
                statement=decision.statement if decision else None,
                via=info.via,
            )
        )

    def _evaluate(self, caller: Caller, need: Need, context: Keys, policies: PolicySet) -> Decision:
        account = context.get("aws:ResourceAccount")
        request = Request(
            principal=caller.principal,
            action=need.action,
            resource=need.resource,
            context=context,
            resource_account=account[0] if account else None,
            unknown=_unknown(need, context),
        )
        return evaluate(request, policies)

    def _tags(self, caller: Caller) -> dict[str, str]:
        iam = self._backends("iam")
        owner: Any = None
        if caller.session is not None:
            owner = iam.roles.get(caller.session.role_id)
        elif caller.user_name is not None:
            tags = iam.tagger.list_tags_for_resource(caller.principal.arn)["Tags"]
            return {tag["Key"]: tag["Value"] for tag in tags}
        return {tag["Key"]: tag["Value"] for tag in (owner.tags if owner else ())}


def _document(given: Mapping[str, Any]) -> str | None:
    """The resource's policy that a call stores."""
    attributes = given.get("Attributes") or {
        given.get("AttributeName"): given.get("AttributeValue")
    }
    found = given.get("Policy") or given.get("ResourcePolicy") or attributes.get("Policy")
    return str(found) if found else None


def _unknown(need: Need, context: Keys) -> frozenset[str]:
    """The keys that AWS sets for a permission, and whose values nobody knows here."""
    more = {key.lower() for key in need.unknown}
    if _by_service(need):
        more |= {key.lower() for key in OF_THE_WAY}
    if "aws:ResourceAccount" not in context:
        more.add("aws:resourceaccount")
    if "aws:SourceVpce" in context:
        more |= _OF_ENDPOINT
    found = unset(need.action, need.resource)
    return found | more if more else found


def _by_service(need: Need) -> bool:
    """Whether a service asks in the caller's name: then the request comes from its own network.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-aws.html
    """
    return need.context.get("aws:ViaAWSService") == ("true",)


def explain(caller: Caller, need: Need, decision: Decision) -> str:
    """AWS's sentence for a denied permission."""
    if caller.principal.kind == "anonymous":
        return "Access Denied"
    quoted = f'"{need.resource}"' if need.action.startswith("s3:") else need.resource
    sentence = (
        f"User: {caller.principal.arn} is not authorized to perform: {need.action} "
        f"on resource: {quoted} "
    )
    if decision.reason is Reason.EXPLICIT_DENY:
        kind = _EXPLICIT.get(decision.kind or "identity", "a policy")
        return sentence + f"with an explicit deny in {kind}"
    return sentence + "because " + _IMPLICIT[decision.reason].format(action=need.action)
