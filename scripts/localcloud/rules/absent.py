"""Things of kinds that are not here, roles that no permission is asked for, and words that nobody
looks at: whoever names one is refused, where moto would pass the name over, and with it what
policies say of it, or would carry out a trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends

_NAMES: Mapping[str, frozenset[str]] = {
    "autoscaling": frozenset(
        {"CapacityReservationTarget", "MixedInstancesPolicy", "PlacementGroup"}
    ),
    "ec2": frozenset(
        {
            "CapacityReservationTarget", "CarrierGatewayId", "CoreNetworkArn",
            "CustomerOwnedIpv4Pool", "DeliverCrossAccountRole", "ElasticGpuSpecification",
            "ElasticInferenceAccelerators", "HostId", "HostResourceGroupArn", "IpamPoolId",
            "Ipv4IpamPoolId", "Ipv6IpamPoolId", "Ipv6Pool", "LicenseSpecifications",
            "LocalGatewayId", "OdbNetworkArn", "OutpostArn", "PublicIpv4Pool",
            "ResourceConfigurationArn", "SecondaryInterfaces", "ServiceNetworkArn",
            "TransitGatewayId", "VpcPeeringConnectionId",
        }
    ),
    "elasticloadbalancing": frozenset(
        {"AuthenticateCognitoConfig", "CustomerOwnedIpv4Pool", "IpamPools", "TrustStoreArn"}
    ),
    "kms": frozenset({"CustomKeyStoreId", "XksKeyId"}),
    "rds": frozenset(
        {
            "CustomIamInstanceProfile", "DBCapacityReservationIdentifier", "DBClusterIdentifier",
            "DBSecurityGroups", "DomainAuthSecretArn", "TdeCredentialArn",
        }
    ),
    "secretsmanager": frozenset({"ExternalSecretRotationRoleArn"}),
}  # fmt: skip
# Parameters of calls that change something; `tests/localcloud/access/test_ninth.py` holds that no
# other one is passed over without a reason.
REFUSED: Mapping[str, frozenset[str]] = {
    "autoscaling": frozenset(
        {
            "AvailabilityZoneIds", "CapacityReservationSpecification", "DesiredCapacityType",
            "InstanceLifecyclePolicy",
        }
    ),
    "cloudtrail": frozenset({"EventDataStore", "InsightsDestination", "RecursiveLogging"}),
    "ec2": frozenset(
        {
            "AvailabilityMode", "AvailabilityZoneAddresses", "BootModeOverride",
            "DeleteAssociatedSnapshots", "DisableLniAtDeviceIndex", "EnableLniAtDeviceIndex",
            "EnablePrimaryIpv6", "Hibernate", "Ipv4NetmaskLength", "Ipv4PrefixCount",
            "Ipv4Prefixes", "Ipv6NetmaskLength", "Ipv6PrefixCount", "Ipv6Prefixes", "LocalTarget",
            "MapCustomerOwnedIpOnLaunch", "ResetPolicy", "SecondaryAllocationIds",
            "ServiceRegion", "SnapshotLocation", "SourceVersion", "SubnetConfigurations",
            "TagFieldSpecifications", "VpcEncryptionControl",
        }
    ),
    "elasticloadbalancing": frozenset(
        {
            "AuthenticateOidcConfig", "JwtValidationConfig", "MutualAuthentication",
            "TargetControlPort",
        }
    ),
    "kms": frozenset(
        {"DryRunModifiers", "GranteeServicePrincipal", "Recipient", "RetiringServicePrincipal"}
    ),
    "logs": frozenset(
        {"applyOnTransformedLogs", "expectedRevisionId", "fieldSelectionCriteria", "queryLanguage"}
    ),
    "monitoring": frozenset(
        {
            "ActionConfiguration", "ActionsSuppressor", "ActionsSuppressorExtensionPeriod",
            "ActionsSuppressorWaitPeriod", "EntityMetricData", "EvaluationCriteria",
            "EvaluationInterval", "EvaluationWindow", "WarmUpConfiguration",
        }
    ),
    "rds": frozenset(
        {
            "AdditionalStorageVolumes", "AutomationMode", "AwsBackupRecoveryPointArn",
            "CopyOptionGroup", "DBPortNumber", "DBSystemId", "DetachFromDBCapacityReservation",
            "DisableDomain", "EnableCustomerOwnedIp", "MasterUserAuthenticationType",
            "NcharCharacterSetName", "PreSignedUrl", "ReplicaMode",
            "ResumeFullAutomationModeMinutes", "SnapshotAvailabilityZone", "SnapshotTarget",
            "SourceRegion", "TargetCustomAvailabilityZone", "TdeCredentialPassword", "Timezone",
        }
    ),
    "s3": frozenset(
        {
            "AnnotationDirective", "DefaultEventHold", "MpuObjectSize", "ObjectLockEventHold",
            "ObjectLockEventHoldDurationDays", "ObjectLockEventHoldDurationYears",
            "WriteOffsetBytes",
        }
    ),
    "secretsmanager": frozenset({"CrossAccountPrimaryARN", "ExternalSecretRotationMetadata"}),
    "sns": frozenset({"DataProtectionPolicy"}),
    "ssm": frozenset({"CloudWatchOutputConfig", "DocumentHash", "DocumentHashType"}),
}  # fmt: skip
# What asks for nothing.
_OFF = {"MutualAuthentication": {"Mode": "off"}}
# Of a launch; elsewhere the name is a security group's.
_PLACES = frozenset({"GroupId", "GroupName"})


def kinds(reading: Reading, _: Backends) -> None:
    """A thing of a kind that is not here."""
    names = _NAMES[reading.request.service]
    for name, value in named(reading.parameters):
        inner = value if name == "Placement" and isinstance(value, Mapping) else {}
        placed = any(inner.get(place) for place in _PLACES)
        if value and (name in names or placed):
            raise AwsError("LocalCloudNotImplemented", f"The local cloud does not model {name}")


def named(value: Any) -> Iterator[tuple[str, Any]]:
    """Every parameter of a call with its name, those inside others too."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name, inner
            yield from named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner)


def parameters(reading: Reading, _: Backends) -> None:
    """A parameter that nobody looks at."""
    refused = REFUSED[reading.request.service]
    for name, value in named(reading.parameters):
        if name in refused and value and value != _OFF.get(name):
            raise AwsError("LocalCloudNotImplemented", f"The local cloud does not model {name}")


def trial(reading: Reading, _: Backends) -> None:
    """A call that only asks whether it would be allowed."""
    if not reading.parameters.get("DryRun"):
        return
    if reading.request.service == "kms":
        raise AwsError(
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.", 412,
        )  # fmt: skip
    raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


def launched(reading: Reading, _: Backends) -> None:
    """Moto starts the fewest instances that a launch names, EC2 the most that it can."""
    given = reading.parameters
    if given.get("MinCount") != given.get("MaxCount"):
        raise AwsError(
            "LocalCloudNotImplemented",
            "The local cloud starts as many instances as are asked for: name one number",
        )
