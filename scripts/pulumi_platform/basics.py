"""What the components share: the account, policies, and how arguments are read and refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import pulumi
import pulumi_aws as aws

T = TypeVar("T")
# pulumi.Input[str], without its reference forward, which get_type_hints cannot follow.
Text: TypeAlias = str | Awaitable[str] | pulumi.Output[str]
Statement = Mapping[str, Any]
Conditions = Mapping[str, Mapping[str, Any]]
# What EC2 takes in descriptions and in tags.
NAME_OF_CHOICE = r"[A-Za-z0-9 ._:/@+=-]{1,64}"
KEY_ARN = r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+"


class ArgumentError(ValueError):
    """An argument is refused; the message says what to write instead."""


def check(holds: bool, message: str) -> None:
    """Raise ArgumentError with the message unless the condition holds."""
    if not holds:
        raise ArgumentError(message)


def fits(pattern: str, value: Any) -> bool:
    """Whether a text is all of a pattern; None and what only the deployment knows fit any."""
    if value is None or isinstance(value, pulumi.Output):
        return True
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def check_tags(tags: Mapping[str, str], own: Sequence[str], message: str) -> None:
    """Raise ArgumentError for tags that some service takes not, with `message` for keys of `own`.

    IAM takes two keys that differ in case for one, and refuses both.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules_creating
    """
    keys = [*tags, *own]
    check(len({key.lower() for key in keys}) == len(keys), message)
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html
    check(
        len(keys) <= 50
        and all(
            1 <= len(key) <= 128 and len(value) <= 256 and not key.lower().startswith("aws:")
            for key, value in tags.items()
        )
        and all(
            one in "_.:/=+-@" or unicodedata.category(one)[0] in "LNZ"
            for one in "".join([*tags, *tags.values()])
        ),
        "tags must be of letters, digits, blanks and _.:/=+-@, with keys of at most 128 that do "
        'not begin with "aws:", values of at most 256, and 50 together with the kit\'s own: a '
        "service refuses others in the middle of an apply.",
    )


def load(kind: type[T], given: Mapping[str, Any], path: str = "") -> T:
    """A dataclass of arguments from a stack's settings or Terraform's files.

    Values are converted as Terraform converts them: `pulumi config set` writes numbers and truth
    values as texts. Raises ArgumentError for names that are unknown and values of another type.
    https://developer.hashicorp.com/terraform/language/expressions/types#type-conversion
    """
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for name in given:
        check(name in known, f"{path}{name} is no argument; there are: {', '.join(sorted(known))}.")
    # As in Terraform, null stands for the default, where null is no value itself.
    converted = {
        name: value
        for name, value in given.items()
        if value is not None or NoneType in get_args(hints[name])
    }
    for name, each in known.items():
        has_default = each.default is not MISSING or each.default_factory is not MISSING
        check(name in converted or has_default, f"{path}{name} is missing.")
    return kind(
        **{name: _load(hints[name], value, f"{path}{name}") for name, value in converted.items()}
    )


def _load(hint: Any, value: Any, path: str) -> Any:
    # The first of several: str of `str | None`, and of an input that is a text.
    kind = get_args(hint)[0] if get_origin(hint) in (Union, UnionType) else hint
    if value is None or isinstance(value, pulumi.Output):
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        check(isinstance(value, Mapping), f"{path} must be an object, not {value!r}.")
        return load(kind, value, f"{path}.")
    if get_origin(kind) is Mapping:
        check(isinstance(value, Mapping), f"{path} must be a map, not {value!r}.")
        return {key: _load(get_args(kind)[1], each, f"{path}.{key}") for key, each in value.items()}
    if get_origin(kind) is Sequence:
        check(isinstance(value, list), f"{path} must be a list, not {value!r}.")
        return [_load(get_args(kind)[0], each, f"{path}[{at}]") for at, each in enumerate(value)]
    if kind is bool:
        return _truth(value, path)
    return _number(kind, value, path) if kind in (float, int) else _text(value, path)


def _truth(value: Any, path: str) -> bool:
    text = _text(value, path)
    check(text in ("true", "false"), f"{path} must be true or false, not {value!r}.")
    return text == "true"


def _number(kind: type[float], value: Any, path: str) -> float:
    text = "" if isinstance(value, bool) else _text(value, path)
    check(
        re.fullmatch(r"-?\d+(\.\d+)?", text) is not None, f"{path} must be a number, not {value!r}."
    )
    number = float(text)
    check(kind is float or number.is_integer(), f"{path} must be a whole number, not {value!r}.")
    return int(number) if number.is_integer() else number


def _text(value: Any, path: str) -> str:
    check(isinstance(value, str | bool | int | float), f"{path} must be a text, not {value!r}.")
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@dataclass(frozen=True)
class Account:
    """Where the resources of a component will be."""

    id: str
    region: str
    partition: str
    dns_suffix: str

    @classmethod
    def of(cls, parent: pulumi.Resource) -> Account:
        """Ask the provider that makes the resources."""
        asked = pulumi.InvokeOptions(parent=parent)
        partition = aws.get_partition(opts=asked)
        return cls(
            aws.get_caller_identity(opts=asked).account_id,
            aws.get_region(opts=asked).id,
            partition.partition,
            partition.dns_suffix,
        )

    def arn(self, service: str, resource: str) -> str:
        """ARN of something in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.id}:{resource}"

    def iam(self, resource: str) -> str:
        """ARN of something of IAM, which has no region."""
        return f"arn:{self.partition}:iam::{self.id}:{resource}"

    def bucket(self, name: str) -> str:
        """ARN of a bucket, which names neither region nor account."""
        return f"arn:{self.partition}:s3:::{name}"

    def endpoint(self, service: str) -> str:
        """Name of a service's endpoint, as kms:ViaService has it."""
        return f"{service}.{self.region}.{self.dns_suffix}"

    @property
    def ours(self) -> Conditions:
        """Only a resource of this account: a stranger may own a bucket's name."""
        return equals("aws:ResourceAccount", self.id)

    @property
    def here(self) -> Conditions:
        """Only in this region, where an action has no resource type."""
        return equals("aws:RequestedRegion", self.region)


