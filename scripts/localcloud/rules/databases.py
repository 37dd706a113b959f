"""RDS: values of instances, which parameters exist and wait for a reboot, what a deletion needs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.rds.postgres import binaries
from scripts.localcloud.rules.lesser import RESERVED_WORDS

# Parameters of RDS's own that PostgreSQL does not know. True: needs a reboot, None: not known here.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html
RDS_PARAMETERS: dict[str, bool | None] = {
    "rds.accepted_password_auth_method": None,
    "rds.adaptive_autovacuum": False,
    "rds.allowed_delegated_extensions": None,
    "rds.allowed_extensions": None,
    "rds.custom_dns_resolution": None,
    "rds.delegated_extension_allow_drop_cascade": None,
    "rds.enable_plan_management": True,
    "rds.force_admin_logging_level": False,
    "rds.force_autovacuum_logging_level": False,
    "rds.force_ssl": None,  # static in some families, dynamic in others
    "rds.global_db_rpo": None,
    "rds.log_retention_period": False,
    "rds.logical_replication": True,
    "rds.rds_superuser_reserved_connections": True,
    "rds.restrict_password_commands": True,
}
# Extensions bring parameters of their own, by their names.
_EXTENSIONS = frozenset(
    {
        "apg_plan_mgmt", "auto_explain", "cron", "log_fdw", "orafce", "pg_bigm", "pg_hint_plan",
        "pg_prewarm", "pg_similarity", "pg_stat_statements", "pgaudit", "pglogical", "pgtle",
        "plpgsql", "plprofiler", "plrust", "postgis", "rdkit", "tds_fdw",
    }
)  # fmt: skip
_FORMULA = re.compile(r"\{.*\}|(?:GREATEST|LEAST|SUM)\(.*\)", re.DOTALL)
_BOOLEANS = frozenset({"0", "1", "on", "off", "true", "false"})
_STATIC = "postmaster"


class Parameter(NamedTuple):
    """A parameter as PostgreSQL describes it; `least` and `most` in its own unit."""

    static: bool
    kind: str
    least: float | None
    most: float | None


@cache
def postgres_parameters() -> dict[str, Parameter]:
    """Every parameter of the PostgreSQL at hand, as it lists them itself."""
    printed = subprocess.run(
        [binaries() / "postgres", "--describe-config"], check=True, capture_output=True, text=True
    ).stdout
    found = {}
    for line in printed.splitlines():
        name, context, _, kind, _, least, most, *_ = line.split("\t")
        found[name.lower()] = Parameter(
            context == _STATIC,
            kind,
            float(least) if least else None,
            float(most) if most else None,
        )
    return found


def parameters(reading: Reading, backends: Backends) -> None:
    """What a parameter group takes.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBParameterGroup.html
    """
    group = backends("rds", reading.request.region).db_parameter_groups.get(
        reading.parameters.get("DBParameterGroupName")
    )
    if group is None or not str(group.family).startswith("postgres"):
        return
    for given in reading.parameters.get("Parameters") or ():
        name = str(given.get("ParameterName", "")).lower()
        static = _is_static(name, given.get("ParameterValue"))
        if static and given.get("ApplyMethod", "immediate") != "pending-reboot":
            raise AwsError(
                "InvalidParameterCombination",
                f"cannot use immediate apply method for static parameter: {name}",
            )


def _is_static(name: str, value: str | None) -> bool | None:
    """Whether a parameter waits for a reboot, None where it is not known here; AwsError for one
    that does not exist, or that does not take the value."""
    if name in RDS_PARAMETERS:
        return RDS_PARAMETERS[name]
    prefix, dot, _ = name.partition(".")
    if dot and prefix in _EXTENSIONS:
        return None
    known = postgres_parameters().get(name)
    if known is None:
        raise AwsError("InvalidParameterValue", f"Could not find parameter with name: {name}")
    if value is not None and not _fits(known, value):
        allowed = "0,1" if known.kind == "BOOLEAN" else f"{known.least:g}-{known.most:g}"
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid parameter value: {value} for: {name} allowed values are: {allowed}",
        )
    return known.static


def _fits(parameter: Parameter, value: str) -> bool:
    if parameter.kind == "BOOLEAN":
        return value.lower() in _BOOLEANS
    if parameter.kind not in ("INTEGER", "REAL") or _FORMULA.search(value):
        return True
    try:
        number = float(value)
    except ValueError:
        return False
    if parameter.kind == "INTEGER" and number != int(number):
        return False
    return (parameter.least or 0) <= number <= (parameter.most or float("inf"))


def deletion(reading: Reading, backends: Backends) -> None:
    """An instance is deleted with a final snapshot, or with the words that there is to be none."""
    given = reading.parameters
    skip, name = bool(given.get("SkipFinalSnapshot")), given.get("FinalDBSnapshotIdentifier")
    if given.get("DBInstanceIdentifier") not in backends("rds", reading.request.region).databases:
        return
    if not skip and not name:
        raise AwsError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    if skip and name:
        raise AwsError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier can not be specified when deleting without a final snapshot",
        )


def upgrade(reading: Reading, backends: Backends) -> None:
    """A database is not taken to an older version, nor to another major one without a word.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """
    given = reading.parameters
    name = str(given.get("DBInstanceIdentifier")).rpartition(":")[2]
    database = backends("rds", reading.request.region).databases.get(name)
    if database is None:
        return
    now, wanted = _version(database.engine_version), _version(given.get("EngineVersion"))
    if wanted and wanted < now[: len(wanted)]:
        raise AwsError(
            "InvalidParameterCombination",
            f"Cannot upgrade {database.engine} from {database.engine_version} to "
            f"{given['EngineVersion']}",
        )
    if wanted and wanted[0] != now[0] and not given.get("AllowMajorVersionUpgrade"):
        raise AwsError(
            "InvalidParameterCombination",
            "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major "
            "version.",
        )
    size, storage = given.get("AllocatedStorage"), int(database.allocated_storage or 0)
    if size is not None and int(size) < storage:
        raise AwsError(
            "InvalidParameterCombination",
            f"Invalid storage size for engine name {database.engine}: {size} is less than "
            f"{storage}",
        )


def family(reading: Reading, backends: Backends) -> None:
    """A database has a parameter group of its own version's family.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html
    """
    given, rds = reading.parameters, backends("rds", reading.request.region)
    database = rds.databases.get(given.get("DBInstanceIdentifier", ""))
    engine = given.get("Engine") or (database and database.engine)
    version = _version(given.get("EngineVersion") or (database and database.engine_version))
    name = given.get("DBParameterGroupName") or (database and database.db_parameter_group_name)
    group = rds.db_parameter_groups.get(name or "")
    if group is None or not version or engine != "postgres":
        return
    if group.family != (wanted := f"postgres{version[0]}"):
        raise AwsError(
            "InvalidParameterCombination",
            f"The Parameter Group {name} with DBParameterGroupFamily {group.family} can't be used "
            f"for this instance. Please use a Parameter Group with DBParameterGroupFamily {wanted}",
        )


def _one_of(*words: str) -> Callable[[str], bool]:
    return frozenset(words).__contains__


def _number_of(*numbers: int) -> Callable[[str], bool]:
    return frozenset(map(str, numbers)).__contains__


_MONTHS = range(31, 24 * 31, 31)
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
_VALUES: Mapping[str, Callable[[str], Any]] = {
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
    "CACertificateIdentifier": _one_of(
        "rds-ca-ecc384-g1", "rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1"
    ),
    "DBInstanceClass": re.compile(r"db\.(serverless|[a-z0-9-]+\.[a-z0-9.-]+)").fullmatch,
    "DBName": lambda name: (
        re.fullmatch(r"[a-z]\w{0,62}", name, re.ASCII | re.IGNORECASE)
        and name.lower() not in RESERVED_WORDS
    ),
    "LicenseModel": _one_of(
        "bring-your-own-license", "bring-your-own-media", "general-public-license",
        "license-included", "marketplace-license", "postgresql-license",
    ),
    "MonitoringInterval": _number_of(0, 1, 5, 10, 15, 30, 60),
    "NetworkType": _one_of("DUAL", "IPV4"),
    # No group but an engine's default one can be made here.
    "OptionGroupName": lambda name: name.startswith("default:"),
    "PerformanceInsightsRetentionPeriod": _number_of(7, *_MONTHS, 731),
    "Port": _number_of(*range(1150, 65536)),
    "StorageType": _one_of("gp2", "gp3", "io1", "io2", "standard"),
}  # fmt: skip
_CODES = {
    "CACertificateIdentifier": "CertificateNotFound",
    "OptionGroupName": "OptionGroupNotFoundFault",
}


def values(reading: Reading, backends: Backends) -> None:
    """Moto keeps whatever is said of an instance, and a change monitors without a role.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """
    given = reading.parameters
    for name, fits in _VALUES.items():
        if given.get(name) not in (None, "") and not fits(str(given[name])):
            raise AwsError(
                _CODES.get(name, "InvalidParameterValue"), f"Invalid {name}: {given[name]}"
            )
    known = backends("rds", reading.request.region).databases.get(
        str(given.get("DBInstanceIdentifier")).rpartition(":")[2]
    )
    role = given.get("MonitoringRoleArn") or getattr(known, "monitoring_role_arn", None)
    if given.get("MonitoringInterval") and not role:
        raise AwsError(
            "InvalidParameterCombination",
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other "
            "than 0.",
        )


def _version(text: object) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", str(text or "")))
