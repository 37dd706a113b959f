"""What the checks of labs 7 and 8 read off rules, states and servers, without a cloud."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.console import UserError
from scripts.labs import servers
from scripts.labs.catalogue.lab07_public_mlflow import check as mlflow
from scripts.labs.catalogue.lab08_password_and_metadata import check as metadata
from scripts.localcloud.ec2.forward import free_port

WORLD = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}], "IpProtocol": "tcp", "FromPort": 22}


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (WORLD | {"ToPort": 6000}, True),
        (WORLD | {"ToPort": 22}, False),
        (WORLD | {"ToPort": 6000, "IpRanges": [{"CidrIp": "128.0.0.0/1"}]}, True),
        (WORLD | {"ToPort": 6000, "IpRanges": [{"CidrIp": "203.0.113.0/24"}]}, False),
        ({"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}, True),
        ({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1"}]}, False),
    ],
)
def test_a_port_is_public_if_a_rule_lets_the_internet_in(rule: dict[str, Any], found: bool) -> None:
    assert mlflow._open(rule, 5000) is found


SECRET = "-".join(["horse"] * 4)


def encoded(text: str) -> str:
    return json.dumps({"user_data": base64.b64encode(text.encode()).decode()})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"it is {SECRET}", True),
        (encoded("x" * 30 + SECRET), True),
        (encoded("x" * 60), False),
        ("a" * 41, False),
    ],
)
def test_a_password_is_found_in_clear_and_in_base64(text: str, found: bool) -> None:
    run: Any = SimpleNamespace(record=SimpleNamespace(kept={"app": SECRET}))
    assert metadata._has(run, text) is found


def test_a_server_that_does_not_answer_has_status_0() -> None:
    assert servers.get(f"http://127.0.0.1:{free_port()}/")[0] == 0


def test_a_group_that_is_gone_is_said_with_the_output_to_keep() -> None:
    autoscaling = SimpleNamespace(
        describe_auto_scaling_groups=lambda **_: {"AutoScalingGroups": []}
    )
    run: Any = SimpleNamespace(administrator=lambda _: autoscaling)
    with pytest.raises(UserError, match="no Auto Scaling group 'lab-server'"):
        servers.find(run, "lab-server")
