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
