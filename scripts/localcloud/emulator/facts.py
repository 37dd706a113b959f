"""Facts of single resources in moto's state; the table is at `scripts.iam.requests.Account`."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from moto.kms.utils import _deserialize_ciphertext_blob

from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.sealing import context_of, kept_keys, key_of

Facts = dict[str, Any]

# Kind of an EC2 resource -> where moto keeps those of that kind, by id.
_EC2 = {
    "dhcp-options": "dhcp_options_sets",
    "egress-only-internet-gateway": "egress_only_internet_gateways",
    "image": "amis",
    "internet-gateway": "internet_gateways",
    "launch-template": "launch_templates",
    "natgateway": "nat_gateways",
    "network-acl": "network_acls",
    "network-interface": "enis",
    "prefix-list": "managed_prefix_lists",
    "route-table": "route_tables",
    "snapshot": "snapshots",
    "volume": "volumes",
    "vpc": "vpcs",
    "vpc-endpoint": "vpc_end_points",
    "vpc-flow-log": "flow_logs",
}


def ec2_resource(ec2: Any, kind: str, name: str) -> Any:
    """An EC2 resource of moto's by kind and id; None if there is none."""
    if kind in _EC2:
        return getattr(ec2, _EC2[kind]).get(name)
    if kind == "instance":
        return _first(i for r in ec2.reservations.values() for i in r.instances if i.id == name)
    if kind == "subnet":
        return _first(s[name] for s in ec2.subnets.values() if name in s)
    if kind == "security-group":
        return _first(g[name] for g in ec2.groups.values() if name in g)
    if kind == "security-group-rule":
        return _first(
            rule
            for groups in ec2.groups.values()
            for group in groups.values()
            for rule in (*group.ingress_rules, *group.egress_rules)
            if rule.id == name
        )
    if kind == "elastic-ip":
        return _first(a for a in ec2.addresses if a.allocation_id == name)
    return None


def _first(found: Any) -> Any:
    return next(iter(found), None)


def _ec2(backends: Backends, parts: list[str]) -> Facts | None:
    ec2 = backends("ec2", parts[3])
    kind, _, name = parts[5].partition("/")
    if kind in _EC2_ASSOCIATIONS:
        return _EC2_ASSOCIATIONS[kind](ec2, name)
    if kind == "launch-template":
        # By name alone: an id may be another one's name.
        template_id = ec2.launch_template_name_to_ids.get(name)
        return {"id": template_id} if template_id in ec2.launch_templates else None
    if kind == "vpc":
        return _network(ec2, name)
    found = ec2_resource(ec2, kind, name)
    if found is None:
        return None
    if kind == "instance":
        return _instance(backends, found)
    if kind == "snapshot":
        key = _key_of_snapshot(ec2, found)
        return {"kms_key": key} if key else {}
    if kind == "vpc-endpoint":
        return {"vpc": found.vpc_id, "private_dns": bool(found.private_dns_enabled)}
    subnet = getattr(found, "subnet", None) if kind == "network-interface" else found
    facts = {
        "vpc": getattr(subnet, "vpc_id", None),
        "availability_zone": getattr(subnet, "availability_zone", None),
        "kms_key": _key_of_volume(ec2, found) if kind == "volume" else None,
    }
    return {name: value for name, value in facts.items() if value}


def _network(ec2: Any, name: str) -> Facts | None:
    """A network's default group; `default` is the network of whoever names none."""
    if name == "default":
        default = ec2.get_default_vpc()
        return default and {
            "vpc": default.id,
            "subnets": {place: one.id for place, one in ec2.get_default_subnets().items()},
        }
    group = _first(one for one in ec2.groups.get(name, {}).values() if one.name == "default")
    return {"default_group": group.id} if group else {}


def _key_of_snapshot(ec2: Any, snapshot: Any) -> str | None:
    """The key of a snapshot, which may be that of the snapshot that its volume was made from."""
    if snapshot is None or snapshot.kms_key_id:
        return snapshot and str(snapshot.kms_key_id)
    return _key_of_volume(ec2, snapshot.volume)


def _key_of_volume(ec2: Any, volume: Any) -> str | None:
    if volume.kms_key_id:
        return str(volume.kms_key_id)
    return _key_of_snapshot(ec2, ec2.snapshots.get(volume.snapshot_id))


def _instance(backends: Backends, instance: Any) -> Facts:
    facts: Facts = {
        "instance_type": instance.instance_type,
        "availability_zone": instance.placement,
        "vpc": instance.vpc_id,
    }
    associations = instance.ec2_backend.iam_instance_profile_associations
    association = associations.get(instance.id)
    if association is not None:
        facts["instance_profile"] = association.iam_instance_profile.arn
    facts["volumes"] = {
        device: str(disk.volume_id) for device, disk in instance.get_block_device_mapping
    }
    del backends
    return facts


