"""What plan, plan-main and apply read: configuration and state; no secret value, no object data."""

from __future__ import annotations

from scripts.pulumi_platform.basics import Statement, allow, both, equals
from scripts.pulumi_platform.components.deployment_scope import Scope, actions_of


def region(scope: Scope) -> list[Statement]:
    """Listings, of which none has a resource type; the region is the only scope there is."""
    here = scope.account.here
    found = [] if scope.kms_key_arn is None else ["kms:ListAliases"]
    return [
        allow(
            "ListingsOfThisRegion",
            [
                *actions_of(
                    "autoscaling",
                    "DescribeAutoScalingGroups DescribeInstanceRefreshes "
                    "DescribeScalingActivities DescribeScheduledActions",
                ),
                *actions_of(
                    "ec2",
                    "DescribeAddresses DescribeAddressesAttribute DescribeAvailabilityZones "
                    "DescribeFlowLogs DescribeInstanceTypeOfferings DescribeInstanceTypes "
                    "DescribeInstances DescribeInternetGateways DescribeLaunchTemplateVersions "
                    "DescribeLaunchTemplates DescribeNatGateways DescribeNetworkAcls "
                    "DescribeNetworkInterfaces DescribePrefixLists DescribeRouteTables "
                    "DescribeSecurityGroupRules DescribeSecurityGroups DescribeSubnets "
                    "DescribeVpcEndpoints DescribeVpcs",
                ),
                "logs:DescribeLogGroups",
                "ssm:DescribeParameters",
            ],
            ["*"],
            when=here,
        ),
        allow(
            "AttributesOfOurVpc",
            ["ec2:DescribeVpcAttribute"],
            [scope.ec2("vpc")],
            when=scope.tagged,
        ),
        # By its alias the platform finds the key's ARN.
        *([allow("FindOurKey", found, ["*"], when=here)] if found else []),
        *scope.with_key("OurKey", "DescribeKey"),
    ]


def named(scope: Scope) -> list[Statement]:
    """The configuration of what carries a name of ours, and the state."""
    account, ours = scope.account, scope.account.ours
    image = "parameter/aws/service/ami-amazon-linux-latest/*"
    return [
        allow("State", ["s3:GetObject"], [f"{scope.state}/{scope.state_key}"], when=ours),
        # IfExists: a HEAD of the state before there is one is authorised as ListBucket without a
        # prefix. What it gives away is the names of the states, not their content.
        allow(
            "FindState",
            ["s3:ListBucket"],
            [scope.state],
            when=both({"StringEqualsIfExists": {"s3:prefix": ["env:/", scope.state_key]}}, ours),
        ),
        *_pulumi_state(scope),
        *scope.with_state_key("DecryptState", "Decrypt"),
        allow(
            "Buckets",
            actions_of(
                "s3",
                "GetAccelerateConfiguration GetBucketAcl GetBucketCORS GetBucketLogging "
                "GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy "
                "GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging "
                "GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration "
                "GetLifecycleConfiguration GetReplicationConfiguration ListBucket "
                "ListTagsForResource",
            ),
            [scope.artifacts, scope.access_logs],
        ),
        # The provider finds an instance by its resource id, a filter, authorised as all of them.
        allow("FindDatabase", ["rds:DescribeDBInstances"], [scope.rds("db:*")]),
        allow(
            "Database",
            actions_of(
                "rds",
                "DescribeDBParameterGroups DescribeDBParameters DescribeDBSubnetGroups "
                "ListTagsForResource",
            ),
            [scope.database, scope.parameter_groups, scope.subnet_group],
        ),
        allow(
            "Roles",
            actions_of(
                "iam",
                "GetRole GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole "
                "ListRolePolicies",
            ),
            scope.platform_roles,
        ),
        allow("InstanceProfile", ["iam:GetInstanceProfile"], scope.instance_profiles),
        allow(
            "ContractAndImage",
            ["ssm:GetParameter"],
            [*scope.plain_parameters, f"arn:{account.partition}:ssm:{account.region}::{image}"],
        ),
        allow("ParameterTags", ["ssm:ListTagsForResource"], scope.plain_parameters),
        allow(
            "SessionDocuments",
            actions_of(
                "ssm",
                "DescribeDocument DescribeDocumentPermission GetDocument ListTagsForResource",
            ),
            [scope.documents],
        ),
        allow(
            "LogGroups",
            ["logs:DescribeMetricFilters", "logs:ListTagsForResource"],
            scope.log_groups,
        ),
        # The secret's name and tags; its value is GetSecretValue, which is not here.
        allow(
            "ThirdPartySecretWithoutValue",
            ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"],
            [scope.third_party],
        ),
        allow(
            "Alarms",
            ["cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"],
            [scope.alarms],
        ),
        allow("Dashboard", ["cloudwatch:GetDashboard"], [scope.dashboard]),
        allow(
            "Topic",
            actions_of(
                "sns",
                "GetSubscriptionAttributes GetTopicAttributes ListSubscriptionsByTopic "
                "ListTagsForResource",
            ),
            [scope.topic],
        ),
        allow("Budget", ["budgets:ListTagsForResource", "budgets:ViewBudget"], [scope.budget]),
        # A budget counts what the account's primary billing view shows.
        allow("CostsOfTheBudget", ["billing:GetBillingViewData"], [scope.billing_view]),
        allow("Schedules", ["scheduler:GetSchedule"], [scope.schedules]),
    ]


def _pulumi_state(scope: Scope) -> list[Statement]:
    """Pulumi keeps more than one object: the stack, its copies, history and locks."""
    if scope.pulumi_prefix is None:
        return []
    ours, within = scope.account.ours, f"{scope.pulumi_prefix}/.pulumi/*"
    return [
        allow("PulumiState", ["s3:GetObject"], [scope.pulumi_state], when=ours),
        allow(
            "FindPulumiState",
            ["s3:ListBucket"],
            [scope.state],
            when=both({"StringLike": {"s3:prefix": within}}, ours),
        ),
    ]


def serving(scope: Scope) -> list[Statement]:
    """What model servers add."""
    return [
        allow(
            "ListingsOfThisRegion",
            [
                "autoscaling:DescribePolicies",
                *actions_of(
                    "elasticloadbalancing",
                    "DescribeCapacityReservation DescribeListenerAttributes DescribeListeners "
                    "DescribeLoadBalancerAttributes DescribeLoadBalancers DescribeTags "
                    "DescribeTargetGroupAttributes DescribeTargetGroups",
                ),
            ],
            ["*"],
            when=equals("aws:RequestedRegion", scope.account.region),
        )
    ]
