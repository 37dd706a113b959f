"""Rules of services that few calls meet: each with the page that states it, or refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.facts import ec2_resource
from scripts.localcloud.emulator.services import attributes, canonical, log_filters, values

# Attributes that only a stopped instance changes.
_STOPPED = frozenset(
    {"EbsOptimized", "EnaSupport", "InstanceType", "Kernel", "Ramdisk", "SriovNetSupport",
     "UserData"}
)  # fmt: skip
# What a document of each type may say as its `schemaVersion`.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
_SCHEMAS: Mapping[str, frozenset[str]] = {
    "Automation": frozenset({"0.3"}),
    "Command": frozenset({"1.2", "2.0", "2.2"}),
    "Policy": frozenset({"2.0"}),
    "Session": frozenset({"1.0"}),
}
_PARAMETERS = frozenset({"Boolean", "Integer", "MapList", "String", "StringList", "StringMap"})
# Characters of a parameter's value; Intelligent-Tiering has those of the advanced tier.
_LARGEST_STANDARD, _LARGEST_ADVANCED = 4096, 8192
_HEAVIEST = 999
_MOST_TARGETS = 5
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_DAYS_OF_LOGS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
     3288, 3653}
)  # fmt: skip
_LARGEST_BATCH = 1000
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
_PASSWORD = re.compile(r"[!#-.0-?A-~]{8,128}")
_MASTER = re.compile(r"[A-Za-z]\w{0,62}", re.ASCII)
_RESERVED = re.compile(
    r"pg_|(admin|public|rds(admin|repladmin|_(superuser|iam|password|replication|ad)))\Z",
    re.IGNORECASE,
)
# https://www.postgresql.org/docs/current/sql-keywords-appendix.html
_SQL = (
    "all analyse analyze and any array as asc asymmetric both case cast check collate column "
    "constraint create current_catalog current_date current_role current_time "
    "current_timestamp current_user default deferrable desc distinct do else end except false "
    "fetch for foreign from grant group having in initially intersect into lateral leading "
    "limit localtime localtimestamp not null offset on only or order placing primary "
    "references returning select session_user some symmetric system_user table then to "
    "trailing true union unique user using variadic when where window with"
)
RESERVED_WORDS = frozenset(_SQL.split())
_RESERVED_BUCKET = re.compile(
    r"xn--.*|sthree-.*|amzn-s3-demo-.*|.*\.\..*|\d+\.\d+\.\d+\.\d+"
    r"|.*(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)",
    re.ASCII,
)
_LARGEST_PORT = 65535
_LARGEST_VOLUME = 65_536
_READ_JSON = frozenset({"events", "lambda", "states"})
# https://docs.aws.amazon.com/general/latest/gr/ssm.html#limits_ssm
_LARGEST_DOCUMENT = 64 * 1024
# An ICMP rule has a type and a code there, and of all other protocols every port is meant.
WITH_PORTS = frozenset({"tcp", "udp"})
TYPED = frozenset({"icmp", "icmpv6"})
_LARGEST_TYPE = 255
_DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
PROTOCOL = re.compile(r"-1|all|tcp|udp|icmp|icmpv6|\d|\d\d|1\d\d|2[0-4]\d|25[0-5]", re.ASCII)
_SOURCES = ("CidrIp", "IpRanges", "Ipv6Ranges", "PrefixListIds", "SourceSecurityGroupName",
            "UserIdGroupPairs")  # fmt: skip
_SUBNET_SIZES = range(16, 29)
_LONGEST_BACKUP = 35
# The least GiB of a PostgreSQL database, by its type of storage.
_LEAST_STORAGE = {"io1": 100, "io2": 100, "standard": 5}
_LEAST_GP = 20
_SHORT_PERIODS = (10, 20, 30)
_MINUTE = 60
_HOUR, _DAY, _WEEK = 3_600, 86_400, 604_800
_MISSING_DATA = frozenset({"breaching", "ignore", "missing", "notBreaching"})
_STATISTIC = re.compile(
    r"(p|tm|tc|ts|wm)(100|\d{1,2}(\.\d+)?)|IQM|(PR|TC|TM|TS|WM)\([\d.%]*:[\d.%]*\)", re.ASCII
)
_FIELD = r"[@\w.]+"
# What moto does of CloudWatch Logs Insights.
_COMMAND = re.compile(
    rf"fields\s+{_FIELD}(\s*,\s*{_FIELD})*|sort\s+{_FIELD}(\s+(asc|desc))?|limit\s+\d+",
    re.IGNORECASE | re.ASCII,
)
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
_SCHEDULE = re.compile(
    r"rate\([1-9]\d* (minutes?|hours?|days?)\)"
    r"|at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)"
    r"|cron\(\S+( \S+){5}\)",
    re.ASCII,
)


def _absent(what: str) -> AwsError:
    return AwsError("LocalCloudNotImplemented", f"The local cloud does not model {what}")


def named(value: Any) -> Iterator[tuple[str, Any]]:
    """Every parameter of a call with its name, those inside others too."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name, inner
            yield from named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner)


