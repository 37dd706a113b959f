"""Why a parameter that nobody reads may be given, and what else is refused by its name.

`python -m tests.localcloud.unread.classes` writes `scripts/localcloud/rules/unread.json`: every
parameter that the sweep finds and that stands here under no reason, and what is dropped. Patterns
are of `service:operation:parameter`. Their reasons come from the parameters' names, spot checks of
moto's source and what its authors know of AWS's API reference; not each description was read.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.wire.shapes import input_shape
from scripts.localcloud.rules.unread import FILE
from tests.localcloud.unread.sweep import members, operations, unread

# Read in ways that the sweep does not see: S3's headers and bodies, and what is compared whole.
READ = """
budgets:*:AccountId  budgets:*Notification:Notification.*
kms:*:*EncryptionAlgorithm  rds:ModifyDBInstance:CloudwatchLogsExportConfiguration
s3:*:Body  s3:*:CacheControl  s3:*:Checksum*  s3:*:ContentDisposition  s3:*:ContentLanguage
s3:*:ContentType  s3:*:Expires s3:*:Response*  s3:*:SSEKMSEncryptionContext
s3:CompleteMultipartUpload:MultipartUpload.Parts.*
tagging:GetResources:TagFilters.*
"""
# Kept as a whole and shown again, and nothing here acts on it.
KEPT = """
autoscaling:PutScalingPolicy:*
budgets:CreateBudget:*  budgets:CreateNotification:Subscribers.*
cloudtrail:*:TagsList.*  cloudtrail:PutEventSelectors:*
cloudtrail:PutInsightSelectors:InsightSelectors.*
elasticloadbalancing:*:Tags.*
elasticloadbalancing:*:DefaultActions.FixedResponseConfig*
elasticloadbalancing:*:DefaultActions.ForwardConfig.*
elasticloadbalancing:*:DefaultActions.Order
elasticloadbalancing:*:DefaultActions.RedirectConfig.*
events:PutTargets:Targets.*
kms:CreateGrant:Constraints.*
logs:PutMetricFilter:metricTransformations.*
s3:PutBucketEncryption:*BucketKeyEnabled
s3:PutBucketReplication:ReplicationConfiguration.*
 scheduler:*:Tags.*  scheduler:*:Target.*
