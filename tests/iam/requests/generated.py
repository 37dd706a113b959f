"""Parameters for any operation, made from AWS's model: the fewest, or all down to a depth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from scripts.iam.requests.unambiguous import ONE_OF

from .support import ACCOUNT, KEY, REGION

ROLE = f"arn:aws:iam::{ACCOUNT}:role/some-role"
_DEPTH = 4
_ALIKE = [names for alternatives in ONE_OF.values() for names in alternatives]

# What a name stands for, by the end of the parameter's name (the longest end wins).
_BY_NAME: dict[str, Any] = {
    "AccountId": ACCOUNT,
    "Action": "lambda:InvokeFunction",
    "AddRouteTableId": "rtb-0a",
    "AlarmActions": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic",
    "AllocationId": "eipalloc-0a",
    "Arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic",
    "AssociationId": "rtbassoc-0a",
    "AWSServiceName": "rds.amazonaws.com",
    "BillingViewArn": f"arn:aws:billing::{ACCOUNT}:billingview/primary",
    "Bucket": "some-bucket",
    "CopySource": "other-bucket/other-key",
    "DeletionTaskId": "task/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS/1",
    "DryRun": False,
    "FlowLogId": "fl-0a",
    "FlowLogIds": "fl-0a",
    "GatewayId": "igw-0a",
    "GroupId": "sg-0a",
    "Groups": "sg-0a",
    "IamRoleArn": ROLE,
    "ImageId": "ami-0a",
    "InstanceId": "i-0a",
    "InstanceIds": "i-0a",
    "KeyId": KEY,
    "KmsKeyArn": KEY,
    "KmsKeyId": KEY,
    "LaunchTemplateId": "lt-0a",
    "LaunchTemplateVersion": "1",
    "LogDestination": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:flow",
    "logGroupIdentifier": "some-group",
    "NatGatewayId": "nat-0a",
    "NetworkAclId": "acl-0a",
    "NetworkInterfaceId": "eni-0a",
    "OpenIDConnectProviderArn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.org",
    "Path": "/",
    "PerformanceInsightsKMSKeyId": KEY,
    "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "PermissionArn": ROLE,
    "DeliverLogsPermissionArn": ROLE,
    "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/some-policy",
    "PrefixListId": "pl-0a",
    "RoleARN": ROLE,
    "RotationLambdaARN": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate",
    "SSEKMSEncryptionContext": "eyJhIjogImIifQ==",
    "RoleArn": ROLE,
    "roleArn": ROLE,
    "RouteTableId": "rtb-0a",
    "RouteTableIds": "rtb-0a",
    "SecretId": "some-secret",
    "SecretIdList": "some-secret",
    "SecurityGroupId": "sg-0a",
    "SecurityGroupIds": "sg-0a",
    "SecurityGroupRuleId": "sgr-0a",
    "SecurityGroupRuleIds": "sgr-0a",
    "ServiceLinkedRoleARN": ROLE,
    "ServerSideEncryption": "aws:kms",
    "SnapshotId": "snap-0a",
    "SslPolicy": "ELBSecurityPolicy-2016-08",
    "SubnetId": "subnet-0a",
    "SubnetIds": "subnet-0a",
    "SubscriptionArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic:1",
    "Target": "i-0a",
    "TargetArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic",
    "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic",
    "Url": "https://idp.example.org",
    "Version": "1",
    "VolumeId": "vol-0a",
    "VPCZoneIdentifier": "subnet-0a,subnet-0b",
    "VpcEndpointId": "vpce-0a",
    "VpcEndpointIds": "vpce-0a",
    "VpcId": "vpc-0a",
}


def generated(shape: Shape | None, *, every: bool) -> dict[str, Any]:
    """Parameters for an operation's input: the required ones only, or `every` one."""
    if shape is None:
        return {}
    return _structure(shape, every, 0)  # type: ignore[arg-type]


def _structure(shape: StructureShape, every: bool, depth: int) -> dict[str, Any]:
    names = shape.members if every and depth < _DEPTH else shape.required_members
    if depth and not names:  # an empty group cannot be told from none
        names = [name for name in shape.members if shape.members[name].type_name == "string"][:1]
    found: dict[str, Any] = {}
    for name in names:
        if name in shape.required_members or not _stands_already(name, found, names):
            found[name] = _value(shape.members[name], name, every, depth + 1)
    return found


def _stands_already(name: str, found: dict[str, Any], names: Iterable[str]) -> bool:
    """Whether AWS would refuse the parameter beside those that are there."""
    if name.startswith(("SecurityGroup", "SubnetId")) and "NetworkInterfaces" in names:
        return True
    return any(name in alike and alike & found.keys() for alike in _ALIKE)


def _value(shape: Shape, name: str, every: bool, depth: int) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(shape, every, depth)
    if isinstance(shape, ListShape):
        least = max(1, shape.metadata.get("min", 1))
        return [_value(shape.member, name, every, depth)] * least if depth <= _DEPTH + 2 else []
    if isinstance(shape, MapShape):
        keys = "abcdef"[: max(1, shape.metadata.get("min", 1))]
        return {key: _value(shape.value, "value", every, depth) for key in keys}
    return _scalar(shape, name)


def _scalar(shape: Shape, name: str) -> Any:
    ends = [end for end in _BY_NAME if name.endswith(end)]
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    match shape.type_name:
        case "boolean":
            return True
        case "integer" | "long" | "float" | "double":
            return max(1, int(least))
        case "timestamp":
            return "2030-01-01T00:00:00Z"
        case "blob":
            return b"some bytes"
    choices = shape.metadata.get("enum")
    meant = _BY_NAME[max(ends, key=len)] if ends else None
    if isinstance(meant, str) and meant in (choices or [meant]):
        return meant.ljust(least, "a")
    return choices[0] if choices else "some-name".ljust(least, "x")[:most]
