"""A Terraform module read for its values: names, policies, sizes and what it refuses.

So that a Pulumi component need not repeat them. Which resources there are, how they hang together
and what Pulumi calls their arguments is the component's own, and compared by the parity tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.pulumi_platform.hcl import Block, Body, Expression, Names, parse
from scripts.pulumi_platform.operations import HclError, splat
from scripts.pulumi_platform.variables import Variable, refuse_unknown, require

MODULES = Path(__file__).resolve().parents[2] / "terraform" / "modules"


@dataclass(frozen=True)
class Facts:
    """What only the account can tell: its 12-digit id, its partition ("aws") and its region."""

    account_id: str
    partition: str
    region: str


class NotKnownYet(Exception):
    """A variable that is asked for before the deployment knows it; the argument is its name."""


class Module:
    """The blocks of one module, by what they are."""

    def __init__(self, folder: Path) -> None:
        """Read all of its files. Raises HclError for code that is not understood."""
        blocks = [
            block
            for file in sorted(folder.glob("*.tf"))
            for block in parse(file.read_text(), name=f"{folder.name}/{file.name}").blocks
        ]
        self.variables = {
            block.labels[0]: Variable(block) for block in blocks if block.kind == "variable"
        }
        self.locals: dict[str, Expression] = {}
        for block in blocks:
            if block.kind == "locals":
                self.locals |= block.body.arguments
        self.resources = {".".join(each.labels): each for each in blocks if each.kind == "resource"}
        self.documents = {
            block.labels[1]: block
            for block in blocks
            if block.kind == "data" and block.labels[0] == "aws_iam_policy_document"
        }
        self.outputs = [block.labels[0] for block in blocks if block.kind == "output"]

    def values(
        self,
        inputs: Mapping[str, Any],
        facts: Facts | None = None,
        *,
        unknown: Iterable[str] = (),
    ) -> Values:
        """Check the inputs and evaluate with them; inputs named in `unknown` have no value yet.

        Raises ArgumentError with the module's own message for what it refuses.
        """
        refuse_unknown(inputs, self.variables)
        settled = {}
        for name, variable in self.variables.items():
            if name not in set(unknown):
                settled[name] = variable.completed(inputs)
                variable.check(settled[name])
        return Values(self, settled, facts)


class Values:
    """A module's expressions with all they refer to; each is evaluated when it is asked for."""

    def __init__(self, module: Module, variables: Mapping[str, Any], facts: Facts | None) -> None:
        self._module, self._variables, self._facts = module, variables, facts

    def variable(self, name: str) -> Any:
        """A variable with its defaults. Raises NotKnownYet."""
        if name not in self._variables:
            raise NotKnownYet(name)
        return self._variables[name]

    def local(self, name: str) -> Any:
        """A local value."""
        return self._module.locals[name](self._names)

    def made(self, resource: str) -> bool:
        """Whether there is such a resource; `count` of 0 or 1 says."""
        arguments = self._module.resources[resource].body.arguments
        if "for_each" in arguments:
            raise HclError(f"for_each of {resource} is not supported")
        count = arguments.get("count")
        return count is None or bool(count(self._names) > 0)

    def argument(self, resource: str, name: str) -> Any:
        """One argument of a resource."""
        return self._module.resources[resource].body.arguments[name](self._names)

    def blocks(self, resource: str, kind: str) -> list[dict[str, Any]]:
        """Blocks within a resource: arguments by name, and lists of blocks by kind."""
        written = self._module.resources[resource].body.blocks
        of_kind = [each for each in written if kind in (each.kind, *each.labels)]
        found: list[dict[str, Any]] = _expanded(Body(blocks=of_kind), self._names).get(kind, [])
        return found

    def check(self) -> None:
        """Raise ArgumentError if a precondition does not hold, of those that can be told yet."""
        for name, resource in self._module.resources.items():
            for block in resource.body.of("lifecycle"):
                for rule in block.body.of("precondition"):
                    with suppress(NotKnownYet):
                        if self.made(name):
                            require(rule.body.arguments, self._names)

    def policy(self, name: str) -> str:
        """The JSON of a policy document."""
        document = _expanded(self._module.documents[name].body, self._names)
        statements = [_statement(each) for each in document.pop("statement", [])]
        if document:
            raise HclError(f"{', '.join(document)} of a policy document is not supported")
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    @cached_property
    def _names(self) -> Names:
        names = {
            "local": _Lazy(self._module.locals, self.local),
            "var": _Lazy(self._module.variables, self.variable),
        }
        if self._facts is None:
            return names
        known = {
            "aws_caller_identity": {"current": {"account_id": self._facts.account_id}},
            "aws_partition": {"current": {"partition": self._facts.partition}},
            "aws_region": {"current": {"id": self._facts.region}},
        }
        return names | {"data": known}


class _Lazy(Mapping[str, Any]):
    """Values by name, each evaluated when it is looked up."""

    def __init__(self, names: Iterable[str], value: Callable[[str], Any]) -> None:
        self._known, self._value = set(names), value

    def __getitem__(self, name: str) -> Any:
        return self._value(name)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _expanded(body: Body, names: Names) -> dict[str, Any]:
    found: dict[str, Any] = {name: value(names) for name, value in body.arguments.items()}
    for block in body.blocks:
        if block.kind == "lifecycle":
            continue  # Terraform's own, none of the resource's
        if block.kind != "dynamic":
            found.setdefault(block.kind, []).append(_expanded(block.body, names))
            continue
        kind = block.labels[0]
        found.setdefault(kind, []).extend(_generated(block, kind, names))
    return found


def _generated(block: Block, kind: str, names: Names) -> Iterator[dict[str, Any]]:
    """The blocks that a `dynamic` block stands for."""
    each = block.body.arguments["for_each"](names)
    if not isinstance(each, list):
        raise HclError(f"dynamic {kind!r} over {each!r} is not supported; give it a list")
    (content,) = block.body.of("content")
    for index, value in enumerate(each):
        yield _expanded(content.body, {**names, kind: {"key": index, "value": value}})


def _statement(block: Mapping[str, Any]) -> dict[str, Any]:
    """A statement as the provider's aws_iam_policy_document renders it."""
    rest = dict(block)
    sid = rest.pop("sid", None)
    statement: dict[str, Any] = {"Sid": sid} if sid else {}
    statement["Effect"] = rest.pop("effect", "Allow")
    for element, name in (("Principal", "principals"), ("NotPrincipal", "not_principals")):
        if name in rest:
            statement[element] = _principals(rest.pop(name))
    for element in ("Action", "NotAction", "Resource", "NotResource"):
        name = f"{element.replace('Not', 'not_').lower()}s"
        if name in rest:
            statement[element] = _short(rest.pop(name))
    for condition in rest.pop("condition", []):
        of_test = statement.setdefault("Condition", {}).setdefault(condition["test"], {})
        before = splat(of_test.get(condition["variable"]))
        of_test[condition["variable"]] = _short([*before, *condition["values"]])
    if rest:
        raise HclError(f"{', '.join(rest)} of a policy statement is not supported")
    return statement


def _principals(blocks: Iterable[Mapping[str, Any]]) -> Any:
    named: dict[str, list[str]] = {}
    for block in blocks:
        named.setdefault(block["type"], []).extend(block["identifiers"])
    if named == {"*": ["*"]}:
        return "*"
    return {kind: _short(identifiers) for kind, identifiers in named.items()}


def _short(values: list[Any]) -> Any:
    """One value stands for itself."""
    return values[0] if len(values) == 1 else sorted(values)
