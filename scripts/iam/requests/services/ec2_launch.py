"""EC2 launches: what RunInstances is checked on, also when Auto Scaling launches.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.iam.requests.model import Keys, Malformed, Need
from scripts.iam.requests.row import (
    VIA_SERVICE,
    Call,
    Row,
    Target,
    as_text,
    checked,
    name_of,
    pass_role,
    request_tags,
)
from scripts.iam.requests.services import kms
from scripts.iam.requests.services.ec2_resources import (
    arn_of,
    create_tags,
    existing,
    region_key,
    specified_tags,
)

_TAGGABLE = (
    "instance",
    "volume",
    "network-interface",
    "spot-instances-request",
    "elastic-gpu",
)
_VOLUME_KEYS = {
    "Encrypted": "ec2:Encrypted",
    "Iops": "ec2:VolumeIops",
    "Throughput": "ec2:VolumeThroughput",
    "VolumeSize": "ec2:VolumeSize",
    "VolumeType": "ec2:VolumeType",
}
_METADATA_KEYS = {
    "HttpEndpoint": "ec2:MetadataHttpEndpoint",
    "HttpPutResponseHopLimit": "ec2:MetadataHttpPutResponseHopLimit",
    "HttpTokens": "ec2:MetadataHttpTokens",
    "InstanceMetadataTags": "ec2:InstanceMetadataTags",
}


def launch_template(call: Call) -> Iterator[Target]:
    """The launch template that a call names by id or name."""
    yield existing(call, "launch-template", template_id(call, call.parameters))


def template_id(call: Call, named: Mapping[str, Any]) -> str:
    """The id of a launch template, looked up when only its name is given."""
    if named.get("LaunchTemplateId"):
        return checked(named["LaunchTemplateId"], "LaunchTemplateId")
    name = checked(named.get("LaunchTemplateName"), "LaunchTemplateId")
    found = call.facts(call.arn("ec2", f"launch-template/{name}")).get("id")
    if not found:
        raise ValueError(f"launch template {name!r} does not exist")
    return str(found)


def instance_profile(call: Call, name: str) -> str:
    """ARN of the role in an instance profile; ValueError if there is no such profile."""
    role = call.account.instance_profile_role(name)
    if role is None:
        raise ValueError(f"instance profile {name!r} does not exist or holds no role")
    return role


@dataclass(frozen=True)
class Launch:
    """What one launch asks for: launch template data overlaid with the call's own parameters."""

    data: Mapping[str, Any]
    own: frozenset[str] = frozenset()  # parameters that the call itself gives
    template: str | None = None  # id
    subnets: tuple[str, ...] = ()  # Auto Scaling's choice of subnets
    extra: Keys = field(default_factory=dict)

    def origin(self, call: Call, *parameters: str) -> Keys:
        """ec2:LaunchTemplate and ec2:IsLaunchTemplateResource of a resource."""
        if self.template is None:
            return {"ec2:IsLaunchTemplateResource": ("false",)}
        from_template = not any(name in self.own for name in parameters)
        return {
            "ec2:LaunchTemplate": (arn_of(call, "launch-template", self.template),),
            "ec2:IsLaunchTemplateResource": (as_text(from_template),),
        }


def overlaid(
    call: Call, template: Mapping[str, Any] | None, own: Mapping[str, Any]
) -> tuple[Mapping[str, Any], str | None]:
    """Launch data of a template (by reference) under a call's own parameters, with the tags of
    both."""
    if not template:
        return own, None
    name = template_id(call, template)
    version = str(template.get("Version") or "$Default")
    data = call.account.launch_template_data(name, version)
    if data is None:
        raise ValueError(f"launch template {name!r} has no version {version!r}")
    return {**data, **own, **_tags_of_both(data, own)}, name


