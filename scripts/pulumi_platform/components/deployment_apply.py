"""What apply creates and changes: by name where ARNs carry names, elsewhere by tag."""

from __future__ import annotations

from scripts.pulumi_platform.basics import Statement, allow, both, equals
from scripts.pulumi_platform.components.deployment_scope import Scope, actions_of

NETWORK = (
    "elastic-ip internet-gateway natgateway route-table security-group security-group-rule subnet "
    "vpc vpc-endpoint vpc-flow-log"
)
# One statement for each kind made, so that the request's tag cannot stand in for a parent's.
MADE = {
    "Vpc": ("CreateVpc", "vpc"),
    "InVpc": (
        "CreateFlowLogs CreateInternetGateway CreateRouteTable CreateSecurityGroup CreateSubnet",
        "internet-gateway route-table security-group subnet vpc-flow-log",
    ),
    "Endpoint": ("CreateVpcEndpoint", "vpc-endpoint"),
    "Address": ("AllocateAddress", "elastic-ip"),
    "NatGateway": ("CreateNatGateway", "natgateway"),
    "Rule": ("AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress", "security-group-rule"),
}


def compute(scope: Scope) -> list[Statement]:
    """Launch template, Auto Scaling group, session documents, parameters and log groups."""
    templates, run = [scope.ec2("launch-template")], ["ec2:RunInstances"]
    account = scope.account
    created_by = equals("ec2:CreateAction", "CreateLaunchTemplate", "RunInstances")
    return [
        allow(
            "CreateTaggedLaunchTemplate",
            ["ec2:CreateLaunchTemplate"],
            templates,
            when=scope.requested,
        ),
        allow(
            "ChangeOurLaunchTemplate",
            actions_of(
                "ec2", "CreateLaunchTemplateVersion DeleteLaunchTemplate ModifyLaunchTemplate"
            ),
            templates,
            when=scope.tagged,
        ),
        # Auto Scaling checks that whoever gives it a launch template may run what it describes.
        # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html
        allow(
            "RunTaggedInstancesWithImdsV2",
            run,
            [scope.ec2("instance")],
            when=both(scope.requested, equals("ec2:MetadataHttpTokens", "required")),
        ),
        allow(
            "RunWithTaggedInterfacesAndVolumes",
            run,
            scope.ec2s("network-interface volume"),
            when=scope.requested,
        ),
        allow(
            "RunInOurNetworkByOurTemplate",
            run,
            scope.ec2s("launch-template security-group subnet"),
            when=scope.tagged,
        ),
        # Whose image is left open: image may name one of the account's own.
        allow("RunImages", run, [f"arn:{account.partition}:ec2:{account.region}::image/*"]),
        allow(
            "TagWhatIsBeingMade",
            ["ec2:CreateTags"],
            scope.ec2s("instance launch-template network-interface volume"),
            when=both(created_by, scope.requested),
        ),
        # Other tags of ours in EC2 may change; Environment, which all of this rests on, may not.
        allow(
            "RetagOurs",
            ["ec2:CreateTags", "ec2:DeleteTags"],
            [*scope.ec2s(NETWORK), scope.ec2("launch-template")],
            when=both(
                scope.tagged,
                {
                    "ForAllValues:StringNotEquals": {"aws:TagKeys": "Environment"},
                    "Null": {"aws:TagKeys": "false"},
                },
            ),
        ),
        allow(
            "AutoScalingGroup",
            actions_of(
                "autoscaling",
                "CancelInstanceRefresh CreateAutoScalingGroup CreateOrUpdateTags "
                "DeleteAutoScalingGroup DeleteScheduledAction DeleteTags DisableMetricsCollection "
                "EnableMetricsCollection PutScheduledUpdateGroupAction StartInstanceRefresh "
                "UpdateAutoScalingGroup",
            ),
            [scope.group("mlflow")],
        ),
        allow(
            "SessionDocuments",
            actions_of(
                "ssm",
                "AddTagsToResource CreateDocument DeleteDocument RemoveTagsFromResource "
                "UpdateDocument UpdateDocumentDefaultVersion",
            ),
            [scope.documents],
        ),
        allow(
            "ContractAndServerCode",
            actions_of(
                "ssm", "AddTagsToResource DeleteParameter PutParameter RemoveTagsFromResource"
            ),
            scope.plain_parameters,
        ),
        allow(
            "LogGroups",
            actions_of(
                "logs",
                "AssociateKmsKey CreateLogGroup DeleteLogGroup DeleteMetricFilter "
                "DisassociateKmsKey PutMetricFilter PutRetentionPolicy TagResource UntagResource",
            ),
            scope.log_groups,
        ),
    ]


