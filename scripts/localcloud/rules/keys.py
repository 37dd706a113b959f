"""A key that is disabled, scheduled for deletion or not there encrypts and decrypts nothing.

https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
"""

from __future__ import annotations

from collections.abc import Iterable

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
        "RotateKeyOnDemand", "ScheduleKeyDeletion", "TagResource", "UntagResource",
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


def _refused(arn: str, state: str, service: str) -> AwsError:
    code = {"Disabled": "DisabledException", "NotFound": "NotFoundException"}.get(
        state, "KMSInvalidStateException"
    )
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
