"""Applied states without an account: Terraform applies with a mocked provider and tells its state.

`terraform test` keeps its state to itself, but prints it with -verbose. A mocked provider knows no
replacement, so the plans that follow use the real one, without refreshing.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.terraform.conftest import Terraform

PROVIDER = 'provider["registry.terraform.io/hashicorp/aws"]'
_ACCOUNT = "123456789012"
# What the provider checks the shape of, or what the real data sources answer in the plan after.
_DATA: Mapping[str, Mapping[str, Any]] = {
    "aws_availability_zones": {"names": ["us-east-1a", "us-east-1b"]},
    "aws_caller_identity": {"account_id": _ACCOUNT},
    "aws_default_tags": {"tags": {}},
    "aws_iam_openid_connect_provider": {"client_id_list": ["sts.amazonaws.com"]},
    "aws_iam_policy_document": {"json": "{}"},
    "aws_partition": {"partition": "aws", "dns_suffix": "amazonaws.com"},
    "aws_region": {"id": "us-east-1"},
    "aws_ssm_parameter": {"value": "ami-0123456789abcdef0"},
}
_ARNS = {
    "aws_cloudwatch_log_group": "logs:us-east-1:{}:log-group:group",
    "aws_iam_instance_profile": "iam::{}:instance-profile/profile",
    "aws_iam_policy": "iam::{}:policy/policy",
    "aws_iam_role": "iam::{}:role/role",
    "aws_kms_key": "kms:us-east-1:{}:key/0",
    "aws_lb": "elasticloadbalancing:us-east-1:{}:loadbalancer/app/balancer/0",
    "aws_lb_listener": "elasticloadbalancing:us-east-1:{}:listener/app/balancer/0/0",
}
_MADE: Mapping[str, Mapping[str, Any]] = {
    "aws_launch_template": {"id": "lt-0123456789abcdef0", "latest_version": 1},
    "aws_lb_target_group": {
        "arn": f"arn:aws:elasticloadbalancing:us-east-1:{_ACCOUNT}:targetgroup/group/0",
        "protocol_version": "HTTP1",
    },
    "aws_s3_bucket_lifecycle_configuration": {
        "transition_default_minimum_object_size": "all_storage_classes_128K"
    },
    "aws_sns_topic": {
        "arn": f"arn:aws:sns:us-east-1:{_ACCOUNT}:topic",
        "fifo_throughput_scope": "",
    },
}
# Arguments that the provider fills in while it plans, where the configuration is silent.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "aws_flow_log": {"log_destination_type": "cloud-watch-logs"},
    "aws_iam_instance_profile": {"path": "/"},
    "aws_iam_policy": {"path": "/"},
    "aws_iam_role": {"path": "/"},
    "aws_kms_key": {
        "customer_master_key_spec": "SYMMETRIC_DEFAULT",
        "key_usage": "ENCRYPT_DECRYPT",
    },
    "aws_lb_target_group": {"target_type": "instance"},
    "aws_sns_topic": {"fifo_topic": False},
    "aws_subnet": {"ipv6_native": False},
    "aws_vpc": {"instance_tenancy": "default"},
}


def _mocks(key: str) -> dict[str, Any]:
    arns = {kind: {"arn": f"arn:aws:{arn.format(_ACCOUNT)}"} for kind, arn in _ARNS.items()}
    data = {**_DATA, "aws_kms_alias": {"target_key_arn": key}}
    return {
        "mock_provider": {
            "aws": {
                "mock_data": {kind: {"defaults": values} for kind, values in data.items()},
                "mock_resource": {
                    kind: {"defaults": values} for kind, values in {**arns, **_MADE}.items()
                },
            }
        }
    }


def applied(
    terraform: Terraform, root: str, settings: Sequence[Mapping[str, Any]], key: str
) -> list[dict[str, Any]]:
    """The state after an apply of each of the settings, one after the other."""
    folder = terraform.folder / root / "transitions"
    folder.mkdir(exist_ok=True)
    runs = [
        {f"step_{number}": {"command": "apply", "variables": given}}
        for number, given in enumerate(settings)
    ]
    (folder / "states.tftest.json").write_text(json.dumps({**_mocks(key), "run": runs}))
    done = subprocess.run(
        [terraform.binary, "test", "-test-directory=transitions", "-json", "-verbose"],
        cwd=terraform.folder / root,
        env={**terraform.environment, **terraform.provider},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    errors = [f"{line.get('diagnostic')}" for line in lines if line["@level"] == "error"]
    found = [_state(line["test_state"]) for line in lines if line["type"] == "test_state"]
    assert len(found) == len(settings), "\n".join(errors) or done.stderr
    return found


def _state(shown: Mapping[str, Any]) -> dict[str, Any]:
    """A state file made of what `terraform show -json` tells of one."""
    resources: dict[tuple[str, str, str], dict[str, Any]] = {}
    for module, one in _resources(shown["root_module"]):
        if one["mode"] != "managed":
            continue
        named = {"mode": "managed", "type": one["type"], "name": one["name"]}
        resource = resources.setdefault(
            (module, one["type"], one["name"]),
            {**named, **({"module": module} if module else {}), "provider": PROVIDER},
        )
        values = dict(one["values"])
        for argument, value in _DEFAULTS.get(one["type"], {}).items():
            if values[argument] is None:
                values[argument] = value
        instance = {"schema_version": one["schema_version"], "attributes": values}
        index = {"index_key": one["index"]} if "index" in one else {}
        resource.setdefault("instances", []).append({**index, **instance})
    return {
        "version": 4,
        "serial": 1,
        "lineage": str(uuid.uuid4()),
        "resources": list(resources.values()),
    }


def _resources(module: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for one in module.get("resources", ()):
        yield module.get("address", ""), one
    for child in module.get("child_modules", ()):
        yield from _resources(child)
