"""The vocabulary of the services' tables: calls, targets, rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scripts.iam.requests.model import Account, HttpRequest, Keys, Need, Reading


@dataclass(frozen=True)
class Call:
    """One operation with its parameters, under AWS's own parameter names."""

    request: HttpRequest
    operation: str
    parameters: Mapping[str, Any]
    account: Account
    reading: Reading | None = None

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter as it was sent."""
        return self.parameters.get(name, default)

    def text(self, name: str) -> str:
        """A parameter that must be there and must be text, as it goes into an ARN."""
        return checked(self.parameters.get(name), name)

    def texts(self, name: str) -> list[str]:
        """A parameter that is a list of texts."""
        return [checked(item, name) for item in self.parameters.get(name) or ()]

    def flag(self, name: str) -> bool:
        """A parameter that is true or false."""
        return self.parameters.get(name) in {True, "true", "True"}

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """An ARN in this account; `region=""` for services whose ARNs carry none."""
        where = self.request.region if region is None else region
        return f"arn:aws:{service}:{where}:{self.account.account_id}:{resource}"

    def facts(self, arn: str) -> Mapping[str, Any]:
        """The account's facts about a resource; empty when it does not exist."""
        return self.account.describe(arn) or {}


def checked(value: object, name: str) -> str:
    """`value` if it is text that may stand in an ARN; ValueError naming the parameter."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing: name the resource that the call is about")
    if not value.isprintable():
        raise ValueError(f"{name} holds characters that no resource name may hold")
    return value


# What a name may hold where no narrower rule is given: nothing that could end it inside an ARN
# (a colon) or that a policy reads as a pattern.
PLAIN = r"[\w+=,.@!/#-]+"


def name_of(value: object, parameter: str, pattern: str = PLAIN) -> str:
    """A resource's name, held against what AWS lets it hold; ValueError naming the parameter.

    Without this, `a:b` could be checked as one resource and served as another.
    """
    text = checked(value, parameter)
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(f"{parameter} {text!r} is not a name that AWS allows there")
    return text


def arn_of_type(value: object, parameter: str, service: str, resource: str) -> str:
    """An ARN given by the caller, held against its service and resource pattern."""
    text = checked(value, parameter)
    pattern = rf"arn:aws:{service}:[a-z0-9-]*:(?:\d{{12}}|aws)?:(?:{resource})"
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(f"{parameter} {text!r} is not the ARN of such a {service} resource")
    return text


class Target(NamedTuple):
    """A resource that an action is checked on, with the condition keys that it brings."""

    arn: str
    keys: Keys


Targets = Callable[[Call], Iterable[Target]]
Also = Callable[[Call], Iterable[Need]]


def no_keys(call: Call) -> Keys:  # noqa: ARG001 - the shape of every key function
    """No condition keys of its own."""
    return {}


@dataclass(frozen=True)
class Row:
    """Which permissions one operation needs.

    The action (None: the operation's own name) is needed on every target, each time with the
    row's keys; `also` are the permissions on other things that AWS checks for the same call.
    """

    targets: Targets
    action: str | None = None
    keys: Callable[[Call], Keys] = no_keys
    also: tuple[Also, ...] = field(default=())


Table = Mapping[str, Row]


def everything(call: Call) -> Iterator[Target]:  # noqa: ARG001 - the shape of every target
    """`*`: the action has no resource type."""
    yield Target("*", {})


def anywhere(names: str) -> dict[str, Row]:
    """Rows for actions without resource types, named in one string."""
    return {name: Row(everything) for name in names.split()}


def same(names: str, row: Row) -> dict[str, Row]:
    """The same row for several operations, named in one string."""
    return dict.fromkeys(names.split(), row)


def both(*targets: Targets) -> Targets:
    """All the resources that several rules give."""

    def found(call: Call) -> Iterator[Target]:
        for rule in targets:
            yield from rule(call)

    return found


def join_keys(*functions: Callable[[Call], Keys]) -> Callable[[Call], Keys]:
    """All the condition keys that several rules give."""

    def found(call: Call) -> Keys:
        return {name: values for rule in functions for name, values in rule(call).items()}

    return found


def when(parameter: str, *rules: Also) -> Also:
    """Rules that hold only if the parameter is given (and not false or empty)."""

    def found(call: Call) -> Iterator[Need]:
        if call.get(parameter) not in (None, False, "", [], {}):
            for rule in rules:
                yield from rule(call)

    return found


def keys_from(**parameters: str) -> Callable[[Call], Keys]:
    """Condition keys copied from scalar parameters: `keys_from(Name="secretsmanager:Name")`."""

    def found(call: Call) -> Keys:
        return {
            key: (as_text(call.get(name)),)
            for name, key in parameters.items()
            if call.get(name) is not None
        }

    return found


def as_text(value: object) -> str:
    """A value as AWS writes it in a condition key."""
    return str(value).lower() if isinstance(value, bool) else str(value)


# https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
_MOST_TAGS, _LONGEST_TAG_KEY, _LONGEST_TAG_VALUE = 50, 128, 256


def pairs(
    tags: object, key: str = "Key", value: str = "Value", most: int = _MOST_TAGS
) -> dict[str, str]:
    """Tags that a request sets, as a plain mapping, from a mapping or a list of structures."""
    found = named_once(tags, key, value)
    if len(found) > most:
        raise ValueError(f"it has at most {most} tags")
    for name, text in found.items():
        if not 1 <= len(name) <= _LONGEST_TAG_KEY or len(text) > _LONGEST_TAG_VALUE:
            raise ValueError(
                f"a tag's key has 1 to {_LONGEST_TAG_KEY} characters, its value at most "
                f"{_LONGEST_TAG_VALUE}"
            )
    return found


def named_once(tags: object, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Names and values that a request gives, as a plain mapping."""
    if isinstance(tags, Mapping):
        found = {str(k): str(v) for k, v in tags.items()}
        count = len(tags)
    else:
        rows: Sequence[Mapping[str, Any]] = tags if isinstance(tags, list) else []
        found = {checked(row.get(key), "tag key"): str(row.get(value) or "") for row in rows}
        count = len(rows)
    if any(name.lower().startswith("aws:") for name in found):
        raise ValueError("tag keys that begin with aws: are AWS's own to set")
    # Condition keys ignore case, tags do not: two tags that differ in case only would let one
    # be checked and the other be set.
    if len({name.lower() for name in found}) != count:
        raise ValueError("tag keys must differ by more than upper and lower case")
    return found


def request_tags(tags: Mapping[str, str], *also: str) -> Keys:
    """aws:RequestTag/* and aws:TagKeys, and the service's own prefixes for the same."""
    if not tags:
        return {}
    keys: Keys = {"aws:TagKeys": tuple(tags)}
    for prefix in ("aws:RequestTag/", *also):
        keys |= {f"{prefix}{name}": (value,) for name, value in tags.items()}
    return keys


def tag_keys(names: Iterable[str]) -> Keys:
    """aws:TagKeys of a request that removes tags."""
    found = tuple(names)
    if any(name.lower().startswith("aws:") for name in found):
        raise ValueError("tag keys that begin with aws: are AWS's own to take away")
    return {"aws:TagKeys": found} if found else {}


def tagged_with(
    parameter: str = "Tags", key: str = "Key", value: str = "Value", *also: str
) -> Callable[[Call], Keys]:
    """Keys of the tags in a request parameter."""
    return lambda call: request_tags(pairs(call.get(parameter), key, value), *also)


def untagged(parameter: str = "TagKeys") -> Callable[[Call], Keys]:
    """Keys of a request parameter that lists tag names to remove."""
    return lambda call: tag_keys(call.texts(parameter))


def resource_tags(call: Call, arn: str, *also: str) -> Keys:
    """aws:ResourceTag/* of an existing resource, and the service's own prefixes for the same.

    Two that differ in case only are one key with two values, which the engine decides nothing by.
    """
    tags = call.account.tags(arn) or {}
    return {
        f"{prefix}{name}": (value,)
        for prefix in ("aws:ResourceTag/", *also)
        for name, value in tags.items()
    }


def pass_role(role: str, service: str) -> Need:
    """iam:PassRole of a role to a service."""
    if not _ROLE.match(role):
        raise ValueError(f"{role!r} is not the ARN of a role")
    # AWS warns that the tags of a role do not tell reliably who may pass it.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    tags = ("aws:ResourceTag/", "iam:ResourceTag/")
    return Need("iam:PassRole", role, {"iam:PassedToService": (service,)}, tags)


def passes(parameter: str, service: str) -> Also:
    """iam:PassRole of the role that a parameter names, if it names one."""

    def found(call: Call) -> Iterator[Need]:
        if call.get(parameter):
            yield pass_role(call.text(parameter), service)

    return found


def onto(action: str, targets: Targets, keys: Callable[[Call], Keys] = no_keys) -> Also:
    """A further action on resources."""

    def found(call: Call) -> Iterator[Need]:
        for target in targets(call):
            yield Need(action, target.arn, {**keys(call), **target.keys})

    return found


_ROLE = re.compile(r"arn:aws:iam::\d{12}:role/.+\Z")
VIA_SERVICE: Keys = {"aws:ViaAWSService": ("true",)}
LINKED = {
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "budgets.amazonaws.com": "AWSServiceRoleForBudgets",
    "cloudtrail.amazonaws.com": "AWSServiceRoleForCloudTrail",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "events.amazonaws.com": "AWSServiceRoleForCloudWatchEvents",
    "mrk.kms.amazonaws.com": "AWSServiceRoleForKeyManagementServiceMultiRegionKeys",
    "rds.amazonaws.com": "AWSServiceRoleForRDS",
    "ssm.alarms.cloudwatch.amazonaws.com": "AWSServiceRoleForCloudWatchAlarms_ActionSSM",
}


def service_linked_role_arn(call: Call, service: str) -> str:
    """ARN of a service's own role; the name's tail is open for services not listed here."""
    name = LINKED.get(service, "AWSServiceRoleFor*")
    return call.arn("iam", f"role/aws-service-role/{service}/{name}", region="")


def service_linked_role(service: str) -> Also:
    """The first call of some services makes the service's own role, with the caller's rights.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
    """

    def found(call: Call) -> Iterator[Need]:
        arn = service_linked_role_arn(call, service)
        if call.account.describe(arn) is None:
            keys = {"iam:AWSServiceName": (service,), **VIA_SERVICE}
            yield Need("iam:CreateServiceLinkedRole", arn, keys)

    return found