def equals(key: str, *values: Text) -> Conditions:
    """The condition that a key has one of the values."""
    return {"StringEquals": {key: list(values)}}


def both(*conditions: Conditions) -> Conditions:
    """Conditions that must all hold; the same operator may occur in several."""
    operators = {operator for each in conditions for operator in each}
    return {
        operator: {key: value for one in conditions for key, value in one.get(operator, {}).items()}
        for operator in sorted(operators)
    }


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[Text] = (),
    when: Conditions | None = None,
    principal: Any = None,
) -> Statement:
    """A statement that allows; a trust policy's has a principal and no resources."""
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": list(actions)}
    if resources:
        statement["Resource"] = list(resources)
    if when:
        statement["Condition"] = when
    if principal:
        statement["Principal"] = principal
    return statement


def deny(sid: str, actions: Sequence[str], resources: Sequence[Text], **rest: Any) -> Statement:
    """A statement that denies."""
    return {**allow(sid, actions, resources, **rest), "Effect": "Deny"}


def document(*statements: Statement | None) -> pulumi.Output[str]:
    """A policy, without the statements that are None."""
    kept = [statement for statement in statements if statement]
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": kept})


def trust(sid: str, service: str, when: Conditions | None = None) -> pulumi.Output[str]:
    """The trust policy of a role that an AWS service assumes."""
    return document(allow(sid, ["sts:AssumeRole"], when=when, principal={"Service": [service]}))


def size_checked(policy: pulumi.Output[str], limit: int, message: str) -> pulumi.Output[str]:
    """A policy that is refused when it is longer than AWS allows."""

    def checked(text: str) -> str:
        check(len(re.sub(r"\s", "", text)) <= limit, message)
        return text

    return policy.apply(checked)


def named(tags: Mapping[str, str], name: str) -> dict[str, str]:
    """Tags with a Name."""
    return {**tags, "Name": name}


def every(holds: Callable[[Any], bool], values: Sequence[Any] | Mapping[str, Any]) -> bool:
    """Whether a condition holds for each value."""
    return all(holds(each) for each in (values.values() if isinstance(values, Mapping) else values))
