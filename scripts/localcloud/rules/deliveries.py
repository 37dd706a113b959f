"""What a service would send on its own: moto asks nobody whether the receiver lets it in."""

from __future__ import annotations

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends

# What moto keeps, and sends nowhere.
_KEPT = frozenset({"email", "email-json", "sms"})


def subscription(reading: Reading, _: Backends) -> None:
    """Moto posts messages to any address, those of this machine too."""
    protocol = reading.parameters.get("Protocol")
    if protocol not in _KEPT:
        raise AwsError(
            "LocalCloudNotImplemented", f"The local cloud sends no messages by {protocol}"
        )


def notifications(reading: Reading, _: Backends) -> None:
    """Moto hands a bucket's events to any topic, and through a rule to any log group."""
    asked = reading.parameters.get("NotificationConfiguration") or {}
    if any(asked.values()) or "EventBridgeConfiguration" in asked:
        raise AwsError(
            "LocalCloudNotImplemented", "The local cloud sends no notifications of buckets"
        )
