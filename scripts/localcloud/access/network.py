"""By which way a request came: through a VPC endpoint it has other keys than from an address."""

from typing import Any

from scripts.localcloud.access.context import Keys
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.access.principals import Caller

_INSTANCE = "ec2:SourceInstanceARN"


def way_keys(caller: Caller, service: str, backends: Backends) -> Keys | None:
    """The keys of a request from an instance whose VPC has an endpoint for the service; they stand
    in place of aws:SourceIp. None for a request that comes from an address.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-sourceip
    """
    arns = caller.session.keys.get(_INSTANCE, ()) if caller.session else ()
    if not arns:
        return None
    ec2 = backends("ec2")
    instance = _instance(ec2, arns[0].rpartition("/")[2])
    if instance is None or not instance.vpc_id:
        return None
    for endpoint in list(ec2.vpc_end_points.values()):
        if endpoint.vpc_id == instance.vpc_id and _serves(endpoint, service):
            return {
                "aws:SourceVpce": (endpoint.id,),
                "aws:SourceVpc": (instance.vpc_id,),
                "aws:VpcSourceIp": (str(instance.private_ip),),
            }
    return None


def _instance(ec2: Any, instance_id: str) -> Any:
    for reservation in list(ec2.reservations.values()):
        for instance in reservation.instances:
            if instance.id == instance_id:
                return instance
    return None


def _serves(endpoint: Any, service: str) -> bool:
    name = str(endpoint.service_name).rpartition(".")[2]
    return name == service and endpoint.state == "available"
