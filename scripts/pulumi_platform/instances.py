"""What both kinds of servers share: user data, launch template, ways out, role and sessions."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions
from pulumi_aws import cloudwatch, ec2, iam, ssm, vpc

from scripts.pulumi_platform.basics import (
    Account,
    ArgumentError,
    Statement,
    Text,
    allow,
    check,
    document,
    every,
    fits,
    named,
    trust,
)
from scripts.pulumi_platform.components.network import ANYWHERE, is_network

MODULES = Path(__file__).resolve().parents[2] / "terraform" / "modules"
AMI = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
USER_DATA_LIMIT = 16384 / 3 * 4
TOO_LONG = {
    "mlflow_server": "User data is over EC2's 16 kB; move something from files/ to files/server/.",
    "model_server": "User data is over EC2's 16 kB; move something from files/ into the "
    "wheelhouse.",
}
ROOM = r"[A-Za-z0-9_-][A-Za-z0-9_/-]*/"


@dataclass
class Peer:
    """A security group or prefix list, and its port."""

    id: Text
    port: int


@dataclass
class Egress:
    """Where a server may connect to, by a name of your choice."""

    security_groups: Mapping[str, Peer] = field(default_factory=dict)
    prefix_lists: Mapping[str, Peer] = field(default_factory=dict)
    https_cidrs: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ArgumentError for what is no network."""
        check(
            every(lambda cidr: is_network(cidr, strict=False), self.https_cidrs),
            'egress.https_cidrs must be IPv4 networks such as "0.0.0.0/0".',
        )


@dataclass
class ServerLogs:
    """CloudWatch group of the servers' log: whether, days it is kept, and its key."""

    enabled: bool = True
    retention_days: int = 30
    kms_key_arn: str | None = None


@dataclass
class Volume:
    """Root volume, and the key that encrypts it (None: the account's EBS key)."""

    size_gib: int = 16
    kms_key_arn: str | None = None


def anywhere() -> Egress:
    """HTTPS to the whole internet."""
    return Egress(https_cidrs={"anywhere": ANYWHERE})


def compact(value: Any) -> str:
    """JSON as Terraform's jsonencode writes it, so that digests and parameters agree."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def packed(text: str) -> str:
    """Compressed and in base64; the same text is always the same bytes."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def user_data(module: str, values: Mapping[str, str]) -> str:
    """The cloud-config of a module's template, compressed.

    The template is shared with Terraform and uses three forms, which are all that is read here.
    Raises ArgumentError for any other, and for user data that EC2 would refuse.
    """
    text = (MODULES / module / "files" / "user-data.yaml.tftpl").read_text()
    optional = r'%\{ if (\w+) != "" ~\}\n(.*?)%\{ endif ~\}\n'
    text = re.sub(optional, lambda part: part[2] if values[part[1]] else "", text, flags=re.DOTALL)
    check("%{" not in text, f"The template of {module} has a form that is not read here.")

    def filled(found: re.Match[str]) -> str:
        if form := re.fullmatch(r"jsonencode\((\w+)\)", found[1]):
            return compact(values[form[1]])
        if form := re.fullmatch(r"indent\(6, (\w+)\)", found[1]):
            return values[form[1]].replace("\n", "\n      ")
        raise ArgumentError(f"The template of {module} has ${{{found[1]}}}, not read here.")

    data = packed(re.sub(r"\$\{([^}]*)\}", filled, text))
    check(len(data) <= USER_DATA_LIMIT, TOO_LONG[module])
    return data


def log_agent(region: str, log_group: str, streams: Mapping[str, str]) -> str:
    """Configuration of the CloudWatch agent: files by the stream that they go to."""
    files = [
        {
            "file_path": path,
            "log_group_name": log_group,
            "log_stream_name": f"{{instance_id}}/{name}",
        }
        for name, path in streams.items()
    ]
    collected = {"logs_collected": {"files": {"collect_list": files}}}
    return compact({"agent": {"run_as_user": "root", "region": region}, "logs": collected})


