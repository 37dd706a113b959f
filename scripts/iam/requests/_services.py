"""The services that are mapped: signing name, AWS's model, action prefix, table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import (
    _agent,
    _autoscaling,
    _budgets,
    _cloudtrail,
    _cloudwatch,
    _ec2,
    _elasticloadbalancing,
    _events,
    _iam,
    _kms,
    _logs,
    _rds,
    _rest_json,
    _s3,
    _scheduler,
    _secretsmanager,
    _sns,
    _ssm,
    _sts,
    _tagging,
    _wire,
)
from ._model import Account, HttpRequest, Need, Unmapped
from ._table import Call, Table


class Service(NamedTuple):
    """A service: its table, the prefix of its actions, and botocore's name of its model (empty
    where botocore has none, or where the service's own module reads its requests)."""

    table: Table
    prefix: str
    model: str


# by signing name
SERVICES = {
    "autoscaling": Service(_autoscaling.TABLE, "autoscaling", "autoscaling"),
    "budgets": Service(_budgets.TABLE, "budgets", "budgets"),
    "cloudtrail": Service(_cloudtrail.TABLE, "cloudtrail", "cloudtrail"),
    "ec2": Service(_ec2.TABLE, "ec2", "ec2"),
    "ec2messages": Service(_agent.EC2MESSAGES, "ec2messages", ""),
    "elasticloadbalancing": Service(_elasticloadbalancing.TABLE, "elasticloadbalancing", "elbv2"),
    "events": Service(_events.TABLE, "events", "events"),
    "iam": Service(_iam.TABLE, "iam", "iam"),
    "kms": Service(_kms.TABLE, "kms", "kms"),
    "logs": Service(_logs.TABLE, "logs", "logs"),
    "monitoring": Service(_cloudwatch.TABLE, "cloudwatch", "cloudwatch"),
    "rds": Service(_rds.TABLE, "rds", "rds"),
    "s3": Service(_s3.TABLE, "s3", ""),
    "scheduler": Service(_scheduler.TABLE, "scheduler", "scheduler"),
    "secretsmanager": Service(_secretsmanager.TABLE, "secretsmanager", "secretsmanager"),
    "sns": Service(_sns.TABLE, "sns", "sns"),
    "ssm": Service(_ssm.TABLE, "ssm", "ssm"),
    "ssmmessages": Service(_agent.SSMMESSAGES, "ssmmessages", ""),
    "sts": Service(_sts.TABLE, "sts", "sts"),
    "tagging": Service(_tagging.TABLE, "tag", "resourcegroupstaggingapi"),
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
            return _s3.operation_of(request)
        case "scheduler":
            return _rest_json.operation_of(request, service.model)
        case "ssmmessages" | "ec2messages":
            return _agent.operation_of(request)
    return _wire.operation_of(request, service.model)


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
        return _s3.call_of(request, account)
    if request.service == "scheduler":
        return Call(request, name, _rest_json.parameters_of(request, model, name), account)
    parameters = _wire.parameters_of(request, model, name) if model else {}
    return Call(request, name, parameters, account)


def _needs(call: Call, service: Service) -> Iterator[Need]:
    row = service.table[call.operation]
    action = row.action or f"{service.prefix}:{call.operation}"
    own = row.keys(call)
    for target in row.targets(call):
        yield Need(action, target.arn, {**own, **target.keys})
    for rule in row.also:
        yield from rule(call)
