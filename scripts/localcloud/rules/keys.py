"""A key that is disabled, scheduled for deletion or not there encrypts and decrypts nothing.

https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
"""

from __future__ import annotations

from collections.abc import Iterable

from scripts.iam.requests import Need
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
# The service's own code, where it has one, for any key that it cannot use.
_CODES = {"ssm": "InvalidKeyId", "secretsmanager": "InvalidRequestException"}


def check(needs: Iterable[Need], service: str, backends: Backends) -> None:
    """Raise AwsError if a call that is authorised uses a key that cannot be used."""
    for need in needs:
        name = need.resource.partition(":key/")[2]
        if need.action not in _USES or name == "*":
            continue
        key = backends("kms", need.resource.split(":")[3]).keys.get(name) if name else None
        state = "NotFound" if key is None else str(key.key_state)
        if state != "Enabled":
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
