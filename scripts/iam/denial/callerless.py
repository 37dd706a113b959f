"""What a denial tells that names no caller, or no caller by its ARN."""

from __future__ import annotations

import re

_ACTION = r"['\"]?(?P<action>[\w-]+:\w+)(?!\w|…|\.{3})"
# EKS and others, which look for a right before they use it; CloudFormation; AWS's own sentence.
_TOLD = (
    re.compile(rf"because no (?P<layer>[\w ]+?) allows the {_ACTION}"),
    re.compile(rf"missing permissions? (?:for|to) {_ACTION}"),
    re.compile(rf"API: {_ACTION} You are not authorized"),
    re.compile(rf"permission to call {_ACTION}"),
    re.compile(rf"is not authorized to perform:? {_ACTION}"),
)
_ACCOUNT = re.compile(r"with account ?id:? (\d{12})", re.IGNORECASE)
_KEY_REFUSED = "Access to KMS is not allowed"
# As they stand in a log; the words around them are searched for the rest.
SENTENCES = (
    rf"missing permissions? (?:for|to) ['\"]?[\w-]+:\w+|{_KEY_REFUSED}|"
    r"not authorized to perform this operation|permission to call [\w-]+:\w+"
)


def cause(words: str) -> str | None:
    """What was refused, by the words around it; None if they do not say."""
    if _KEY_REFUSED in words:
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples_cross.html
        return (
            "Secrets Manager asked KMS in the caller's name for the secret's key, and KMS refused. "
            "To read a secret its caller needs kms:Decrypt on that key, to write one "
            "kms:GenerateDataKey, too: by its own policies or by the key's, and of another "
            "account's secret by both; the key aws/secretsmanager serves its own account alone"
        )
    found = next((one for pattern in _TOLD if (one := pattern.search(words))), None)
    if found is None:
        return None
    account = _ACCOUNT.search(words)
    of_whom = f" of account {account[1]}" if account else ""
    if "layer" in found.re.groupindex:
        return f"no {found['layer']}{of_whom} allows {found['action']}"
    if "missing" in found[0]:
        return f"the caller{of_whom} lacks {found['action']}"
    return (
        f"{found['action']} was refused to a caller{of_whom}; whether an Allow is lacking or a "
        "policy denies it is not told"
    )
