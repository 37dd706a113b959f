"""What the permission mapping must know of the account, read from moto's state."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scripts.localcloud.access.policies import Backends, View
from scripts.localcloud.emulator.facts import DESCRIBERS, ec2_resource
from scripts.localcloud.emulator.sealing import key_of

Tags = dict[str, str]


class MotoAccount:
    """Answers `scripts.iam.requests.Account` from moto's backends of one account.

    Everything is read at the time of the question, so an answer is stale only where `view`, the
    mode of eventual consistency, makes it so.
    """

    account_id: str
    region: str

    def __init__(
        self,
        account_id: str,
        region: str,
        backends: Backends,
        lock: threading.RLock,
        view: View | None = None,
    ) -> None:
        self.account_id = account_id
        self.region = region
        self._backends = backends
        self._lock = lock
        self._view: View = view or (lambda _, current: current)
        # Set by the cloud: moto has no sessions, whoever serves them knows their tags.
        self.session_tags: Callable[[str], Mapping[str, str] | None] = lambda _: None

    def at(self, region: str) -> MotoAccount:
        """The same account as a request to another region sees it."""
        there = copy.copy(self)
        there.region = region
        return there

    def _backend(self, service: str, region: str | None = None) -> Any:
        return self._backends(service, region or self.region)

    def _is_here(self, parts: list[str]) -> bool:
        """Whether an ARN is whole and of the request's region; there may be no other one."""
        return len(parts) == 6 and parts[3] in ("", self.region)

    def tags(self, arn: str) -> Mapping[str, str] | None:
        """Tags of a resource; None if there is no such resource, or its kind is not known."""
        parts = arn.split(":", 5)
        if len(parts) == 6 and parts[2] == "ssm" and parts[5].startswith("session/"):
            return self.session_tags(parts[5].removeprefix("session/"))
        read = _TAGS.get(parts[2]) if self._is_here(parts) else None
        if read is None:
            return None
        with self._lock:
            found = read(self._backend, parts, arn)
        stale: Mapping[str, str] | None = self._view((parts[2], parts[5].partition("/")[2]), found)
        return None if found is None else stale

    def describe(self, arn: str) -> Mapping[str, Any] | None:
        """Facts of a resource that only its service has; see `Account`."""
        parts = arn.split(":", 5)
        describe = DESCRIBERS.get(parts[2]) if self._is_here(parts) else None
        if describe is None:
            return None
        with self._lock:
            return describe(self._backend, parts)

    def instance_profile_role(self, profile: str) -> str | None:
        """Role ARN of an instance profile named by name or ARN."""
        name = profile.rpartition("/")[2]
        with self._lock:
            for known in self._backend("iam").instance_profiles.values():
                if known.name == name and known.roles and profile in (known.arn, known.name):
                    role_arn: str = known.roles[0].arn
                    return role_arn
        return None

    def launch_template_data(self, id_or_name: str, version: str) -> Mapping[str, Any] | None:
        """Launch template data in the words of EC2's API."""
        with self._lock:
            ec2 = self._backend("ec2")
            # An id first: another template may have it for a name.
            known = ec2.launch_template_name_to_ids
            template = ec2.launch_templates.get(id_or_name) or ec2.launch_templates.get(
                known.get(id_or_name)
            )
            if template is None:
                return None
            numbers = {str(one.number): one for one in template.versions}
            number = {
                "": template.default_version_number,
                "$Default": template.default_version_number,
                "$Latest": template.latest_version_number,
            }.get(version, version)
            found = numbers.get(str(number))
            return None if found is None else dict(found.data)

    def bucket_key(self, bucket: str) -> str | None:
        """KMS key ARN of a bucket's default encryption; None for SSE-S3."""
        with self._lock:
            known = self._backend("s3").buckets.get(bucket)
            rule = ((known.encryption if known else None) or {}).get("Rule", {})
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        if default.get("SSEAlgorithm") not in ("aws:kms", "aws:kms:dsse"):
            return None
        return self._key(default.get("KMSMasterKeyID") or "alias/aws/s3")

    def object_key(self, bucket: str, key: str, version: str | None) -> str | None:
        """KMS key ARN that an existing object is encrypted with; None for SSE-S3."""
        with self._lock:
            known = self._backend("s3").buckets.get(bucket)
            if known is None:
                return None
            versions = known.keys.getlist(key) or []
            found = [v for v in versions if version in (None, getattr(v, "version_id", None))]
            encryption = getattr(found[-1], "encryption", None) if found else None
            last = found[-1] if found else None
            key_id = key_of(last, getattr(last, "kms_key_id", None))
        if encryption not in ("aws:kms", "aws:kms:dsse"):
            return None
        return self._key(key_id or "alias/aws/s3")

    def parameter_key(self, name: str) -> str | None:
        """KMS key ARN of an SSM SecureString; None for other types."""
        with self._lock:
            # A parameter at the root may be named with a slash or without, its ARN has none.
            ssm = self._backend("ssm")
            parameter = ssm.get_parameter(name) or ssm.get_parameter(f"/{name}")
        if parameter is None or parameter.parameter_type != "SecureString":
            return None
        return self._key(key_of(parameter, parameter.keyid) or "alias/aws/ssm")

    def secret_key(self, arn_or_name: str) -> str | None:
        """KMS key ARN of a secret; None if there is no such secret."""
        with self._lock:
            secret = _secret(self._backend, arn_or_name)
        if secret is None:
            return None
        return self._key(key_of(secret, secret.kms_key_id) or "alias/aws/secretsmanager")

    def secret_arn(self, name_or_arn: str) -> str | None:
        """Whole ARN of a secret named by name, whole ARN or ARN without its suffix."""
        with self._lock:
            secret = _secret(self._backend, name_or_arn)
        return None if secret is None else str(secret.arn)

    def _key(self, name: str) -> str:
        """The ARN of a key that something is encrypted with, or the name that it had: without the
        key it is still encrypted."""
        return self.key_arn(name) or name

    def key_arn(self, id_or_alias: str) -> str | None:
        """Key ARN for a KMS key id, key ARN, alias name or alias ARN."""
        region = None
        if id_or_alias.startswith("arn:"):
            parts = id_or_alias.split(":", 5)
            if len(parts) < 6 or not parts[3] or parts[4] != self.account_id:
                return None  # moto looks at the end of an ARN alone
            region = parts[3]
        with self._lock:
            try:
                kms = self._backend("kms", region)
                # For an alias of AWS's own this makes the key, as the first use of it does on AWS.
                key = kms.keys.get(kms.any_id_to_key_id(id_or_alias))
            except (KeyError, TypeError, AttributeError):
                return None
            return None if key is None else str(key.arn)


