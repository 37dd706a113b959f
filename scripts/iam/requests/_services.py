"""The services that are mapped: signing name, AWS's model, action prefix, table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import _autoscaling, _ec2, _iam, _kms, _logs, _rds, _s3, _secretsmanager, _ssm, _sts
from ._model import Account, HttpRequest, Need, Unmapped
from ._table import Call, Table
from ._wire import operation_of, parameters_of


class Service(NamedTuple):
    """A service by its signing name: botocore's name of its model, prefix of its actions."""

    model: str
    prefix: str
    table: Table


SERVICES = {
    "autoscaling": Service("autoscaling", "autoscaling", _autoscaling.TABLE),
    "ec2": Service("ec2", "ec2", _ec2.TABLE),
    "iam": Service("iam", "iam", _iam.TABLE),
    "kms": Service("kms", "kms", _kms.TABLE),
    "logs": Service("logs", "logs", _logs.TABLE),
    "rds": Service("rds", "rds", _rds.TABLE),
    "s3": Service("s3", "s3", _s3.TABLE),
    "secretsmanager": Service("secretsmanager", "secretsmanager", _secretsmanager.TABLE),
    "ssm": Service("ssm", "ssm", _ssm.TABLE),
    "sts": Service("sts", "sts", _sts.TABLE),
}


def operation(request: HttpRequest) -> str:
    """The operation that a request asks for, such as "RunInstances" or "PutObject".

    Raises Unmapped for a service or operation without a row, ValueError for a request that is
    not well-formed.
    """
    service = SERVICES.get(request.service)
    if service is None:
        raise Unmapped(request.service, "any operation")
    if request.service == "s3":
        name = _s3.operation_of(request)
    else:
        name = operation_of(request, service.model)
    if name not in service.table:
        raise Unmapped(request.service, name)
    return name


def needs(request: HttpRequest, account: Account) -> list[Need]:
    """Every permission that AWS would check for a request; all must be allowed.

    An empty list means that the call needs none (sts:GetCallerIdentity). Raises as `operation`.
    """
    name = operation(request)
    service = SERVICES[request.service]
    if request.service == "s3":
        call = _s3.call_of(request, account)
    else:
        parameters = parameters_of(request, service.model, name)
        call = Call(request, name, parameters, account)
    found = list(_needs(call, service))
    if not found and name not in {"GetCallerIdentity", "GetSessionToken"}:
        raise ValueError(f"{name} names nothing to act on")
    return found


def _needs(call: Call, service: Service) -> Iterator[Need]:
    row = service.table[call.operation]
    action = row.action or f"{service.prefix}:{call.operation}"
    own = row.keys(call)
    for target in row.targets(call):
        yield Need(action, target.arn, {**own, **target.keys})
    for rule in row.also:
        yield from rule(call)