def _route_table_association(ec2: Any, name: str) -> Facts | None:
    for table in ec2.route_tables.values():
        if name in table.all_associations_ids:
            subnet = table._associations.get(name)
            return {"route_table": table.id, **({"subnet": subnet} if subnet else {})}
    return None


def _address_association(ec2: Any, name: str) -> Facts | None:
    found = _first(a for a in ec2.addresses if name in (a.association_id, a.public_ip))
    if found is None:
        return None
    interface = found.eni or (found.instance.nics.get(0) if found.instance else None)
    return {
        "allocation": found.allocation_id,
        **({"interface": interface.id} if interface else {}),
    }


def _profile_association(ec2: Any, name: str) -> Facts | None:
    for instance_id, association in ec2.iam_instance_profile_associations.items():
        if association.association_id == name:
            return {"instance": instance_id}
    return None


_EC2_ASSOCIATIONS: Mapping[str, Callable[[Any, str], Facts | None]] = {
    "route-table-association": _route_table_association,
    "address-association": _address_association,
    "iam-instance-profile-association": _profile_association,
}


def _iam(backends: Backends, parts: list[str]) -> Facts | None:
    """IAM resources by name: AWS's own ARNs carry a path that a request does not."""
    iam = backends("iam")
    kind = parts[5].partition("/")[0]
    name = parts[5].rpartition("/")[2]
    known = {
        "role": iam.roles.values(),
        "user": iam.users.values(),
        "policy": iam.managed_policies.values(),
        "instance-profile": iam.instance_profiles.values(),
        "group": iam.groups.values(),
    }.get(kind, ())
    found = _first(resource for resource in known if resource.name == name)
    if found is None:
        return None
    facts: Facts = {"arn": found.arn}
    boundary = getattr(found, "permissions_boundary_arn", None)
    if boundary:
        facts["permissions_boundary"] = boundary
    return facts


def _rds(backends: Backends, parts: list[str]) -> Facts | None:
    rds = backends("rds", parts[3])
    kind, _, name = parts[5].partition(":")
    if kind == "snapshot":
        snapshot = rds.database_snapshots.get(name)
        found = None if snapshot is None else snapshot.database
        sealed = snapshot
    else:
        found = sealed = rds.databases.get(name) if kind == "db" else None
    if found is None:
        return None
    facts: Facts = {
        "class": found.db_instance_class,
        "engine": found.engine,
        "engine_version": found.engine_version,
        "multi_az": found.multi_az,
        "storage_encrypted": getattr(found, "storage_encrypted", None),
        "storage_size": getattr(found, "allocated_storage", None),
        "database": found.db_name,
        "copies_tags": bool(getattr(found, "copy_tags_to_snapshot", False)),
        "resource_id": found.dbi_resource_id,
    }
    key = getattr(sealed, "kms_key_id", None)  # a copy has its own
    if key and str(key).startswith("arn:"):
        facts["kms_key"] = key
    secret = getattr(found, "master_user_secret", None)
    if secret is not None:
        facts["secret"] = secret.secret_arn
        if secret.kms_key_id and str(secret.kms_key_id).startswith("arn:"):
            facts["secret_key"] = secret.kms_key_id
    return {name: value for name, value in facts.items() if value is not None}


def _autoscaling(backends: Backends, parts: list[str]) -> Facts | None:
    name = parts[5].rpartition("autoScalingGroupName/")[2]
    group = backends("autoscaling", parts[3]).autoscaling_groups.get(name)
    if group is None:
        return None
    facts: Facts = {"arn": group.arn}
    template = group.ec2_launch_template
    if template is not None:
        version = getattr(group, "launch_template_version", None) or "$Default"
        facts["launch_template"] = {"id": template.id, "version": str(version)}
    if group.vpc_zone_identifier:
        facts["subnets"] = group.vpc_zone_identifier.split(",")
    return facts


def _s3(backends: Backends, parts: list[str]) -> Facts | None:
    bucket = backends("s3").buckets.get(parts[5].partition("/")[0])
    if bucket is None:
        return None
    key, mark, version = parts[5].partition("/")[2].rpartition("/?versionId=")
    if mark:
        return _version(backends("s3"), bucket.keys.getlist(key) or (), version)
    _, mark, upload_id = parts[5].partition("/?uploadId=")
    if mark:
        return _upload(bucket.multiparts.get(upload_id))
    rule = (bucket.encryption or {}).get("Rule", {})
    return {"bucket_key_enabled": str(rule.get("BucketKeyEnabled", "false")).lower() == "true"}


