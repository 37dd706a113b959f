"""Parameters that nobody reads: neither moto, nor what is changed in moto, nor a rule.

The source is read, not run: a call that fails half way would have read half of its parameters.
From the method that answers an operation it goes on to every function of the service that one
calls by name, and takes down what they read: `get("Name")`, `given["Name"]`, `"Name" in given`.
What is only written into an answer does not count, and nor does what only a permission looks at.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import moto
from botocore.model import ListShape, MapShape, Shape, StructureShape
from moto.core.utils import camelcase_to_underscores

from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.wire.shapes import input_shape, is_modelled, service_model
from scripts.localcloud.rules.table import RULES
from tests import ROOT

_MOTO = Path(moto.__file__).parent
_OURS = ROOT / "scripts" / "localcloud"
_MODULES = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "tagging": "resourcegroupstaggingapi",
}
# Where an operation is answered by this project alone.
_ANSWERED = {
    ("ssm", "StartSession"): "ec2/sessions.py",
    ("ssm", "TerminateSession"): "ec2/sessions.py",
    ("ssm", "GetConnectionStatus"): "ec2/sessions.py",
}
# Methods of Python's own, which lead nowhere.
_PLAIN = frozenset(
    {"add", "append", "copy", "count", "endswith", "extend", "find", "format", "get", "index",
     "insert", "items", "join", "keys", "lower", "pop", "remove", "replace", "reverse",
     "setdefault", "sort", "split", "startswith", "strip", "update", "upper", "values"}
)  # fmt: skip
_READERS = re.compile(
    r"get|pop|getlist|find|findall|.*(param|header|value|from_|text|flag|required).*"
)
# What S3 reads before it knows the operation.
_S3_FIRST = [
    "setup_class", "key_response", "_key_response", "bucket_response", "_bucket_response",
    "get_safe_path", "_handle_range_header", "_response_options", "_invalid_headers", "_get_key",
]  # fmt: skip
Member = tuple[str, ...]


class Function(NamedTuple):
    """A function: what it reads of a request, and what it calls."""

    reads: frozenset[str]
    calls: frozenset[str]


Functions = Mapping[str, list[Function]]


@cache
def plain(name: str) -> str:
    """A name without case and marks: `KmsKeyId` is `kms_key_id`."""
    return re.sub("[^a-z0-9]", "", name.lower())


def _names(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield from (plain(part) for part in inner.value.split("."))
            yield plain(inner.value)


def _read(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[*given]):
            if _READERS.fullmatch(name):
                for one in given:
                    yield from _names(one)
        case ast.Subscript(slice=index, ctx=ast.Load()):
            yield from _names(index)
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()]):
            yield from _names(left)
        case ast.For(iter=many) | ast.comprehension(iter=many):
            yield from _names(many)


def _function(node: ast.AST, *, arguments: bool = False) -> Function:
    reads, calls = set[str](), set[str]()
    for inner in ast.walk(node):
        reads |= {*_read(inner)}
        match inner:
            case ast.Attribute(attr=name) | ast.Name(id=name):
                calls.add(name)
            case ast.arguments(args=first, kwonlyargs=more) if arguments:
                reads |= {plain(one.arg) for one in (*first, *more)}
    return Function(frozenset(reads), frozenset(calls - _PLAIN))


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def _defined(*files: Path, arguments: bool = False) -> Functions:
    """Every function by its name; a class stands for how it is made."""
    found = defaultdict(list)
    for file in files:
        for node in ast.walk(_tree(file)):
            inner = node.body if isinstance(node, ast.ClassDef) else [node]
            for one in inner:
                if isinstance(one, ast.FunctionDef):
                    name = getattr(node, "name", "") if one.name == "__init__" else one.name
                    if not isinstance(node, ast.ClassDef) or one.name == "__init__":
                        takes = arguments and "responses" not in file.name
                        found[name].append(_function(one, arguments=takes))
    return found


@cache
def _changes() -> Mapping[str, list[tuple[str, Function]]]:
    """Name of what is put in place of moto's -> the module of moto's class, and the function."""
    found = defaultdict(list)
    for file in sorted((_OURS / "emulator").rglob("*.py")):
        tree = _tree(file)
        classes = {
            name.name: (node.module or "").split(".")[1]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("moto.")
            for name in node.names
        }
        for outer in (one for one in tree.body if isinstance(one, ast.FunctionDef)):
            found[outer.name].append(("", _function(outer)))
            for node in ast.walk(outer):
                match node:
                    case ast.Call(args=[*_, ast.Name(id=owner), ast.Constant(value=name), _]) | (
                        ast.Tuple(elts=[ast.Name(id=owner), ast.Constant(value=name), _])
                    ) if owner in classes:
                        method = owner if name == "__init__" else name
                        change = _function(outer, arguments=classes[owner] == "rds")
                        found[str(method)].append((classes[owner], change))
    return found


@cache
def _functions(module: str) -> Functions:
    """The functions of a service of moto's, with what is changed in it."""
    files = sorted((_MOTO / module).rglob("*.py"))
    found = dict(_defined(*files, arguments=module == "rds"))
    for name, changes in _changes().items():
        own = [change for of, change in changes if of in {"", module}]
        found[name] = [*found.get(name, ()), *own]
    return found


