"""What a program or a component would make: run under Pulumi's mock monitor, printed as JSON.

No engine, no plug-in, no account: `python -m tests.pulumi.recording < request.json` with the
tools' Python. Ids and ARNs show whose they are, as tests/pulumi/mocked.py has them for Terraform.
"""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pulumi
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import provider_pb2, resource_pb2
from pulumi.runtime.stack import Stack

from scripts.pulumi_platform.basics import ArgumentError, load
from tests.pulumi.names import computed, terraform_type
from tests.pulumi.shapes import misfits

PROJECT, STACK = "keyless-platform", "dev"
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "scripts" / "pulumi_platform" / "__main__.py"
_STATE = ("urn", "id")
# https://github.com/pulumi/pulumi/blob/master/sdk/python/lib/pulumi/runtime/rpc.py
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"


@dataclass(frozen=True)
class Resource:
    """One resource as Pulumi's engine would get it; `dependencies` are names of resources.

    `lines` are the file and the line that make it, and those that call that one.
    """

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    dependencies: list[str]
    ignored: list[str]
    protect: bool
    deleted_first: bool
    provider: str
    lines: list[str]


@dataclass
class Recorded:
    """What a run registered, told about its components, and exports.

    `misfits` are arguments that pulumi-aws does not declare so; the provider would refuse them.
    """

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)
    misfits: list[str] = field(default_factory=list)


class _Monitor(pulumi.runtime.mocks.MockMonitor):  # type: ignore[misc]
    """Answers as an engine does that makes everything at once, and keeps what it was asked.

    Pulumi's own answers run an event loop in each worker thread, and two of them at a time can wait
    for each other; these only translate.
    """

    def __init__(self, answers: Mapping[str, Any], *, preview: bool) -> None:
        super().__init__(None)
        self.answers = answers
        self.preview = preview
        self.recorded = Recorded()

    def Invoke(self, request: Any) -> Any:  # noqa: N802  # the name of the RPC
        """Answer a data source with the account's facts."""
        told = struct_pb2.Struct()
        told.update(self.answers[request.tok.split(":")[-1]])
        return provider_pb2.InvokeResponse(**{"return": told})

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        """Record a resource that is created or changed; it becomes what it was given."""
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs = _plain(MessageToDict(request.object))
        if request.custom and request.type.startswith("aws:") and not self.preview:
            self.recorded.misfits += misfits(request.type, inputs)
        self.recorded.resources.append(
            Resource(
                request.type,
                request.name,
                inputs,
                _short(request.parent),
                sorted(_short(each) for each in request.dependencies),
                list(request.ignoreChanges),
                request.protect,
                request.deleteBeforeReplace,
                _short(request.provider.rpartition("::")[0]) if request.provider else "",
                list(_lines(request)),
            )
        )
        told = struct_pb2.Struct()
        made: dict[str, Any] = {}
        if self.preview:
            made["id"] = ""
        elif request.type.startswith("aws:"):
            made = computed(terraform_type(request.type), request.name)
        told.update(
            inputs | _wire({name: each for name, each in made.items() if name not in _STATE})
        )
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=made.get("id", request.name), object=told
        )

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Record what a component tells about itself."""
        self.recorded.outputs[_short(request.urn)] = _plain(MessageToDict(request.outputs))
        return super().RegisterResourceOutputs(request)


def _plain(value: Any) -> Any:
    """Without the envelope of what Pulumi keeps encrypted in its state."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _plain(value["value"])
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _lines(request: Any) -> Iterator[str]:
    for frame in request.stackTrace.frames:
        path = Path(urlparse(frame.pc.uri).path)
        if path.is_relative_to(PROGRAM.parent):
            yield f"{path.relative_to(ROOT)}:{frame.pc.line}"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    # A block that occurs several times has a plural name.
    plural = "s" if name == "master_user_secret" else ""
    return first + "".join(part.title() for part in rest) + plural


def _wire(value: Any) -> Any:
    """What AWS tells, with names as on the wire."""
    if isinstance(value, dict):
        return {_camel(name): _wire(each) for name, each in value.items()}
    return [_wire(each) for each in value] if isinstance(value, list) else value


def _short(urn: str) -> str:
    """type::name of a URN."""
    return "::".join((urn.rsplit("$", 1)[-1]).split("::", 3)[-2:])


def record(
    run: Callable[[], Any], answers: Mapping[str, Any], *, preview: bool = False
) -> Recorded:
    """Run a program, wait for all that it starts, and tell what it registered.

    In a preview of what is not there yet, nothing is known that AWS would tell.
    """
    monitor = _Monitor(answers, preview=preview)
    pulumi.runtime.set_mocks(None, project=PROJECT, stack=STACK, monitor=monitor, preview=preview)

    def program() -> pulumi.Output[None]:
        stack = pulumi.runtime.get_root_resource()  # the mocks make one, for all runs
        assert isinstance(stack, Stack)
        stack.outputs.clear()
        run()
        return pulumi.Output.from_input(stack.outputs).apply(monitor.recorded.exports.update)

    pulumi.runtime.test(program)()
    return monitor.recorded


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Record each configuration of a request by name; one that is refused tells why.

    {name: {"component": "module:Class", "answers": {...}, "arguments": {...}}}, or, to run the
    program itself, {name: {"config": {...}, "answers": {...}}}; with "preview": true, its preview
    """
    return {name: _answer(given) for name, given in request.items()}


def _answer(given: Mapping[str, Any]) -> dict[str, Any]:
    def component() -> None:
        module, _, kind = given["component"].partition(":")
        package = importlib.import_module(module)
        arguments = load(getattr(package, f"{kind}Args"), given["arguments"])
        made = getattr(package, kind)(given.get("name", "it"), arguments)
        if hasattr(made, "exports"):
            for name, value in made.exports.items():
                pulumi.export(name, value)

    def program() -> None:
        settings = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in given["config"].items()
        }
        pulumi.runtime.set_all_config(settings)
        runpy.run_path(str(PROGRAM))

    run = program if "config" in given else component
    try:
        return asdict(record(run, given["answers"], preview=given.get("preview", False)))
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


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
