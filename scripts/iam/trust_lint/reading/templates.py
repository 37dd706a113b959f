"""Reads CloudFormation, SAM and other YAML or JSON in which roles stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from scripts.iam.trust_lint.reading.literals import count, once
from scripts.iam.trust_lint.reading.names import ACCOUNT, provider_arn
from scripts.iam.trust_lint.reading.policies import Found, policy_of

_SUB = re.compile(r"\$\{([\w.:]+)\}")
_PSEUDO = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::URLSuffix": "amazonaws.com"}
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


def policies_in(content: Any) -> list[Found]:
    """The trust policies of a template's roles."""
    resources = content.get("Resources") if isinstance(content, Mapping) else None
    known = _Template(content if isinstance(resources, Mapping) else {})
    found: list[Found] = []
    for place, raw in _trusts(content, ""):
        rendered = known.rendered(raw)
        if isinstance(rendered, str):
            try:
                rendered = json.loads(rendered)
            except ValueError:
                continue
        if isinstance(rendered, list):
            rendered = {"Statement": rendered}
        policy = policy_of(rendered) if isinstance(rendered, Mapping) else None
        if policy is not None and policy not in [one.policy for one in found]:
            found.append(Found(place, policy, known.defaults_in(str(raw))))
    return found


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
        for name, one in _items(content.get("Parameters")):
            if one.get("Default") not in (None, ""):
                self._known[name] = str(one["Default"])
                self._defaults.append(name)
        for name, one in _items(content.get("Resources")):
            kind, properties = str(one.get("Type")), one.get("Properties")
            if kind.endswith(("::OIDCProvider", "AWSCDKOpenIdConnectProvider")):
                url = properties.get("Url", properties.get("url")) if isinstance(
                    properties, Mapping) else None  # fmt: skip
                rendered = self.rendered(url)
                if isinstance(rendered, str):
                    arn = provider_arn(rendered)
                    self._known |= {name: arn, f"{name}.Arn": arn}

    def defaults_in(self, raw: str) -> tuple[str, ...]:
        """The parameters in a text whose defaults count."""
        said = [rf"'Ref': '{name}'|\$\{{{name}\}}" for name in self._defaults]
        return tuple(name for name, form in zip(self._defaults, said, strict=True)
                     if re.search(form, raw))  # fmt: skip

    def rendered(self, value: Any) -> Any:
        """A value with its functions carried out; what is not known stays a placeholder."""
        if isinstance(value, list):
            return [self.rendered(one) for one in value]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref" or str(name).startswith("Fn::"):
                return self._called(str(name).removeprefix("Fn::"), argument)
        return {str(self._text(key)): self.rendered(one) for key, one in value.items()}

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
        if values[0] == values[1] or open_ones == [False, True]:
            return values[0]
        if open_ones == [True, False] and values[1] != "${AWS::NoValue}":
            return values[1]
        return f"${{If {argument[0]}}}"


def _items(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(value, Mapping):
        return []
    return [(str(name), one) for name, one in value.items() if isinstance(one, Mapping)]