def make_ways_out(
    parent: pulumi.Resource,
    name: str,
    group_id: Text,
    egress: Egress,
    prefix: str,
    tags: Mapping[str, str],
) -> None:
    """A rule for each security group, prefix list and range; `prefix` begins the rules' names."""
    ways: list[tuple[str, str, str, dict[str, Any]]] = []
    for to, peer in egress.security_groups.items():
        ports = {"from_port": peer.port, "to_port": peer.port}
        ways.append(
            (f"security-groups-{to}", to, "To", {"referenced_security_group_id": peer.id, **ports})
        )
    for to, peer in egress.prefix_lists.items():
        ports = {"from_port": peer.port, "to_port": peer.port}
        ways.append((f"prefix-lists-{to}", to, "To", {"prefix_list_id": peer.id, **ports}))
    for to, cidr in egress.https_cidrs.items():
        https = {"cidr_ipv4": cidr, "from_port": 443, "to_port": 443}
        ways.append((f"https-{to}", f"https-{to}", "HTTPS to", https))
    for resource, tag, how, rule in ways:
        vpc.SecurityGroupEgressRule(
            f"{name}-{resource}",
            security_group_id=group_id,
            description=f"{how} {tag.removeprefix('https-')}",
            ip_protocol="tcp",
            tags=named(tags, f"{prefix}-{tag}"),
            opts=ResourceOptions(parent=parent),
            **rule,
        )


def log_group(
    parent: pulumi.Resource, name: str, group: str, logs: ServerLogs, tags: Mapping[str, str]
) -> pulumi.Output[str] | None:
    """The servers' log group; None if they are to have none."""
    if not logs.enabled:
        return None
    return cloudwatch.LogGroup(
        name,
        name=group,
        retention_in_days=logs.retention_days,
        kms_key_id=logs.kms_key_arn,
        tags=tags,
        opts=ResourceOptions(parent=parent),
    ).name


@dataclass
class ServerRole:
    """A role for EC2, under the boundary, and its instance profile."""

    name: str
    description: str
    boundary_arn: str | None
    tags: Mapping[str, str]
    policies: Mapping[str, tuple[str, pulumi.Output[str]]]

    def make(self, parent: pulumi.Resource, name: str, label: str) -> iam.InstanceProfile:
        """Make them; `policies` holds name and text of each inline policy by its resource."""
        role = iam.Role(
            f"{name}-{label}",
            name=self.name,
            description=self.description,
            assume_role_policy=trust("Ec2", "ec2.amazonaws.com"),
            permissions_boundary=self.boundary_arn,
            tags=self.tags,
            opts=ResourceOptions(parent=parent),
        )
        for resource, (policy, text) in self.policies.items():
            iam.RolePolicy(
                f"{name}-{resource}",
                name=policy,
                role=role.name,
                policy=text,
                opts=ResourceOptions(parent=parent),
            )
        return iam.InstanceProfile(
            f"{name}-{label}",
            name=self.name,
            role=role.name,
            tags=self.tags,
            opts=ResourceOptions(parent=parent),
        )


def agent_policy(account: Account) -> pulumi.Output[str]:
    """What the SSM agent needs for sessions, and no more: the managed policy reads all parameters.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
    """
    instances = account.arn("ec2", "instance/*")
    channels = ("CreateControl", "CreateData", "OpenControl", "OpenData")
    return document(
        allow(
            "RegisterThisInstance",
            ["ssm:UpdateInstanceInformation"],
            [instances],
            # ssm:SourceInstanceARN is absent with an instance profile.
            when={"StringLike": {"ec2:SourceInstanceARN": instances}},
        ),
        # No ssmmessages action has a resource type.
        allow("CarrySessions", [f"ssmmessages:{one}Channel" for one in channels], ["*"]),
    )


def write_log(account: Account, group: str) -> Statement:
    """Put log events into one group."""
    actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    return allow("WriteItsLog", actions, [account.arn("logs", f"log-group:{group}:*")])


