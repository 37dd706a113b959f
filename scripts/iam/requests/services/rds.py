"""RDS: instances with their managed master password, parameter and subnet groups, snapshots.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    VIA_SERVICE,
    Also,
    Call,
    Row,
    Table,
    Target,
    Targets,
    anywhere,
    arn_of_type,
    as_text,
    both,
    checked,
    everything,
    keys_from,
    name_of,
    onto,
    pairs,
    pass_role,
    passes,
    request_tags,
    resource_tags,
    same,
    service_linked_role,
    tag_keys,
    when,
)
from scripts.iam.requests.services import kms, secretsmanager

# ARN part, parameter of the API, own tag prefix
_PREFIX = {
    "db": "rds:db-tag/",
    "es": "rds:es-tag/",
    "og": "rds:og-tag/",
    "pg": "rds:pg-tag/",
    "snapshot": "rds:snapshot-tag/",
    "subgrp": "rds:subgrp-tag/",
}
# Automatic snapshots and default option groups carry a prefix.
_NAME = r"(?:(?:awsbackup|default|rds):)?[\w.-]+"
_DB_FACTS = {
    "class": "rds:DatabaseClass",
    "engine": "rds:DatabaseEngine",
    "database": "rds:DatabaseName",
    "multi_az": "rds:MultiAz",
    "storage_encrypted": "rds:StorageEncrypted",
    "storage_size": "rds:StorageSize",
}


def _existing(call: Call, kind: str, name: str) -> Target:
    if name.startswith("arn:"):
        arn = arn_of_type(name, "ARN", "rds", f"{kind}:{_NAME}").lower()
    else:
        arn = call.arn("rds", f"{kind}:{name_of(name, 'name', _NAME).lower()}")
    prefix = _PREFIX.get(kind)
    keys = resource_tags(call, arn, *([prefix] if prefix else []))
    if kind == "db":
        facts = call.facts(arn)
        for fact, key in _DB_FACTS.items():
            if facts.get(fact) is not None:
                keys[key] = (as_text(facts[fact]),)
    return Target(arn, keys)


def _named(kind: str, parameter: str) -> Targets:
    """The resource that a parameter names, by name or ARN; none if it is not given."""

    def found(call: Call) -> Iterator[Target]:
        if call.get(parameter) is not None:
            yield _existing(call, kind, call.text(parameter))

    return found


def _named_or_all(kind: str, parameter: str) -> Targets:
    """For Describe calls: without a name, every resource of the type; also beside a filter, which
    may name others."""

    def found(call: Call) -> Iterator[Target]:
        if call.get(parameter):
            yield _existing(call, kind, call.text(parameter))
        shared = call.get("SnapshotType") in {"shared", "public"}
        if not call.get(parameter) or call.get("Filters") or shared:
            yield Target(call.arn("rds", f"{kind}:*"), {})

    return found


def _new(kind: str, parameter: str) -> Targets:
    def found(call: Call) -> Iterator[Target]:
        name = name_of(call.get(parameter), parameter, _NAME).lower()
        yield Target(call.arn("rds", f"{kind}:{name}"), {})

    return found


def _by_arn(call: Call) -> Iterator[Target]:
    arn = arn_of_type(call.get("ResourceName"), "ResourceName", "rds", f"[a-z-]+:{_NAME}")
    yield _existing(call, arn.split(":")[5], arn)


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")), "rds:req-tag/")


def _groups(source: Callable[[Call], tuple[str, str]]) -> Targets:
    """Option, parameter and subnet group of an instance; defaults are checked too.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/security_iam_id-based-policy-examples-create-and-modify-examples.html
    """

    def found(call: Call) -> Iterator[Target]:
        engine, version = source(call)
        major = version.partition(".")[0] or "*"
        for kind, name, default in (
            ("og", "OptionGroupName", f"default:{engine}-{major}"),
            ("pg", "DBParameterGroupName", f"default.{engine}{major}"),
            ("subgrp", "DBSubnetGroupName", "default"),
        ):
            if call.get(name):
                yield _existing(call, kind, call.text(name))
            else:  # the version may be unknown: then a `*` stands for it
                yield Target(call.arn("rds", f"{kind}:{default}"), {})

    return found


def _asked_engine(call: Call) -> tuple[str, str]:
    return call.text("Engine"), str(call.get("EngineVersion") or "")


def _source_engine(parameter: str, kind: str) -> Callable[[Call], tuple[str, str]]:
    def found(call: Call) -> tuple[str, str]:
        name = str(call.get(parameter) or "").rpartition(":")[2]
        facts = call.facts(call.arn("rds", f"{kind}:{name.lower()}"))
        return str(call.get("Engine") or facts.get("engine") or "*"), str(
            facts.get("engine_version") or ""
        )

    return found


def _asked_of(*sources: Targets) -> Callable[[Call], Keys]:
    """Keys of an instance that is being made: what the call asks for, and what it is made from.

    Whether it is public where the call does not say it depends on its network.
    """

    def found(call: Call) -> Keys:
        keys: Keys = {} if sources else {"rds:StorageEncrypted": ("false",)}
        for source in sources:
            for target in source(call):
                facts = call.facts(target.arn)
                keys |= {
                    key: (as_text(facts[fact]),)
                    for fact, key in _DB_FACTS.items()
                    if facts.get(fact) is not None
                }
        return {**keys, **_asked(call)}

    return found


def _asked(call: Call) -> Keys:
    keys = {
        **_tags(call),
        **keys_from(
            DBInstanceClass="rds:DatabaseClass",
            Engine="rds:DatabaseEngine",
            DBName="rds:DatabaseName",
            AllocatedStorage="rds:StorageSize",
            Iops="rds:Piops",
            BackupTarget="rds:BackupTarget",
            PubliclyAccessible="rds:PubliclyAccessible",
            StorageEncrypted="rds:StorageEncrypted",
        )(call),
    }
    for name, key in (
        ("MultiAZ", "rds:MultiAz"),
        ("ManageMasterUserPassword", "rds:ManageMasterUserPassword"),
    ):
        keys[key] = (as_text(call.flag(name)),)
    keys["rds:Vpc"] = (as_text(True),)
    return keys


def _restored(parameter: str) -> Targets:
    """What is restored. AWS has other names for it, too, which are not mapped."""
    kind = "snapshot" if "Snapshot" in parameter else "db"

    def found(call: Call) -> Iterator[Target]:
        yield _existing(call, kind, call.text(parameter))

    return found


def _key_of(source: Targets) -> Also:
    """The key of what is copied or restored.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html
    """

    def found(call: Call) -> Iterator[Need]:
        for target in source(call):
            key = call.facts(target.arn).get("kms_key")
            yield from kms.behind(call, "rds", key, ("kms:CreateGrant", "kms:DescribeKey"))

    return found


def _storage_key(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html"""
    key = call.get("KmsKeyId") or (f"{kms.MANAGED}rds" if call.flag("StorageEncrypted") else None)
    yield from kms.behind(call, "rds", key, ("kms:CreateGrant", "kms:DescribeKey"))