def _version(s3: Any, versions: Any, version_id: str) -> Facts | None:
    for found in reversed(versions):
        if version_id in ("", found.version_id) and hasattr(found, "arn"):
            tags = dict(s3.tagger.get_tag_dict_for_resource(found.arn))
            return {"tags": tags, "context": context_of(found)}
    return None


def _upload(upload: Any) -> Facts | None:
    if upload is None:
        return None
    facts: Facts = {"checksum": "x-amz-checksum-algorithm" in (upload.metadata or {})}
    if upload.sse_encryption in ("aws:kms", "aws:kms:dsse"):
        facts["key"] = upload.kms_key_id or "alias/aws/s3"
        facts["context"] = context_of(upload)
    elif upload.sse_encryption:
        facts["key"] = None
    return facts


def _kms(backends: Backends, parts: list[str]) -> Facts | None:
    kms = backends("kms", parts[3])
    kind, _, name = parts[5].partition("/")
    if kind == "ciphertext":
        try:
            blob = _deserialize_ciphertext_blob(base64.b64decode(name, validate=True))
        except (binascii.Error, ValueError, Exception):  # noqa: BLE001
            return None
        key = kms.keys.get(blob.key_id)
        return None if key is None else {"key": key.arn}
    if kind == "grant":  # by its token
        keys = list(kms.keys.values())
        arns = [key.arn for key in keys for one in key.grants.values() if one.token == name]
        return {"key": arns[0]} if arns else None
    key = kms.keys.get(name)
    if key is None:
        return None
    owned = any(alias.startswith("alias/aws/") for alias in key.aliases)
    return {
        "manager": "AWS" if owned else "CUSTOMER",
        "spec": key.key_spec,
        "usage": key.key_usage,
        "origin": key.origin,
        "multi_region": key.multi_region,
        "aliases": sorted(key.aliases),
    }


def _budgets(backends: Backends, parts: list[str]) -> Facts | None:
    name = parts[5].removeprefix("budget/")
    budget = backends("budgets").budgets[parts[4]].get(name)
    view = None if budget is None else budget.budget.get("BillingViewArn")
    return {"billing_view": view} if view else None


def _secret(backends: Backends, parts: list[str]) -> Facts | None:
    """Which version has a label, and the keys of those that have not the secret's own."""
    known = dict.values(backends("secretsmanager", parts[3]).secrets)
    secret = next((one for one in known if one.arn == ":".join(parts)), None)
    if secret is None:
        return None
    versions = secret.versions.items()
    labels = {label: version for version, one in versions for label in one["version_stages"]}
    return {"labels": labels, "kept": kept_keys(secret)}


def _sns(backends: Backends, parts: list[str]) -> Facts | None:
    topic = backends("sns", parts[3]).topics.get(":".join(parts))
    if topic is None:
        return None
    return {"kms_key": topic.kms_master_key_id} if topic.kms_master_key_id else {}


def _ssm(backends: Backends, parts: list[str]) -> Facts | None:
    kind, _, name = parts[5].partition("/")
    if kind == "parameter":
        return _parameters_under(backends("ssm", parts[3]), name)
    if kind != "document":
        return None
    document = backends("ssm", parts[3])._documents.get(name)
    if document is None:
        return None
    return {"type": document.get_default_version().document_type}


def _parameters_under(ssm: Any, path: str) -> Facts:
    """The keys of the SecureStrings under a path, and of each version of the one at it."""
    start = f"/{path}/" if path else "/"
    # Moto keeps those at the root without a slash.
    newest = {f"/{name.removeprefix('/')}": ssm.get_parameter(name) for name in ssm._parameters}
    versions = [one for name in (path, f"/{path}") for one in ssm._parameters.get(name) or ()]
    return {
        "keys": {
            name: _key_of_parameter(parameter)
            for name, parameter in newest.items()
            if name.startswith(start) and parameter.parameter_type == "SecureString"
        },
        "versions": list(
            dict.fromkeys(
                _key_of_parameter(one) for one in versions if one.parameter_type == "SecureString"
            )
        ),
    }


def _key_of_parameter(parameter: Any) -> str:
    return key_of(parameter, parameter.keyid) or "alias/aws/ssm"


DESCRIBERS: Mapping[str, Callable[[Backends, list[str]], Facts | None]] = {
    "autoscaling": _autoscaling,
    "budgets": _budgets,
    "ec2": _ec2,
    "iam": _iam,
    "kms": _kms,
    "rds": _rds,
    "s3": _s3,
    "secretsmanager": _secret,
    "sns": _sns,
    "ssm": _ssm,
}
