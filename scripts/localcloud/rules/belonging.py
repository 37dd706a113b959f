"""What is named together with what it belongs to must belong to it, and be there.

Moto looks such a thing up by its own name alone: the right to one upload's key or one group would
reach those of all others. And it keeps tags, scaling policies and scheduled actions of what is not
there: whoever makes the thing later gets them with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from moto.kms.exceptions import InvalidCiphertextException

from scripts.iam.requests import Need, Reading
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
    given = reading.parameters
    named = given.get("SourceKeyId" if reading.operation == "ReEncrypt" else "KeyId")
    if not named:
        return
    kms = backends("kms", reading.request.region)
    try:
        context = given.get("SourceEncryptionContext") or given.get("EncryptionContext") or {}
        kms.decrypt(given["CiphertextBlob"], context, named)
    except InvalidCiphertextException as error:
        raise AwsError("InvalidCiphertextException", "") from error
    except Exception as error:
        raise AwsError(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        ) from error


_NOT_FOUND = "ResourceNotFoundException"
# Service and operations -> the service's code by the kind of what is missing, "" for any kind.
_CODES: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("autoscaling", "DeleteScheduledAction PutScalingPolicy PutScheduledUpdateGroupAction"): {
        "": "ValidationError"
    },
    ("cloudtrail", "AddTags RemoveTags"): {"": _NOT_FOUND},
    # Moto knows the other kinds.
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    ("ec2", "CreateTags"): {
        "elastic-ip": "InvalidAllocationID.NotFound",
        "instance": "InvalidInstanceID.NotFound",
        "natgateway": "NatGatewayNotFound",
        "network-acl": "InvalidNetworkAclID.NotFound",
        "network-interface": "InvalidNetworkInterfaceID.NotFound",
        "prefix-list": "InvalidPrefixListID.NotFound",
        "security-group-rule": "InvalidSecurityGroupRuleId.NotFound",
        "vpc-endpoint": "InvalidVpcEndpointId.NotFound",
        "vpc-flow-log": "InvalidFlowLogId.NotFound",
    },
    ("logs", "TagResource UntagResource"): {"": _NOT_FOUND},
    ("rds", "AddTagsToResource RemoveTagsFromResource"): {
        "og": "OptionGroupNotFoundFault",
        "pg": "DBParameterGroupNotFound",
        "snapshot": "DBSnapshotNotFound",
        "subgrp": "DBSubnetGroupNotFoundFault",
        "": "DBInstanceNotFound",
    },
    ("scheduler", "TagResource UntagResource"): {"": _NOT_FOUND},
}
ABOUT = {
    (service, operation): codes
    for (service, operations), codes in _CODES.items()
    for operation in operations.split()
}


def check(
    needs: Iterable[Need], reading: Reading, tags: Callable[[str], Mapping[str, str] | None]
) -> None:
    """Raise AwsError if a call is about something that is not there; `tags` are those of what is,
    None of what is not."""
    service, operation = reading.request.service, reading.operation
    codes = ABOUT.get((service, operation))
    if codes is None:
        return
    for need in needs:
        if need.action == f"{service}:{operation}" and tags(need.resource) is None:
            kind, _, name = need.resource.split(":", 5)[5].replace("/", ":").partition(":")
            if code := codes.get(kind, codes.get("")):
                missing = name.rpartition(":")[2]
                status = 404 if service in ("rds", "scheduler") else 400
                raise AwsError(code, f"{kind} {missing} was not found.", status)