def _managed_secret(call: Call) -> Iterator[Need]:
    """The secret that RDS makes for the master user with the caller's rights.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html#rds-secrets-manager-permissions
    """
    if not call.flag("ManageMasterUserPassword"):
        return
    name = call.get("TargetDBInstanceIdentifier") or call.get("DBInstanceIdentifier")
    database = call.arn("rds", f"db:{checked(name, 'DBInstanceIdentifier').lower()}")
    # AWS names the secret rds!db-<id>-<suffix> and tags it with the database it belongs to.
    arn = call.arn("secretsmanager", "secret:rds!db-*")
    tags = {"aws:rds:primaryDBInstanceArn": database, "aws:secretsmanager:owningService": "rds"}
    keys = {**request_tags(tags), **VIA_SERVICE}
    named = tuple(f"secretsmanager:{name}" for name in ("Description", "KmsKeyArn", "KmsKeyId",
                                                        "Name"))  # fmt: skip
    yield Need("secretsmanager:CreateSecret", arn, keys, named)
    yield Need("secretsmanager:TagResource", arn, keys, ("secretsmanager:SecretId",))
    yield from _described_default_key(call)
    key = call.get("MasterUserSecretKmsKeyId")
    actions = ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:CreateGrant")
    context = {"SecretARN": arn}
    yield from kms.behind(
        call, "secretsmanager", key, actions, context, unsaid=("SecretVersionId",)
    )


def _described_default_key(call: Call) -> Iterator[Need]:
    """RDS describes the account's aws/secretsmanager key, also when another one is given.

    Reports tell of the call, not of the service in its kms:ViaService. Through Secrets Manager the
    key's own policy lets everyone describe it, so the stricter case is the one through RDS.
    https://github.com/aws-ia/terraform-aws-eks-ack-addons/issues/45
    """
    yield from kms.behind(call, "rds", secretsmanager.DEFAULT_KEY, ("kms:DescribeKey",))


