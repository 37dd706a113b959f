"""What a call says and nobody here looks at: a trial that would be carried out, a condition that
would be passed over. Whoever says it relies on it."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.rules.absent import named

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
