"""Reads CloudFormation, SAM and other YAML or JSON in which roles stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import yaml

from scripts.iam.trust_lint.reading.literals import count, once
from scripts.iam.trust_lint.reading.names import ACCOUNT, client_ids, provider_arn
from scripts.iam.trust_lint.reading.policies import Found, alike_once, beside, policy_of

_SUB = re.compile(r"\$\{([\w.:]+)\}")
_PSEUDO = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::URLSuffix": "amazonaws.com"}
_SELF = re.compile(r"\$\{(self:[\w.-]+|aws:accountId)(?:,[^{}]*)?\}")
_NO_VALUE = "${AWS::NoValue}"
_TRUST = ("assumerolepolicydocument", "assumerolepolicy", "trustpolicy")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, every scalar as it is written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known: set[str] = set()
        for key, _ in node.value:
            once(str(key.value), known)
            known.add(str(key.value))
        return super().construct_mapping(node, deep)


def _function(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise yaml.YAMLError("a function of nothing")
    return {name if name == "Ref" else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _function)
_DATE = "tag:yaml.org,2002:timestamp"
# A date, such as a policy's version, is text.
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, form) for tag, form in resolvers if tag != _DATE]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def template(text: str) -> Mapping[str, Any] | list[Any] | None:
    """The content of a YAML or JSON text; None if it is neither, or a text alone."""
    try:
        read = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return read if isinstance(read, Mapping | list) else None


def policies_in(content: Any) -> tuple[list[Found], list[str]]:
    """The trust policies of a template's roles, and what cannot be read of them.

    Where a condition of the template decides what is in a policy, both ways are policies.
    """
    content = _served(content)
    resources = content.get("Resources") if isinstance(content, Mapping) else None
    known = _Template(content if isinstance(resources, Mapping) else {})
    found: list[Found] = []
    unread: list[str] = []
    for place, raw in _trusts(content, ""):
        defaults, own = known.defaults_in(str(raw)), []
        for rendered, taken in known.each_way(raw):
            policy = _policy(rendered)
            if policy is not None:
                more = (*taken, *beside(rendered))
                own.append(Found(place, policy, defaults, more, known.client_ids))
        if not own and "AssumeRoleWithWebIdentity" in str(raw):
            where = f"{place}: its" if place else "a"
            unread.append(f"{where} trust policy cannot be read; give the rendered template")
        known_already = [(one.place, one.policy) for one in found]
        found += [one for one in alike_once(own) if (one.place, one.policy) not in known_already]
    return found, unread


def _served(content: Any) -> Any:
    """The template that the Serverless Framework makes of its own file; other content as it is.

    https://www.serverless.com/framework/docs/providers/aws/guide/resources
    https://www.serverless.com/framework/docs/guides/variables
    """
    if not isinstance(content, Mapping) or not {"service", "resources"} <= set(content):
        return content
    within = content["resources"]
    parts = [one for one in (within if isinstance(within, list) else [within]) if one]
    made: dict[str, Any] = {}
    for part in (one for one in parts if isinstance(one, Mapping)):
        for key, one in part.items():
            known = made.get(key)
            both = isinstance(known, Mapping) and isinstance(one, Mapping)
            made[key] = {**known, **one} if both and known is not None else one
    others = {key: one for key, one in content.items() if key != "resources"}
    filled: dict[str, Any] = _of_itself({**others, **made}, others)
    return filled


def _of_itself(value: Any, whole: Mapping[str, Any], depth: int = 5) -> Any:
    """A value with what `${self:...}` names of its file in its place."""
    if isinstance(value, Mapping):
        return {_of_itself(key, whole): _of_itself(one, whole) for key, one in value.items()}
    if isinstance(value, list):
        return [_of_itself(one, whole) for one in value]
    if not isinstance(value, str) or not depth:
        return value

    def named(match: re.Match[str]) -> str:
        if match[1] == "aws:accountId":
            return ACCOUNT
        found: Any = whole
        for part in match[1].removeprefix("self:").split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return str(found) if isinstance(found, str | int) else match[0]

    filled = _SELF.sub(named, value)
    return filled if filled == value else _of_itself(filled, whole, depth - 1)


def _policy(rendered: Any) -> dict[str, Any] | None:
    if isinstance(rendered, str):
        try:
            rendered = json.loads(rendered)
        except ValueError:
            return None
    # https://www.pulumi.com/docs/iac/languages-sdks/yaml/yaml-language-reference/#fntojson
    if isinstance(rendered, Mapping) and [*rendered] == ["fn::toJSON"]:
        return _policy(rendered["fn::toJSON"])
    if isinstance(rendered, list):
        rendered = {"Statement": rendered}
    return policy_of(rendered) if isinstance(rendered, Mapping) else None


def _trusts(content: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Whatever stands where a trust policy does, or looks like one, and the role's name."""
    count(1)
    if isinstance(content, list):
        for one in content:
            yield from _trusts(one, place)
    if not isinstance(content, Mapping):
        return
    low = {str(key).lower() for key in content}
    if "statement" in low:
        yield place, content
    elif "effect" in low and low & {"principal", "notprincipal"}:
        yield place, {"Statement": [content]}
    else:
        for key, value in content.items():
            if str(key).lower() in _TRUST:
                yield place, value
            else:
                inner = str(key) if isinstance(value, Mapping) and "Type" in value else place
                yield from _trusts(value, inner)