def _database(reading: Reading, backends: Backends, name: str) -> Any:
    known = backends("rds", reading.request.region).databases
    return known.get(str(reading.parameters.get(name)).rpartition(":")[2])


def backups(reading: Reading, backends: Backends) -> None:
    """A database without automated backups has no earlier point in time."""
    source = _database(reading, backends, "SourceDBInstanceIdentifier")
    if source is not None and not source.backup_retention_period:
        raise AwsError(
            "PointInTimeRestoreNotEnabled",
            f"Point in time restore is not enabled for instance {source.db_instance_identifier}",
        )


def master_password(reading: Reading, backends: Backends) -> None:
    """A password is managed, or given; a managed one stays until the call says otherwise."""
    given = reading.parameters
    database = _database(reading, backends, "DBInstanceIdentifier")
    managed = given.get(
        "ManageMasterUserPassword", getattr(database, "manage_master_user_password", False)
    )
    if managed and given.get("MasterUserPassword"):
        raise AwsError(
            "InvalidParameterCombination",
            "MasterUserPassword can't be specified if ManageMasterUserPassword is turned on.",
        )
    password = given.get("MasterUserPassword")
    if password is not None and not _PASSWORD.fullmatch(password):
        raise AwsError(
            "InvalidParameterValue",
            "The parameter MasterUserPassword is not a valid password: it has 8 to 128 printable "
            "ASCII characters other than '/', '@', '\"' and blanks.",
        )


def managed_password(reading: Reading, backends: Backends) -> None:
    """Moto would leave a database without a password, or a secret without a value."""
    given = reading.parameters
    database = _database(reading, backends, "DBInstanceIdentifier")
    managed = bool(getattr(database, "manage_master_user_password", False))
    given_up = given.get("ManageMasterUserPassword") is False
    if managed and given_up and not given.get("MasterUserPassword"):
        raise AwsError(
            "InvalidParameterCombination",
            "MasterUserPassword must be specified if ManageMasterUserPassword is turned off.",
        )
    if given.get("RotateMasterUserPassword") and (given_up or not managed):
        raise AwsError(
            "InvalidParameterCombination",
            "The master user password is not managed, so it can't be rotated.",
        )


def master_name(reading: Reading, _: Backends) -> None:
    """Names that PostgreSQL or RDS keeps for itself are no master's."""
    name = reading.parameters.get("MasterUsername", "")
    reserved = _RESERVED.match(name) or name.lower() in RESERVED_WORDS
    if name and (not _MASTER.fullmatch(name) or reserved):
        raise AwsError("InvalidParameterValue", f"MasterUsername {name} cannot be used")


def same_engine(reading: Reading, backends: Backends) -> None:
    """A database is restored under its source's engine or one that is compatible."""
    engine = reading.parameters.get("Engine")
    rds = backends("rds", reading.request.region)
    name = str(reading.parameters.get("DBSnapshotIdentifier")).rpartition(":snapshot:")[2]
    snapshot = rds.database_snapshots.get(name)
    source = snapshot.database if snapshot else _database(reading, backends,
                                                          "SourceDBInstanceIdentifier")  # fmt: skip
    if engine and source is not None and _family(engine) != _family(source.engine):
        raise AwsError(
            "InvalidParameterCombination",
            f"The engine {engine} is not compatible with {source.engine}, the source's.",
        )


def _family(engine: str) -> str:
    return "mysql" if engine == "mariadb" else engine.partition("-")[0]


