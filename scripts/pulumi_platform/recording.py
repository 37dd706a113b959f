"""What a component or the program would make: run under Pulumi's mock monitor, printed as JSON.

No engine, no plug-in, no account: `python -m scripts.pulumi_platform.recording < request.json`.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import provider_pb2, resource_pb2
from pulumi.runtime.stack import Stack

from scripts.pulumi_platform.artifact_store import ArtifactStore
from scripts.pulumi_platform.component import ModuleComponent
from scripts.pulumi_platform.shapes import misfits
from scripts.pulumi_platform.variables import ArgumentError

COMPONENTS: Mapping[str, type[ModuleComponent]] = {"artifact_store": ArtifactStore}
PROGRAM = Path(__file__).parent / "__main__.py"
PROJECT, STACK = "keyless-platform", "dev"
# In a request, an argument {"later": x} is an output that comes to x, and {"unknown": true} is one
# that a preview does not know.
_LATER, _UNKNOWN = "later", "unknown"


@dataclass(frozen=True)
class Resource:
    """One resource as Pulumi's engine would get it; `dependencies` are names of resources."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    dependencies: list[str]


@dataclass
class Recorded:
    """What a run registered: `outputs` by component, and what the program exports.

    `misfits` are arguments that pulumi-aws does not declare so; the provider would refuse them.
    """

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)
    misfits: list[str] = field(default_factory=list)


class _Monitor(pulumi.runtime.mocks.MockMonitor):  # type: ignore[misc]
    """Answers as an engine does that makes everything at once, and keeps what it was asked.

    Ids show whose they are. Pulumi's own answers run an event loop in each worker thread, and two
    of them at a time can wait for each other; these only translate.
    """

    def __init__(self, facts: Mapping[str, str]) -> None:
        super().__init__(None)
        self.facts = facts
        self.recorded = Recorded()

    def Invoke(self, request: Any) -> Any:  # noqa: N802  # the name of the RPC
        """Answer a data source with the account's facts."""
        answers = {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": "account_id"},
            "aws:index/getPartition:getPartition": {"partition": "partition"},
            "aws:index/getRegion:getRegion": {"id": "region"},
        }
        told = struct_pb2.Struct()
        told.update({name: self.facts[fact] for name, fact in answers[request.tok].items()})
        return provider_pb2.InvokeResponse(**{"return": told})

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        """Record a resource that is created or changed; it becomes what it was given."""
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs = MessageToDict(request.object)
        if request.custom:
            self.recorded.misfits += misfits(request.type, inputs)
        dependencies = sorted(_short(each) for each in request.dependencies)
        self.recorded.resources.append(
            Resource(request.type, request.name, inputs, _short(request.parent), dependencies)
        )
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=f"{request.type}::{request.name}.id", object=request.object
        )

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Record what a component tells about itself."""
        self.recorded.outputs[_short(request.urn)] = MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)


def _short(urn: str) -> str:
    """type::name of a URN."""
    return "::".join((urn.rsplit("$", 1)[-1]).split("::")[-2:])


def record(run: Callable[[], Any], facts: Mapping[str, str], *, preview: bool = False) -> Recorded:
    """Run a program, wait for all that it starts, and tell what it registered."""
    monitor = _Monitor(facts)
    pulumi.runtime.set_mocks(None, project=PROJECT, stack=STACK, monitor=monitor, preview=preview)

    def program() -> pulumi.Output[None]:
        run()
        stack = pulumi.runtime.get_root_resource()  # the mocks make one
        assert isinstance(stack, Stack)
        return pulumi.Output.from_input(stack.outputs).apply(monitor.recorded.exports.update)

    pulumi.runtime.test(program)()
    return monitor.recorded


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Record each configuration of a request by name; one that is refused tells why.

    {"component": name, "facts": {...}, "configurations": {name: arguments}}, or, for the program,
    {"facts": {...}, "configurations": {name: settings of the stack}}.
    """
    component = COMPONENTS[request["component"]] if "component" in request else None
    return {
        name: _answer(component, given, request["facts"])
        for name, given in request["configurations"].items()
    }


def _answer(
    component: type[ModuleComponent] | None, given: Mapping[str, Any], facts: Mapping[str, str]
) -> dict[str, Any]:
    def run() -> None:
        if component is None:
            pulumi.runtime.set_all_config(dict(given))
            runpy.run_path(str(PROGRAM), run_name="__main__")
        else:
            component("it", _with_outputs(given))

    try:
        return asdict(record(run, facts, preview=f'"{_UNKNOWN}"' in json.dumps(given)))
    except ValueError as error:
        return {"refused": str(_refusal(error))}


def _refusal(error: BaseException) -> ArgumentError:
    """What is behind Pulumi's own error when an argument is refused during the deployment."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ArgumentError):
            return cause
        cause = cause.__cause__
    raise error


def _with_outputs(given: Any) -> Any:
    if isinstance(given, dict):
        if list(given) == [_LATER]:
            return pulumi.Output.from_input(given[_LATER])
        if list(given) == [_UNKNOWN]:
            return pulumi.Output.from_input(pulumi.output.UNKNOWN)
        return {name: _with_outputs(value) for name, value in given.items()}
    return [_with_outputs(each) for each in given] if isinstance(given, list) else given


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