secretsmanager:CreateSecret:Tags.*  secretsmanager:RotateSecret:RotationRules.*
ssm:CreateDocument:Requires.*  ssm:SendCommand:NotificationConfig.*
"""
# Everything is shown at once: no token is given, and none comes.
PAGES = """
*:*:Limit  *:*:limit  *:*:Marker  *:*:MaxRecords  *:*:MaxResults  *:*:maxResults  *:*:NextToken
*:*:nextToken  *:*:PageSize  logs:GetQueryResults:maxItems  monitoring:GetMetricData:MaxDatapoints
s3:*:KeyMarker  s3:*:UploadIdMarker  s3:GetObjectAttributes:MaxParts
s3:GetObjectAttributes:PartNumberMarker  s3:ListBuckets:MaxBuckets
s3:ListMultipartUploads:MaxUploads  secretsmanager:ListSecrets:Sort*
"""
# A second call with the same token meets the first one's name, and is refused.
TOKENS = "scheduler:*:ClientToken"
# What it is about is nowhere here, so it changes nothing.
NOWHERE = """
autoscaling:*:IncludeManagedResources  ec2:*:IncludeManagedResources
autoscaling:DescribeScalingActivities:*
autoscaling:*:SkipZonalShiftValidation  autoscaling:SetDesiredCapacity:HonorCooldown
autoscaling:SetInstanceHealth:ShouldRespectGracePeriod
autoscaling:EnableMetricsCollection:Granularity
autoscaling:*:DefaultInstanceWarmup
ec2:DescribeAvailabilityZones:AllAvailabilityZones  ec2:DescribeImages:IncludeDe*
ec2:DescribeImages:IncludeDisabled  ec2:DescribeInstanceTypes:IncludeUnsupportedInRegion
ec2:DescribeRegions:AllRegions
elasticloadbalancing:DescribeCapacityReservation:LoadBalancerArn
events:*:Force
kms:*:BypassPolicyLockoutSafetyCheck  kms:*:GrantTokens
logs:*:unmask
rds:DescribeDBSnapshots:IncludePublic  rds:DescribeDBSnapshots:IncludeShared
rds:DescribeOrderableDBInstanceOptions:Vpc
s3:*:MFA  s3:*:RequestPayer  s3:*:OptionalObjectAttributes  s3:*.BlockedEncryptionTypes
"""
# It says how the answer looks, or it is a word that AWS itself passes over.
SHOWN = """
budgets:*:ShowFilterExpression
ec2:*:IpPermissions.UserIdGroupPairs.PeeringStatus
ec2:DescribeAccountAttributes:AttributeNames  ec2:GetConsoleOutput:Latest
ec2:CreateLaunchTemplateVersion:ResolveAlias
elasticloadbalancing:*:Certificates.IsDefault
iam:GetServiceLinkedRoleDeletionStatus:DeletionTaskId
logs:PutLogEvents:entity  logs:PutLogEvents:sequenceToken
monitoring:GetMetricData:LabelOptions
rds:ModifyDBParameterGroup:Parameters.*  rds:CopyDBSnapshot:PreSignedUrl
rds:CopyDBSnapshot:SourceRegion
s3:*:ContentMD5  s3:*:EncodingType  s3:DeleteObjects:Delete.Quiet
secretsmanager:ListSecretVersionIds:IncludeDeprecated
sns:Subscribe:ReturnSubscriptionArn
ssm:*:DisplayName  ssm:StartSession:Reason
sts:*:MinimumSessionTokenSize
"""
# It says how fast or how gently, and here it is at once and always the same.
AT_ONCE = """
autoscaling:StartInstanceRefresh:Preferences
ec2:CreateImage:NoReboot  ec2:*:SkipOsShutdown  ec2:StopInstances:Force
ec2:TerminateInstances:Force  ec2:*CreditSpecification  ec2:*VolumeInitializationRate
rds:ModifyDBInstance:CertificateRotationRestart
rds:RestoreDBInstanceToPointInTime:UseLatestRestorableTime
rds:*:UseDefaultProcessorFeatures
"""
# A check of AWS's that it switches off is not made here, or is passed by giving it.
CHECKS = """
ec2:ReleaseAddress:NetworkBorderGroup
monitoring:PutMetricData:StrictEntityValidation
s3:PutBucketNotificationConfiguration:SkipDestinationValidation
s3:PutBucketPolicy:ConfirmRemoveSelfBucketAccess
s3:PutBucketReplication:Token  s3:PutObjectLockConfiguration:Token
s3:PutBucketLifecycleConfiguration:TransitionDefaultMinimumObjectSize
"""
HARMLESS = {
    "read": READ, "kept": KEPT, "pages": PAGES, "tokens": TOKENS, "nowhere": NOWHERE,
    "shown": SHOWN, "at once": AT_ONCE, "checks": CHECKS,
}  # fmt: skip

# What asks for nothing: AWS's default, or what is done here in any case.
NOTHING: dict[str, list[Any]] = {
    "autoscaling:*:AvailabilityZoneDistribution": ["balanced-best-effort"],
    "autoscaling:*:CapacityReservationSpecification": ["default"],
    "autoscaling:*:DeletionProtection": ["none"],
    "autoscaling:*:DesiredCapacityType": ["units"],
    "autoscaling:*:MaxInstanceLifetime": [0],
    "autoscaling:DescribeAutoScalingGroups:IncludeInstances": [True],
    "autoscaling:StartInstanceRefresh:Strategy": ["Rolling"],
    "ec2:*:DestinationOptions": ["plain-text"],
    "ec2:*:DnsOptions": ["ipv4"],
    "ec2:*:IpAddressType": ["ipv4"],
    "ec2:*CapacityReservationSpecification": ["open"],
    "ec2:*CardIndex": [0],
    "ec2:*InterfaceType": ["interface"],
    "ec2:*MaintenanceOptions": ["default"],
    "ec2:*NetworkPerformanceOptions": ["default"],
    "ec2:*Placement.Tenancy": ["default"],
    "ec2:*PrivateDnsHostnameTypeOnLaunch": ["ip-name"],
    "ec2:*PrivateDnsNameOptions": ["ip-name"],
    "ec2:CreateImage:SnapshotLocation": ["regional"],
    "ec2:CreateNatGateway:AvailabilityMode": ["zonal"],
    "ec2:DescribeSnapshots:*": ["self"],
    "elasticloadbalancing:*:EnablePrefixForIpv6SourceNat": ["off"],
    "elasticloadbalancing:*:IpAddressType": ["ipv4"],
    "elasticloadbalancing:*:MutualAuthentication": ["off"],
    "elasticloadbalancing:ModifyListener:AlpnPolicy": ["None"],
    "kms:EnableKeyRotation:RotationPeriodInDays": [365],
    "kms:ListKeyRotations:IncludeKeyMaterial": ["ROTATIONS_ONLY"],
    "logs:*:logGroupClass": ["STANDARD"],
    "logs:*:policyScope": ["ACCOUNT"],
    "logs:*:queryLanguage": ["CWLI"],
    "logs:PutSubscriptionFilter:distribution": ["ByLogStream"],
    "monitoring:DescribeAlarms:AlarmTypes": ["MetricAlarm"],
    "rds:*:BackupTarget": ["region"],
    "rds:*:DatabaseInsightsMode": ["standard"],
    "rds:*:EngineLifecycleSupport": [
        "open-source-rds-extended-support", "open-source-rds-extended-support-disabled",
    ],
    "rds:*:MasterUserAuthenticationType": ["password"],
    "rds:CopyDBSnapshot:SnapshotTarget": ["region"],
    "s3:PutBucketVersioning:*": ["Disabled"],
    "s3:PutObject:IfNoneMatch": ["*"],
    "scheduler:UpdateSchedule:ActionAfterCompletion": ["NONE"],
    "sns:ConfirmSubscription:AuthenticateOnUnsubscribe": ["false"],
    "ssm:DescribeDocumentPermission:PermissionType": ["Share"],
}  # fmt: skip

# Of kinds of things that are not here: refused in every call of the service, whoever reads them.
ABSENT = {
    "autoscaling": "CapacityReservationTarget MixedInstancesPolicy PlacementGroup",
    "ec2": """
        CapacityReservationTarget CarrierGatewayId CoreNetworkArn CustomerOwnedIpv4Pool
        DeliverCrossAccountRole ElasticGpuSpecification ElasticInferenceAccelerators HostId
        HostResourceGroupArn IpamPoolId Ipv4IpamPoolId Ipv6IpamPoolId Ipv6Pool
        LicenseSpecifications LocalGatewayId OdbNetworkArn OutpostArn Placement.GroupId
        Placement.GroupName PublicIpv4Pool ResourceConfigurationArn SecondaryInterfaces
        ServiceNetworkArn TransitGatewayId VpcPeeringConnectionId""",
    "elasticloadbalancing": """
        AuthenticateCognitoConfig CustomerOwnedIpv4Pool IpamPools TrustStoreArn""",
    "kms": "CustomKeyStoreId XksKeyId",
    "rds": """
        CustomIamInstanceProfile DBCapacityReservationIdentifier DBClusterIdentifier
        DBSecurityGroups DomainAuthSecretArn TdeCredentialArn""",
    "secretsmanager": "AddReplicaRegions ExternalSecretRotationRoleArn",
}
# Read by moto and then dropped, or read to be refused.
DROPPED = """
autoscaling:*:DeletionProtection
logs:CreateLogGroup:deletionProtectionEnabled
s3:*:*SSECustomer*
s3:CreateMultipartUpload:ObjectLock*  s3:PutObject:IfNoneMatch
s3:PutBucketVersioning:VersioningConfiguration.MFADelete
ssm:PutParameter:AllowedPattern
sts:*:ProvidedContexts  sts:*:SerialNumber  sts:*:SourceIdentity  sts:*:Tags  sts:*:TokenCode
sts:*:TransitiveTagKeys
"""


def why(place: str) -> str | None:
    """The class under which a parameter may be given; None where it is refused."""
    for reason, patterns in HARMLESS.items():
        if any(fnmatchcase(place, pattern) for pattern in patterns.split()):
            return reason
    return None


def dropped(service: str, operation: str) -> Iterator[str]:
    """The parameters of a call that are refused although somebody reads them."""
    names = ABSENT.get(service, "").split()
    for way, _ in members(input_shape(SERVICES[service].model, operation)):
        told = ".".join(way)
        place = f"{service}:{operation}:{told}"
        absent = any(f".{told}".endswith(f".{name}") for name in names)
        if absent or any(fnmatchcase(place, pattern) for pattern in DROPPED.split()):
            yield place


@cache
def swept() -> dict[str, str | None]:
    """Every parameter that nobody reads, and its class."""
    places = [f"{service}:{operation}:{name}" for service, operation in operations()
              for name in unread(service, operation)]  # fmt: skip
    return {place: why(place) for place in places}


def table() -> dict[str, dict[str, dict[str, list[Any]]]]:
    """Service -> operation -> parameter that is refused -> values that ask for nothing."""
    places = {place for place, reason in swept().items() if reason is None}
    places |= {place for called in operations() for place in dropped(*called)}
    found: dict[str, dict[str, dict[str, list[Any]]]] = defaultdict(lambda: defaultdict(dict))
    for place in sorted(places):
        service, operation, name = place.removesuffix(".*").split(":")
        ends = [end for end, mark in enumerate(name) if mark == "."]
        if not any(name[:end] in found[service][operation] for end in ends):
            nothing = [v for pattern, v in NOTHING.items() if fnmatchcase(place, pattern)]
            found[service][operation][name] = nothing[0] if nothing else []
    return found


def render() -> str:
    """The file's content."""
    services = []
    for service, called in table().items():
        lines = (f"  {json.dumps(name)}: {json.dumps(given)}" for name, given in called.items())
        services.append(f" {json.dumps(service)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(services) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(render())