def parameter(reading: Reading, backends: Backends) -> None:
    """A parameter's size and type."""
    given = reading.parameters
    standard = given.get("Tier", "Standard") == "Standard"
    largest = _LARGEST_STANDARD if standard else _LARGEST_ADVANCED
    if len(given["Value"]) > largest:
        raise AwsError(
            "ValidationException",
            f"{'Standard' if standard else 'Advanced'} tier parameters support a maximum "
            f"parameter value of {largest} characters.",
        )
    name = given["Name"].rpartition(":parameter")[2]
    parameters = backends("ssm", reading.request.region)._parameters
    known = list(parameters.get(parameters.normalize_name(name)) or ())
    kind = known[-1].parameter_type if known else None
    if known and known[-1].tier == "Advanced" and given.get("Tier") == "Standard":
        raise AwsError(
            "ValidationException", "An advanced parameter can't be reverted to a standard one."
        )
    if kind and given.get("Overwrite") and given.get("Type", kind) != kind:
        raise _absent("a parameter whose type changes")


def document(reading: Reading, backends: Backends) -> None:
    """A document's type fits its content, which is what a session then does."""
    name = reading.parameters["Name"].rpartition(":document/")[2]
    known = backends("ssm", reading.request.region)._documents.get(name)
    kind = reading.parameters.get("DocumentType", "Command")
    if reading.operation == "UpdateDocument":
        if known is None:
            return  # moto's to refuse
        kind = known.get_default_version().document_type
    if kind not in _SCHEMAS:
        raise _absent(f"documents of the type {kind}")
    text = reading.parameters["Content"]
    if len(text) > _LARGEST_DOCUMENT:
        raise AwsError("MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.")
    try:
        json_text = reading.parameters.get("DocumentFormat", "JSON") == "JSON"
        # One alias of another is a few letters, and the tenth of them more than the memory.
        if not json_text and any(isinstance(one, yaml.AliasToken) for one in yaml.scan(text)):
            raise _absent("aliases in the YAML of a document")
        content = json.loads(text) if json_text else yaml.safe_load(text)
    except RecursionError:
        content = None
    except (ValueError, yaml.YAMLError):
        return  # moto's to refuse
    if not isinstance(content, dict) or not _declares_parameters(content):
        raise AwsError("InvalidDocumentContent", "The content of the document is not valid.")
    version = str(content.get("schemaVersion"))
    if version not in _SCHEMAS[kind]:
        raise AwsError(
            "InvalidDocumentSchemaVersion",
            f"A document of the type {kind} has no schemaVersion {version}",
        )


def _declares_parameters(content: Mapping[str, Any]) -> bool:
    """Whether a document's parameters are of types that there are, with patterns that compile.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-syntax-data-elements-parameters.html
    """
    declared = content.get("parameters") or {}
    if not isinstance(declared, dict) or not all(isinstance(d, dict) for d in declared.values()):
        return False
    try:
        for one in declared.values():
            re.compile(str(one.get("allowedPattern") or ""))
    except re.error:
        return False
    automation = content.get("schemaVersion") == "0.3"  # has types of AWS's resources beside
    return automation or all(one.get("type") in _PARAMETERS for one in declared.values())


def retention(reading: Reading, _: Backends) -> None:
    """A lock ends in the future."""
    until = reading.parameters.get("ObjectLockRetainUntilDate")
    if isinstance(until, datetime) and until <= datetime.now(UTC):
        raise AwsError("InvalidArgument", "The retain until date must be in the future!")


def whole_lock(reading: Reading, _: Backends) -> None:
    """Half a lock locks nothing, and a policy that demands its mode would be content."""
    names = {"ObjectLockMode", "ObjectLockRetainUntilDate"}
    if len(names & reading.parameters.keys()) == 1:
        raise AwsError(
            "InvalidArgument",
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
        )


def batch(reading: Reading, _: Backends) -> None:
    """A batch deletes at most 1,000 objects."""
    if len((reading.parameters.get("Delete") or {}).get("Objects") or ()) > _LARGEST_BATCH:
        raise AwsError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published "
            "schema",
        )


def weights(reading: Reading, _: Backends) -> None:
    """A target group has a weight from 0 to 999."""
    for name, weight in named(reading.parameters):
        if name == "Weight" and not 0 <= weight <= _HEAVIEST:
            raise AwsError("ValidationError", f"Weight {weight} must be between 0 and {_HEAVIEST}")


def current_stage(reading: Reading, _: Backends) -> None:
    """The label of the current version is moved and never removed."""
    given = reading.parameters
    if given.get("VersionStage") == "AWSCURRENT" and not given.get("MoveToVersionId"):
        raise AwsError(
            "InvalidParameterException",
            "You can't remove the staging label AWSCURRENT, only move it to another version.",
        )


