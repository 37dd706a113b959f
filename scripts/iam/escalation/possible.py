"""Could any request that the caller can construct be allowed this action?"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from scripts.iam.engine.conditions import parse_operator
from scripts.iam.engine.documents import Condition, Policy, Statement
from scripts.iam.engine.errors import Unsupported
from scripts.iam.engine.evaluation import Decision, PolicySet, Principal, Request, evaluate

Keys = dict[str, tuple[str, ...]]
# Condition keys that the caller cannot choose; None: absent.
Known = Mapping[str, str | tuple[str, ...] | None]
_WILD = re.compile(r"[*?]")
_VARIABLE = re.compile(r"\$\{([^{},]+)(?:,\s*'([^']*)')?\}")
REGION = "us-east-1"


def allowed(
    principal: Principal,
    policies: PolicySet,
    action: str,
    resource: str,
    known: Known | None = None,
    tags: Mapping[str, str] | None = None,
) -> Decision | None:
    """A decision that allows the action on this resource, None if no request can have it.

    `known` are condition keys whose value the caller cannot choose; None says that the key is
    absent. `tags` are those of a resource that exists, None for one that is made. Every other key
    takes whatever value an Allow asks for: the search rather shows one path too many than one too
    few.
    """
    fixed = {key.lower(): value for key, value in (known or {}).items()}
    if tags is not None:
        service = resource.split(":", 3)[2] if resource.startswith("arn:") else "aws"
        for name in ("aws", service, "ssm"):
            fixed |= {f"{name}:resourcetag/{tag}".lower(): value for tag, value in tags.items()}
    for granted in _contexts(principal, policies, action):
        context: Keys = {
            key: value
            for key, value in granted.items()
            if key not in fixed and (tags is None or ":resourcetag/" not in key)
        }
        context |= {
            key: value if isinstance(value, tuple) else (value,)
            for key, value in fixed.items()
            if value is not None
        }
        request = Request(principal, action, resource, context)
        try:
            decision = evaluate(request, policies)
        except Unsupported:
            continue
        if decision.allowed:
            return decision
    return None


def resources(policies: PolicySet, action: str, template: str) -> list[str]:
    """Resources of which one is allowed if any of the template's kind is.

    They are the template, an ARN such as arn:aws:lambda:REGION:ACCOUNT:function:x, and what the
    statements' own patterns name, their wildcards filled in.
    """
    prefix = template.split(":", 3)[2]
    found = [template]
    for statement in _statements(policies, action):
        for pattern in statement.resources or ():
            parts = pattern.split(":", 5)
            if len(parts) == 6 and parts[2] == prefix:
                found.append(_filled(pattern, template))
    return list(dict.fromkeys(found))


def _filled(pattern: str, template: str) -> str:
    parts, own = pattern.split(":", 5), template.split(":", 5)
    middle = [mine if _WILD.search(part) else part
              for part, mine in zip(parts[:5], own[:5], strict=True)]  # fmt: skip
    return ":".join([*middle, _WILD.sub("x", _VARIABLE.sub("x", parts[5]))])


def named_tags(policies: PolicySet) -> list[dict[str, str]]:
    """Tags of resources on which some Allow hangs: each by itself, and all of them together.

    Condition keys ignore the case of a tag's name and tags do not, so each name comes as it is
    written and in lower case.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    found: dict[str, str] = {}
    for layer in (policies.identity, policies.boundary, policies.resource):
        for policy in layer or ():
            for compiled in policy.allows:
                found = dict(_resource_tags(compiled.source.conditions)) | found
    written = [{name: value} for name, value in found.items()]
    if len(written) > 1:
        written.append(found)
    lower = [{name.lower(): value for name, value in tags.items()} for tags in written]
    return [*written, *(tags for tags in lower if tags not in written)]


def _resource_tags(conditions: Iterable[Condition]) -> Iterator[tuple[str, str]]:
    wanted: Keys = {}
    for condition in conditions:
        _fulfil(condition, wanted)
        prefix, marker, name = condition.key.partition("/")
        values = wanted.get(condition.key.lower())
        own = prefix.lower().endswith(":resourcetag") and not name.startswith("aws:")
        if marker and values and own:
            yield name, values[0]


def _statements(policies: PolicySet, action: str) -> Iterator[Statement]:
    for layer in (policies.identity, policies.boundary, policies.resource):
        for policy in layer or ():
            for compiled in policy.allows:
                if compiled.action(action.lower()):
                    yield compiled.source


def _contexts(principal: Principal, policies: PolicySet, action: str) -> Iterator[Keys]:
    """Contexts that fulfil one Allow of each layer at a time."""
    layers = [
        list(_of_layer(layer, action)) or [()]
        for layer in (policies.identity, policies.boundary or (), policies.resource)
    ]
    seen = set()
    for conditions in product(*layers):
        context = fulfilled(principal, (one for some in conditions for one in some))
        frozen = tuple(sorted(context.items()))
        if frozen not in seen:
            seen.add(frozen)
            yield context


def _of_layer(layer: Iterable[Policy], action: str) -> Iterator[tuple[Condition, ...]]:
    for policy in layer:
        for compiled in policy.allows:
            if compiled.action(action.lower()):
                yield compiled.source.conditions


def fulfilled(principal: Principal, conditions: Iterable[Condition]) -> Keys:
    """The keys of a request by this caller that makes every condition true, in lower case."""
    context = dict(_own_keys(principal))
    for condition in conditions:
        _fulfil(condition, context)
    return context


def _own_keys(principal: Principal) -> Keys:
    return {
        "aws:principalarn": (principal.role_arn or principal.arn,),
        "aws:principalaccount": (principal.account,),
        "aws:userid": ("AROAX:session",),
        "aws:requestedregion": (REGION,),
        "aws:securetransport": ("true",),
        "s3:tlsversion": ("1.3",),
    }


def _fulfil(condition: Condition, context: Keys) -> None:
    """Put in a value that makes the condition true; absent keys do for the others."""
    operator = parse_operator(condition.operator)
    key, first = condition.key.lower(), condition.values[0]
    if operator.base == "Null":
        if first.lower() == "false":
            context.setdefault(key, ("x",))
        return
    if operator.if_exists or operator.sets == "ForAllValues" or "Not" in operator.base:
        return
    value = _variables(first, context)
    if operator.base.startswith(("String", "Arn")):
        wild = "Like" in operator.base or operator.base.startswith("Arn")
        value = _WILD.sub("x", value) if wild else value
    elif operator.base == "IpAddress":
        value = str(ipaddress.ip_network(value, strict=False)[0])
    elif operator.base.startswith("Numeric"):
        value = str(float(value) + {"L": -1, "G": 1, "E": 0}[operator.base[7]])
    context[key] = (value,)


def _variables(value: str, context: Keys) -> str:
    def replaced(match: re.Match[str]) -> str:
        values = context.get(match.group(1).lower())
        return values[0] if values else match.group(2) or "x"

    return _VARIABLE.sub(replaced, value)
