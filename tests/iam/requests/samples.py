"""A request of every mapped operation, filled in, to an account in which everything exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.iam.requests import Need, needs
from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.services.ec2 import KIND_OF_PREFIX as KINDS
from scripts.iam.requests.wire.shapes import input_shape, is_modelled

from .generated import ROLE, generated
from .support import ACCOUNT, KEY, REGION, FakeAccount, sent

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"
GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:some-group"
ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:some-alarm"
DATABASE = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:some-db"
SCHEDULES = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/some-group"
TRAIL = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/some-trail"
BUDGET = f"arn:aws:budgets::{ACCOUNT}:budget/some-budget"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/some-rule"
BALANCERS = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
BALANCER = f"{BALANCERS}:loadbalancer/app/some-balancer/0a"
LISTENER = f"{BALANCERS}:listener/app/some-balancer/0a/0b"
TARGETS = f"{BALANCERS}:targetgroup/some-group/0c"
TAGS = [{"Key": "Environment", "Value": "dev"}]


def tagged(*kinds: str) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": TAGS} for kind in kinds]}


# Parameters that a generated value cannot stand for; None takes a parameter away.
FITTING: dict[tuple[str, str], dict[str, Any]] = {
    ("autoscaling", "CreateOrUpdateTags"): {"Tags": [{**TAGS[0], "ResourceId": "some-group"}]},
    ("autoscaling", "DeleteTags"): {"Tags": [{**TAGS[0], "ResourceId": "some-group"}]},
    ("autoscaling", "DeletePolicy"): {"AutoScalingGroupName": "some-group"},
    ("autoscaling", "TerminateInstanceInAutoScalingGroup"): {
        "InstanceId": "i-0a",
        "InstanceIds": None,
    },
    ("budgets", "ListTagsForResource"): {"ResourceARN": BUDGET},
    ("budgets", "TagResource"): {"ResourceARN": BUDGET},
    ("budgets", "UntagResource"): {"ResourceARN": BUDGET},
    ("cloudtrail", "AddTags"): {"ResourceId": TRAIL},
    ("cloudtrail", "RemoveTags"): {"ResourceId": TRAIL},
    ("cloudtrail", "GetInsightSelectors"): {"TrailName": "some-trail"},
    ("cloudtrail", "PutInsightSelectors"): {"TrailName": "some-trail"},
    ("ec2", "AllocateAddress"): tagged("elastic-ip"),
    ("ec2", "AssociateAddress"): {"AllocationId": "eipalloc-0a", "InstanceId": "i-0a"},
    ("ec2", "AuthorizeSecurityGroupEgress"): tagged("security-group-rule"),
    ("ec2", "AuthorizeSecurityGroupIngress"): {
        "GroupId": "sg-0a",
        **tagged("security-group-rule"),
    },
    ("ec2", "CreateFlowLogs"): {"ResourceType": "VPC", **tagged("vpc-flow-log")},
    ("ec2", "CreateImage"): tagged("image", "snapshot"),
    ("ec2", "CreateInternetGateway"): tagged("internet-gateway"),
    ("ec2", "CreateLaunchTemplate"): {
        "LaunchTemplateData": {"ImageId": "ami-0a"},
        **tagged("launch-template"),
    },
    ("ec2", "CreateLaunchTemplateVersion"): {
        "LaunchTemplateId": "lt-0a",
        "LaunchTemplateData": {"ImageId": "ami-0a"},
    },
    ("ec2", "CreateNatGateway"): tagged("natgateway"),
    ("ec2", "CreateNetworkInterface"): tagged("network-interface"),
    ("ec2", "CreateRouteTable"): tagged("route-table"),
    ("ec2", "CreateSecurityGroup"): tagged("security-group"),
    ("ec2", "CreateSnapshot"): tagged("snapshot"),
    ("ec2", "CreateSubnet"): tagged("subnet"),
    ("ec2", "CreateTags"): {"Resources": [f"{kind}-0a" for kind in KINDS], "Tags": TAGS},
    ("ec2", "CreateVolume"): tagged("volume"),
    ("ec2", "CreateVpc"): tagged("vpc"),
    ("ec2", "CreateVpcEndpoint"): {
        "ServiceName": "com.amazonaws.us-east-1.s3",
        **tagged("vpc-endpoint"),
    },
    ("ec2", "DeleteLaunchTemplate"): {"LaunchTemplateId": "lt-0a"},
    ("ec2", "DeleteLaunchTemplateVersions"): {"LaunchTemplateId": "lt-0a"},
    ("ec2", "DeleteSecurityGroup"): {"GroupId": "sg-0a"},
    ("ec2", "DeleteTags"): {"Resources": ["subnet-0a", "sg-0a"], "Tags": TAGS},
    ("ec2", "DisassociateAddress"): {"AssociationId": "eipassoc-0a"},
    ("ec2", "ModifyInstanceAttribute"): {"Attribute": None, "Value": None},
    ("ec2", "ModifyLaunchTemplate"): {"LaunchTemplateId": "lt-0a"},
    ("ec2", "ReleaseAddress"): {"AllocationId": "eipalloc-0a"},
    ("ec2", "RevokeSecurityGroupIngress"): {"GroupId": "sg-0a"},
    ("ec2", "RunInstances"): {
        "ImageId": "ami-0a",
        **tagged("instance", "volume", "network-interface"),
    },
    ("ec2", "UpdateSecurityGroupRuleDescriptionsEgress"): {"GroupId": "sg-0a"},
    ("ec2", "UpdateSecurityGroupRuleDescriptionsIngress"): {"GroupId": "sg-0a"},
    **{
        ("elasticloadbalancing", operation): {"LoadBalancerArn": BALANCER}
        for operation in (
            "CreateListener",
            "DeleteLoadBalancer",
            "ModifyLoadBalancerAttributes",
            "SetSecurityGroups",
            "SetSubnets",
        )
    },
    **{
        ("elasticloadbalancing", operation): {"ListenerArn": LISTENER}
        for operation in ("DeleteListener", "ModifyListener", "ModifyListenerAttributes")
    },
    **{
        ("elasticloadbalancing", operation): {"TargetGroupArn": TARGETS}
        for operation in ("DeleteTargetGroup", "ModifyTargetGroup", "ModifyTargetGroupAttributes")
    },
    ("elasticloadbalancing", "AddTags"): {"ResourceArns": [BALANCER], "Tags": TAGS},
    ("elasticloadbalancing", "RemoveTags"): {"ResourceArns": [BALANCER]},
    ("elasticloadbalancing", "CreateLoadBalancer"): {"Type": "application", "Tags": TAGS},
    ("events", "ListTagsForResource"): {"ResourceARN": RULE},
    ("events", "TagResource"): {"ResourceARN": RULE},
    ("events", "UntagResource"): {"ResourceARN": RULE},
    **{
        ("iam", operation): {"UserName": "some-user"}
        for operation in (
            "CreateAccessKey",
            "CreateLoginProfile",
            "DeleteAccessKey",
            "DeleteLoginProfile",
            "GetLoginProfile",
            "GetUser",
            "ListAccessKeys",
            "ListMFADevices",
            "ListSSHPublicKeys",
            "ListServiceSpecificCredentials",
            "ListSigningCertificates",
            "UpdateAccessKey",
        )
    },
    ("kms", "CreateAlias"): {"AliasName": "alias/some-alias"},
    ("kms", "DeleteAlias"): {"AliasName": "alias/some-alias"},
    ("kms", "UpdateAlias"): {"AliasName": "alias/some-alias"},
    ("kms", "CreateGrant"): {"GranteePrincipal": ROLE},
    ("kms", "Decrypt"): {"KeyId": KEY},
    ("kms", "ReEncrypt"): {"SourceKeyId": KEY},
    ("kms", "RetireGrant"): {"KeyId": KEY, "GrantId": "1", "GrantToken": None},
    **{
        ("logs", operation): {"logGroupName": "some-group"}
        for operation in (
            "AssociateKmsKey",
            "DescribeLogStreams",
            "DisassociateKmsKey",
            "FilterLogEvents",
            "GetLogEvents",
            "GetLogGroupFields",
            "StartQuery",
        )
    },
    ("logs", "ListTagsForResource"): {"resourceArn": GROUP},
    ("logs", "TagResource"): {"resourceArn": GROUP},
    ("logs", "UntagResource"): {"resourceArn": GROUP},
    ("monitoring", "ListTagsForResource"): {"ResourceARN": ALARM},
    ("monitoring", "TagResource"): {"ResourceARN": ALARM},
    ("monitoring", "UntagResource"): {"ResourceARN": ALARM},
    ("rds", "RestoreDBInstanceFromDBSnapshot"): {"DBSnapshotIdentifier": "some-snapshot"},
    ("rds", "RestoreDBInstanceToPointInTime"): {"SourceDBInstanceIdentifier": "some-db"},
    ("rds", "AddTagsToResource"): {"ResourceName": DATABASE},
    ("rds", "ListTagsForResource"): {"ResourceName": DATABASE},
    ("rds", "RemoveTagsFromResource"): {"ResourceName": DATABASE},
    ("s3", "CopyObject"): {"Tagging": "a=b"},
    ("s3", "CreateMultipartUpload"): {"Tagging": "a=b"},
    ("s3", "PutBucketReplication"): {
        "ReplicationConfiguration": {
            "Role": ROLE,
            "Rules": [
                {"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::other-bucket"}}
            ],
        }
    },
    ("s3", "PutObject"): {"Tagging": "a=b"},
    ("scheduler", "ListTagsForResource"): {"ResourceArn": SCHEDULES},
    ("scheduler", "TagResource"): {"ResourceArn": SCHEDULES},
    ("scheduler", "UntagResource"): {"ResourceArn": SCHEDULES},
    ("secretsmanager", "BatchGetSecretValue"): {"SecretIdList": ["a"], "Filters": None},
    ("secretsmanager", "TagResource"): {"Tags": TAGS},
    ("sns", "Publish"): {"TopicArn": TOPIC},
    ("ssm", "GetParametersByPath"): {"Path": "/keyless/dev"},
    ("ssm", "PutComplianceItems"): {"ResourceId": "i-0a"},
    ("ssm", "AddTagsToResource"): {"ResourceType": "Parameter"},
    ("ssm", "RemoveTagsFromResource"): {"ResourceType": "Parameter"},
    ("ssm", "ListTagsForResource"): {"ResourceType": "Parameter"},
}


class Rich(FakeAccount):
    """An account in which everything exists, is tagged and encrypted with a customer's key."""

    def tags(self, arn: str) -> dict[str, str] | None:
        group = {"aws:autoscaling:groupName": "group"} if ":instance/" in arn else {}
        return {"Environment": "dev", **group}

    def instance_profile_role(self, profile: str) -> str | None:
        return ROLE

    def launch_template_data(self, id_or_name: str, version: str) -> dict[str, Any] | None:
        return {
            "ImageId": "ami-0a",
            "IamInstanceProfile": {"Name": "some-profile"},
            "MetadataOptions": {"HttpTokens": "required"},
            **tagged("instance", "volume"),
        }

    def bucket_key(self, bucket: str) -> str | None:
        return KEY

    def object_key(self, bucket: str, key: str, version: str | None) -> str | None:
        return KEY

    def parameter_key(self, name: str) -> str | None:
        return KEY

    def secret_key(self, arn_or_name: str) -> str | None:
        return KEY

    def describe(self, arn: str) -> dict[str, Any] | None:
        if ":autoScalingGroup:" in arn or ":role/aws-service-role/" in arn:
            return None
        return {
            "vpc": "vpc-0a",
            "route_table": "rtb-0a",
            "subnet": "subnet-0a",
            "availability_zone": "us-east-1a",
            "class": "db.t4g.micro",
            "engine": "postgres",
            "engine_version": "17.4",
            "multi_az": False,
            "permissions_boundary": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
            "spec": "SYMMETRIC_DEFAULT",
            "type": "Session",
        }


def rows() -> Iterator[tuple[str, str]]:
    for name, service in SERVICES.items():
        for operation in service.table:
            model = service.model or name
            if model in {"ssmmessages", "ec2messages"} or not is_modelled(model, operation):
                continue  # the agent's own calls: test_agent
            yield name, operation


def sample(
    service: str, operation: str, *, every: bool, account: FakeAccount | None = None
) -> list[Need]:
    model = SERVICES[service].model or service
    parameters = generated(input_shape(model, operation), every=every)
    parameters |= FITTING.get((service, operation), {})
    parameters = {name: value for name, value in parameters.items() if value is not None}
    return needs(sent(model, operation, parameters), account or Rich())
