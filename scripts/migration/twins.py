"""What a resource is called on both sides: types, names, and the id by which it is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping

# The ids are those of each resource's section "Import" in the AWS provider's documentation:
# https://registry.terraform.io/providers/hashicorp/aws/5.100.0/docs
# Pulumi's provider hands them to the same code. Where a type is not in IDS, it is the id.
TOKENS = {
    "aws_autoscaling_group": "aws:autoscaling/group:Group",
    "aws_autoscaling_policy": "aws:autoscaling/policy:Policy",
    "aws_autoscaling_schedule": "aws:autoscaling/schedule:Schedule",
    "aws_budgets_budget": "aws:budgets/budget:Budget",
    "aws_cloudwatch_dashboard": "aws:cloudwatch/dashboard:Dashboard",
    "aws_cloudwatch_log_group": "aws:cloudwatch/logGroup:LogGroup",
    "aws_cloudwatch_log_metric_filter": "aws:cloudwatch/logMetricFilter:LogMetricFilter",
    "aws_cloudwatch_metric_alarm": "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws_db_instance": "aws:rds/instance:Instance",
    "aws_db_parameter_group": "aws:rds/parameterGroup:ParameterGroup",
    "aws_db_subnet_group": "aws:rds/subnetGroup:SubnetGroup",
    "aws_default_security_group": "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws_eip": "aws:ec2/eip:Eip",
    "aws_flow_log": "aws:ec2/flowLog:FlowLog",
    "aws_iam_instance_profile": "aws:iam/instanceProfile:InstanceProfile",
    "aws_iam_openid_connect_provider": "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    "aws_iam_policy": "aws:iam/policy:Policy",
    "aws_iam_role": "aws:iam/role:Role",
    "aws_iam_role_policy": "aws:iam/rolePolicy:RolePolicy",
    "aws_iam_role_policy_attachment": "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws_internet_gateway": "aws:ec2/internetGateway:InternetGateway",
    "aws_kms_alias": "aws:kms/alias:Alias",
    "aws_kms_key": "aws:kms/key:Key",
    "aws_launch_template": "aws:ec2/launchTemplate:LaunchTemplate",
    "aws_lb": "aws:lb/loadBalancer:LoadBalancer",
    "aws_lb_listener": "aws:lb/listener:Listener",
    "aws_lb_target_group": "aws:lb/targetGroup:TargetGroup",
    "aws_nat_gateway": "aws:ec2/natGateway:NatGateway",
    "aws_route": "aws:ec2/route:Route",
    "aws_route_table": "aws:ec2/routeTable:RouteTable",
    "aws_route_table_association": "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws_s3_bucket": "aws:s3/bucketV2:BucketV2",
    "aws_s3_bucket_lifecycle_configuration": "aws:s3/bucketLifecycleConfigurationV2:"
    "BucketLifecycleConfigurationV2",
    "aws_s3_bucket_logging": "aws:s3/bucketLoggingV2:BucketLoggingV2",
    "aws_s3_bucket_ownership_controls": "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws_s3_bucket_policy": "aws:s3/bucketPolicy:BucketPolicy",
    "aws_s3_bucket_public_access_block": "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws_s3_bucket_server_side_encryption_configuration": "aws:s3/"
    "bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
    "aws_s3_bucket_versioning": "aws:s3/bucketVersioningV2:BucketVersioningV2",
    "aws_scheduler_schedule": "aws:scheduler/schedule:Schedule",
    "aws_secretsmanager_secret": "aws:secretsmanager/secret:Secret",
    "aws_security_group": "aws:ec2/securityGroup:SecurityGroup",
    "aws_sns_topic": "aws:sns/topic:Topic",
    "aws_sns_topic_policy": "aws:sns/topicPolicy:TopicPolicy",
    "aws_sns_topic_subscription": "aws:sns/topicSubscription:TopicSubscription",
    "aws_ssm_document": "aws:ssm/document:Document",
    "aws_ssm_parameter": "aws:ssm/parameter:Parameter",
    "aws_subnet": "aws:ec2/subnet:Subnet",
    "aws_vpc": "aws:ec2/vpc:Vpc",
    "aws_vpc_endpoint": "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws_vpc_security_group_egress_rule": "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws_vpc_security_group_ingress_rule": "aws:vpc/securityGroupIngressRule:"
    "SecurityGroupIngressRule",
}
TYPES = {token: kind for kind, token in TOKENS.items()}
IDS = {
    "aws_autoscaling_policy": "{autoscaling_group_name}/{name}",
    "aws_autoscaling_schedule": "{autoscaling_group_name}/{scheduled_action_name}",
    "aws_cloudwatch_log_metric_filter": "{log_group_name}:{name}",
    "aws_db_instance": "{identifier}",
    "aws_iam_role_policy_attachment": "{role}/{policy_arn}",
    "aws_route": "{route_table_id}_{destination_cidr_block}",
    "aws_route_table_association": "{subnet_id}/{route_table_id}",
}


def import_id(kind: str, attributes: Mapping[str, object]) -> str:
    """The id by which the provider imports a resource. Raises LookupError with what is missing."""
    template = IDS.get(kind, "{id}")
    for name in re.findall(r"\{(\w+)\}", template):
        if not isinstance(attributes.get(name), str) or not attributes[name]:
            raise LookupError(name)
    return template.format_map(attributes)


def snake_case(name: str) -> str:
    """bucketKeyEnabled -> bucket_key_enabled."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def dashed(name: str) -> str:
    """Terraform's name of a resource or module as a part of a name in Pulumi."""
    return name.replace("_", "-")


def component_type(folder: str) -> str:
    """The component that is a Terraform module: mlflow_server -> keyless:platform:MlflowServer."""
    return f"keyless:platform:{''.join(word.title() for word in folder.split('_'))}"