def _reached(functions: Functions, starts: Iterable[str]) -> Iterator[str]:
    left, seen = {*starts}, set[str]()
    while left:
        seen.add(name := left.pop())
        for one in functions.get(name, ()):
            yield from one.reads
            left |= one.calls - seen


def _read_by_rules(service: str, operation: str) -> Iterator[str]:
    for rule in RULES:
        if rule.service == service and {operation, "*"} & {*rule.operations.split()} and rule.check:
            file = ROOT / f"{rule.check.__module__.replace('.', '/')}.py"
            yield from _reached(_defined(file), [rule.check.__name__])


@cache
def read_by_us(service: str, operation: str) -> frozenset[str]:
    """The names that this project's own answer, or a rule, reads."""
    answered = [_OURS / file for file in (_ANSWERED.get((service, operation)),) if file]
    if service == "sts":
        answered = sorted((_OURS / "sts").glob("*.py"))
    functions = _defined(*answered)
    return frozenset(_read_by_rules(service, operation)) | {*_reached(functions, functions)}


@cache
def read_by_moto(service: str, operation: str) -> frozenset[str]:
    """The names that moto, as it is changed here, reads for an operation."""
    if service == "sts" or (service, operation) in _ANSWERED:
        return frozenset()
    functions = _functions(_MODULES.get(service, service))
    found = {*_reached(functions, _starts(service, operation))}
    if service == "s3":
        for name in _S3_FIRST:
            found |= {read for one in functions[name] for read in one.reads}
    return frozenset(found)


def _starts(service: str, operation: str) -> list[str]:
    method = camelcase_to_underscores(operation)
    if service != "s3":
        return [method]
    own = _defined(_MOTO / "s3" / "responses.py")
    asked = service_model("s3").operation_model(operation).http
    kind = "key" if "{Key" in asked["requestUri"] else "bucket"
    return [method if method in own else f"_{kind}_response_{asked['method'].lower()}"]


def members(shape: Shape | None, seen: tuple[str, ...] = ()) -> Iterator[tuple[Member, Shape]]:
    """Every parameter of an operation's input, with the way to it."""
    match shape:
        case StructureShape() if shape.name not in seen:
            for name, inner in shape.members.items():
                yield (name,), inner
                for way, one in members(inner, (*seen, shape.name)):
                    yield (name, *way), one
        case ListShape():
            yield from members(shape.member, seen)
        case MapShape():
            yield from members(shape.value, seen)


@cache
def _answering(module: str) -> frozenset[str]:
    """The methods of moto that answer operations, and those that are put in place of some."""
    files = [one for one in (_MOTO / module).rglob("*.py") if "responses" in str(one)]
    changed = {name for name, changes in _changes().items() if module in dict(changes)}
    return frozenset(_defined(*files)) | changed


def _is_answered(service: str, operation: str) -> bool:
    if service == "sts":
        return plain(operation) in {*_names(_tree(_OURS / "sts" / "sts.py"))}
    starts, module = {*_starts(service, operation)}, _MODULES.get(service, service)
    return (service, operation) in _ANSWERED or bool(starts & _answering(module))


def operations() -> Iterator[tuple[str, str]]:
    """The operations that are mapped, that AWS's model has, and that somebody here answers."""
    for service, known in SERVICES.items():
        for operation in known.table if known.model else ():
            if is_modelled(known.model, operation) and _is_answered(service, operation):
                yield service, operation


def is_read(way: Member, shape: Shape, names: frozenset[str]) -> bool:
    """Whether one of the names of a parameter is among those that are read."""
    told = shape.serialization
    if told.get("location") == "uri":
        return True
    return any(plain(name) in names for name in (way[-1], told.get("name"), told.get("queryName"))
               if name)  # fmt: skip


def unread(service: str, operation: str) -> Iterator[str]:
    """The parameters that nobody reads; of what is left out whole, the outermost.

    `Parent.*` is all that is in a parameter that is read as a whole, and kept so.
    """
    names = read_by_moto(service, operation) | read_by_us(service, operation)
    found = [*members(input_shape(SERVICES[service].model, operation))]
    reads = {way: is_read(way, shape, names) for way, shape in found}
    out: set[Member] = set()
    for way, read in reads.items():
        if read or any(way[:end] in out for end in range(1, len(way))):
            continue
        parent = way[:-1]
        whole = parent and not any(one for other, one in reads.items() if other[:-1] == parent)
        out.add(parent if whole else way)
        yield ".".join((*parent, "*") if whole else way)