class _Template:
    """What a template's parameters and resources stand for."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._known: dict[str, str] = dict(_PSEUDO)
        self._defaults: list[str] = []
        self._taken: dict[str, bool] = {}
        self._asked: list[str] = []
        for name, one in _items(content.get("Parameters")):
            if one.get("Default") not in (None, ""):
                self._known[name] = str(one["Default"])
                self._defaults.append(name)
        lists: list[tuple[Any, Any]] = []
        for name, one in _items(content.get("Resources")):
            kind, properties = str(one.get("Type")), one.get("Properties")
            if kind.endswith(("::OIDCProvider", "AWSCDKOpenIdConnectProvider")):
                of = properties if isinstance(properties, Mapping) else {}
                written = {str(key).lower(): value for key, value in of.items()}
                rendered = self.rendered(written.get("url"))
                # Where a condition decides whether it is made, another one may be there.
                listed = None if "Condition" in one else self.rendered(written.get("clientidlist"))
                lists.append((rendered, listed))
                if isinstance(rendered, str):
                    arn = provider_arn(rendered)
                    self._known |= {name: arn, f"{name}.Arn": arn}
        self.client_ids = client_ids(lists)

    def defaults_in(self, raw: str) -> tuple[str, ...]:
        """The parameters in a text whose defaults count."""
        said = [rf"'Ref': '{name}'|\$\{{{name}\}}" for name in self._defaults]
        return tuple(name for name, form in zip(self._defaults, said, strict=True)
                     if re.search(form, raw))  # fmt: skip

    def each_way(self, raw: Any) -> Iterator[tuple[Any, tuple[str, ...]]]:
        """A value rendered, for each way that up to two conditions on which it hangs may go."""
        self._taken, self._asked = {}, []
        self.rendered(raw)
        names = list(dict.fromkeys(self._asked))[:2]
        for ways in product((True, False), repeat=len(names)):
            self._taken = dict(zip(names, ways, strict=True))
            yield (
                self.rendered(raw),
                tuple(
                    f"whether the condition {name} holds is not known; this is judged as if it did"
                    + ("" if way else " not")
                    for name, way in self._taken.items()
                ),
            )
        self._taken = {}

    def rendered(self, value: Any) -> Any:
        """A value with its functions carried out; what is not known stays a placeholder."""
        if isinstance(value, list):
            return [one for one in map(self.rendered, value) if one != _NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref" or str(name).startswith("Fn::"):
                return self._called(str(name).removeprefix("Fn::"), argument)
        read = {str(self._text(key)): self.rendered(one) for key, one in value.items()}
        return {key: one for key, one in read.items() if one != _NO_VALUE}

    def _text(self, name: Any) -> Any:
        return name if not isinstance(name, str) else _SUB.sub(self._one, name)

    def _one(self, match: re.Match[str]) -> str:
        return self._known.get(match[1], match[0])

    def _called(self, function: str, argument: Any) -> Any:
        if function == "Ref":
            return self._known.get(str(argument), f"${{{argument}}}")
        if function == "GetAtt":
            name = ".".join(argument) if isinstance(argument, list) else str(argument)
            return self._known.get(name, f"${{{name}}}")
        if function == "Sub":
            text, own = argument if isinstance(argument, list) else (argument, {})
            filled = {name: self.rendered(one) for name, one in own.items()}
            text = _SUB.sub(lambda one: str(filled.get(one[1], one[0])), str(text))
            return self._text(text)
        if function == "Join" and isinstance(argument, list) and isinstance(argument[1], list):
            return str(argument[0]).join(str(self.rendered(one)) for one in argument[1])
        if function == "If" and isinstance(argument, list) and len(argument) == 3:
            return self._either(argument)
        return f"${{{function} {json.dumps(argument, default=str)}}}".replace('"', "'")

    def _either(self, argument: list[Any]) -> Any:
        """Of two values the one that is known, if they do not contradict each other."""
        values = [self.rendered(one) for one in argument[1:]]
        open_ones = [isinstance(one, str) and "${" in one and not one.startswith("arn:")
                     for one in values]  # fmt: skip
        if values[0] == values[1] or (open_ones == [False, True] and values[1] != _NO_VALUE):
            return values[0]
        if open_ones == [True, False] and values[0] != _NO_VALUE:
            return values[1]
        name = str(argument[0])
        self._asked.append(name)
        return values[not self._taken[name]] if name in self._taken else f"${{If {name}}}"


def _items(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(value, Mapping):
        return []
    return [(str(name), one) for name, one in value.items() if isinstance(one, Mapping)]
