"""The services that are mapped: signing name, AWS's model, action prefix, table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from scripts.iam.requests.model import Account, HttpRequest, Need, Unmapped
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
from scripts.iam.requests.wire import protocols, rest_json


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
    "s3": Service(s3.TABLE, "s3", ""),
    "scheduler": Service(scheduler.TABLE, "scheduler", "scheduler"),
    "secretsmanager": Service(secretsmanager.TABLE, "secretsmanager", "secretsmanager"),
    "sns": Service(sns.TABLE, "sns", "sns"),
    "ssm": Service(ssm.TABLE, "ssm", "ssm"),
    "ssmmessages": Service(agent.SSMMESSAGES, "ssmmessages", ""),
    "sts": Service(sts.TABLE, "sts", "sts"),
    "tagging": Service(tagging.TABLE, "tag", "resourcegroupstaggingapi"),
}
# Calls that no policy can forbid: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
FREE = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}


def operation(request: HttpRequest) -> str:
    """The operation that a request asks for, such as "RunInstances" or "PutObject".

    Raises Unmapped for a service or operation without a row, ValueError for a request that is
    not well-formed.
    """
    service = SERVICES.get(request.service)
    if service is None:
        raise Unmapped(request.service, "any operation")
    name = _operation(request, service)
    if name not in service.table:
        raise Unmapped(request.service, name)
    return name


def _operation(request: HttpRequest, service: Service) -> str:
    match request.service:
        case "s3":
            return s3.operation_of(request)
        case "scheduler":
            return rest_json.operation_of(request, service.model)
        case "ssmmessages" | "ec2messages":
            return agent.operation_of(request)
    return protocols.operation_of(request, service.model)


def needs(request: HttpRequest, account: Account) -> list[Need]:
    """Every permission that AWS would check for a request; all must be allowed.

    An empty list means that the call needs none (sts:GetCallerIdentity). Raises as `operation`.
    """
    name = operation(request)
    found = list(_needs(_call(request, name, account), SERVICES[request.service]))
    if not found and (request.service, name) not in FREE:
        raise ValueError(f"{name} names nothing to act on")
    return found


def _call(request: HttpRequest, name: str, account: Account) -> Call:
    model = SERVICES[request.service].model
    if request.service == "s3":
        return s3.call_of(request, account)
    if request.service == "scheduler":
        return Call(request, name, rest_json.parameters_of(request, model, name), account)
    parameters = protocols.parameters_of(request, model, name) if model else {}
    return Call(request, name, parameters, account)


def _needs(call: Call, service: Service) -> Iterator[Need]:
    row = service.table[call.operation]
    action = row.action or f"{service.prefix}:{call.operation}"
    own = row.keys(call)
    for target in row.targets(call):
        yield Need(action, target.arn, {**own, **target.keys})
    for rule in row.also:
        yield from rule(call)
