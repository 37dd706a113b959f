"""A key that is disabled, scheduled for deletion or not there encrypts and decrypts nothing.

https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scripts.iam.requests import Need, Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends

_USES = frozenset(
    f"kms:{name}"
    for name in (
        "CreateGrant", "Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac",
        "ReEncryptFrom", "ReEncryptTo", "Sign", "Verify", "VerifyMac",
    )
)  # fmt: skip
# What cannot be done with a key that waits for its deletion: it would be deleted no more.
_CHANGES = frozenset(
    f"kms:{name}"
    for name in (
        "CreateAlias", "DisableKey", "DisableKeyRotation", "EnableKey", "EnableKeyRotation",
        "GetPublicKey", "RotateKeyOnDemand", "ScheduleKeyDeletion", "TagResource", "UntagResource",
        "UpdateKeyDescription",
    )
)  # fmt: skip
# The service's own code, where it has one, for any key that it cannot use.
_CODES = {
    "rds": "KMSKeyNotAccessibleFault",
    "secretsmanager": "InvalidRequestException",
    "ssm": "InvalidKeyId",
}


def check(needs: Iterable[Need], service: str, backends: Backends) -> None:
    """Raise AwsError if a call that is authorised uses a key that cannot be used."""
    for need in needs:
        name = need.resource.partition(":key/")[2]
        if need.action not in _USES | _CHANGES or name == "*":
            continue
        key = backends("kms", need.resource.split(":")[3]).keys.get(name) if name else None
        state = "NotFound" if key is None else str(key.key_state)
        if state == "PendingDeletion" or (state != "Enabled" and need.action in _USES):
            raise _refused(need.resource, state, service)
        usage = str(key.key_usage or "ENCRYPT_DECRYPT") if key else ""
        if key is not None and not _fits(need, usage, str(key.key_spec)):
            raise _refused(need.resource, "of another usage or algorithm", service)
        if key is not None and need.action == "kms:GetPublicKey" and not _has_public(key):
            raise AwsError("UnsupportedOperationException", f"{need.resource} has no public key.")


def _has_public(key: Any) -> bool:
    return not str(key.key_spec).startswith(("SYMMETRIC_", "HMAC_"))


_ENCRYPTS = frozenset(
    f"kms:{name}"
    for name in ("Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
                 "ReEncryptFrom", "ReEncryptTo")
)  # fmt: skip
_MACS = frozenset({"kms:GenerateMac", "kms:VerifyMac"})


def _fits(need: Need, usage: str, spec: str) -> bool:
    """Whether a key is for what it shall do, by the algorithm that the request names: policies
    see the request's word for it.

    https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
    """
    if need.action in _ENCRYPTS:
        named = need.context.get("kms:EncryptionAlgorithm", ("SYMMETRIC_DEFAULT",))[0]
        symmetric = spec == "SYMMETRIC_DEFAULT"
        return usage == "ENCRYPT_DECRYPT" and symmetric == (named == "SYMMETRIC_DEFAULT")
    if need.action in ("kms:Sign", "kms:Verify"):
        return usage == "SIGN_VERIFY"
    if need.action in _MACS:
        named = need.context.get("kms:MacAlgorithm", ("",))[0]
        fits = named.replace("HMAC_SHA_", "HMAC_") == spec
        return usage == "GENERATE_VERIFY_MAC" and fits
    return True


def _refused(arn: str, state: str, service: str) -> AwsError:
    code = {
        "Disabled": "DisabledException",
        "NotFound": "NotFoundException",
        "of another usage or algorithm": "InvalidKeyUsageException",
    }.get(state, "KMSInvalidStateException")
    words = {"Disabled": "is disabled.", "NotFound": "does not exist."}
    message = f"{arn} {words.get(state, f'is {state}.')}"
    if service == "kms":
        return AwsError(code, message)
    return AwsError(_CODES.get(service, f"KMS.{code}"), message)


def deletion(reading: Reading, _: Backends) -> None:
    """A key is deleted after 7 to 30 days."""
    days = reading.parameters.get("PendingWindowInDays")
    if days is not None and not 7 <= int(days) <= 30:
        raise AwsError(
            "ValidationException", "PendingWindowInDays must be 7 to 30 days, both included."
        )


def of_log_group(reading: Reading, backends: Backends) -> None:
    """Logs would be taken for encrypted with a key that cannot be used.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    name = reading.parameters.get("kmsKeyId")
    if not name:
        return
    key = backends("kms", reading.request.region).keys.get(str(name).rpartition(":key/")[2])
    usable = key is not None and key.arn == name and key.key_state == "Enabled"
    if not usable or key.key_spec != "SYMMETRIC_DEFAULT":
        raise AwsError(
            "InvalidParameterException",
            f"The specified KMS key does not exist or is not allowed to be used with {name}",
        )


