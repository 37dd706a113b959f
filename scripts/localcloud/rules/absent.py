"""Things of kinds that are not here, and roles that no permission is asked for: whoever names one
is refused, where moto would pass the name over and with it what policies say of it."""

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
