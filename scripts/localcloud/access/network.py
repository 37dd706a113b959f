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
        if endpoint.vpc_id == instance.vpc_id and _serves(ec2, endpoint, service, instance):
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


def _serves(ec2: Any, endpoint: Any, service: str, instance: Any) -> bool:
    """Whether the service's own address leads through the endpoint: by a route of the subnet to a
    gateway endpoint, or by the private name of an interface.

    https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
    https://docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html
    """
    name = str(endpoint.service_name).rpartition(".")[2]
    if name != service or endpoint.state != "available":
        return False
    if endpoint.vpc_endpoint_type == "Interface":
        return bool(endpoint.private_dns_enabled)
    return _route_table(ec2, instance) in (endpoint.route_table_ids or ())


def _route_table(ec2: Any, instance: Any) -> str | None:
    """The table of the instance's subnet, else the network's main one."""
    tables = [table for table in list(ec2.route_tables.values()) if table.vpc_id == instance.vpc_id]
    own = [table.id for table in tables if instance.subnet_id in table._associations.values()]
    main = [table.id for table in tables if table.main_association_id is not None]
    return next(iter([*own, *main]), None)
