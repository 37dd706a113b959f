"""EC2: instance profiles and user data."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends

# Before it is encoded: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
LARGEST_USER_DATA = 16 * 1024


def launch(reading: Reading, _: Backends) -> None:
    """What an instance or a launch template starts with."""
    data: Mapping[str, Any] = reading.parameters.get("LaunchTemplateData") or reading.parameters
    profile = data.get("IamInstanceProfile") or {}
    if profile.get("Arn") and profile.get("Name"):
        raise AwsError(
            "InvalidParameterCombination",
            "The parameter 'iamInstanceProfile.name' may not be used in combination with "
            "'iamInstanceProfile.arn'",
        )
    text = data.get("UserData")
    if not isinstance(text, str):
        return
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AwsError("InvalidUserData.Malformed",
                       "Invalid BASE64 encoding of user data.") from None  # fmt: skip
    if len(decoded) > LARGEST_USER_DATA:
        raise AwsError(
            "InvalidParameterValue", f"User data is limited to {LARGEST_USER_DATA} bytes"
        )
