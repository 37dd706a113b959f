"""PostgreSQL for MLflow: private, encrypted, TLS only, entered with IAM tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi import ResourceOptions
from pulumi_aws import cloudwatch, ec2, iam, rds, scheduler, vpc

from scripts.pulumi_platform.basics import (
    KEY_ARN,
    NAME_OF_CHOICE,
    Account,
    Text,
    allow,
    both,
    check,
    document,
    equals,
    fits,
    named,
    trust,
)

PORT = 5432
TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = f"({'|'.join(_DAYS)})"
LOG_EXPORTS = ("postgresql", "upgrade")


def _minutes(time: str) -> int:
    """Minutes of a time such as 03:30."""
    hour, minute = time.split(":")
    return int(hour) * 60 + int(minute)


@dataclass
class Backup:
    """Days that backups are kept, the UTC window they are made in, and the last snapshot."""

    retention_days: int = 7
    window: str = "02:00-03:00"
    final_snapshot: bool = True


@dataclass
class Monitoring:
    """Seconds between samples (0: off), Performance Insights, and the boundary of its role."""

    interval_seconds: int = 0
    performance_insights: bool = False
    role_boundary_arn: str | None = None


@dataclass
class Parameter:
    """A PostgreSQL parameter; a static one takes effect at the next restart."""

    value: str
    static: bool = False


@dataclass
class WorkingHours:
    """When something runs, if not always: days in cron's words, times, IANA time zone."""

    days: str = "MON-FRI"
    start: str = "07:30"
    stop: str = "19:30"
    time_zone: str = "Etc/UTC"
    role_boundary_arn: str | None = None

    def check(self) -> None:
        """Raise ArgumentError for times and days that no schedule takes."""
        check(
            fits(TIME, self.start) and fits(TIME, self.stop) and self.start != self.stop,
            'parking.start and parking.stop must be two different times such as "07:30".',
        )
        day = _DAY.upper()
        check(
            fits(f"{day}([-,]{day})*", self.days),
            'parking.days must be such as "MON-FRI" or "MON,WED,FRI".',
        )

    def cron(self, time: str) -> tuple[int, int]:
        """Minute and hour of a time, as cron has them."""
        hour, minute = time.split(":")
        return int(minute), int(hour)


@dataclass
class DatabaseStorage:
    """GiB of gp3 storage at first, and how far RDS may grow it by itself."""

    allocated_gib: int = 20
    maximum_gib: int = 100


