"""KMS: its own API, and the checks that AWS makes on keys behind other services."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    VIA_SERVICE,
    Call,
    Row,
    Table,
    Target,
    Targets,
    anywhere,
    arn_of_type,
    as_text,
    checked,
    everything,
    keys_from,
    name_of,
    onto,
    pairs,
    request_tags,
    resource_tags,
    same,
    service_linked_role,
    tag_keys,
    when,
)

MANAGED = "alias/aws/"
# What a service says of its grants, and of the context that it encrypts a volume or database in.
_OF_GRANT = ("kms:GrantConstraintType", "kms:GrantOperations", "kms:GranteePrincipal",
             "kms:RetiringPrincipal")  # fmt: skip
_OF_CONTEXT = ("kms:EncryptionContext:", "kms:EncryptionContextKeys")


def behind(
    call: Call,
    service: str,
    key: str | None,
    actions: Iterable[str],
    context: Mapping[str, str] | None = None,
    *,
    unsaid: tuple[str, ...] = (),
) -> Iterator[Need]:
    """What a service does with a key in the caller's name; None: no key of the account's.

    `unsaid` are names in the context whose values only the service knows.

    A key that AWS manages is one like any other. Its own policy lets everyone in the account use
    it, but only through its service (`scripts.iam.account.managed_keys`).
    https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-key
    """
    if not key:
        return
    arn = _key_arn(call, key)
    region = arn.split(":")[3]
    for action in actions:
        keys = {
            **_key_facts(call, arn),
            **VIA_SERVICE,
            "kms:ViaService": (f"{service}.{region}.amazonaws.com",),
        }
        unknown: tuple[str, ...] = ()
        if action == "kms:CreateGrant":
            keys["kms:GrantIsForAWSResource"] = ("true",)
            unknown = (*_OF_GRANT, *_OF_CONTEXT)
        elif action != "kms:DescribeKey":
            keys["kms:EncryptionAlgorithm"] = ("SYMMETRIC_DEFAULT",)
            known = encryption_context(context or {})
            keys |= known
            if known and unsaid:
                keys["kms:EncryptionContextKeys"] = (*known["kms:EncryptionContextKeys"], *unsaid)
            unknown = tuple(f"{_OF_CONTEXT[0]}{name}" for name in unsaid) if known else _OF_CONTEXT
        yield Need(action, arn, keys, unknown)


def encryption_context(context: Mapping[str, str]) -> Keys:
    """kms:EncryptionContext:* and kms:EncryptionContextKeys."""
    if not context:
        return {}
    keys: Keys = {"kms:EncryptionContextKeys": tuple(context)}
    return keys | {f"kms:EncryptionContext:{k}": (str(v),) for k, v in context.items()}


def _key_facts(call: Call, arn: str) -> Keys:
    facts = call.facts(arn)
    named = {
        "spec": "kms:KeySpec",
        "usage": "kms:KeyUsage",
        "origin": "kms:KeyOrigin",
        "multi_region": "kms:MultiRegion",
    }
    keys: Keys = {
        name: (as_text(facts[fact]),) for fact, name in named.items() if facts.get(fact) is not None
    }
    if facts.get("aliases"):
        keys["kms:ResourceAliases"] = tuple(facts["aliases"])
    return {
        **keys,
        **resource_tags(call, arn),
        "kms:CallerAccount": (call.account.account_id,),
    }


def _key_arn(call: Call, name: str) -> str:
    alias, ident = r"alias/[\w/-]+", r"(?:key/)?[\w-]+"
    if name.startswith("arn:"):
        arn_of_type(name, "KeyId", "kms", rf"{alias}|key/[\w-]+")
    else:
        name_of(name, "KeyId", rf"{alias}|{ident}")
    found = call.account.key_arn(name)
    if found or name.startswith("arn:"):
        return found or name
    if name.startswith(MANAGED):  # made by its service at the first use
        return call.arn("kms", "key/*")
    return call.arn("kms", name if name.startswith("alias/") else f"key/{name}")


def _named(call: Call, name: str) -> Target:
    keys = _key_facts(call, _key_arn(call, name))
    alias = name.rpartition(":")[2] if name.startswith("arn:") else name
    if alias.startswith("alias/"):
        keys["kms:RequestAlias"] = (alias,)
    return Target(_key_arn(call, name), keys)


def key(call: Call) -> Iterator[Target]:
    """The key that KeyId names, by id, ARN or alias."""
    yield _named(call, call.text("KeyId"))


def _granted_key(call: Call) -> Iterator[Target]:
    """The key of the grant that a token is of, or that KeyId names.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_RetireGrant.html
    """
    token = call.get("GrantToken")
    if not token:
        yield from key(call)
        return
    if call.get("KeyId") or call.get("GrantId"):
        raise ValueError("GrantToken names the grant alone: send no KeyId and no GrantId with it")
    arn = call.facts(call.arn("kms", f"grant/{token}")).get("key")
    if not arn:
        raise ValueError("GrantToken is the token of no grant")
    yield _named(call, str(arn))


def _alias_arn(call: Call) -> str:
    return call.arn("kms", name_of(call.get("AliasName"), "AliasName", r"alias/[\w/-]+"))


def _alias_and_key(call: Call) -> Iterator[Target]:
    """Aliases are checked twice: on the alias and on the key that it points to.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-access.html
    """
    alias = call.text("AliasName")
    yield Target(_alias_arn(call), {"kms:CallerAccount": (call.account.account_id,)})
    asked = call.get("TargetKeyId")
    arns = [_key_arn(call, checked(asked, "TargetKeyId"))] if asked else []
    if call.operation != "CreateAlias":  # the key that the alias points to now
        arns.append(call.account.key_arn(alias) or "")
    for arn in dict.fromkeys(filter(None, arns)):
        yield Target(arn, _key_facts(call, arn))


def _ciphertext_key(parameter: str, blob: str) -> Targets:
    """The key that a call names, or else the one that made the ciphertext."""

    def found(call: Call) -> Iterator[Target]:
        name = call.get(parameter)
        if not name:
            text = call.get(blob)
            encoded = text if isinstance(text, str) else b64encode(text or b"").decode()
            name = call.facts(call.arn("kms", f"ciphertext/{encoded}")).get("key")
        if not name:
            raise ValueError(f"the ciphertext does not name its key here: send {parameter} too")
        yield _named(call, checked(name, parameter))

    return found


def _context_of(side: str = "") -> Callable[[Call], Keys]:
    """Context and algorithm, of re-encryption those of one of its two sides."""

    def found(call: Call) -> Keys:
        algorithm = call.get(f"{side}EncryptionAlgorithm") or "SYMMETRIC_DEFAULT"
        keys = encryption_context(call.get(f"{side}EncryptionContext") or {})
        return {**keys, "kms:EncryptionAlgorithm": (str(algorithm),)}

    return found


def _grant(call: Call) -> Keys:
    constraints: Mapping[str, Any] = call.get("Constraints") or {}
    context: Mapping[str, str] = next(
        (v for k, v in constraints.items() if k.startswith("EncryptionContext")), {}
    )
    keys = encryption_context(context)
    if constraints:
        keys["kms:GrantConstraintType"] = tuple(constraints)
    return {
        **keys,
        "kms:GrantIsForAWSResource": ("false",),
        "kms:GrantOperations": tuple(call.texts("Operations")),
        "kms:GranteePrincipal": (call.text("GranteePrincipal"),),
        **keys_from(RetiringPrincipal="kms:RetiringPrincipal")(call),
    }


def _new_key(call: Call) -> Keys:
    defaults = {"KeyUsage": "ENCRYPT_DECRYPT", "Origin": "AWS_KMS"}
    names = {"KeyUsage": "kms:KeyUsage", "Origin": "kms:KeyOrigin"}
    lockout = as_text(call.flag("BypassPolicyLockoutSafetyCheck"))
    # The older name of the same parameter.
    spec = call.get("KeySpec") or call.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    return {
        **request_tags(pairs(call.get("Tags"), "TagKey", "TagValue")),
        **{key: (str(call.get(name) or defaults[name]),) for name, key in names.items()},
        "kms:KeySpec": (str(spec),),
        "kms:BypassPolicyLockoutSafetyCheck": (lockout,),
        "kms:CallerAccount": (call.account.account_id,),
        "kms:MultiRegion": (as_text(call.flag("MultiRegion")),),
    }


def _puts_policy(call: Call) -> Iterator[Need]:
    """Whoever makes a key with a policy must be able to put one on it.

    The new key's tags may not count yet.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html
    """
    lockout = _policy_lockout(call)
    yield Need("kms:PutKeyPolicy", call.arn("kms", "key/*"), {**lockout, **_caller(call)})


def _caller(call: Call) -> Keys:
    return {"kms:CallerAccount": (call.account.account_id,)}


def _tags_on_create(call: Call) -> Keys:
    return {**request_tags(pairs(call.get("Tags"), "TagKey", "TagValue")), **_caller(call)}


def _policy_lockout(call: Call) -> Keys:
    lockout = as_text(call.flag("BypassPolicyLockoutSafetyCheck"))
    return {"kms:BypassPolicyLockoutSafetyCheck": (lockout,)}


TABLE: Table = {
    **same(
        "CancelKeyDeletion DescribeKey DisableKey DisableKeyRotation EnableKey GetKeyPolicy "
        "GetKeyRotationStatus GetPublicKey ListGrants ListKeyPolicies ListKeyRotations "
        "ListResourceTags RevokeGrant RotateKeyOnDemand UpdateKeyDescription",
        Row(key),
    ),
    "RetireGrant": Row(_granted_key),
    **{name: Row(everything, keys=_caller) for name in ("ListKeys", "ListAliases")},
    **anywhere("ListRetirableGrants"),
    "GenerateRandom": Row(everything, keys=_caller),
    **same("CreateAlias DeleteAlias UpdateAlias", Row(_alias_and_key)),
    "CreateGrant": Row(key, keys=_grant),
    "CreateKey": Row(
        everything,
        keys=_new_key,
        # https://docs.aws.amazon.com/kms/latest/developerguide/tagging-keys.html
        also=(
            when(
                "Tags",
                lambda call: [
                    Need("kms:TagResource", call.arn("kms", "key/*"), _tags_on_create(call))
                ],
            ),
            when("Policy", _puts_policy),
            when("MultiRegion", service_linked_role("mrk.kms.amazonaws.com")),
        ),
    ),
    "PutKeyPolicy": Row(key, keys=_policy_lockout),
    "EnableKeyRotation": Row(key, keys=keys_from(RotationPeriodInDays="kms:RotationPeriodInDays")),
    "ScheduleKeyDeletion": Row(
        key, keys=keys_from(PendingWindowInDays="kms:ScheduleKeyDeletionPendingWindowInDays")
    ),
    "TagResource": Row(
        key, keys=lambda call: request_tags(pairs(call.get("Tags"), "TagKey", "TagValue"))
    ),
    "UntagResource": Row(key, keys=lambda call: tag_keys(call.texts("TagKeys"))),
    **same(
        "Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair "
        "GenerateDataKeyPairWithoutPlaintext",
        Row(key, keys=_context_of()),
    ),
    "Decrypt": Row(_ciphertext_key("KeyId", "CiphertextBlob"), keys=_context_of()),
    "ReEncrypt": Row(
        _ciphertext_key("SourceKeyId", "CiphertextBlob"),
        action="kms:ReEncryptFrom",
        keys=_context_of("Source"),
        also=(
            onto(
                "kms:ReEncryptTo",
                lambda call: [_named(call, call.text("DestinationKeyId"))],
                _context_of("Destination"),
            ),
        ),
    ),
    **same(
        "Sign Verify",
        Row(
            key,
            keys=keys_from(MessageType="kms:MessageType", SigningAlgorithm="kms:SigningAlgorithm"),
        ),
    ),
    **same("GenerateMac VerifyMac", Row(key, keys=keys_from(MacAlgorithm="kms:MacAlgorithm"))),
}
