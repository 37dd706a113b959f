"""Rules of security groups. Moto fails on a protocol without ports, and changes no rule's source
but an IPv4 network: the old one stays, without a word. It describes no rule by its id, takes one
protocol, network or group in two spellings for two, and keeps an outgoing rule to an IPv6 network
that is revoked in a VPC without IPv6.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.core.responses import EmptyResult
from moto.ec2.exceptions import (
    InvalidParameterValueError,
    InvalidPermissionDuplicateError,
    InvalidPermissionNotFoundError,
    InvalidSecurityGroupNotFoundError,
    InvalidSecurityGroupRuleIdNotFoundError,
)
from moto.ec2.models.security_groups import SecurityGroupBackend, SecurityGroupRule
from moto.ec2.responses.security_groups import SecurityGroups

from scripts.localcloud.emulator.services import canonical

# Protocols that have ports, or types and codes, which are all of them where none is said.
_TYPED = frozenset({"icmp", "icmpv6"})
_PORTED = frozenset({"tcp", "udp"}) | _TYPED


@contextmanager
def kept() -> Iterator[None]:
    """Keep them as EC2 does while the context lasts."""
    with ExitStack() as stack:
        for owner, method, change in (
            (SecurityGroupRule, "__eq__", _equal),
            (SecurityGroupRule, "__init__", _init),
            (SecurityGroupBackend, "modify_security_group_rules", _modify),
            (SecurityGroupBackend, "revoke_security_group_egress", _revoke),
            (SecurityGroups, "update_security_group_rule_descriptions_egress", _describe_outgoing),
            (SecurityGroups, "update_security_group_rule_descriptions_ingress", _describe_incoming),
        ):
            original = getattr(owner, method)
            stack.enter_context(patch.object(owner, method, wraps(original)(change(original))))
        yield


def _ports(protocol: str, first: Any, last: Any) -> tuple[Any, Any]:
    if protocol not in _PORTED:
        return None, None
    if protocol in _TYPED:
        return -1 if first is None else first, -1 if last is None else last
    return first, last


def _canonical(text: str) -> str:
    return canonical.network(text) or text  # moto's to refuse


def _equal(_: Callable[..., bool]) -> Callable[..., bool]:
    """A group is the same with and without its network and account; a description tells none apart.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
    """

    def identity(rule: Any) -> tuple[Any, ...]:
        sources = (source(rule) for source in _SOURCES.values())
        return (rule.ip_protocol, rule.from_port, rule.to_port, *sources)

    return lambda one, other: identity(one) == identity(other)


def _init(original: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(original)

    def init(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments
        given["ip_protocol"] = protocol = canonical.protocol(str(given.get("ip_protocol") or ""))
        first, last = _ports(protocol, given.get("from_port"), given.get("to_port"))
        given["from_port"], given["to_port"] = (0 if one is None else one for one in (first, last))
        given["ip_range"] = {
            name: _canonical(value) if name.startswith("Cidr") else value
            for name, value in (given.get("ip_range") or {}).items()
        }
        original(*bound.args, **bound.kwargs)
        if first is None:
            given["self"].from_port = given["self"].to_port = None

    return init


_SOURCES: Mapping[str, Callable[[Any], Any]] = {
    "CidrIpv4": lambda rule: rule.cidr_ipv4,
    "CidrIpv6": lambda rule: rule.cidr_ipv6,
    "PrefixListId": lambda rule: rule.prefix_list_id,
    "ReferencedGroupId": lambda rule: (rule.source_group or {}).get("GroupId"),
}


def _modify(original: Callable[..., None]) -> Callable[..., None]:
    def modify(self: Any, group_id: str, rules: dict[str, dict[str, Any]]) -> None:
        group = self.get_security_group_by_name_or_id(group_id)
        found: dict[str, Any] = {name: group.get_rule(name) if group else None for name in rules}
        given = {}
        for name, new in rules.items():
            for source, had in _SOURCES.items():
                if new.get(source) and found[name] is not None and not had(found[name]):
                    raise InvalidParameterValueError(
                        f"{source} (rule {name}, which has a source of another type)"
                    )
            given[name] = {"FromPort": -1, "ToPort": -1, **new}
        original(self, group_id, given)
        for name, new in rules.items():
            rule = found[name]
            rule.ip_protocol = protocol = canonical.protocol(rule.ip_protocol)
            rule.from_port, rule.to_port = _ports(protocol, new.get("FromPort"), new.get("ToPort"))
            for source in {"CidrIp", "CidrIpv6"} & rule.ip_range.keys():
                named = new.get("CidrIpv6" if source == "CidrIpv6" else "CidrIpv4")
                rule.ip_range[source] = _canonical(named or rule.ip_range[source])
            if new.get("PrefixListId"):
                rule.prefix_list_id = new["PrefixListId"]
            if new.get("ReferencedGroupId"):
                rule.source_group["GroupId"] = new["ReferencedGroupId"]
            here = group.egress_rules if rule.is_egress else group.ingress_rules
            if any(one == rule for one in here if one is not rule):
                raise InvalidPermissionDuplicateError

    return modify


def _revoke(original: Callable[..., None]) -> Callable[..., None]:
    """By ids, which moto revokes whatever their network: of networks it passes over IPv6 ones."""
    signature = inspect.signature(original)

    def revoke(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        self, named, vpc = (given[name] for name in ("self", "group_name_or_id", "vpc_id"))
        group = self.get_security_group_by_name_or_id(named, vpc)
        if group is not None and not given["security_rule_ids"]:
            sources = self._add_source_group(given["source_groups"], vpc)
            what = (given[name] for name in ("from_port", "to_port", "ip_ranges"))
            prefixes = given["prefix_list_ids"] or []
            given["security_rule_ids"] = [
                next((one.id for one in group.egress_rules if one == rule), "")
                for rule in self._iterate_security_rules(
                    given["ip_protocol"], group.group_id, *what, sources, prefixes, is_egress=True
                )
            ]
            if not all(given["security_rule_ids"]):
                raise InvalidPermissionNotFoundError
        original(*bound.args, **bound.kwargs)

    return revoke


def _describe_outgoing(original: Callable[..., Any]) -> Callable[..., Any]:
    return _describe(original, outgoing=True)


def _describe_incoming(original: Callable[..., Any]) -> Callable[..., Any]:
    return _describe(original, outgoing=False)


def _describe(original: Callable[..., Any], *, outgoing: bool) -> Callable[..., Any]:
    def update(self: Any) -> Any:
        described = self._get_param("SecurityGroupRuleDescriptions", [])
        if not described:
            return original(self)
        group = self.ec2_backend.get_security_group_by_name_or_id(self._get_param("GroupId"))
        if group is None:
            raise InvalidSecurityGroupNotFoundError(self._get_param("GroupId"))
        rules = [group.get_rule(one["SecurityGroupRuleId"]) for one in described]
        for rule, one in zip(rules, described, strict=True):
            if rule is None or rule.is_egress != outgoing:
                raise InvalidSecurityGroupRuleIdNotFoundError(one["SecurityGroupRuleId"])
        for rule, one in zip(rules, described, strict=True):
            for source in (rule.source_group, getattr(rule, "keyless_prefix_list", {})):
                source.pop("Description", None)
            rule.ip_range["Description"] = one.get("Description", "")
        return EmptyResult()

    return update