def _rotated_secret(call: Call) -> Iterator[Need]:
    if call.flag("RotateMasterUserPassword"):
        database = call.arn("rds", f"db:{call.text('DBInstanceIdentifier').lower()}")
        arn = call.facts(database).get("secret") or call.arn("secretsmanager", "secret:rds!db-*")
        keys = {
            **resource_tags(call, arn, "secretsmanager:ResourceTag/"),
            **VIA_SERVICE,
            "secretsmanager:SecretId": (arn,),
        }
        yield Need("secretsmanager:RotateSecret", arn, keys)


_MONITORING = passes("MonitoringRoleArn", "monitoring.rds.amazonaws.com")


def _insights_key(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.Overview.html"""
    default = f"{kms.MANAGED}rds" if call.flag("EnablePerformanceInsights") else None
    key = call.get("PerformanceInsightsKMSKeyId") or default
    actions = ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")
    yield from kms.behind(call, "rds", key, actions)


def _tagging(targets: Targets) -> Also:
    """Tags in a call that makes something need rds:AddTagsToResource as well."""
    return when("Tags", onto("rds:AddTagsToResource", targets, _tags))


def _create(targets: Targets, *others: Targets) -> Row:
    return Row(both(targets, *others), keys=_tags, also=(_tagging(targets),))


def _make_instance(name: str, groups: Targets, *sources: Targets) -> Row:
    target = _new("db", name)
    return Row(
        both(target, *sources, groups),
        keys=_asked_of(*sources),
        also=(
            _tagging(target),
            _MONITORING,
            _storage_key,
            _managed_secret,
            _insights_key,
            service_linked_role("rds.amazonaws.com"),
            _specified_tags,
            _tenant,
            _domain_role,
            *map(_key_of, sources),
        ),
    )


_db = _named("db", "DBInstanceIdentifier")


def _specified_tags(call: Call) -> Iterator[Need]:
    """Tags for what a call makes beside the instance itself, such as its automated backups.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html
    """
    name = call.get("TargetDBInstanceIdentifier") or call.get("DBInstanceIdentifier")
    arn = call.arn("rds", f"db:{name_of(name, 'DBInstanceIdentifier', _NAME).lower()}")
    for specification in call.get("TagSpecifications") or []:
        keys = request_tags(pairs(specification.get("Tags")), "rds:req-tag/")
        yield Need("rds:AddTagsToResource", arn, keys)


def _tenant(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Oracle.Concepts.CDBs.html"""
    if call.flag("MultiTenant"):
        name = call.get("TargetDBInstanceIdentifier") or call.get("DBInstanceIdentifier")
        arn = call.arn("rds", f"db:{name_of(name, 'DBInstanceIdentifier', _NAME).lower()}")
        yield Need("rds:CreateTenantDatabase", arn)


def _domain_role(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/postgresql-kerberos.html"""
    if call.get("DomainIAMRoleName"):
        name = name_of(call.get("DomainIAMRoleName"), "DomainIAMRoleName")
        arn = call.arn("iam", f"role/{name}", region="")
        yield pass_role(arn, "directoryservice.rds.amazonaws.com")


def _copied_tags(parameter: str) -> Also:
    """The tags that a snapshot takes over, where its database says so."""
    new = _new("snapshot", parameter)

    def found(call: Call) -> Iterator[Need]:
        for database in _db(call):
            if call.facts(database.arn).get("copies_tags"):
                keys = request_tags(call.account.tags(database.arn) or {}, "rds:req-tag/")
                for target in new(call) if keys else ():
                    yield Need("rds:AddTagsToResource", target.arn, keys)

    return found


def _last_snapshot(parameter: str) -> Also:
    """The snapshot with which an instance ends or is stopped, and the tags that it takes over."""
    made = onto("rds:CreateDBSnapshot", both(_db, _new("snapshot", parameter)))
    return when(parameter, made, _copied_tags(parameter))


_pg = _named("pg", "DBParameterGroupName")
_subgrp = _named("subgrp", "DBSubnetGroupName")
_snapshot = _named("snapshot", "DBSnapshotIdentifier")

TABLE: Table = {
    **anywhere(
        "DescribeAccountAttributes DescribeCertificates DescribeDBEngineVersions "
        "DescribeDBMajorEngineVersions DescribeEngineDefaultParameters DescribeEventCategories "
        "DescribeEvents DescribeSourceRegions"
    ),
    "DescribeOrderableDBInstanceOptions": Row(everything),
    # instances
    "CreateDBInstance": _make_instance("DBInstanceIdentifier", _groups(_asked_engine)),
    "RestoreDBInstanceFromDBSnapshot": _make_instance(
        "DBInstanceIdentifier",
        _groups(_source_engine("DBSnapshotIdentifier", "snapshot")),
        _restored("DBSnapshotIdentifier"),
    ),
    "RestoreDBInstanceToPointInTime": _make_instance(
        "TargetDBInstanceIdentifier",
        _groups(_source_engine("SourceDBInstanceIdentifier", "db")),
        _restored("SourceDBInstanceIdentifier"),
    ),
    "ModifyDBInstance": Row(
        both(_db, _pg, _named("og", "OptionGroupName"), _subgrp),
        keys=lambda call: (
            {"rds:ManageMasterUserPassword": (as_text(call.flag("ManageMasterUserPassword")),)}
            if call.get("ManageMasterUserPassword") is not None
            else {}
        ),
        also=(
            _MONITORING,
            _managed_secret,
            _rotated_secret,
            _insights_key,
            _specified_tags,
            _tenant,
            _domain_role,
        ),
    ),
    "DeleteDBInstance": Row(_db, also=(_last_snapshot("FinalDBSnapshotIdentifier"),)),
    "StopDBInstance": Row(both(_db, _snapshot), also=(_last_snapshot("DBSnapshotIdentifier"),)),
    **same("StartDBInstance RebootDBInstance DescribeDBLogFiles", Row(_db)),
    "PromoteReadReplica": Row(_db, also=(_specified_tags,)),
    "DescribeValidDBInstanceModifications": Row(_db),
    "DownloadDBLogFilePortion": Row(_db),
    "DescribeDBInstances": Row(_named_or_all("db", "DBInstanceIdentifier")),
    "DescribeDBInstanceAutomatedBackups": Row(_named_or_all("db", "DBInstanceIdentifier")),
    "DescribePendingMaintenanceActions": Row(_named_or_all("db", "ResourceIdentifier")),
    # groups
    "CreateDBParameterGroup": _create(_new("pg", "DBParameterGroupName")),
    **same(
        "DeleteDBParameterGroup DescribeDBParameters ModifyDBParameterGroup ResetDBParameterGroup",
        Row(_pg),
    ),
    "DescribeDBParameterGroups": Row(_named_or_all("pg", "DBParameterGroupName")),
    "CreateDBSubnetGroup": _create(_new("subgrp", "DBSubnetGroupName")),
    **same("DeleteDBSubnetGroup ModifyDBSubnetGroup", Row(_subgrp)),
    "DescribeDBSubnetGroups": Row(_named_or_all("subgrp", "DBSubnetGroupName")),
    "DescribeOptionGroups": Row(_named_or_all("og", "OptionGroupName")),
    # snapshots
    "CreateDBSnapshot": Row(
        both(_new("snapshot", "DBSnapshotIdentifier"), _db),
        keys=_tags,
        also=(
            _tagging(_new("snapshot", "DBSnapshotIdentifier")),
            _copied_tags("DBSnapshotIdentifier"),
        ),
    ),
    "CopyDBSnapshot": Row(
        both(
            _new("snapshot", "TargetDBSnapshotIdentifier"),
            _named("snapshot", "SourceDBSnapshotIdentifier"),
        ),
        keys=_tags,
        also=(
            _tagging(_new("snapshot", "TargetDBSnapshotIdentifier")),
            _storage_key,
            _key_of(_restored("SourceDBSnapshotIdentifier")),
        ),
    ),
    "ModifyDBSnapshot": Row(both(_snapshot, _named("og", "OptionGroupName"))),
    **same(
        "DeleteDBSnapshot DescribeDBSnapshotAttributes ModifyDBSnapshotAttribute", Row(_snapshot)
    ),
    "DescribeDBSnapshots": Row(
        lambda call: (
            _named_or_all("snapshot", "DBSnapshotIdentifier")(call)
            if call.get("DBSnapshotIdentifier")
            else _named_or_all("db", "DBInstanceIdentifier")(call)
        )
    ),
    # tags
    "AddTagsToResource": Row(_by_arn, keys=_tags),
    "RemoveTagsFromResource": Row(_by_arn, keys=lambda call: tag_keys(call.texts("TagKeys"))),
    "ListTagsForResource": Row(_by_arn),
}