def session_document(
    parent: pulumi.Resource,
    name: str,
    document_name: str,
    description: str,
    port: int,
    tags: Mapping[str, str],
    host: Mapping[str, str] | None = None,
) -> None:
    """A way to one port and nothing else; `host` is the parameter of one behind the instance."""
    local = {
        "type": "String",
        "description": "Port on the caller's machine; 0 takes a free one",
        "default": "0",
        "allowedPattern": "^(0|[1-9][0-9]{0,4})$",
    }
    properties = {
        "type": "LocalPortForwarding",
        "portNumber": str(port),
        "localPortNumber": "{{ localPortNumber }}",
    }
    content = {
        "schemaVersion": "1.0",
        "description": description,
        "sessionType": "Port",
        "parameters": {"localPortNumber": local, **({"host": host} if host else {})},
        "properties": properties | ({"host": "{{ host }}"} if host else {}),
    }
    ssm.Document(
        name,
        name=document_name,
        document_type="Session",
        document_format="JSON",
        content=json.dumps(content),
        tags=tags,
        opts=ResourceOptions(parent=parent),
    )


@dataclass
class Launch:
    """What a launch template says beyond what is the same for every server."""

    name: str
    description: str
    ami_id: str | None
    instance_type: str
    user_data: str
    profile_arn: Text
    public_ip: bool
    group_id: Text
    volume: Volume
    instance_tags: Mapping[str, str]
    tags: Mapping[str, str]
    cpu_credits: str | None = None

    def make(
        self, parent: pulumi.Resource, name: str, after: Sequence[pulumi.Resource] = ()
    ) -> ec2.LaunchTemplate:
        """IMDSv2 with one hop, an encrypted volume, tags from the first second."""
        asked = pulumi.InvokeOptions(parent=parent)
        image = self.ami_id or aws.ssm.get_parameter(name=AMI, opts=asked).value
        return ec2.LaunchTemplate(
            name,
            name=self.name,
            description=self.description,
            image_id=image,
            instance_type=self.instance_type,
            update_default_version=True,
            user_data=self.user_data,
            iam_instance_profile={"arn": self.profile_arn},
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": 1,
            },
            credit_specification={"cpu_credits": self.cpu_credits} if self.cpu_credits else None,
            monitoring={"enabled": False},
            network_interfaces=[
                {
                    "associate_public_ip_address": str(self.public_ip).lower(),
                    "delete_on_termination": "true",
                    "device_index": 0,
                    "security_groups": [self.group_id],
                }
            ],
            block_device_mappings=[
                {
                    "device_name": "/dev/xvda",
                    "ebs": {
                        "delete_on_termination": "true",
                        "encrypted": "true",
                        "kms_key_id": self.volume.kms_key_arn,
                        "volume_size": self.volume.size_gib,
                        "volume_type": "gp3",
                    },
                }
            ],
            tag_specifications=[
                {"resource_type": kind, "tags": dict(self.instance_tags)}
                for kind in ("instance", "network-interface", "volume")
            ],
            tags=self.tags,
            opts=ResourceOptions(parent=parent, depends_on=list(after)),
        )


def group_tags(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Tags of an Auto Scaling group; the launch template tags the instance before it exists."""
    return [
        {"key": key, "value": value, "propagate_at_launch": False} for key, value in tags.items()
    ]


def check_server(ami_id: str | None, artifact_access: str, environment: str) -> None:
    """Raise ArgumentError for what neither kind of server takes."""
    check(
        fits(r"ami-[0-9a-f]+", ami_id),
        'ami_id must be an image id such as "ami-0123456789abcdef0", or null for the newest Amazon '
        "Linux 2023.",
    )
    check(
        artifact_access in ("direct", "proxied"),
        'artifact_access must be "direct" or "proxied".',
    )
    check(
        fits(r"[a-z][a-z0-9]{1,11}", environment),
        "environment must be 2 to 12 lower-case letters and digits, starting with a letter, for "
        'example "dev".',
    )
