"""Credentials of one AWS principal, as STS issues them and SDKs read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Credentials:
    """Credentials of one AWS principal; `expiration` is None for keys that do not expire."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expiration: datetime | None = None

    @classmethod
    def from_sts(cls, response: Mapping[str, Any]) -> Credentials:
        """Read the answer of any STS call that has a `Credentials` member."""
        issued = response["Credentials"]
        return cls(
            access_key_id=issued["AccessKeyId"],
            secret_access_key=issued["SecretAccessKey"],
            session_token=issued["SessionToken"],
            expiration=issued.get("Expiration"),
        )

    def environment(self) -> dict[str, str]:
        """Name the credentials as every AWS SDK reads them from the environment."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        if self.session_token is not None:
            variables["AWS_SESSION_TOKEN"] = self.session_token
        return variables
