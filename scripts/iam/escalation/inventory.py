"""What an account holds that a caller could turn into rights: identities and what carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scripts.iam.account.identities import Identities, identities
from scripts.iam.engine.documents import Policy, parse_policy

ADMINISTRATOR = "administrator"


@dataclass(frozen=True)
class Carrier:
    """Something that acts with a role: an instance, a launch template, a function."""

    arn: str
    role_arn: str
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Asset:
    """Something worth reading or writing: a secret, a Terraform state, a key."""

    arn: str
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    policy: Policy | None = None


@dataclass(frozen=True)
class Inventory:
    """One account. `versions` counts the versions of managed policies, by ARN; `groups` are the
    names of groups by user ARN; `unread` says what could not be read and so is not searched."""

    account: str
    region: str
    members: Identities
    instances: tuple[Carrier, ...] = ()
    templates: tuple[Carrier, ...] = ()
    functions: tuple[Carrier, ...] = ()
    secrets: tuple[Asset, ...] = ()
    states: tuple[Asset, ...] = ()
    keys: tuple[Asset, ...] = ()
    security_groups: tuple[Asset, ...] = ()
    documents: tuple[str, ...] = ()
    versions: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def inventory(description: Mapping[str, Any]) -> Inventory:
    """Read an account from a description: `iam` as IAM lists it, and lists of the other things.

    Raises KeyError or PolicyError for what is missing or malformed.
    """
    details = description["iam"]
    return replace(
        Inventory(
            account=str(description["account"]),
            region=description.get("region", "us-east-1"),
            members=identities(details),
        ),
        instances=_carriers(description, "instances"),
        templates=_carriers(description, "templates"),
        functions=_carriers(description, "functions"),
        secrets=_assets(description, "secrets"),
        states=_assets(description, "states"),
        keys=_assets(description, "keys"),
        security_groups=_assets(description, "security_groups"),
        documents=tuple(description.get("documents", ())),
        versions=_versions(details),
        groups={
            user["Arn"]: tuple(user.get("GroupList", ()))
            for user in details.get("UserDetailList", ())
        },
        unread=tuple(description.get("unread", ())),
    )


def _versions(details: Mapping[str, Any]) -> dict[str, int]:
    return {
        policy["Arn"]: len(policy.get("PolicyVersionList", ()))
        for policy in details.get("Policies", ())
    }


def _carriers(description: Mapping[str, Any], name: str) -> tuple[Carrier, ...]:
    return tuple(
        Carrier(item["arn"], item["role"], item.get("tags", {}))
        for item in description.get(name, ())
    )


def _assets(description: Mapping[str, Any], name: str) -> tuple[Asset, ...]:
    return tuple(
        Asset(
            item["arn"],
            item.get("tags", {}),
            parse_policy(item["policy"], name=item["arn"], kind="resource")
            if item.get("policy")
            else None,
        )
        for item in description.get(name, ())
    )


__all__ = ["ADMINISTRATOR", "Asset", "Carrier", "Inventory", "inventory"]