@dataclass
class MetadataStoreArgs:
    """Arguments of MetadataStore; terraform/modules/metadata_store/README.md explains them."""

    name: str
    subnet_ids: Sequence[Text]
    vpc_id: Text
    apply_immediately: bool = False
    backup: Backup = field(default_factory=Backup)
    client_security_group_ids: Mapping[str, Text] = field(default_factory=dict)
    deletion_protection: bool = True
    engine_version: str = "17"
    instance_class: str = "db.t4g.micro"
    kms_key_arn: str | None = None
    log_retention_days: int = 30
    maintenance_window: str = "sun:03:30-sun:04:30"
    monitoring: Monitoring = field(default_factory=Monitoring)
    multi_az: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    parking: WorkingHours | None = None
    storage: DatabaseStorage = field(default_factory=DatabaseStorage)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ArgumentError for what RDS would refuse, or what would lose data."""
        check(
            1 <= self.backup.retention_days <= 35,
            "backup.retention_days must be 1 to 35 (RDS's limits): 0 would switch backups and "
            "point-in-time recovery off.",
        )
        check(
            fits(f"{TIME}-{TIME}", self.backup.window),
            'backup.window must be UTC times such as "02:00-03:00".',
        )
        check(
            all(fits(NAME_OF_CHOICE, name) for name in self.client_security_group_ids),
            "client_security_group_ids must be named in at most 64 letters, digits, blanks and "
            "._:/@+=-, since EC2 takes nothing else in descriptions and tags.",
        )
        check(
            fits(r"1[5-9](\.[0-9]+)?", self.engine_version),
            'engine_version must be a PostgreSQL major such as "17" (15 or newer, where '
            'rds.force_ssl is on by default) or a release such as "17.6".',
        )
        check(
            fits(r"db\.[a-z0-9]+\.[a-z0-9]+", self.instance_class),
            'instance_class must be an RDS class such as "db.t4g.micro", with its "db.".',
        )
        check(
            fits(KEY_ARN, self.kms_key_arn),
            "kms_key_arn must be the ARN of a key: arn:aws:kms:REGION:ACCOUNT:key/ID.",
        )
        check(
            fits(
                f"{_DAY}:{TIME}-{_DAY}:{TIME}",
                self.maintenance_window,
            ),
            'maintenance_window must be such as "sun:03:30-sun:04:30" (UTC).',
        )
        self._check_windows()
        check(
            self.monitoring.interval_seconds in (0, 1, 5, 10, 15, 30, 60),
            "monitoring.interval_seconds must be 0 (off), 1, 5, 10, 15, 30 or 60.",
        )
        check(
            fits(r"[a-z](-?[a-z0-9])*", self.name) and len(self.name) <= 48,
            "name must be at most 48 lower-case letters, digits and single hyphens, starting with "
            "a letter: RDS allows nothing else in identifiers.",
        )
        self._check_database()

    def _check_windows(self) -> None:
        """RDS looks at both only when everything else is made.

        https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
        """
        # Start and end in minutes: of the backup in its day, of the maintenance in its week.
        backup = [_minutes(time) for time in self.backup.window.split("-")]
        maintenance = [
            _DAYS.index(time[:3]) * 1440 + _minutes(time[4:])
            for time in self.maintenance_window.split("-")
        ]
        long = (backup[1] - backup[0]) % 1440, (maintenance[1] - maintenance[0]) % 10080
        check(
            min(long) >= 30,
            "backup.window and maintenance_window must each last 30 minutes or more: RDS refuses "
            "less.",
        )
        apart = [day * 1440 + backup[0] - maintenance[0] for day in range(7)]
        check(
            all(one % 10080 >= long[1] and -one % 10080 >= long[0] for one in apart),
            "backup.window and maintenance_window must not overlap: RDS refuses the database.",
        )

    def _check_database(self) -> None:
        storage, connections = self.storage, self.parameters.get("max_connections")
        check(
            "rds.force_ssl" not in self.parameters,
            "parameters cannot hold rds.force_ssl: TLS is not optional here.",
        )
        # RDS's default follows from the class's memory and is never below 80; the server's pools
        # hold up to 44.
        check(
            connections is None or not connections.value.isdigit() or int(connections.value) >= 60,
            "parameters sets max_connections below 60: the MLflow server holds up to 44 "
            "connections and RDS keeps some for itself. Leave it out, and RDS chooses by the "
            "instance class.",
        )
        if self.parking is not None:
            self.parking.check()
        check(
            storage.allocated_gib >= 20 and storage.maximum_gib <= 65536,
            "storage must be 20 (gp3's least) to 65536 GiB.",
        )
        check(
            storage.maximum_gib >= storage.allocated_gib * 1.1,
            "storage.maximum_gib must be at least a tenth above allocated_gib, or RDS refuses to "
            "grow the storage by itself.",
        )
        check(
            isinstance(self.subnet_ids, pulumi.Output) or len(self.subnet_ids) >= 2,
            "subnet_ids must hold subnets of at least two zones: RDS's subnet groups need them "
            "even for a single instance.",
        )


class MetadataStore(pulumi.ComponentResource):
    """The database; `address`, `resource_id` and `master_secret_arn` wait for it."""

    def __init__(
        self, name: str, args: MetadataStoreArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Make the database with what belongs to it."""
        super().__init__("keyless:platform:MetadataStore", name, None, opts)
        self._name, self._args, self._account = name, args, Account.of(self)
        # Known before the database is, so that policies need not wait for it.
        self.arn = self._account.arn("rds", f"db:{args.name}")
        group = self._security_group()
        database = self._database(group)
        if args.parking is not None:
            self._park(args.parking)
        self.address, self.resource_id = database.address, database.resource_id
        self.security_group_id = group.id
        for client, client_group_id in args.client_security_group_ids.items():
            self.admit(client, client_group_id)
        self.master_secret_arn = database.master_user_secrets.apply(
            lambda secrets: secrets[0].secret_arn if secrets else None
        )
        self.register_outputs(
            {
                "address": self.address,
                "arn": self.arn,
                "identifier": args.name,
                "master_secret_arn": self.master_secret_arn,
                "port": PORT,
                "resource_id": self.resource_id,
                "security_group_id": self.security_group_id,
            }
        )

    def admit(self, client: str, group_id: Text) -> None:
        """Let a security group connect, by a name of your choice. Nothing else can."""
        vpc.SecurityGroupIngressRule(
            f"{self._name}-clients-{client}",
            security_group_id=self.security_group_id,
            description=f"PostgreSQL from {client}",
            referenced_security_group_id=group_id,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            tags=named(self._args.tags, f"{self._args.name}-database-{client}"),
            opts=ResourceOptions(parent=self),
        )

    def _security_group(self) -> ec2.SecurityGroup:
        name, args = self._name, self._args
        return ec2.SecurityGroup(
            f"{name}-database",
            name=f"{args.name}-database",
            description="PostgreSQL from the server alone",
            vpc_id=args.vpc_id,
            tags=named(args.tags, f"{args.name}-database"),
            opts=ResourceOptions(parent=self),
        )

    def _parameter_group(self) -> rds.ParameterGroup:
        args = self._args
        major = args.engine_version.split(".")[0]
        # RDS reports a value that equals the default, as this one does since PostgreSQL 15, with
        # pending-reboot whatever was asked for; "immediate" would be a change in every plan.
        parameters = {"rds.force_ssl": Parameter("1", static=True), **args.parameters}
        return rds.ParameterGroup(
            f"{self._name}-database",
            name=f"{args.name}-postgres{major}",
            description=f"TLS only, for {args.name}",
            family=f"postgres{major}",
            parameters=[
                {
                    "name": key,
                    "value": each.value,
                    "apply_method": "pending-reboot" if each.static else "immediate",
                }
                for key, each in parameters.items()
            ],
            tags=args.tags,
            opts=ResourceOptions(parent=self),
        )

    def _database(self, group: ec2.SecurityGroup) -> rds.Instance:
        name, args, insights = self._name, self._args, self._args.monitoring.performance_insights
        subnets = rds.SubnetGroup(
            f"{name}-database",
            name=args.name,
            description=f"Private subnets of {args.name}",
            subnet_ids=args.subnet_ids,
            tags=args.tags,
            opts=ResourceOptions(parent=self),
        )
        # RDS would make the log groups itself, and keep them for ever.
        logs = [
            cloudwatch.LogGroup(
                f"{name}-database-{kind}",
                name=f"/aws/rds/instance/{args.name}/{kind}",
                retention_in_days=args.log_retention_days,
                kms_key_id=args.kms_key_arn,
                tags=args.tags,
                opts=ResourceOptions(parent=self),
            )
            for kind in LOG_EXPORTS
        ]
        return rds.Instance(
            f"{name}-database",
            identifier=args.name,
            engine="postgres",
            engine_version=args.engine_version,
            instance_class=args.instance_class,
            allocated_storage=args.storage.allocated_gib,
            max_allocated_storage=args.storage.maximum_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=args.kms_key_arn,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            publicly_accessible=False,
            port=PORT,
            multi_az=args.multi_az,
            # RDS makes, keeps and rotates the master's password; Pulumi never sees it.
            username="keyless_master",
            manage_master_user_password=True,
            master_user_secret_kms_key_id=args.kms_key_arn,
            iam_database_authentication_enabled=True,
            parameter_group_name=self._parameter_group().name,
            backup_retention_period=args.backup.retention_days,
            backup_window=args.backup.window,
            copy_tags_to_snapshot=True,
            delete_automated_backups=not args.backup.final_snapshot,
            deletion_protection=args.deletion_protection,
            skip_final_snapshot=not args.backup.final_snapshot,
            final_snapshot_identifier=f"{args.name}-final" if args.backup.final_snapshot else None,
            # Else RDS leaves a pinned release behind, and goes back to none.
            auto_minor_version_upgrade="." not in args.engine_version,
            allow_major_version_upgrade=False,
            apply_immediately=args.apply_immediately,
            maintenance_window=args.maintenance_window,
            enabled_cloudwatch_logs_exports=list(LOG_EXPORTS),
            monitoring_interval=args.monitoring.interval_seconds,
            monitoring_role_arn=self._monitoring_role(),
            performance_insights_enabled=insights,
            performance_insights_retention_period=7 if insights else None,
            performance_insights_kms_key_id=args.kms_key_arn if insights else None,
            tags=named(args.tags, args.name),
            opts=ResourceOptions(parent=self, depends_on=logs),
        )

    def _monitoring_role(self) -> pulumi.Output[str] | None:
        """The role that RDS writes enhanced-monitoring samples with."""
        name, args, account = self._name, self._args, self._account
        if args.monitoring.interval_seconds == 0:
            return None
        role = iam.Role(
            f"{name}-monitoring",
            name=f"{args.name}-database-monitoring",
            description=f"RDS enhanced monitoring of {args.name}",
            assume_role_policy=trust(
                "ThisDatabaseAlone",
                "monitoring.rds.amazonaws.com",
                both(
                    equals("aws:SourceAccount", account.id),
                    {"ArnEquals": {"aws:SourceArn": self.arn}},
                ),
            ),
            permissions_boundary=args.monitoring.role_boundary_arn,
            tags=args.tags,
            opts=ResourceOptions(parent=self),
        )
        # What the managed policy AmazonRDSEnhancedMonitoringRole holds.
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
        groups = account.arn("logs", "log-group:RDS*")
        samples = ["CreateLogStream", "DescribeLogStreams", "GetLogEvents", "PutLogEvents"]
        iam.RolePolicy(
            f"{name}-monitoring",
            name="write",
            role=role.name,
            policy=document(
                allow(
                    "CreateTheLogGroup",
                    ["logs:CreateLogGroup", "logs:PutRetentionPolicy"],
                    [groups],
                ),
                allow(
                    "WriteSamples", [f"logs:{one}" for one in samples], [f"{groups}:log-stream:*"]
                ),
            ),
            opts=ResourceOptions(parent=self),
        )
        return role.arn

    def _park(self, hours: WorkingHours) -> None:
        """Stop the database outside working hours.

        RDS starts a stopped one by itself after a week; the next evening's stop takes care of that.
        """
        name, args, account = self._name, self._args, self._account
        role = iam.Role(
            f"{name}-parking",
            name=f"{args.name}-parking",
            description=f"Starts and stops the database of {args.name} by schedule",
            assume_role_policy=trust(
                "SchedulesOfThisAccount",
                "scheduler.amazonaws.com",
                equals("aws:SourceAccount", account.id),
            ),
            permissions_boundary=hours.role_boundary_arn,
            tags=args.tags,
            opts=ResourceOptions(parent=self),
        )
        switch = ["rds:StartDBInstance", "rds:StopDBInstance"]
        iam.RolePolicy(
            f"{name}-parking",
            name="start-and-stop",
            role=role.name,
            policy=document(allow("StartAndStopThisDatabase", switch, [self.arn])),
            opts=ResourceOptions(parent=self),
        )
        for what, time in (("start", hours.start), ("stop", hours.stop)):
            minute, hour = hours.cron(time)
            action = f"arn:{account.partition}:scheduler:::aws-sdk:rds:{what}DBInstance"
            scheduler.Schedule(
                f"{name}-parking-{what}",
                name=f"{args.name}-database-{what}",
                description=f"{what} the database of {args.name}",
                schedule_expression=f"cron({minute} {hour} ? * {hours.days} *)",
                schedule_expression_timezone=hours.time_zone,
                flexible_time_window={"mode": "OFF"},
                target={
                    "arn": action,
                    "role_arn": role.arn,
                    "input": json.dumps({"DbInstanceIdentifier": args.name}),
                    "retry_policy": {
                        "maximum_retry_attempts": 3,
                        "maximum_event_age_in_seconds": 3600,
                    },
                },
                opts=ResourceOptions(parent=self),
            )