def stopped(reading: Reading, backends: Backends) -> None:
    """Type, user data and similar of an instance change while it is stopped."""
    changed = _STOPPED & reading.parameters.keys()
    instance = backends("ec2", reading.request.region).get_instance_by_id(
        reading.parameters["InstanceId"]
    )
    if changed and instance is not None and instance.state != "stopped":
        raise AwsError(
            "IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state."
        )


def one_gateway(reading: Reading, backends: Backends) -> None:
    """A network has one internet gateway."""
    vpc = reading.parameters["VpcId"]
    gateways = backends("ec2", reading.request.region).internet_gateways.values()
    if any(one.vpc and one.vpc.id == vpc for one in list(gateways)):
        raise AwsError(
            "InvalidParameterValue", f"Network {vpc} already has an internet gateway attached"
        )


def image_name(reading: Reading, backends: Backends) -> None:
    """An account has one image of a name."""
    ec2, name = backends("ec2", reading.request.region), reading.parameters.get("Name")
    own = reading.request.account
    for image in list(ec2.amis.values()):
        if image.name == name and image.owner_id == own:
            raise AwsError(
                "InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}"
            )


def volume(reading: Reading, backends: Backends) -> None:
    """A volume has at least one GiB, and what its snapshot has."""
    snapshot = ec2_resource(
        backends("ec2", reading.request.region),
        "snapshot",
        str(reading.parameters.get("SnapshotId")),
    )
    size = reading.parameters.get("Size")
    if snapshot is not None and size is not None and size < snapshot.volume.size:
        raise AwsError(
            "InvalidParameterValue",
            f"Volume of {size}GiB is smaller than snapshot '{snapshot.id}', expect size >= "
            f"{snapshot.volume.size}GiB",
        )
    for name, size in named(reading.parameters):
        if name in {"Size", "VolumeSize"} and isinstance(size, int) and size < 1:
            raise AwsError(
                "InvalidParameterValue", f"Volume of {size}GiB is too small; minimum is 1GiB."
            )
        # https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html
        if name in {"Size", "VolumeSize"} and isinstance(size, int) and size > _LARGEST_VOLUME:
            raise AwsError(
                "InvalidParameterValue",
                f"Volume of {size}GiB is too large; maximum is {_LARGEST_VOLUME}GiB.",
            )


def namespace(reading: Reading, _: Backends) -> None:
    """Metrics of AWS's services come from these."""
    name = reading.parameters["Namespace"]
    if name.startswith("AWS/"):
        raise AwsError(
            "InvalidParameterValue", f"The value {name} for parameter Namespace is invalid."
        )


def protection(reading: Reading, backends: Backends) -> None:
    """Moto could not end the instances of such a group either."""
    asked: Callable[[str], Any] = reading.parameters.get
    template = asked("LaunchTemplate") or {}
    ec2 = backends("ec2", reading.request.region)
    name = template.get("LaunchTemplateId") or template.get("LaunchTemplateName") or ""
    found = ec2.launch_templates.get(ec2.launch_template_name_to_ids.get(name, name))
    for version in found.versions if found else ():
        for kind in ("DisableApiStop", "DisableApiTermination"):
            if version.data.get(kind) in {True, "true", "True"}:
                raise _absent(f"{kind} of the instances of a scaling group")


def log_retention(reading: Reading, _: Backends) -> None:
    """Logs are kept for one of the numbers of days that the service offers."""
    days = reading.parameters["retentionInDays"]
    if days not in _DAYS_OF_LOGS:
        raise AwsError("InvalidParameterException", f"{days} is no valid retentionInDays")