def _tags_of_both(data: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A template's tags are set beside the call's, which count where both have one."""
    name = "TagSpecifications"
    if not data.get(name) or not own.get(name):
        return {}
    kinds = (*_TAGGABLE, "launch-template")
    ours, theirs = (specified_tags(one.get(name), kinds) for one in (own, data))
    merged = {kind: {**theirs.get(kind, {}), **ours.get(kind, {})} for kind in {**theirs, **ours}}
    return {
        name: [
            {"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
            for kind, tags in merged.items()
        ]
    }


def run_instances(call: Call, launch: Launch) -> Iterator[Need]:
    """Every permission behind one launch, RunInstances on each resource type first."""
    for target, parameters in _targets(call, launch):
        keys = {
            **region_key(call),
            **launch.origin(call, *parameters),
            **launch.extra,
            **target.keys,
        }
        yield Need("ec2:RunInstances", target.arn, keys)
    tags = specified_tags(launch.data.get("TagSpecifications"), _TAGGABLE)
    yield from create_tags(call, tags, "RunInstances", launch.extra)
    profile = launch.data.get("IamInstanceProfile") or {}
    name = profile.get("Arn") or profile.get("Name")
    if name:
        yield pass_role(instance_profile(call, name), "ec2.amazonaws.com")
    yield from image_parameter(call, launch.data.get("ImageId"), launch.extra)
    yield from _volume_keys(call, launch)


def _targets(call: Call, launch: Launch) -> Iterator[tuple[Target, tuple[str, ...]]]:
    data = launch.data
    _check_places(data)
    tags = specified_tags(data.get("TagSpecifications"), _TAGGABLE)
    if launch.template is not None:
        yield existing(call, "launch-template", launch.template), ("LaunchTemplate",)
    yield _image(call, data), ("ImageId",)
    interfaces = [
        placed
        for interface in _interfaces(data, launch.subnets)
        for placed in _placed(call, data, interface)
    ]
    zone = _zone(call, data, interfaces)
    made = _instance(call, data, tags.get("instance", {}))
    yield Target(made.arn, {**made.keys, **zone}), ("InstanceType",)
    for interface in interfaces:
        yield (
            _interface(call, interface, tags.get("network-interface", {})),
            (
                "NetworkInterfaces",
                "SubnetId",
            ),
        )
    for subnet in dict.fromkeys(i["SubnetId"] for i in interfaces if i.get("SubnetId")):
        yield existing(call, "subnet", subnet), ("SubnetId", "NetworkInterfaces")
    for group in dict.fromkeys(g for i in interfaces for g in _groups(call, i)):
        found = Target(arn_of(call, "security-group", "*"), {})
        if group != "*":
            found = existing(call, "security-group", group)
        yield found, ("SecurityGroupIds", "NetworkInterfaces")
    if data.get("KeyName"):
        name = name_of(data["KeyName"], "KeyName", r"[^:*?/]+")
        key_pair = Target(arn_of(call, "key-pair", name), {"ec2:KeyPairName": (name,)})
        yield key_pair, ("KeyName",)
    for mapping in data.get("BlockDeviceMappings") or [{}]:
        disk = mapping.get("Ebs") or {}
        volume = _volume(call, disk, tags.get("volume", {}))
        yield Target(volume.arn, {**volume.keys, **zone}), ("BlockDeviceMappings",)
        if disk.get("SnapshotId"):
            yield existing(call, "snapshot", str(disk["SnapshotId"])), ("BlockDeviceMappings",)


def _zone(call: Call, data: Mapping[str, Any], interfaces: list[dict[str, Any]]) -> Keys:
    """ec2:AvailabilityZone, where all that is launched is in one."""
    subnets = (arn_of(call, "subnet", str(one.get("SubnetId"))) for one in interfaces)
    named = (data.get("Placement") or {}).get("AvailabilityZone")
    found = {call.facts(arn).get("availability_zone", named) for arn in subnets}
    known = len(found) == 1 and None not in found
    return {"ec2:AvailabilityZone": (str(found.pop()),)} if known else {}


def _check_places(data: Mapping[str, Any]) -> None:
    """Refuse security groups and subnets in two places, and groups by names, which only a default
    VPC knows."""
    if data.get("SecurityGroups"):
        raise Malformed(
            "SecurityGroups: name security groups by their ids", "InvalidParameterValue"
        )
    if data.get("NetworkInterfaces") and data.get("SecurityGroupIds"):
        raise Malformed(
            "Network interfaces and an instance-level security groups may not be specified on the "
            "same request",
            "InvalidParameterCombination",
        )
    if data.get("NetworkInterfaces") and data.get("SubnetId"):
        raise Malformed(
            "Network interfaces and an instance-level subnet ID may not be specified on the same "
            "request",
            "InvalidParameterCombination",
        )


def _image(call: Call, data: Mapping[str, Any]) -> Target:
    name = checked(data.get("ImageId"), "ImageId")
    if name.startswith("resolve:ssm:"):
        return Target(arn_of(call, "image", "*"), {})
    return existing(call, "image", name)


def _instance(call: Call, data: Mapping[str, Any], tags: Mapping[str, str]) -> Target:
    keys: Keys = {**request_tags(tags), "ec2:Tenancy": (_tenancy(data),)}
    # The type that AWS starts when none is named.
    keys["ec2:InstanceType"] = (str(data.get("InstanceType") or "m1.small"),)
    keys["ec2:EbsOptimized"] = (as_text(data.get("EbsOptimized") or False),)
    metadata = data.get("MetadataOptions") or {}
    for name, key in _METADATA_KEYS.items():
        if metadata.get(name) is not None:
            keys[key] = (as_text(metadata[name]),)
    profile = data.get("IamInstanceProfile") or {}
    named = profile.get("Arn") or profile.get("Name")
    if named:
        plain = call.arn("iam", f"instance-profile/{named.rpartition('/')[2]}", region="")
        keys["ec2:InstanceProfile"] = (str(call.facts(plain).get("arn") or plain),)
    return Target(arn_of(call, "instance", "*"), keys)


def _tenancy(data: Mapping[str, Any]) -> str:
    return str((data.get("Placement") or {}).get("Tenancy") or "default")


def _interfaces(data: Mapping[str, Any], subnets: tuple[str, ...]) -> list[dict[str, Any]]:
    given = data.get("NetworkInterfaces") or []
    groups = data.get("SecurityGroupIds") or []
    if not given:
        subnet = data.get("SubnetId")
        places = subnets or ((subnet,) if subnet else (None,))
        return [{"SubnetId": place, "Groups": groups} for place in places]
    if subnets:
        return [{**interface, "SubnetId": place} for interface in given for place in subnets]
    return [dict(interface) for interface in given]


def _placed(
    call: Call, data: Mapping[str, Any], interface: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """An interface without a subnet is put into a default one: of its zone, or any that AWS likes.

    https://docs.aws.amazon.com/vpc/latest/userguide/default-subnet.html
    """
    zone = (data.get("Placement") or {}).get("AvailabilityZone")
    found = []
    if not interface.get("SubnetId") and not interface.get("NetworkInterfaceId"):
        defaults = call.facts(arn_of(call, "vpc", "default")).get("subnets") or {}
        found = [subnet for place, subnet in sorted(defaults.items()) if zone in (None, place)]
    for subnet in found:
        yield {**interface, "SubnetId": subnet}
    if not found:
        yield interface


def _groups(call: Call, interface: Mapping[str, Any]) -> list[str]:
    """Without a group an interface is in the default one of its network."""
    if interface.get("Groups"):
        return list(interface["Groups"])
    subnet = interface.get("SubnetId")
    vpc = call.facts(arn_of(call, "subnet", str(subnet))).get("vpc") if subnet else None
    group = call.facts(arn_of(call, "vpc", str(vpc))).get("default_group") if vpc else None
    return [str(group or "*")]


def _interface(call: Call, interface: Mapping[str, Any], tags: Mapping[str, str]) -> Target:
    if interface.get("NetworkInterfaceId"):
        return existing(call, "network-interface", str(interface["NetworkInterfaceId"]))
    keys = request_tags(tags)
    if interface.get("AssociatePublicIpAddress") is not None:
        public = as_text(interface["AssociatePublicIpAddress"])
        keys["ec2:AssociatePublicIpAddress"] = (public,)
    if interface.get("SubnetId"):
        subnet = arn_of(call, "subnet", str(interface["SubnetId"]))
        keys["ec2:Subnet"] = (subnet,)
        facts = call.facts(subnet)
        if facts.get("vpc"):
            keys["ec2:Vpc"] = (arn_of(call, "vpc", facts["vpc"]),)
        if facts.get("availability_zone"):
            keys["ec2:AvailabilityZone"] = (str(facts["availability_zone"]),)
    return Target(arn_of(call, "network-interface", "*"), keys)


def _volume(call: Call, ebs: Mapping[str, Any], tags: Mapping[str, str]) -> Target:
    return Target(arn_of(call, "volume", "*"), {**request_tags(tags), **volume_keys(call, ebs)})


def volume_keys(call: Call, ebs: Mapping[str, Any]) -> Keys:
    """What a new volume will be, also where the call says nothing of it: a gp2 one, and encrypted
    with its snapshot.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
    """
    snapshot = arn_of(call, "snapshot", str(ebs.get("SnapshotId")))
    sealed = bool(ebs.get("SnapshotId") and call.facts(snapshot).get("kms_key"))
    asked = {**ebs, "Encrypted": _is_true(ebs.get("Encrypted")) or sealed,
             "VolumeType": ebs.get("VolumeType") or "gp2"}  # fmt: skip
    return {
        key: (as_text(asked[name]),)
        for name, key in _VOLUME_KEYS.items()
        if asked.get(name) is not None
    }


def _is_true(value: object) -> bool:
    """A parameter of a structure that is true or false."""
    return value in {True, "true", "True"}


def image_parameter(call: Call, image: object, extra: Keys) -> Iterator[Need]:
    """An image named by an SSM parameter is looked up with the caller's rights.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-systems-manager-parameter-to-find-AMI.html
    """
    name = str(image or "")
    if name.startswith("resolve:ssm:"):
        path = name.removeprefix("resolve:ssm:").partition(":")[0]
        account = "" if path.startswith("/aws/service/") else call.account.account_id
        arn = f"arn:aws:ssm:{call.request.region}:{account}:parameter/{path.lstrip('/')}"
        yield Need("ssm:GetParameters", arn, dict(extra))


def template_image(call: Call) -> Iterator[Need]:
    """The image parameter of launch template data."""
    data = call.get("LaunchTemplateData") or {}
    yield from image_parameter(call, data.get("ImageId"), VIA_SERVICE)


def resolved_images(call: Call) -> Iterator[Need]:
    """DescribeLaunchTemplateVersions, asked to show the image that a parameter stands for."""
    named = call.get("LaunchTemplateId") or call.get("LaunchTemplateName")
    if not call.flag("ResolveAlias") or not named:
        return
    name = template_id(call, call.parameters)
    for version in call.texts("Versions") or ["$Default"]:
        data = call.account.launch_template_data(name, version) or {}
        yield from image_parameter(call, data.get("ImageId"), VIA_SERVICE)


def _volume_keys(call: Call, launch: Launch) -> Iterator[Need]:
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html

    Auto Scaling encrypts with its own service-linked role, so its launches ask nothing here.
    """
    if launch.extra:
        return
    for mapping in launch.data.get("BlockDeviceMappings") or []:
        yield from volume_key(call, mapping.get("Ebs") or {})


def volume_key(call: Call, volume: Mapping[str, Any]) -> Iterator[Need]:
    """The key of a new volume, and that of the snapshot that it is made from."""
    snapshot = volume.get("SnapshotId")
    source = (
        call.facts(arn_of(call, "snapshot", str(snapshot))).get("kms_key") if snapshot else None
    )
    default = f"{kms.MANAGED}ebs" if volume.get("Encrypted") else None
    keys = dict.fromkeys((source, volume.get("KmsKeyId") or (None if source else default)))
    actions = (
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:GenerateDataKeyWithoutPlaintext",
    )
    for key in keys:
        yield from kms.behind(call, "ec2", key, actions)


def _from_call(call: Call) -> Iterator[Need]:
    own = {name: value for name, value in call.parameters.items() if name != "LaunchTemplate"}
    data, template = overlaid(call, call.get("LaunchTemplate"), own)
    yield from run_instances(call, Launch(data, frozenset(own), template))


RUN_INSTANCES = Row(lambda _call: (), also=(_from_call,))
