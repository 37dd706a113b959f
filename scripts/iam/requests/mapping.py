"""The services that are mapped: signing name, AWS's model, action prefix, table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from scripts.iam.requests.model import Account, HttpRequest, Malformed, Need, Reading, Unmapped
from scripts.iam.requests.row import Call, Table
from scripts.iam.requests.services import (
    agent,
    autoscaling,
    budgets,
    cloudtrail,
    cloudwatch,
    ec2,
    elasticloadbalancing,
    events,
    iam,
    kms,
    logs,
    rds,
    s3,
    scheduler,
    secretsmanager,
    sns,
    ssm,
    sts,
    tagging,
)
from scripts.iam.requests.unambiguous import as_stored, check_here, check_named_once
from scripts.iam.requests.wire import protocols, rebuild, rest_json
from scripts.iam.requests.wire.rebuild import Rebuilt


class Service(NamedTuple):
    """A service: its table, the prefix of its actions, and botocore's name of its model (empty
    where botocore has none, or where the service's own module reads its requests)."""

    table: Table
    prefix: str
    model: str


# by signing name
SERVICES = {
    "autoscaling": Service(autoscaling.TABLE, "autoscaling", "autoscaling"),
    "budgets": Service(budgets.TABLE, "budgets", "budgets"),
    "cloudtrail": Service(cloudtrail.TABLE, "cloudtrail", "cloudtrail"),
    "ec2": Service(ec2.TABLE, "ec2", "ec2"),
    "ec2messages": Service(agent.EC2MESSAGES, "ec2messages", ""),
    "elasticloadbalancing": Service(elasticloadbalancing.TABLE, "elasticloadbalancing", "elbv2"),
    "events": Service(events.TABLE, "events", "events"),
    "iam": Service(iam.TABLE, "iam", "iam"),
    "kms": Service(kms.TABLE, "kms", "kms"),
    "logs": Service(logs.TABLE, "logs", "logs"),
    "monitoring": Service(cloudwatch.TABLE, "cloudwatch", "cloudwatch"),
    "rds": Service(rds.TABLE, "rds", "rds"),
    "s3": Service(s3.TABLE, "s3", "s3"),
    "scheduler": Service(scheduler.TABLE, "scheduler", "scheduler"),
    "secretsmanager": Service(secretsmanager.TABLE, "secretsmanager", "secretsmanager"),
    "sns": Service(sns.TABLE, "sns", "sns"),
    "ssm": Service(ssm.TABLE, "ssm", "ssm"),
    "ssmmessages": Service(agent.SSMMESSAGES, "ssmmessages", ""),
    "sts": Service(sts.TABLE, "sts", "sts"),
    "tagging": Service(tagging.TABLE, "tag", "resourcegroupstaggingapi"),
}
# Permissions of one call: 1,000 things, the most that AWS takes, each with three. Everybody waits
# while they are decided, also those that the caller has not.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
_MOST = 3_000
# Calls that no policy can forbid: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
FREE = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}


def read(request: HttpRequest) -> Reading:
    """What a request asks for: the one reading that is authorised and carried out.

    Raises Unmapped for a service or operation without a row, ValueError for a request that is
    not well-formed.
    """
    service = SERVICES.get(request.service)
    if service is None:
        raise Unmapped(request.service, "any operation")
    reading = as_stored(_read(request, service))
    if reading.operation not in service.table:
        raise Unmapped(request.service, reading.operation)
    check_named_once(reading)
    return reading


def _read(request: HttpRequest, service: Service) -> Reading:
    match request.service:
        case "s3":
            return s3.read(request)
        case "scheduler":
            return Reading(request, *rest_json.read(request, service.model))
        case "ssmmessages" | "ec2messages":
            return Reading(request, agent.operation_of(request), "json", {})
    return Reading(request, *protocols.read(request, service.model, service.table))


def operation(request: HttpRequest) -> str:
    """The operation that a request asks for, such as "RunInstances"; raises as `read`."""
    return read(request).operation


def needs(request: HttpRequest, account: Account) -> list[Need]:
    """Every permission that AWS would check for a request; raises as `read`."""
    return needs_of(read(request), account)


def needs_of(reading: Reading, account: Account) -> list[Need]:
    """Every permission that AWS would check for what was read; all must be allowed.

    An empty list means that the call needs none (sts:GetCallerIdentity). Raises ValueError for
    parameters that name nothing, or nothing that AWS takes.
    """
    service, name = reading.request.service, reading.operation
    call = Call(reading.request, name, reading.parameters, account, reading)
    found = list(islice(_needs(call, SERVICES[service]), _MOST + 1))
    if len(found) > _MOST:
        code = "MalformedXML" if service == "s3" else None
        raise Malformed(f"{name} is about more things than a call may name", code)
    if not found and (service, name) not in FREE:
        raise ValueError(f"{name} names nothing to act on")
    for need in found:
        check_here(need, reading.request, account.account_id)
    return found


def rebuilt(reading: Reading, protocol: str | None = None) -> Rebuilt:
    """A new request written from the reading; see `wire.rebuild`."""
    service = SERVICES[reading.request.service]
    return rebuild.rebuilt(reading, service.model or reading.request.service, protocol)


def _needs(call: Call, service: Service) -> Iterator[Need]:
    row = service.table[call.operation]
    action = row.action or f"{service.prefix}:{call.operation}"
    own = row.keys(call)
    for target in row.targets(call):
        yield Need(action, target.arn, {**own, **target.keys})
    for rule in row.also:
        yield from rule(call)