def data(scope: Scope) -> list[Statement]:
    """State, buckets, the database, secrets, and the use of the key.

    Nothing here makes, tags or rewrites a key: whoever could would own every key of the account
    that it can claim.
    """
    account = scope.account
    buckets, state = [scope.artifacts, scope.access_logs], f"{scope.state}/{scope.state_key}"
    database = [scope.database, scope.parameter_groups, scope.subnet_group]
    through = equals("kms:ViaService", account.endpoint("rds"), account.endpoint("secretsmanager"))
    deletion = [
        allow(
            "EmptyDisposableBuckets",
            ["s3:DeleteObject", "s3:DeleteObjectVersion"],
            [f"{bucket}/*" for bucket in buckets],
        ),
        allow("ListWhatIsToBeDeleted", ["s3:ListBucketVersions"], buckets),
    ]
    pulumi = [
        allow(
            "WriteAndLockPulumiState",
            ["s3:DeleteObject", "s3:PutObject"],
            [scope.pulumi_state],
            when=account.ours,
        )
    ]
    return [
        allow("WriteState", ["s3:PutObject"], [state], when=account.ours),
        allow(
            "LockState",
            actions_of("s3", "DeleteObject GetObject PutObject"),
            [f"{state}.tflock"],
            when=account.ours,
        ),
        *(pulumi if scope.pulumi_prefix else []),
        *scope.with_state_key("EncryptState", "Decrypt GenerateDataKey"),
        allow(
            "Buckets",
            actions_of(
                "s3",
                "CreateBucket DeleteBucket DeleteBucketPolicy PutBucketLogging "
                "PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock "
                "PutBucketTagging PutBucketVersioning PutEncryptionConfiguration "
                "PutLifecycleConfiguration TagResource UntagResource",
            ),
            buckets,
        ),
        *(deletion if scope.allow_data_deletion else []),
        allow(
            "CreateDatabase",
            ["rds:CreateDBInstance"],
            [*database, scope.option_groups],
            when={
                "Bool": {"rds:ManageMasterUserPassword": "true", "rds:PubliclyAccessible": "false"}
            },
        ),
        allow(
            "ChangeAndDeleteDatabase",
            actions_of(
                "rds", "CreateDBSnapshot DeleteDBInstance ModifyDBInstance RebootDBInstance"
            ),
            [*database, scope.option_groups, scope.final_snapshot],
        ),
        allow(
            "DatabaseGroups",
            actions_of(
                "rds",
                "CreateDBParameterGroup CreateDBSubnetGroup DeleteDBParameterGroup "
                "DeleteDBSubnetGroup ModifyDBParameterGroup ModifyDBSubnetGroup "
                "ResetDBParameterGroup",
            ),
            [scope.parameter_groups, scope.subnet_group],
        ),
        allow(
            "DatabaseTags",
            actions_of("rds", "AddTagsToResource RemoveTagsFromResource"),
            [*database, scope.final_snapshot],
        ),
        # RDS makes the master's secret in the caller's name. Nobody can make one by hand.
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
        allow(
            "ManagedMasterSecret",
            ["secretsmanager:CreateSecret", "secretsmanager:TagResource"],
            [scope.managed_secrets],
        ),
        # RDS then looks up the account's aws/secretsmanager key in the caller's name.
        allow(
            "FindTheSecretsKeyThroughRds",
            ["kms:DescribeKey"],
            [scope.keys],
            when=equals("kms:ViaService", account.endpoint("rds")),
        ),
        # RDS, and an account's first load balancer, look at its limits in the caller's name.
        allow(
            "LimitsOfThisAccount",
            ["ec2:DescribeAccountAttributes"],
            ["*"],
            when=equals("aws:RequestedRegion", account.region),
        ),
        allow(
            "ThirdPartySecretWithoutValue",
            actions_of(
                "secretsmanager",
                "CreateSecret DeleteSecret TagResource UntagResource UpdateSecret",
            ),
            [scope.third_party],
        ),
        *scope.with_key("OurKeyThroughServices", "Decrypt GenerateDataKey", through),
        *scope.with_key(
            "GrantsOfOurKeyToAwsResources",
            "CreateGrant",
            both(through, {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
        ),
    ]


def identity(scope: Scope) -> list[Statement]:
    """The platform's roles: by name, only inside the boundary, none of those made here."""
    account = scope.account
    linked = {
        "Autoscaling": ("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
        "Rds": ("rds.amazonaws.com", "AWSServiceRoleForRDS"),
    }
    return [
        allow(
            "RolesInsideTheBoundary",
            actions_of(
                "iam",
                "CreateRole DeleteRole DeleteRolePolicy PutRolePermissionsBoundary PutRolePolicy "
                "UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription",
            ),
            scope.platform_roles,
            when=equals("iam:PermissionsBoundary", account.iam(f"policy/{scope.prefix}-boundary")),
        ),
        allow("RoleTags", ["iam:TagRole", "iam:UntagRole"], scope.platform_roles),
        allow(
            "InstanceProfile",
            actions_of(
                "iam",
                "AddRoleToInstanceProfile CreateInstanceProfile DeleteInstanceProfile "
                "RemoveRoleFromInstanceProfile TagInstanceProfile UntagInstanceProfile",
            ),
            scope.instance_profiles,
        ),
        *(
            allow(
                "Pass" + "".join(word.capitalize() for word in name.split("-")),
                ["iam:PassRole"],
                [account.iam(f"role/{scope.prefix}-{name}")],
                when=equals("iam:PassedToService", service),
            )
            for name, service in scope.services.items()
        ),
        # Made by the first database and the first group of an account, in the caller's name.
        *(_linked(scope, f"ServiceLinkedRole{name}", *each) for name, each in linked.items()),
    ]


def _linked(scope: Scope, sid: str, service: str, role: str) -> Statement:
    return allow(
        sid,
        ["iam:CreateServiceLinkedRole"],
        [scope.account.iam(f"role/aws-service-role/{service}/{role}")],
        when=equals("iam:AWSServiceName", service),
    )


def network(scope: Scope) -> list[Statement]:
    """EC2's network. Its ids are AWS's choice, so the scope is the Environment tag."""
    kinds = scope.ec2s(NETWORK)
    creating = [
        "AllocateAddress",
        "AuthorizeSecurityGroupEgress",
        "AuthorizeSecurityGroupIngress",
        "CreateFlowLogs",
        "CreateInternetGateway",
        "CreateNatGateway",
        "CreateRouteTable",
        "CreateSecurityGroup",
        "CreateSubnet",
        "CreateVpc",
        "CreateVpcEndpoint",
    ]
    return [
        *(
            allow(
                f"CreateTagged{name}",
                actions_of("ec2", actions),
                scope.ec2s(made),
                when=scope.requested,
            )
            for name, (actions, made) in MADE.items()
        ),
        allow(
            "CreateInOurs",
            actions_of(
                "ec2",
                "CreateFlowLogs CreateNatGateway CreateRouteTable CreateSecurityGroup CreateSubnet "
                "CreateVpcEndpoint",
            ),
            scope.ec2s("elastic-ip route-table security-group subnet vpc"),
            when=scope.tagged,
        ),
        allow(
            "ChangeAndDeleteOurs",
            actions_of(
                "ec2",
                "AssociateRouteTable AttachInternetGateway AuthorizeSecurityGroupEgress "
                "AuthorizeSecurityGroupIngress CreateRoute DeleteFlowLogs DeleteInternetGateway "
                "DeleteNatGateway DeleteRoute DeleteRouteTable DeleteSecurityGroup DeleteSubnet "
                "DeleteVpc DeleteVpcEndpoints DetachInternetGateway DisassociateAddress "
                "DisassociateRouteTable ModifySecurityGroupRules ModifyVpcAttribute "
                "ModifyVpcEndpoint ReleaseAddress ReplaceRoute RevokeSecurityGroupEgress "
                "RevokeSecurityGroupIngress",
            ),
            kinds,
            when=scope.tagged,
        ),
        # A gateway is attached at once after it was made; EC2 may not know its tags then.
        allow(
            "AttachWhatWasJustMade",
            ["ec2:AttachInternetGateway"],
            [scope.ec2("internet-gateway")],
            when=scope.tagged_if_any,
        ),
        # The provider ends the association of a NAT gateway's address after the gateway, with which
        # it ended. Such a call names no address, so no tag.
        allow(
            "EndEndedAssociations",
            ["ec2:DisassociateAddress"],
            [scope.ec2("elastic-ip")],
            when={"Null": {"ec2:AllocationId": "true"}},
        ),
        allow(
            "TagWhatIsBeingMade",
            ["ec2:CreateTags"],
            kinds,
            when=both(equals("ec2:CreateAction", *creating), scope.requested),
        ),
        # An interface endpoint with private names is a zone of AWS's own, which EC2 ties to the VPC
        # in the caller's name. Neither has a tag in Route 53; a call of one's own is none of EC2's.
        allow(
            "PrivateNamesOfEndpointsThroughEc2",
            actions_of("route53", "AssociateVPCWithHostedZone DisassociateVPCFromHostedZone"),
            [f"arn:{scope.account.partition}:route53:::hostedzone/*", scope.ec2("vpc")],
            when={"BoolIfExists": {"aws:ViaAWSService": "true"}},
        ),
        # AWS creates the default security group untagged. Allow tagging it once, with this Name.
        allow(
            "AdoptTheDefaultSecurityGroup",
            ["ec2:CreateTags"],
            [scope.ec2("security-group")],
            when=both(
                {"Null": {"aws:ResourceTag/Environment": "true"}},
                scope.requested,
                equals("aws:RequestTag/Name", f"{scope.prefix}-default-closed"),
            ),
        ),
    ]


def operation(scope: Scope) -> list[Statement]:
    """Alarms, dashboard, topic, budget and parking schedules."""
    return [
        allow(
            "Alarms",
            actions_of("cloudwatch", "DeleteAlarms PutMetricAlarm TagResource UntagResource"),
            [scope.alarms],
        ),
        allow(
            "Dashboard",
            actions_of("cloudwatch", "DeleteDashboards PutDashboard"),
            [scope.dashboard],
        ),
        allow(
            "Topic",
            actions_of(
                "sns",
                "CreateTopic DeleteTopic SetTopicAttributes Subscribe TagResource Unsubscribe "
                "UntagResource",
            ),
            [scope.topic],
        ),
        allow(
            "Budget",
            actions_of("budgets", "ModifyBudget TagResource UntagResource"),
            [scope.budget],
        ),
        allow(
            "Schedules",
            actions_of("scheduler", "CreateSchedule DeleteSchedule UpdateSchedule"),
            [scope.schedules],
        ),
    ]


def serving(scope: Scope) -> list[Statement]:
    """What model servers add: a load balancer and two Auto Scaling groups."""
    service = "elasticloadbalancing"
    protocol = {f"{service}:ListenerProtocol": "HTTPS"}
    return [
        allow(
            "AutoScalingGroups",
            actions_of(
                "autoscaling",
                "AttachLoadBalancerTargetGroups CancelInstanceRefresh CreateAutoScalingGroup "
                "CreateOrUpdateTags DeleteAutoScalingGroup DeletePolicy DeleteTags "
                "DetachLoadBalancerTargetGroups DisableMetricsCollection EnableMetricsCollection "
                "PutScalingPolicy StartInstanceRefresh UpdateAutoScalingGroup",
            ),
            scope.groups,
        ),
        allow(
            "InternalLoadBalancer",
            [f"{service}:CreateLoadBalancer"],
            [scope.balancer],
            when=both(equals(f"{service}:Scheme", "internal"), scope.requested),
        ),
        # The protocol is a key of several values, absent where it stays.
        allow(
            "ListenersWithTls",
            [f"{service}:CreateListener"],
            [scope.balancer],
            when={"ForAnyValue:StringEquals": protocol},
        ),
        allow(
            "ChangeListenersWithTls",
            [f"{service}:ModifyListener"],
            [scope.listener],
            when={"ForAnyValue:StringEqualsIfExists": protocol},
        ),
        allow(
            "LoadBalancer",
            actions_of(
                service,
                "DeleteLoadBalancer ModifyLoadBalancerAttributes SetSecurityGroups SetSubnets",
            ),
            [scope.balancer],
        ),
        allow(
            "Listener",
            actions_of(service, "DeleteListener ModifyListenerAttributes"),
            [scope.listener],
        ),
        allow(
            "TargetGroups",
            actions_of(
                service,
                "CreateTargetGroup DeleteTargetGroup ModifyTargetGroup ModifyTargetGroupAttributes",
            ),
            [scope.target_groups],
        ),
        allow(
            "BalancingTags",
            actions_of(service, "AddTags RemoveTags"),
            [scope.balancer, scope.listener, scope.target_groups],
        ),
        _linked(
            scope,
            "ServiceLinkedRole",
            f"{service}.amazonaws.com",
            "AWSServiceRoleForElasticLoadBalancing",
        ),
    ]


def serving_boundary(scope: Scope) -> list[Statement]:
    """The part of the boundary that only the rollout role uses."""
    listing = ["autoscaling:DescribeAutoScalingGroups", "cloudwatch:GetMetricData"]
    listing += ["elasticloadbalancing:DescribeListeners"]
    return [
        allow(
            "TrafficOfTheModelServers", ["elasticloadbalancing:ModifyListener"], [scope.listener]
        ),
        allow("SizeOfTheSets", ["autoscaling:UpdateAutoScalingGroup"], scope.groups),
        allow("LookAtTheRollout", listing, ["*"], when=scope.account.here),
    ]
