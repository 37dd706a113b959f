"""Principal and NotPrincipal: whom a resource or trust policy speaks of.

Rules: IAM User Guide, "Principal" (reference_policies_elements_principal), "NotPrincipal"
(reference_policies_elements_notprincipal) and "How AWS enforcement code logic evaluates requests"
(reference_policies_evaluation-logic_policy-eval-denyallow).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from scripts.iam.engine.errors import PolicyError, Unsupported

PrincipalKind = Literal["assumed-role", "user", "root", "anonymous", "service", "federated"]
ANYONE = "*"


@dataclass(frozen=True)
class Principal:
    """Who calls.

    `arn` is the caller's own: the role session's for an assumed role, "*" for anonymous. A role
    session also has `role_arn`; a service has `service` (ec2.amazonaws.com); a caller of
    AssumeRoleWithWebIdentity has `federated_provider`, the ARN of the OIDC provider. `unique_id` is
    that of the user or of the session's role (AIDA…, AROA…), where it is known.
    """

    arn: str
    account: str
    kind: PrincipalKind
    role_arn: str | None = None
    federated_provider: str | None = None
    service: str | None = None
    unique_id: str | None = None

    def __post_init__(self) -> None:
        needed = {
            "assumed-role": self.role_arn,
            "service": self.service,
            "federated": self.federated_provider,
        }
        if self.kind in needed and not needed[self.kind]:
            raise ValueError(
                f"a principal of kind {self.kind!r} needs role_arn, service or "
                "federated_provider respectively"
            )
        if ":federated-user/" in self.arn:
            raise Unsupported(f"sessions of GetFederationToken ({self.arn}) are not modelled")


class Named(IntEnum):
    """How directly a policy names the caller; the higher, the fewer other policies must allow."""

    NOT = 0
    ACCOUNT = 1  # the account: its own policies must allow as well
    ROLE = 2  # the role: its boundary and session policies still limit
    DIRECTLY = 3  # the user, the session, the service, the provider or everyone


_ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)
_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:"
    r"iam::(?:\d{12}|cloudfront):(?:root|user/.+|role/.+)"
    r"|sts::\d{12}:(?:assumed-role/[^/]+/[^/]+|federated-user/.+))",
    re.ASCII,
)
_ROOT = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):root", re.ASCII)
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,}", re.ASCII)
_SERVICE = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
_PROVIDER = re.compile(
    r"arn:aws[a-z-]*:iam::\d{12}:(?:oidc-provider|saml-provider)/.+|[a-z0-9-]+(\.[a-z0-9-]+)+",
    re.ASCII,
)


def check_principal(kind: str, value: str) -> None:
    """Raise PolicyError unless AWS takes `value` under {"Principal": {kind: ...}}."""
    if "${" in value:
        raise PolicyError(f"{value!r}: a principal takes no policy variable")
    if kind == "AWS":
        _check_aws(value)
    elif kind == "Service":
        if not _SERVICE.fullmatch(value):
            raise PolicyError(f"{value!r} is not a service; write one such as ec2.amazonaws.com")
    elif kind == "Federated":
        if not _PROVIDER.fullmatch(value):
            raise PolicyError(
                f"{value!r} is not an identity provider; write the provider's ARN "
                "(arn:aws:iam::ACCOUNT:oidc-provider/HOST) or its domain"
            )
    elif kind != "CanonicalUser":
        raise PolicyError(
            f"unknown principal type {kind!r}; write AWS, Service, Federated or CanonicalUser"
        )


def _check_aws(value: str) -> None:
    if value == ANYONE or _ACCOUNT_ID.fullmatch(value) or _UNIQUE_ID.fullmatch(value):
        return
    if "*" in value or "?" in value:
        raise PolicyError(
            f"{value!r}: a wildcard cannot stand for part of a principal; write "
            '"Principal": "*" with a condition ArnLike on aws:PrincipalArn'
        )
    if not _ARN.fullmatch(value):
        raise PolicyError(
            f"{value!r} is not a principal; write an account id or the ARN of an account, "
            "user, role or role session"
        )


class PrincipalTest:
    """A compiled Principal element: how does it name a caller?"""

    def __init__(self, principals: Mapping[str, tuple[str, ...]]) -> None:
        aws = principals.get("AWS", ())
        self._anyone = ANYONE in principals or ANYONE in aws
        self._accounts = {_account(value) for value in aws} - {None}
        self._arns = {value for value in aws if _account(value) is None}
        self._services = set(principals.get("Service", ()))
        self._providers = set(principals.get("Federated", ()))
        self._ids = [value for value in aws if _UNIQUE_ID.fullmatch(value)]
        self._unknown = list(principals.get("CanonicalUser", ()))

    def named(self, caller: Principal) -> Named:
        """How the element names the caller. Raises Unsupported where an id cannot be compared."""
        best = self._known(caller)
        unknown = self._unknown + ([] if caller.unique_id else self._ids)
        if best is not Named.DIRECTLY and unknown and caller.kind != "service":
            raise Unsupported(
                f"the principal {unknown[0]!r} is a unique or canonical id, and that of the "
                "caller is not known here; write the ARN"
            )
        return best

    def _known(self, caller: Principal) -> Named:
        if self._anyone:
            return Named.DIRECTLY
        kind = caller.kind
        if kind == "service":
            return Named.DIRECTLY if caller.service in self._services else Named.NOT
        if kind == "federated":
            found = caller.federated_provider in self._providers
            return Named.DIRECTLY if found else Named.NOT
        if kind == "anonymous":
            return Named.NOT
        if caller.arn in self._arns:
            return Named.DIRECTLY
        if caller.role_arn is not None and caller.role_arn in self._arns:
            return Named.ROLE
        if caller.unique_id is not None and caller.unique_id in self._ids:
            return Named.DIRECTLY if kind == "user" else Named.ROLE
        if caller.account in self._accounts:
            return Named.DIRECTLY if kind == "root" else Named.ACCOUNT
        return Named.NOT


class NotPrincipalTest:
    """A compiled NotPrincipal element, which AWS takes with Deny only: does the Deny apply?"""

    def __init__(self, principals: Mapping[str, tuple[str, ...]]) -> None:
        self._listed = PrincipalTest(principals)
        self._aws = principals.get("AWS", ())

    def applies(self, caller: Principal, action: str, *, bounded: bool) -> bool:
        """Whether the caller is denied.

        A caller with a permissions boundary always is. A user is excepted when user and account
        are listed, a role session when session, role and account are. A role alone does not
        except its sessions at S3, so it was measured. What any other list does that names the
        caller but not all of these depends on the service, and raises Unsupported.
        """
        if bounded:
            return True
        named = self._listed.named(caller)
        if named in (Named.NOT, Named.ACCOUNT):
            return True
        if caller.kind not in ("user", "assumed-role") or ANYONE in self._aws:
            return False
        needed = [caller.arn] + ([caller.role_arn] if caller.role_arn else [])
        missing = [arn for arn in needed if arn not in self._aws]
        if caller.account not in {_account(value) for value in self._aws}:
            missing.append(f"arn:aws:iam::{caller.account}:root")
        if caller.arn in missing and caller.kind == "assumed-role" and action.startswith("s3:"):
            return True
        if missing:
            raise Unsupported(
                f"NotPrincipal names {caller.arn} without {', '.join(missing)}; what AWS does "
                "then depends on the service"
            )
        return False


def _account(value: str) -> str | None:
    """The account id that a principal stands for, None if it is not an account."""
    if _ACCOUNT_ID.fullmatch(value):
        return value
    match = _ROOT.fullmatch(value)
    return match.group(1) if match else None
