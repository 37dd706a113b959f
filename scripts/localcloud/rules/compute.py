"""EC2 and scaling groups: instance profiles, user data, what is terminated, and sizes."""

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


def started(reading: Reading, backends: Backends) -> None:
    """An instance that was terminated does not come back.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
    """
    ec2 = backends("ec2", reading.request.region)
    for name in reading.parameters.get("InstanceIds") or ():
        instance = ec2.get_instance_by_id(name)
        if instance is not None and instance.state in ("terminated", "shutting-down"):
            raise AwsError(
                "IncorrectInstanceState",
                f"The instance '{name}' is not in a state from which it can be started.",
            )


def image(reading: Reading, backends: Backends) -> None:
    """Moto makes images of volumes of its own, which would not be encrypted."""
    ec2 = backends("ec2", reading.request.region)
    instance = ec2.get_instance_by_id(reading.parameters["InstanceId"])
    for disk in instance.block_device_mapping.values() if instance else ():
        volume = ec2.volumes.get(disk.volume_id)
        if volume is not None and volume.encrypted:
            raise AwsError(
                "LocalCloudNotImplemented", "The local cloud makes no images of encrypted volumes"
            )


def sizes(reading: Reading, backends: Backends) -> None:
    """A group has no more instances than its largest size, and no fewer than its least.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
    """
    given = reading.parameters
    groups = backends("autoscaling", reading.request.region).autoscaling_groups
    group = groups.get(given["AutoScalingGroupName"])
    least = given.get("MinSize", group.min_size if group else 0)
    most = given.get("MaxSize", group.max_size if group else None)
    wanted = given.get("DesiredCapacity")
    if most is not None and least > most:
        raise AwsError(
            "ValidationError",
            f"Max bound, {most}, must be greater than or equal to min bound, {least}",
        )
    if wanted is not None and not least <= wanted <= (wanted if most is None else most):
        raise AwsError(
            "ValidationError",
            f"Desired capacity:{wanted} must be between the specified min size:{least} and max "
            f"size:{most}",
        )