def _secret(backends: Backends, name_or_arn: str) -> Any:
    for secret in list(dict.values(backends("secretsmanager").secrets)):
        # A secret's ARN ends in a hyphen and six random characters that callers may leave out.
        if name_or_arn in (secret.name, secret.arn, secret.arn[:-7]):
            return secret
    return None


def _pairs(tags: Iterable[Mapping[str, Any]] | None) -> Tags:
    return {str(tag["Key"]): str(tag.get("Value") or "") for tag in tags or ()}


def _s3_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    s3 = backends("s3")
    name, slash, key = parts[5].partition("/")
    bucket = s3.buckets.get(name)
    if bucket is None:
        return None
    if not slash:
        return dict(s3.tagger.get_tag_dict_for_resource(arn))
    found = bucket.keys.getlist(key) or []
    if not found or not hasattr(found[-1], "arn"):
        return None
    return dict(s3.tagger.get_tag_dict_for_resource(found[-1].arn))


def _ec2_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    del arn
    ec2 = backends("ec2", parts[3])
    kind, _, name = parts[5].partition("/")
    if ec2_resource(ec2, kind, name) is None:
        return None
    return dict(ec2.tags.get(name, {}))


def _iam_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    iam = backends("iam")
    kind = parts[5].partition("/")[0]
    name = parts[5].rpartition("/")[2]
    if kind == "role":
        for role in iam.roles.values():
            if role.name == name:
                return _pairs(role.tags)
        return None
    if kind == "user":
        user = iam.users.get(name)
        if user is None:
            return None
        return _pairs(iam.tagger.list_tags_for_resource(user.arn)["Tags"])
    known = {
        "policy": iam.managed_policies,
        "oidc-provider": iam.open_id_providers,
        "instance-profile": {p.arn: p for p in iam.instance_profiles.values()},
    }.get(kind, {})
    found = known.get(arn)
    if found is None:
        return None
    tags = found.tags or {}
    return _pairs(tags.values() if isinstance(tags, dict) else tags)