def bucket_name(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
    if _RESERVED_BUCKET.fullmatch(reading.parameters["Bucket"]):
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.")


def group_rule(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html"""
    given = reading.parameters
    changed = [one.get("SecurityGroupRule") for one in given.get("SecurityGroupRules") or ()]
    for one in changed or given.get("IpPermissions") or (given,):
        if one is None:
            raise AwsError("MissingParameter", "The request must contain SecurityGroupRule")
        protocol = str(one.get("IpProtocol", "-1")).lower()
        if not PROTOCOL.fullmatch(protocol):
            raise AwsError("InvalidParameterValue", f"Invalid value '{protocol}' for IP protocol.")
        if not changed and not any(one.get(source) for source in _SOURCES):
            raise AwsError("MissingParameter", "A rule must have a source: networks, groups, lists")
        ranges = (one, *(one.get("IpRanges") or ()), *(one.get("Ipv6Ranges") or ()))
        for spelt, version in (
            (each.get(name), version)
            for each in ranges
            for name, version in (("CidrIp", 4), ("CidrIpv4", 4), ("CidrIpv6", 6))
        ):
            if spelt and not is_network(spelt, version):
                raise AwsError("InvalidParameterValue", f"CIDR block {spelt} is malformed")
        first, last = one.get("FromPort"), one.get("ToPort")
        name = canonical.protocol(protocol)
        if name in TYPED and not is_type(-1 if first is None else first, last):
            raise AwsError("InvalidParameterValue", f"Invalid ICMP type and code: {first}, {last}")
        if name not in WITH_PORTS:
            continue
        if first is None or last is None or not 0 <= first <= last <= _LARGEST_PORT:
            raise AwsError(
                "InvalidParameterValue",
                "Invalid value for portRange. Must specify both from and to ports, with a value "
                f"between 0 and {_LARGEST_PORT}, the first one first.",
            )


def is_type(type_: int, code: int | None) -> bool:
    """Whether ICMP has this type and code; -1 are all, and all types have all codes."""
    of_all = type_ == -1 and code not in (None, -1)
    return not of_all and all(-1 <= one <= _LARGEST_TYPE for one in (type_, code or 0))


def descriptions(reading: Reading, _: Backends) -> None:
    """Those of security groups and of their rules.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
    """
    for name, text in named(reading.parameters):
        if name == "Description" and not _DESCRIPTION.fullmatch(str(text)):
            raise AwsError(
                "InvalidParameterValue",
                "Invalid description. Valid descriptions are strings less than 256 characters from "
                "the following set: a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
            )


def is_network(text: str, version: int) -> bool:
    """Whether it is a network in CIDR notation, of this version of the protocol."""
    network = canonical.network(text)
    return network is not None and ip_network(network).version == version


# What moto does not change of an instance.
_NOT_CHANGED = frozenset({"EnaSupport", "Ramdisk", "SriovNetSupport"})


# What is no attribute of the things whose attributes are changed one at a time.
_NO_ATTRIBUTES = frozenset({"Attribute", "DryRun", "Force", "InstanceId", "SubnetId", "Value",
                            "VpcId"})  # fmt: skip
_SHUTDOWN = frozenset({"stop", "terminate"})


def one_attribute(reading: Reading, backends: Backends) -> None:
    """Moto changes the first that it finds, and takes the security groups away if it finds none.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySubnetAttribute.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcAttribute.html
    """
    given = reading.parameters
    named = [name for name, value in given.items()
             if name not in _NO_ATTRIBUTES and value is not None]  # fmt: skip
    if len(named) > 1:
        raise AwsError(
            "InvalidParameterCombination", "Fields for multiple attribute types specified"
        )
    if not named and not reading.parameters.get("Attribute"):
        raise AwsError("InvalidParameterCombination", "No attributes specified.")
    for name in named:
        if name in _NOT_CHANGED:
            raise _absent(f"a change of {name}")
    shutdown = (given.get("InstanceInitiatedShutdownBehavior") or {}).get("Value", "stop")
    if shutdown not in _SHUTDOWN:
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid value '{shutdown}' for InstanceInitiatedShutdownBehavior.",
        )
    instance = ec2_resource(
        backends("ec2", reading.request.region), "instance", given.get("InstanceId", "")
    )
    for disk in given.get("BlockDeviceMappings") or () if instance else ():
        if disk.get("DeviceName") not in instance.block_device_mapping:
            raise AwsError(
                "InvalidInstanceAttributeValue",
                f"No device is currently mapped at {disk.get('DeviceName')}",
            )


def topic_attributes(reading: Reading, _: Backends) -> None:
    """Moto sets whatever is named, a topic's own ARN too.

    https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
    """
    given = reading.parameters
    asked = dict(given.get("Attributes") or {})
    if given.get("AttributeName"):
        asked[given["AttributeName"]] = given.get("AttributeValue") or ""
    if asked.keys() - attributes.OF_TOPIC or given.get("AttributeName") == "FifoTopic":
        raise AwsError("InvalidParameter", "Invalid parameter: AttributeName")
    ordered = str(given.get("TopicArn") or given.get("Name")).endswith(".fifo")
    for name, value in asked.items():
        if not values.of_topic(name, value) or (name in values.OF_FIFO and not ordered):
            raise AwsError("InvalidParameter", f"Invalid parameter: {name}")


def subscription_attribute(reading: Reading, backends: Backends) -> None:
    """Moto fails on what is no JSON, or keeps it, and changes a subscription that is there.

    https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html
    """
    given = reading.parameters
    asked = dict(given.get("Attributes") or {})
    if given.get("AttributeName"):
        asked[given["AttributeName"]] = given.get("AttributeValue") or ""
    for name, value in asked.items():
        check = values.OF_SUBSCRIPTION.get(name)
        if check is not None and not check(value):
            raise AwsError("InvalidParameter", f"Invalid parameter: {name}")
    place = tuple(given.get(name) for name in ("TopicArn", "Protocol", "Endpoint"))
    for one in backends("sns", reading.request.region).subscriptions.values():
        there = (one.topic.arn, one.protocol, one.endpoint) == place
        if there and any(one.attributes.get(name) != value for name, value in asked.items()):
            raise AwsError(
                "InvalidParameter",
                "Invalid parameter: Attributes Reason: Subscription already exists with different "
                "attributes",
            )


def shared_snapshot(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSnapshotAttribute.html"""
    for name in reading.parameters.get("ValuesToAdd") or ():
        if name != "all" and not re.fullmatch(r"\d{12}", name, re.ASCII):
            raise AwsError("InvalidParameterValue", f"Invalid account: {name}")


def targets(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""
    given = reading.parameters
    bus = str(given.get("EventBusName") or "default").rpartition("/")[2]
    found = backends("events", reading.request.region).event_buses.get(bus)
    rule = found.rules.get(given["Rule"]) if found else None
    names = {one["Id"] for one in (*(rule.targets if rule else ()), *given["Targets"])}
    if len(names) > _MOST_TARGETS:
        raise AwsError(
            "LimitExceededException", "The requested resource exceeds the maximum number allowed."
        )


# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
_OF_TARGETS = re.compile(
    r"deregistration_delay\.(timeout_seconds|connection_termination\.enabled)"
    r"|lambda\.multi_value_headers\.enabled"
    r"|load_balancing\.(algorithm\.(type|anomaly_mitigation)|cross_zone\.enabled)"
    r"|(preserve_client_ip|proxy_protocol_v2)\.enabled"
    r"|slow_start\.duration_seconds"
    r"|stickiness\.(enabled|type|app_cookie\.(cookie_name|duration_seconds)"
    r"|lb_cookie\.duration_seconds)"
    r"|target_failover\.on_(deregistration|unhealthy)"
    r"|target_group_health\.(dns_failover|unhealthy_state_routing)\.minimum_healthy_targets"
    r"\.(count|percentage)"
    r"|target_health_state\.unhealthy\.(connection_termination\.enabled"
    r"|draining_interval_seconds)"
)
_OF_LISTENER = re.compile(r"tcp\.idle_timeout\.seconds|routing\.http\.(request|response)\..+")


def balancing_attributes(reading: Reading, _: Backends) -> None:
    """Moto keeps whatever is named and said; a protection that says `True` protects nothing."""
    known, taken = {
        "ModifyListenerAttributes": (_OF_LISTENER, values.OF_LISTENER),
        "ModifyTargetGroupAttributes": (_OF_TARGETS, values.OF_TARGETS),
    }.get(reading.operation, (None, values.OF_BALANCER))
    for one in reading.parameters.get("Attributes") or ():
        name, value = str(one.get("Key")), str(one.get("Value") or "")
        unknown = known is not None and not known.fullmatch(name)
        if unknown or not values.of_balancing(taken, name, value):
            raise AwsError(
                "InvalidConfigurationRequest", f"Attribute '{name}' with value '{value}' is invalid"
            )


def one_value(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html"""
    if {"SecretBinary", "SecretString"} <= {*reading.parameters}:
        raise AwsError(
            "InvalidParameterException", "You can't specify both SecretString and SecretBinary."
        )


def subnet_size(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"""
    text = str(reading.parameters.get("CidrBlock") or "")
    if text and not is_network(text, 4):
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
        )
    if text and ip_network(text, strict=False).prefixlen not in _SUBNET_SIZES:
        raise AwsError("InvalidSubnet.Range", f"The CIDR '{text}' is invalid.")


def database_sizes(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html"""
    given = reading.parameters
    days = given.get("BackupRetentionPeriod", 0)
    if not 0 <= days <= _LONGEST_BACKUP:
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid backup retention period: {days}. Retention period must be between 0 and "
            f"{_LONGEST_BACKUP}",
        )
    size, least = given.get("AllocatedStorage"), _LEAST_GP
    least = _LEAST_STORAGE.get(given.get("StorageType", ""), least)
    made = reading.operation == "CreateDBInstance" and given.get("Engine") == "postgres"
    if made and size is not None and size < least:
        raise AwsError(
            "InvalidParameterCombination",
            f"Invalid storage size for engine name postgres and storage type: {size}",
        )


def alarm_on_metric(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    given = reading.parameters
    if given.get("TreatMissingData", "missing") not in _MISSING_DATA:
        raise AwsError("ValidationError", "The value for parameter TreatMissingData is invalid.")
    if (given.get("DatapointsToAlarm") or 0) > (given.get("EvaluationPeriods") or 1):
        raise AwsError("ValidationError", "DatapointsToAlarm is at most EvaluationPeriods")
    if not given.get("MetricName"):
        return
    period = given.get("Period")
    if period is not None and period not in _SHORT_PERIODS and (period < 1 or period % _MINUTE):
        raise AwsError("ValidationError", "Period must be 10, 20, 30 or a multiple of 60 seconds")
    if bool(given.get("Statistic")) == bool(given.get("ExtendedStatistic")):
        raise AwsError(
            "ValidationError", "An alarm on a metric has either Statistic or ExtendedStatistic"
        )
    if not _STATISTIC.fullmatch(given.get("ExtendedStatistic", "IQM")):
        raise AwsError("ValidationError", "The value for parameter ExtendedStatistic is invalid.")
    if given.get("Threshold") is None and not given.get("ThresholdMetricId"):
        raise AwsError("ValidationError", "An alarm on a metric has a Threshold")
    every, times = period or _MINUTE, given.get("EvaluationPeriods") or 1
    if every * times > (_WEEK if every >= _HOUR else _DAY):
        raise AwsError(
            "ValidationError",
            "Metrics cannot be checked across more than a day (a week for periods of an hour)",
        )


def log_query(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html"""
    for part in str(reading.parameters.get("queryString", "")).split("|"):
        if not _COMMAND.fullmatch(part.strip()):
            raise _absent(f"the command '{part.strip()}' in a query of logs")


def log_pattern(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html"""
    try:
        log_filters.pattern(str(reading.parameters.get("filterPattern") or ""))
    except log_filters.NotModelled as error:
        if reading.operation == "FilterLogEvents":  # what others keep is shown again
            raise _absent(str(error)) from error
    except ValueError as error:
        raise AwsError("InvalidParameterException", str(error)) from error


def schedule(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""
    given = reading.parameters
    expression = given.get("ScheduleExpression", "")
    if not (_SCHEDULE.fullmatch(expression) and values.is_time(expression)):
        raise AwsError("ValidationException", f"Invalid Schedule Expression {expression}.")
    zone = given.get("ScheduleExpressionTimezone")
    try:
        ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise AwsError("ValidationException", "Invalid Schedule Expression Timezone.") from error
    window = given.get("FlexibleTimeWindow") or {}
    flexible, wide = window.get("Mode") == "FLEXIBLE", window.get("MaximumWindowInMinutes")
    if flexible != (wide is not None):
        raise AwsError(
            "ValidationException",
            "MaximumWindowInMinutes is given for a flexible time window, and for no other.",
        )
    begins, ends = given.get("StartDate"), given.get("EndDate")
    if begins is not None and ends is not None and not begins < ends:
        raise AwsError("ValidationException", "The StartDate must come before the EndDate.")
    target = given.get("Target") or {}
    if not str(target.get("Arn")).startswith("arn:"):
        raise AwsError("ValidationException", "The target's Arn is not a valid ARN.")
    # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Target.html
    text, of_json = target.get("Input"), target["Arn"].split(":")[2] in _READ_JSON
    if text and of_json and values.parsed(text) is None and text.strip() != "null":
        raise AwsError("ValidationException", "The target's Input must be a well-formed JSON.")
