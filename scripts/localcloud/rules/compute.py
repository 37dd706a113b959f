"""EC2 and scaling groups: instance profiles, user data, what is terminated, and sizes."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends

# Before it is encoded: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
LARGEST_USER_DATA = 16 * 1024
MOST_HOPS = 64
_SHOWN_TAG = re.compile(r"(?!(?:\.|\.\.|_index)\Z)[0-9a-zA-Z\-_+=,.@:]+")


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
    text = data.get("UserData") or b""
    if isinstance(text, Mapping):  # of a change, where AWS's model has bytes
        text = text.get("Value") or b""
    try:
        decoded = base64.b64decode(text, validate=True) if isinstance(text, str) else text
    except (binascii.Error, ValueError):
        raise AwsError("InvalidUserData.Malformed",
                       "Invalid BASE64 encoding of user data.") from None  # fmt: skip
    if len(decoded) > LARGEST_USER_DATA:
        raise AwsError(
            "InvalidParameterValue", f"User data is limited to {LARGEST_USER_DATA} bytes"
        )


def metadata(reading: Reading, backends: Backends) -> None:
    """Hops of the metadata service's answers, and what tags that it shows are called.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceMetadataOptions.html
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
    """
    given = reading.parameters
    data: Mapping[str, Any] = given.get("LaunchTemplateData") or given
    options = data.get("MetadataOptions") or data
    hops = options.get("HttpPutResponseHopLimit")
    if hops is not None and not 1 <= hops <= MOST_HOPS:
        raise AwsError(
            "InvalidParameterValue",
            f"HttpPutResponseHopLimit is {hops}, and must be from 1 to {MOST_HOPS}",
        )
    ec2 = backends("ec2", reading.request.region)
    names = [name for name in given.get("Resources") or () if name.startswith("i-")]
    known = map(ec2.get_instance_by_id, [*names, given.get("InstanceId", "")])
    showing = [
        one for one in known if one and one.metadata_options.instance_metadata_tags == "enabled"
    ]
    keys = [tag.get("Key", "") for tag in given.get("Tags") or ()] if showing else []
    if options.get("InstanceMetadataTags") == "enabled":
        changed = ec2.get_instance_by_id(given.get("InstanceId", ""))
        keys += [tag["key"] for tag in (changed.get_tags() if changed else ())]
        keys += [
            tag.get("Key", "")
            for specification in given.get("TagSpecifications") or ()
            if specification.get("ResourceType") == "instance"
            for tag in specification.get("Tags") or ()
        ]
    for key in keys:
        if not _SHOWN_TAG.fullmatch(key):
            raise AwsError(
                "InvalidParameterValue",
                f"'{key}' is not a valid tag key. Tag keys must match pattern "
                f"({_SHOWN_TAG.pattern}), where instance metadata shows tags",
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