# What a key of each kind of material is for; the default is encryption.
# https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html
_USAGES = (
    ("SYMMETRIC_DEFAULT", {"ENCRYPT_DECRYPT"}),
    ("HMAC_", {"GENERATE_VERIFY_MAC"}),
    ("RSA_", {"ENCRYPT_DECRYPT", "SIGN_VERIFY"}),
    ("ECC_NIST_P", {"KEY_AGREEMENT", "SIGN_VERIFY"}),
    ("ECC_", {"SIGN_VERIFY"}),
    ("ML_DSA_", {"SIGN_VERIFY"}),
)


def creation(reading: Reading, _: Backends) -> None:
    """A key's usage is one that its material has; SM2 is China's alone."""
    given = reading.parameters
    spec = given.get("KeySpec") or given.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    usage = given.get("KeyUsage")
    if usage is None and spec != "SYMMETRIC_DEFAULT":
        raise AwsError(
            "ValidationException", f"You must specify a KeyUsage value for a key of {spec}"
        )
    usage = usage or "ENCRYPT_DECRYPT"
    usages = next((usages for start, usages in _USAGES if spec.startswith(start)), set[str]())
    if usage not in usages:
        raise AwsError(
            "ValidationException", f"KeyUsage {usage} is not compatible with KeySpec {spec}"
        )


def rotation(reading: Reading, backends: Backends) -> None:
    """Symmetric keys whose material KMS made are rotated.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKeyRotation.html
    """
    kms = backends("kms", reading.request.region)
    key = kms.keys.get(str(reading.parameters["KeyId"]).rpartition("key/")[2])
    if key is not None and (key.key_spec, key.origin) != ("SYMMETRIC_DEFAULT", "AWS_KMS"):
        raise AwsError("UnsupportedOperationException", "The key cannot be rotated.")


def moved_alias(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_UpdateAlias.html"""
    given, kms = reading.parameters, backends("kms", reading.request.region)
    now = kms.keys.get(kms.get_key_id_from_alias(given["AliasName"]) or "")
    then = kms.keys.get(kms.get_key_id(given["TargetKeyId"]))
    if now is None or then is None:
        return  # moto's to refuse
    if (now.key_usage, _has_public(now)) != (then.key_usage, _has_public(then)):
        raise AwsError(
            "ValidationException", f"Alias {given['AliasName']} goes to keys of its key's type only"
        )


_ALWAYS = {"CreateGrant", "DescribeKey", "RetireGrant"}
_ENCRYPT = {"Decrypt", "Encrypt", "ReEncryptFrom", "ReEncryptTo"}
_DATA_KEYS = {"GenerateDataKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
              "GenerateDataKeyWithoutPlaintext"}  # fmt: skip
# What a grant may allow on keys of each usage; those with a public key show it beside.
_GRANTED = {
    "ENCRYPT_DECRYPT": _ENCRYPT,
    "GENERATE_VERIFY_MAC": {"GenerateMac", "VerifyMac"},
    "KEY_AGREEMENT": {"DeriveSharedSecret"},
    "SIGN_VERIFY": {"Sign", "Verify"},
}


def granted(reading: Reading, backends: Backends) -> None:
    """A grant allows what its key does.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html
    """
    kms = backends("kms", reading.request.region)
    key = kms.keys.get(str(reading.parameters["KeyId"]).rpartition("key/")[2])
    if key is None:
        return
    public = {"GetPublicKey"} if _has_public(key) else set[str]()
    symmetric = _DATA_KEYS if key.key_spec == "SYMMETRIC_DEFAULT" else set[str]()
    able = (
        _ALWAYS
        | _GRANTED.get(str(key.key_usage or "ENCRYPT_DECRYPT"), set[str]())
        | public
        | symmetric
    )
    if wrong := set(reading.parameters.get("Operations") or ()) - able:
        raise AwsError(
            "ValidationException", f"{min(wrong)} is not supported on a key of {key.key_spec}"
        )


def own_grant(reading: Reading, backends: Backends) -> None:
    """A grant is retired as one of its own key; moto says that it did, and does nothing.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_RetireGrant.html
    """
    given, kms = reading.parameters, backends("kms", reading.request.region)
    key = kms.keys.get(str(given.get("KeyId")).rpartition("key/")[2])
    if given.get("GrantId") and key is not None and given["GrantId"] not in key.grants:
        raise AwsError("NotFoundException", f"Grant ID {given['GrantId']} not found")


def asymmetric(reading: Reading, _: Backends) -> None:
    """An asymmetric key is named, and knows no context.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
    """
    given = reading.parameters
    for side in ("", "Source", "Destination"):
        algorithm = given.get(f"{side}EncryptionAlgorithm") or "SYMMETRIC_DEFAULT"
        if algorithm == "SYMMETRIC_DEFAULT":
            continue
        if given.get(f"{side}EncryptionContext"):
            raise AwsError("ValidationException", f"{algorithm} takes no encryption context")
        if not given.get(f"{side}KeyId"):
            raise AwsError("ValidationException", f"{algorithm} needs the key that it is of")
