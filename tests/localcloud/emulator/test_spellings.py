"""One thing of EC2's networks in two spellings is one: rules of security groups, routes, ACLs.

The eighteenth attack: neighbours of what the seventeenth closed.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcloud.clients import Account
from tests.localcloud.test_eleventh import told
from tests.localcloud.test_fourteenth import networks

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

__all__ = ["networks"]  # the fixture


@pytest.fixture
def group(account: Account, networks: dict[str, Any], request: pytest.FixtureRequest) -> str:
    made = account.client("ec2").create_security_group(
        GroupName=request.node.name[:250].replace("::", ""), Description="d",
        VpcId=networks["other"],
    )  # fmt: skip
    return str(made["GroupId"])


def rules(account: Account, group: str) -> list[tuple[Any, ...]]:
    found = account.client("ec2").describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [group]}]
    )["SecurityGroupRules"]
    return [
        (one["IpProtocol"], one.get("FromPort"), one.get("ToPort"))
        for one in found
        if not one["IsEgress"]
    ]


@pytest.mark.parametrize(
    ("spelt", "name"), [("6", "tcp"), ("TCP", "tcp"), ("17", "udp"), ("58", "icmpv6")]
)
def test_a_protocol_is_its_name_whichever_call_says_it(
    account: Account, group: str, spelt: str, name: str
) -> None:
    """A protocol is its name (tcp, udp, icmp, icmpv6) or its number there: one rule for both.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
    https://www.iana.org/assignments/protocol-numbers
    """
    ec2 = account.client("ec2")

    def rule(protocol: str, network: str) -> dict[str, Any]:
        permission = {"IpProtocol": protocol, "FromPort": 22, "ToPort": 22}
        permission["Ipv6Ranges"] = [{"CidrIpv6": network}]
        return {"GroupId": group, "IpPermissions": [permission]}

    [made] = ec2.authorize_security_group_ingress(**rule("tcp", "2001:db8::/32"))[
        "SecurityGroupRules"
    ]
    changed = {"IpProtocol": spelt, "FromPort": 22, "ToPort": 22, "CidrIpv6": "::/0"}
    ec2.modify_security_group_rules(
        GroupId=group,
        SecurityGroupRules=[
            {"SecurityGroupRuleId": made["SecurityGroupRuleId"], "SecurityGroupRule": changed}
        ],
    )
    assert rules(account, group) == [(name, 22, 22)]
    again = told(ec2.authorize_security_group_ingress, **rule(name, "::/0"))
    assert again == "InvalidPermission.Duplicate"
    ec2.revoke_security_group_ingress(**rule(name, "::/0"))
    assert rules(account, group) == []
    ec2.authorize_security_group_ingress(**rule(spelt, "::/0"))
    again = told(ec2.authorize_security_group_ingress, **rule(name, "::/0"))
    assert again == "InvalidPermission.Duplicate"
    ec2.revoke_security_group_ingress(**rule(name, "::/0"))
    assert rules(account, group) == []


def test_a_source_group_is_the_same_with_its_network_and_another_description(
    account: Account, networks: dict[str, Any], group: str
) -> None:
    """ "If the security group rule has a description, you do not need to specify the description to
    revoke the rule." (a group's ID is enough, too)

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
    """
    ec2 = account.client("ec2")

    def rule(**more: str) -> dict[str, Any]:
        pairs = [{"GroupId": networks["group"], **more}]
        permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": pairs}
        return {"GroupId": group, "IpPermissions": [permission]}

    ec2.authorize_security_group_ingress(**rule(VpcId=networks["other"], Description="ssh"))
    again = told(ec2.authorize_security_group_ingress, **rule())
    assert again == "InvalidPermission.Duplicate"
    ec2.revoke_security_group_ingress(**rule())
    assert rules(account, group) == []


def test_a_network_has_no_zone_and_a_length(account: Account, group: str) -> None:
    """CIDR notation is an address and a length: "2001:db8:1234:1a00::/64".

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Ipv6Range.html
    """
    authorize = account.client("ec2").authorize_security_group_ingress
    for network in ("fe80::%eth0/64", "fe80::1"):
        permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
        permission["Ipv6Ranges"] = [{"CidrIpv6": network}]
        asked = told(authorize, GroupId=group, IpPermissions=[permission])
        assert asked == "InvalidParameterValue"


def test_networks_are_kept_in_their_canonical_form(account: Account) -> None:
    """ "If you specify 100.68.0.18/18, we modify it to 100.68.0.0/18."

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpc.html
    """
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="100.68.0.18/18")["Vpc"]
    assert vpc["CidrBlock"] == "100.68.0.0/18"
    subnet = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="100.68.0.18/24")["Subnet"]
    assert subnet["CidrBlock"] == "100.68.0.0/24"
    table = ec2.create_route_table(VpcId=vpc["VpcId"])["RouteTable"]["RouteTableId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc["VpcId"], InternetGatewayId=gateway)
    named = {"RouteTableId": table, "GatewayId": gateway}
    ec2.create_route(**named, DestinationIpv6CidrBlock="2001:DB8::/32")
    again = told(ec2.create_route, **named, DestinationIpv6CidrBlock="2001:db8:0::/32")
    assert again == "RouteAlreadyExists"
    ec2.create_route(**named, DestinationCidrBlock="9.1.2.3/8")
    ec2.create_route(**named, DestinationCidrBlock="10.0.0.0/8")
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="9.0.0.0/8")
    local = told(ec2.delete_route, RouteTableId=table, DestinationCidrBlock="100.68.0.18/18")
    assert local == "InvalidParameterValue"
    routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    shown = {one.get("DestinationCidrBlock") or one["DestinationIpv6CidrBlock"] for one in routes}
    assert shown == {"100.68.0.0/18", "10.0.0.0/8", "2001:db8::/32"}


@pytest.mark.parametrize(
    "changed",
    [
        {"Protocol": "256"},  # the field has eight bits
        {"Protocol": "999"},
        {"RuleNumber": 0},  # "1 to 32766"
        {"RuleNumber": -1},
        {"Protocol": "1"},  # "Required if specifying protocol 1 (ICMP)"
    ],
)
def test_an_entry_of_an_acl_has_a_number_a_protocol_and_a_type(
    account: Account, networks: dict[str, Any], changed: dict[str, Any]
) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html"""
    ec2 = account.client("ec2")
    [acl] = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [networks["other"]]}])[
        "NetworkAcls"
    ]
    entry = {
        "NetworkAclId": acl["NetworkAclId"], "RuleNumber": 7, "Protocol": "6", "Egress": False,
        "RuleAction": "deny", "CidrBlock": "9.0.0.0/8", "PortRange": {"From": 22, "To": 22},
    } | changed  # fmt: skip
    assert told(ec2.create_network_acl_entry, **entry) in (
        "InvalidParameterValue", "MissingParameter"
    )  # fmt: skip


def test_an_outgoing_rule_to_an_ipv6_network_is_revoked_in_a_network_without_ipv6(
    account: Account, group: str
) -> None:
    """A rule whose values match goes. "For a default VPC, if the values you specify do not match
    the existing rule's values, no error is returned": in any other there is one.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html
    """
    ec2 = account.client("ec2")

    def networks_out() -> list[str]:
        [found] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        permissions = found["IpPermissionsEgress"]
        return [one["CidrIpv6"] for rule in permissions for one in rule["Ipv6Ranges"]]

    permission = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    permission["Ipv6Ranges"] = [{"CidrIpv6": "2001:db8::/32"}]
    rule = {"GroupId": group, "IpPermissions": [permission]}
    ec2.authorize_security_group_egress(**rule)
    assert networks_out() == ["2001:db8::/32"]
    ec2.revoke_security_group_egress(**rule)
    assert networks_out() == []
    again = told(ec2.revoke_security_group_egress, **rule)
    assert again == "InvalidPermission.NotFound"
