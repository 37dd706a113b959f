"""Gathers the policies that decide a request from the state that moto's IAM and services keep."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol

from scripts.iam.engine.documents import Policy, PolicyKind, parse_policy
from scripts.iam.engine.evaluation import PolicySet
from scripts.localcloud.access import public_access
from scripts.localcloud.access.principals import Caller


class Backends(Protocol):
    """Moto's state of one account: `backend("iam")`, `backend("kms", "eu-west-1")`."""

    def __call__(self, service: str, region: str | None = None) -> Any:
        """moto's backend of a service."""


# What counts now of something that exists: see `emulator.consistency`.
View = Callable[[tuple[str, ...], Any], Any]


def _now(_: tuple[str, ...], current: Any) -> Any:
    return current


# The key is the document itself, so an entry can never outlive a change of the policy.
@lru_cache(maxsize=2048)
def parsed(document: str, name: str, kind: PolicyKind) -> Policy:
    """Parse a policy document, remembering the result for the same text."""
    return parse_policy(document, name=name, kind=kind, stored=True)


class PolicyStore:
    """Reads policies fresh from the account for every decision."""

    def __init__(self, backends: Backends, consistency: View | None = None) -> None:
        self._backends = backends
        self._view = consistency or _now
        self._resource_policies: dict[str, Callable[[list[str]], str | None]] = {
            "s3": self._bucket_policy,
            "kms": self._key_policy,
            "secretsmanager": self._secret_policy,
            "sns": self._topic_policy,
            "sqs": self._queue_policy,
        }

    def policies(self, caller: Caller, resource: str) -> PolicySet:
        """All policies that apply when `caller` acts on `resource` (an ARN or `*`)."""
        if caller.principal.kind == "anonymous" and self._restricted(resource):
            return PolicySet()
        return self._of_caller(caller, self.of_resource(resource))

    def _restricted(self, resource: str) -> bool:
        """Whether a bucket's public policy counts for nobody outside the account."""
        parts = resource.split(":", 5)
        if parts[2:3] != ["s3"]:
            return False
        bucket = self._backends("s3").buckets.get(parts[5].partition("/")[0])
        document = self._bucket_policy(parts)
        return document is not None and public_access.restricted(bucket, document)

    def with_resource(self, caller: Caller, resource_policy: Policy) -> PolicySet:
        """The caller's policies beside a given resource policy, such as a role's trust policy."""
        return self._of_caller(caller, (resource_policy,))

    def _of_caller(self, caller: Caller, resource_policies: tuple[Policy, ...]) -> PolicySet:
        # A KMS key's policy must allow, but a key that is only being made has none yet.
        found = self._own(caller, resource_policies)
        return found if resource_policies else replace(found, resource_required=False)

    def _own(self, caller: Caller, resource_policies: tuple[Policy, ...]) -> PolicySet:
        if caller.session is not None:
            # By id: a new role with the name of a deleted one is another principal.
            role = self._backends("iam").roles.get(caller.session.role_id)
            if role is None:  # nor may a policy that names the session let it in
                return PolicySet(session=())
            return PolicySet(
                identity=self._identity(*self._of_role(role)),
                boundary=self._boundary(role.permissions_boundary_arn),
                session=caller.session.policies,
                resource=resource_policies,
            )
        if caller.user_name is not None:
            return self._user_policies(caller, resource_policies)
        return PolicySet(resource=resource_policies)

    def trust(self, role: Any) -> Policy:
        """The trust policy of a role of moto's IAM."""
        document = self._view(("trust", role.id), role.assume_role_policy_document)
        return parsed(document, role.name, "trust")

    def arrived(self, role: Any) -> bool:
        """Whether a role of moto's IAM is known everywhere by now."""
        return self._view(("role", role.id), role) is role

    def _of_role(self, role: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """The inline and managed policies of a role that count now."""
        inline = {
            name: self._view(("inline", role.id, name), document)
            for name, document in list(role.policies.items())
        }
        attached = {
            arn: policy
            for arn, policy in list(role.managed_policies.items())
            if self._view(("attached", role.id, arn), policy) is policy
        }
        return {name: text for name, text in inline.items() if isinstance(text, str)}, attached

    def of_resource(self, arn: str) -> tuple[Policy, ...]:
        """The resource-based policy of `arn`, as a tuple of none or one."""
        parts = arn.split(":", 5)
        if len(parts) < 6 or (find := self._resource_policies.get(parts[2])) is None:
            return ()
        document = find(parts)
        return () if not document else (parsed(document, arn, "resource"),)

    def _user_policies(self, caller: Caller, resource: tuple[Policy, ...]) -> PolicySet:
        iam = self._backends("iam")
        user = iam.users.get(caller.user_name)
        # Its key was good when the request came; a namesake may have been made since.
        if user is None or user.id != caller.principal.unique_id:
            return PolicySet(session=())
        identity = list(self._identity(user.policies, user.managed_policies))
        for group in iam.get_groups_for_user(user.name):
            identity.extend(self._identity(group.policies, group.managed_policies))
        return PolicySet(
            identity=tuple(identity),
            boundary=self._boundary(getattr(user, "permissions_boundary_arn", None)),
            resource=resource,
        )

    def _identity(self, inline: dict[str, str], managed: dict[str, Any]) -> tuple[Policy, ...]:
        return (
            *(parsed(document, name, "identity") for name, document in list(inline.items())),
            *self.managed(list(managed.values()), "identity"),
        )

    def _boundary(self, arn: str | None) -> tuple[Policy, ...] | None:
        if not arn:
            return None
        policy = self._backends("iam").managed_policies.get(arn)
        # A boundary that no longer exists allows nothing.
        return () if policy is None else tuple(self.managed([policy], "boundary"))

    def managed(self, policies: Iterable[Any], kind: PolicyKind) -> Iterable[Policy]:
        """The default versions of managed policies of moto's IAM."""
        for policy in policies:
            default = self._view(("version", policy.arn), policy.default_version_id)
            for version in list(policy.versions):
                if version.version_id == default:
                    yield parsed(version.document, policy.arn, kind)

    def _bucket_policy(self, arn: list[str]) -> str | None:
        bucket = self._backends("s3").buckets.get(arn[5].partition("/")[0])
        return None if bucket is None or not bucket.policy else _text(bucket.policy)

    def _key_policy(self, arn: list[str]) -> str | None:
        key = self._backends("kms", arn[3]).keys.get(arn[5].removeprefix("key/"))
        return None if key is None else _text(key.policy)

    def _secret_policy(self, arn: list[str]) -> str | None:
        for secret in list(self._backends("secretsmanager", arn[3]).secrets.values()):
            if secret.arn == ":".join(arn):
                return None if not secret.policy else _text(secret.policy)
        return None

    def _topic_policy(self, arn: list[str]) -> str | None:
        topic = self._backends("sns", arn[3]).topics.get(":".join(arn))
        return None if topic is None else _text(topic.policy)

    def _queue_policy(self, arn: list[str]) -> str | None:
        queue = self._backends("sqs", arn[3]).queues.get(arn[5])
        return None if queue is None or not queue.policy else _text(queue.policy)


def _text(document: str | bytes) -> str:
    return document.decode() if isinstance(document, bytes) else document