def _rds_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    rds = backends("rds", parts[3])
    kind, _, name = parts[5].partition(":")
    known: Mapping[str, Any] = {
        "db": rds.databases,
        "snapshot": rds.database_snapshots,
        "subgrp": rds.subnet_groups,
        "pg": rds.db_parameter_groups,
        "og": rds.option_groups,
    }.get(kind, {})
    del arn
    found = known.get(name)
    return None if found is None else _pairs(found.get_tags())


def _kms_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    del arn
    kms = backends("kms", parts[3])
    key = kms.keys.get(parts[5].removeprefix("key/"))
    return None if key is None else dict(kms.tagger.get_tag_dict_for_resource(key.id))


def _secret_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    del parts
    secret = _secret(backends, arn)
    return None if secret is None else _pairs(secret.tags)


def _ssm_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    del arn
    ssm = backends("ssm", parts[3])
    kind, _, name = parts[5].partition("/")
    if kind == "parameter":
        # At the root, moto takes a name with a slash for the one without.
        names = (f"/{name}", name)
        if all(ssm.get_parameter(one) is None for one in names):
            return None
        tags = ssm._resource_tags["Parameter"]
        return {key: value for one in names for key, value in tags[one].items()}
    if kind == "document" and name in ssm._documents:
        return dict(ssm._resource_tags["Document"][name])
    return None


def _autoscaling_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    del arn
    name = parts[5].rpartition("autoScalingGroupName/")[2]
    group = backends("autoscaling", parts[3]).autoscaling_groups.get(name)
    return None if group is None else _pairs(group.tags)


def _logs_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    del arn
    logs = backends("logs", parts[3])
    name = parts[5].removeprefix("log-group:").partition(":")[0]
    group = logs.groups.get(name)
    return None if group is None else dict(logs.tagger.get_tag_dict_for_resource(group.arn))


def _sns_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    topic = backends("sns", parts[3]).topics.get(arn)
    return None if topic is None else dict(topic._tags)


def _balancer_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    backend = backends("elbv2", parts[3])
    balancers = backend.load_balancers
    known = arn in balancers or arn in backend.target_groups
    known = known or any(arn in balancer.listeners for balancer in balancers.values())
    return dict(backend.tagging_service.get_tag_dict_for_resource(arn)) if known else None


def _alarm_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    cloudwatch = backends("cloudwatch", parts[3])
    name = parts[5].partition(":")[2]
    if name not in cloudwatch.alarms and name not in cloudwatch.dashboards:
        return None
    return dict(cloudwatch.tagger.get_tag_dict_for_resource(arn))


def _budget_tags(backends: Backends, parts: list[str], arn: str) -> Tags | None:
    del arn
    name = parts[5].removeprefix("budget/")
    budget = backends("budgets").budgets[parts[4]].get(name)
    return None if budget is None else dict(getattr(budget, "keyless_tags", {}))


def _tagger_of(service: str, known: Callable[[Any, str], bool]) -> Callable[..., Tags | None]:
    """Tags of a service that keeps them by ARN; None for what is not there."""

    def read(backends: Backends, parts: list[str], arn: str) -> Tags | None:
        backend = backends(service, parts[3])
        if not known(backend, arn):
            return None
        tagger = getattr(backend, "tagger", None) or backend.tagging_service
        return dict(tagger.get_tag_dict_for_resource(arn))

    return read


def _knows_rule_or_bus(events: Any, arn: str) -> bool:
    buses = list(events.event_buses.values())
    return any(bus.arn == arn or any(r.arn == arn for r in bus.rules.values()) for bus in buses)


def _knows_group(scheduler: Any, arn: str) -> bool:
    return any(group.arn == arn for group in list(scheduler.schedule_groups.values()))


def _knows_trail(cloudtrail: Any, arn: str) -> bool:
    return any(trail.arn == arn for trail in list(cloudtrail.trails.values()))


_TAGS: Mapping[str, Callable[[Backends, list[str], str], Tags | None]] = {
    "autoscaling": _autoscaling_tags,
    "budgets": _budget_tags,
    "cloudtrail": _tagger_of("cloudtrail", _knows_trail),
    "cloudwatch": _alarm_tags,
    "ec2": _ec2_tags,
    "elasticloadbalancing": _balancer_tags,
    "events": _tagger_of("events", _knows_rule_or_bus),
    "iam": _iam_tags,
    "kms": _kms_tags,
    "logs": _logs_tags,
    "rds": _rds_tags,
    "s3": _s3_tags,
    "scheduler": _tagger_of("scheduler", _knows_group),
    "secretsmanager": _secret_tags,
    "sns": _sns_tags,
    "ssm": _ssm_tags,
}
