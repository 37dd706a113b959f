"""What is named together with what it belongs to must belong to it.

Moto looks such a thing up by its own name alone: the right to one upload's key or one group would
reach those of all others.
"""

from __future__ import annotations

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends


def upload(reading: Reading, backends: Backends) -> None:
    """An upload in parts is one of the key that it was begun for."""
    bucket = backends("s3").buckets.get(reading.parameters.get("Bucket"))
    found = bucket.multiparts.get(reading.parameters.get("UploadId")) if bucket else None
    if found is not None and found.key_name != reading.parameters.get("Key"):
        raise AwsError(
            "NoSuchUpload",
            "The specified upload does not exist. The upload ID may be invalid, or the upload may "
            "have been aborted or completed.",
            404,
        )


def scaling_policy(reading: Reading, backends: Backends) -> None:
    """A scaling policy is one of its group, whose name it may share with another group's."""
    given = reading.parameters
    policies = backends("autoscaling", reading.request.region).policies
    found = policies.get(given.get("PolicyName"))
    if found is not None and found.auto_scaling_group_name != given.get("AutoScalingGroupName"):
        raise _another_groups(reading, "scaling policies")


def scheduled_action(reading: Reading, backends: Backends) -> None:
    """A scheduled action is one of its group, whose name it may share with another group's."""
    given = reading.parameters
    actions = backends("autoscaling", reading.request.region).scheduled_actions
    for one in given.get("ScheduledUpdateGroupActions") or (given,):
        found = actions.get(one.get("ScheduledActionName"))
        if found is not None and found.auto_scaling_group_name != given["AutoScalingGroupName"]:
            raise _another_groups(reading, "scheduled actions")


def _another_groups(reading: Reading, kind: str) -> AwsError:
    return AwsError(
        "LocalCloudNotImplemented",
        f"The local cloud refuses autoscaling {reading.operation}: another group has one of that "
        f"name, and the {kind} of all groups share their names here",
    )


def ciphertext(reading: Reading, backends: Backends) -> None:
    """A ciphertext was made by the key that the call names.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_ReEncrypt.html
    """
    named = reading.parameters.get("SourceKeyId")
    if not named:
        return
    kms = backends("kms", reading.request.region)
    try:
        kms.decrypt(
            reading.parameters["CiphertextBlob"],
            reading.parameters.get("SourceEncryptionContext") or {},
            named,
        )
    except Exception as error:
        raise AwsError(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        ) from error
