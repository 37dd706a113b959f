"""Refuses a call that names one thing in two ways, or a thing of another account or region, and
words of AWS in other letters.

Whoever serves the call could take the name that was not authorised, or strip an ARN to a name that
means something else here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from scripts.iam.requests.model import HttpRequest, Malformed, Need, Reading

# Names of parameters that stand for the same thing: AWS takes one of them at most.
ONE_OF: Mapping[str, tuple[frozenset[str], ...]] = {
    "autoscaling": (
        frozenset({"LaunchTemplateId", "LaunchTemplateName"}),
        frozenset({"LaunchTemplate", "LaunchConfigurationName", "MixedInstancesPolicy",
                   "InstanceId"}),
    ),
    "ec2": (
        frozenset({"AllocationId", "AssociationId", "PublicIp"}),
        frozenset({"Arn", "Name"}),
        frozenset({"GroupId", "GroupName"}),
        frozenset({"LaunchTemplateId", "LaunchTemplateName"}),
        frozenset({"SecurityGroupIds", "SecurityGroups"}),
    ),
    "kms": (
        frozenset({"CustomerMasterKeySpec", "KeySpec"}),
        frozenset({"GrantToken", "GrantId"}),
        frozenset({"GrantToken", "KeyId"}),
    ),
    "logs": (
        frozenset({"logGroupName", "logGroupIdentifier", "resourceIdentifier"}),
        frozenset({"logGroupName", "logGroupNames", "logGroupIdentifiers"}),
    ),
    "rds": (
        frozenset({"SourceDBInstanceIdentifier", "SourceDbiResourceId",
                   "SourceDBInstanceAutomatedBackupsArn"}),
        frozenset({"DBSnapshotIdentifier", "DBClusterSnapshotIdentifier"}),
    ),
    "sns": (frozenset({"PhoneNumber", "TargetArn", "TopicArn"}),),
}  # fmt: skip
_CODES = {
    "autoscaling": "ValidationError",
    "ec2": "InvalidParameterCombination",
    "kms": "ValidationException",
    "logs": "InvalidParameterException",
    "rds": "InvalidParameterCombination",
    "sns": "InvalidParameter",
}
# A security group's rule may say both of the group that it lets in: it changes neither.
_MAY_SAY_BOTH = frozenset({"UserIdGroupPairs"})


# Names and engines that RDS keeps in small letters, whatever was sent.
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
# https://github.com/aws-cloudformation/aws-cloudformation-resource-providers-rds/pull/409
_SMALL = frozenset(
    {
        "DBInstanceIdentifier", "DBParameterGroupFamily", "DBParameterGroupName",
        "DBSnapshotIdentifier", "DBSubnetGroupName", "Engine", "FinalDBSnapshotIdentifier",
        "NewDBInstanceIdentifier", "OptionGroupName", "ResourceName", "SourceDBInstanceIdentifier",
        "SourceDBSnapshotIdentifier", "TargetDBInstanceIdentifier",
        "TargetDBSnapshotIdentifier",
    }
)  # fmt: skip


def as_stored(reading: Reading) -> Reading:
    """The reading with names as the service stores them: one thing, one name."""
    if reading.request.service not in {"iam", "rds", "secretsmanager"}:
        return reading
    changed = {
        name: _stored(reading.request.service, name, value)
        for name, value in reading.parameters.items()
        if isinstance(value, str)
    }
    return replace(reading, parameters={**reading.parameters, **changed})


def _stored(service: str, name: str, value: str) -> str:
    if service == "rds" and name in _SMALL:
        return value.lower()
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecret.html
    if (service, name) == ("secretsmanager", "KmsKeyId"):
        return value or "alias/aws/secretsmanager"
    # A provider's ARN ends with its address, which has no slash at its end.
    return value.rstrip("/") if (service, name) == ("iam", "Url") else value


# Words of AWS that no model lists and policies name. In other letters no policy would know them,
# and moto keeps them so.
_WORDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("AvailabilityZone", "AvailabilityZoneId", "AvailabilityZones", "BackupTarget",
         "DBInstanceClass", "InstanceInitiatedShutdownBehavior", "InstanceType", "Region",
         "ServiceName", "SriovNetSupport"),
        r"[a-z0-9.-]*",
    ),
    "SslPolicy": r"ELBSecurityPolicy(-(TLS\d*|FS|Res|Ext\d?|FIPS|PQ|\d+))+",
}  # fmt: skip
_HOLDS_ARNS = re.compile(r"(?:arn|action|identifier|keyid|principal)s?\Z", re.IGNORECASE)
# CloudTrail takes an empty one for no key at all.
_NAMES_KEY = re.compile(r"kmskey(?:id|arn)\Z", re.IGNORECASE)
_PARTS = "arn(?::[a-z0-9*-]*)"
_ARN = rf"{_PARTS}{{3}}:.*|{_PARTS}{{0,3}}|(?i:(?!arn:)).*"


@cache
def _spelling(name: str) -> re.Pattern[str] | None:
    found = _WORDS.get(name) or (_ARN if _HOLDS_ARNS.search(name) else None)
    return re.compile(found, re.ASCII | re.DOTALL) if found else None


def _check_spelling(structure: Mapping[str, Any], service: str) -> None:
    for name, value in structure.items():
        if (spelling := _spelling(name)) is None:
            continue
        no_key = value == "" and service != "cloudtrail" and _NAMES_KEY.search(name)
        inner = value.get("Value") if isinstance(value, Mapping) else value
        for one in inner if isinstance(inner, list) else (inner,):
            if isinstance(one, str) and (no_key or not spelling.fullmatch(one)):
                code = "InvalidParameterValue" if service in {"ec2", "rds"} else None
                raise Malformed(f"Value ({one}) for parameter {name} is invalid.", code)


def check_named_once(reading: Reading) -> None:
    """Raise Malformed for a call that names one thing in two ways, or a word in other letters."""
    service = reading.request.service
    alternatives = ONE_OF.get(service, ())
    for structure in _structures(reading.parameters) if service != "s3" else ():
        _check_spelling(structure, service)
        for names in alternatives:
            given = sorted(names & structure.keys())
            if len(given) > 1:
                raise Malformed(
                    f"The parameters {' and '.join(given)} name the same thing: send one of them",
                    _CODES[service],
                )


def _structures(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        for name, inner in value.items():
            if name not in _MAY_SAY_BOTH:
                yield from _structures(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _structures(inner)


# Service and beginning of the resource: whose ARNs have no region, and whose have no account. Any
# other ARN without them would be the same thing under a name that no policy knows.
_NO_REGION = (
    ("billing", ""), ("budgets", ""), ("cloudwatch", "dashboard/"), ("iam", ""), ("route53", ""),
    ("s3", ""), ("sts", ""),
)  # fmt: skip
_NO_ACCOUNT = (
    ("ec2", "image/"), ("ec2", "snapshot/"), ("route53", ""), ("s3", ""),
    ("ssm", "document/AWS-"), ("ssm", "document/Amazon"), ("ssm", "parameter/aws/service/"),
)  # fmt: skip


def _has_none(kinds: tuple[tuple[str, str], ...], service: str, resource: str) -> bool:
    return any(service == of and resource.startswith(start) for of, start in kinds)


def check_here(need: Need, request: HttpRequest, account_id: str) -> None:
    """Raise Malformed for a resource of another account or region: there is none of them here."""
    parts = need.resource.split(":", 5)
    if len(parts) < 6:
        return
    _, _, service, region, account, resource = parts
    here = region == request.region or (region == "" and _has_none(_NO_REGION, service, resource))
    ours = account == account_id or (account == "" and _has_none(_NO_ACCOUNT, service, resource))
    if here and (ours or (service, account) == ("iam", "aws")):
        return
    raise Malformed(
        f"{need.resource} belongs to another account or region than the request, which is for "
        f"{account_id} in {request.region}"
    )
