"""The servers of a lab: instances of an Auto Scaling group, and where their service answers."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from scripts.console import UserError
from scripts.labs.running import LabRun
from scripts.local_run import leftovers

START_SECONDS = 120
ANSWER_SECONDS = 30
PORT, PORTS = "KEYLESS_SERVING_PORT", "KEYLESS_MLFLOW_PORTS"


@dataclass(frozen=True)
class Server:
    """An instance's service, with the environment of its process."""

    instance_id: str
    environment: Mapping[str, str]

    @property
    def address(self) -> str:
        """Where it answers on this machine, at its first port if it has several."""
        port = self.environment.get(PORT) or next(iter(self.ports.values()))
        return f"http://127.0.0.1:{port}"

    @property
    def ports(self) -> dict[str, int]:
        """This machine's ports by permission set."""
        return dict(json.loads(self.environment.get(PORTS) or "{}"))


def group(run: LabRun, name: str) -> dict[str, Any]:
    """An Auto Scaling group. Raises UserError."""
    found = run.administrator("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[name]
    )["AutoScalingGroups"]
    if not found:
        raise UserError(f"There is no Auto Scaling group {name!r}", fix="keep the output `group`")
    return dict(found[0])


def template(run: LabRun, name: str) -> dict[str, Any]:
    """The data of the launch template's version that a group uses. Raises UserError."""
    named = group(run, name).get("LaunchTemplate")
    if named is None:
        raise UserError(f"The group {name} has no launch template")
    found = run.administrator("ec2").describe_launch_template_versions(
        LaunchTemplateId=named["LaunchTemplateId"], Versions=[named["Version"]]
    )
    return dict(found["LaunchTemplateVersions"][0]["LaunchTemplateData"])


def box_ports(run: LabRun, server: Server) -> dict[int, int]:
    """The instance's ports of permission sets, and those of this machine that stand for them."""
    root = run.home / "instances" / server.instance_id / "root"
    settings = json.loads((root / "etc" / "keyless" / "server.json").read_bytes())
    sets = settings["permission_sets"]
    return {int(sets[name]["port"]): local for name, local in server.ports.items()}


def replace(run: LabRun, name: str) -> None:
    """Have every instance of a group run what is deployed now, and wait for one that answers.

    Nothing is waited for any longer where the service does not start: what needs it then fails.
    """
    autoscaling = run.administrator("autoscaling")
    old = {one["InstanceId"] for one in group(run, name)["Instances"]}
    if run.record.kept.get("group started"):
        for instance in old:
            autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=instance, ShouldDecrementDesiredCapacity=False
            )
    else:
        old = set()
        run.record.kept["group started"] = True
        run.save()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for server in _running(run, name):
            if server.instance_id not in old and get(f"{server.address}/health")[0] == 200:
                return
        time.sleep(0.2)


def release_groups(run: LabRun, name: str) -> None:
    """Take the security groups off the group's instances, which the check replaces later anyway.

    Terraform deletes a group that the student took out while the old instance still runs. AWS
    refuses that for as long as an interface uses the group, and Terraform tries for 15 minutes.
    """
    ec2 = run.administrator("ec2")
    for instance in group(run, name)["Instances"]:
        found = ec2.describe_instances(InstanceIds=[instance["InstanceId"]])
        for one in (one for some in found["Reservations"] for one in some["Instances"]):
            default = ec2.describe_security_groups(
                Filters=[
                    {"Name": "vpc-id", "Values": [one["VpcId"]]},
                    {"Name": "group-name", "Values": ["default"]},
                ]
            )["SecurityGroups"]
            ec2.modify_instance_attribute(
                InstanceId=one["InstanceId"], Groups=[default[0]["GroupId"]]
            )


def find(run: LabRun, name: str) -> Server:
    """The group's running server. Raises UserError if there is none."""
    for server in _running(run, name):
        return server
    raise UserError(
        f"No service runs on an instance of {name}",
        why="it does not start, or ends by itself",
        fix=f"look into {run.home / 'instances'}, where each service has its log",
    )


def get(address: str) -> tuple[int, str]:
    """Status and text of an answer; status 0 where nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=ANSWER_SECONDS) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as failure:
        with failure:
            return failure.code, failure.read().decode(errors="replace")
    except OSError as failure:
        return 0, str(failure)


def _running(run: LabRun, name: str) -> list[Server]:
    """The servers whose process runs on an instance of the group."""
    members = {one["InstanceId"] for one in group(run, name)["Instances"]}
    found = []
    for process in leftovers.find(run.home):
        try:
            environment, command = process.environ(), " ".join(process.cmdline())
        except psutil.Error:
            continue
        if environment.get(PORT) or environment.get(PORTS, "{}") != "{}":
            found += [
                Server(instance, environment)
                for instance in members
                if f"/instances/{instance}/" in command
            ]
    return found
