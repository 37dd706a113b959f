"""A Terraform module: what its variables, locals, resources and data sources stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from scripts.iam.trust_lint.reading.literals import TooTangled, Unreadable, apart
from scripts.iam.trust_lint.reading.names import ACCOUNT, provider_arn
from scripts.iam.trust_lint.terraform.callers import Chain
from scripts.iam.trust_lint.terraform.operations import Scope, Value, truth
from scripts.iam.trust_lint.terraform.run import Run
from scripts.iam.trust_lint.terraform.statements import document
from scripts.iam.trust_lint.terraform.syntax import Block, Body, Expression, body, template
from scripts.iam.trust_lint.terraform.values import (
    Invalid,
    Json,
    NotGiven,
    Several,
    Unknown,
    conform,
    is_open,
    plain,
)

PROVIDER = "aws_iam_openid_connect_provider"
DOCUMENT = "aws_iam_policy_document"
MOST_CHARACTERS = 500_000
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html, the commercial partition
_ALWAYS = {
    ("aws_partition", "partition"): "aws",
    ("aws_partition", "id"): "aws",
    ("aws_partition", "dns_suffix"): "amazonaws.com",
    ("aws_caller_identity", "account_id"): ACCOUNT,
    ("aws_caller_identity", "id"): ACCOUNT,
}


@dataclass
class Source:
    """The blocks of a module's files, and the folder in which they are."""

    blocks: list[Block]
    folder: Path | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def home(self) -> Path | None:
        """The folder by its one name, whichever way the files came to it."""
        return self.folder.resolve() if self.folder else None

    def of(self, kind: str, *labels: str) -> Iterator[Block]:
        """The blocks of a kind whose labels begin so."""
        for one in self.blocks:
            if one.kind == kind and one.labels[: len(labels)] == labels:
                yield one


def source(text: str, file: Path | None) -> Source:
    """A file and the others of its folder. Raises Unreadable or TooTangled for the file itself."""
    found = Source([*read_once(text).blocks], file.parent if file else None)
    if file:
        for other in _files(file.parent):
            found.blocks += [] if other == file else _blocks(other)
        found.given = _values(file.parent)
    return found


@lru_cache(maxsize=1024)
def read_once(text: str) -> Body:
    """The blocks of a file, read once for all that look at it. Raises Unreadable or TooTangled."""
    with apart():
        return body(text)


def folder(path: Path) -> Source | None:
    """The module of a folder, None if there is none."""
    blocks = [one for file in _files(path) for one in _blocks(file)]
    return Source(blocks, path) if blocks else None


def _files(path: Path) -> list[Path]:
    return sorted([*path.glob("*.tf"), *path.glob("*.tofu")])


def _blocks(file: Path) -> list[Block]:
    read = _read(file)
    return read.blocks if read else []


def _read(file: Path) -> Body | None:
    try:
        text = file.read_text()
        return read_once(text) if len(text) <= MOST_CHARACTERS else None
    except (OSError, UnicodeDecodeError, Unreadable, TooTangled, RecursionError):
        return None


def _values(path: Path) -> dict[str, Any]:
    """The values of variables, in the order in which Terraform takes them.

    https://developer.hashicorp.com/terraform/language/values/variables
    """
    found: dict[str, Any] = {}
    for file in (path / "terraform.tfvars", *sorted(path.glob("*.auto.tfvars"))):
        read = _read(file) if file.is_file() else None
        for name, expression in read.attributes.items() if read else ():
            try:
                found[name] = expression.value(Names({}))
            except Invalid:
                continue
    return found


class Names:
    """A scope of names with values, and behind them a module's."""

    def __init__(self, own: Mapping[str, Any], module: Module | None = None) -> None:
        self._own, self.module = own, module

    def name(self, name: str) -> Any:
        """What a name stands for."""
        if name in self._own:
            return self._own[name]
        return self.module.root(name) if self.module else Unknown(name)

    def with_names(self, names: Mapping[str, Any]) -> Names:
        """The same with further names."""
        return Names({**self._own, **names}, self.module)

    def decided(self, asked: str) -> bool | None:
        """What is taken for a condition that is not known."""
        return self.module.run.way(asked) if self.module else None

    def unasked(self, value: Value) -> Any:
        """A value here in which no further condition is taken to go either way."""
        return self.module.run.unasked(lambda: value(self)) if self.module else value(self)

    def told(self, line: str) -> None:
        """Keep what is to be said of a value."""
        if self.module:
            self.module.run.ask("told", line)


class Module:
    """Gives a module's names their values."""

    def __init__(
        self,
        source: Source,
        run: Run | None = None,
        inputs: Mapping[str, Expression] | None = None,
        calls: Chain = (),
    ) -> None:
        self.source, self.run = source, run or Run()
        self.is_root = inputs is None
        self._inputs = inputs or {}
        self._calls = calls  # those that lead here from the root
        self._types: dict[str, Any] = {}
        self.scope = Names({}, self)

    def root(self, name: str) -> Any:
        """What a name stands for that begins an expression."""
        if name == "var":
            return _Members(self._variable)
        if name == "local":
            return _Members(self._local)
        if name == "data":
            return _Members(
                lambda kind: _Members(lambda label: self._resource("data", kind, label))
            )
        if name == "module":
            return _Members(self._call)
        if name == "path":
            return _Members(self._path)
        if name == "templatefile":
            return self._templatefile
        if name == "file":
            return self._file
        if "_" in name and any(self.source.of("resource", name)):
            return _Members(lambda label: self._resource("resource", name, label))
        return Unknown(name)

    def _path(self, name: str) -> Any:
        if name == "module" or (name == "root" and self.is_root):
            return "."
        root = self._calls[0][0] if self._calls else None
        return str(root) if name == "root" and root else Unknown(f"path.{name}")

    def chain(self, block: Block) -> Chain:
        """The calls that lead to a block, and the block."""
        return (*self._calls, (self.source.home, block.text))

    def _variable(self, name: str) -> Any:
        return self._once(f"var.{name}", lambda: self._taken(name))

    def _type(self, name: str, block: Block | None) -> Any:
        if name not in self._types:
            self._types[name] = _type(block)
        return self._types[name]

    def _taken(self, name: str) -> Any:
        """The value of a variable: what is given, or else its default."""
        block = next(self.source.of("variable", name), None)
        if self.is_root and self.run.ask("without", name):
            return Unknown(f"var.{name}")
        values = self.source.given if self.is_root else self._inputs
        if name in values:
            given = values[name].value(self.scope) if name in self._inputs else values[name]
            if given is not None or _is_nullable(block):
                return conform(given, self._type(name, block))
        default = block.body.attributes.get("default") if block else None
        if default is None:
            return Unknown(f"var.{name}")
        value = default.value(Names({}))
        if not self.is_root:
            return conform(value, self._type(name, block))
        if not value and self.run.ask("empty", repr(value)):
            return Unknown(f"var.{name}")
        self.run.ask("default", name)
        if value == "":
            return NotGiven(f"var.{name}")
        value = conform(value, self._type(name, block))
        filled = _without_nulls(value, f"var.{name}")
        return filled if filled != value and self.run.ask("empty", "None") else value

    def _local(self, name: str) -> Any:
        for block in self.source.of("locals"):
            if written := block.body.attributes.get(name):
                return self._once(f"local.{name}", lambda: written.value(self.scope))
        return Unknown(f"local.{name}")

    def _once(self, name: str, value: Callable[[], Any]) -> Any:
        return self.run.once((self, name), value, Unknown(name))

    def _resource(self, mode: str, kind: str, label: str) -> Any:
        block = next(self.source.of(mode, kind, label), None)
        where = f"{'data.' if mode == 'data' else ''}{kind}.{label}"
        if block is None:
            return Unknown(where)
        return Resource(self, block, where)

    def _call(self, name: str) -> Any:
        child = self._called(name)
        if child is None:
            return Unknown(f"module.{name}")

        def output(wanted: str) -> Any:
            found = next(child.source.of("output", wanted), None)
            value = found.body.attributes.get("value") if found else None
            made = value and child._once(f"output.{wanted}", lambda: value.value(child.scope))
            return made if made is not None else Unknown(f"module.{name}.{wanted}")

        return _Members(output)

    def _called(self, name: str) -> Module | None:
        """The module of a call that is not repeated."""
        block = next(self.source.of("module", name), None)
        return None if block is None or _repeated(block) else self.child(block, self.scope)

    def child(self, block: Block, scope: Names) -> Module | None:
        """The module that a block calls, with its inputs; None if its files are not here."""
        name = (self, "module", id(block), scope)
        made: Module | None = self.run.once(name, lambda: self._child(block, scope))
        return made

    def _child(self, block: Block, scope: Names) -> Module | None:
        written = block.body.attributes.get("source")
        path = written.value(self.scope) if written else None
        if not isinstance(path, str) or not path.startswith(".") or self.source.folder is None:
            return None
        place = self.source.folder / path
        if place not in self.run.folders:
            self.run.folders[place] = folder(place)
        found = self.run.folders[place]
        if found is None:
            return None
        # Two modules may take each other's outputs, so an input is evaluated where it is asked for.
        inputs = {
            name: _within(one, scope)
            for name, one in block.body.attributes.items()
            if name not in ("source", "version", "count", "for_each", "providers", "depends_on")
        }
        return Module(found, self.run, inputs, self.chain(block))

    def document(self, block: Block, scope: Names) -> dict[str, Any]:
        """What an aws_iam_policy_document makes. Raises Invalid."""
        name = (self, "document", id(block), scope)
        made: dict[str, Any] = self.run.once(name, lambda: document(block, scope), {})
        return made

    def _templatefile(self, path: Any, names: Any) -> Any:
        text = self._text(path)
        if text is not None and isinstance(names, dict):
            with suppress(Unreadable):
                return self._made(path, template(text)(Names(names)))
        return Unknown(f"templatefile({plain(path)!r})")

    def _file(self, path: Any) -> Any:
        text = self._text(path)
        return Unknown(f"file({plain(path)!r})") if text is None else self._made(path, text)

    def _text(self, path: Any) -> str | None:
        if isinstance(path, str) and self.source.folder:
            with suppress(OSError, ValueError):
                return (self.source.folder / path).read_text()
        return None

    def _made(self, path: str, value: Any) -> Any:
        if isinstance(value, str) and self.source.folder:
            place = (self.source.folder / path).resolve()
            self.run.callers.texts.setdefault(place, set()).add(value)
        return value

    def instances(self, block: Block, scope: Names | None = None) -> list[tuple[str, Names]]:
        """The scopes of a block's instances, and what stands behind its name for each.

        An instance that is not sure to be there is taken for one that is.
        """
        scope = scope or self.scope
        name = (self, "instances", id(block), scope)
        found: list[tuple[str, Names]] = self.run.once(
            name, lambda: self.run.unasked(lambda: self._instances(block, scope)), [("", scope)]
        )
        return found

    def _instances(self, block: Block, scope: Names) -> list[tuple[str, Names]]:
        if "count" in block.body.attributes:
            return self._counted(block.body.attributes["count"], scope)
        each = block.body.attributes.get("for_each")
        if each is None:
            return [("", scope)]
        found = []
        over = each.value(scope)
        for key, value in _each(over.keyed() if isinstance(over, Resource) else over):
            one = _Members({"key": key, "value": value}.__getitem__)
            place = "" if isinstance(key, Unknown) else f'["{plain(key)}"]'
            found.append((place, scope.with_names({"each": one})))
        return found

    def _counted(self, count: Expression, scope: Names) -> list[tuple[str, Names]]:
        number = count.value(scope)
        if isinstance(number, bool) or not isinstance(number, int | str | Unknown):
            number = int(truth(number))
        if isinstance(number, Unknown):
            index = _Members(lambda _: Unknown("count.index"))
            return [("", scope.with_names({"count": index}))]
        return [
            (f"[{place}]" if int(number) > 1 else "", scope.with_names({"count": _index(place)}))
            for place in range(min(int(number), 50))
        ]


def _is_nullable(block: Block | None) -> bool:
    written = block.body.attributes.get("nullable") if block else None
    return written is None or written.text != "false"


def _without_nulls(value: Any, name: str) -> Any:
    if value is None:
        return Unknown(name)
    if isinstance(value, list):
        return [_without_nulls(one, name) for one in value]
    if isinstance(value, dict):
        return {key: _without_nulls(one, f"{name}.{key}") for key, one in value.items()}
    return value


def _within(written: Expression, scope: Names) -> Expression:
    """An expression in the scope of a caller; unknown where Terraform refuses it."""

    def value(_: Scope) -> Any:
        try:
            return written.value(scope)
        except Invalid:
            return Unknown(written.text)

    return Expression(written.text, value)


def _type(block: Block | None) -> Any:
    written = block.body.attributes.get("type") if block else None
    return written.value(Names({})) if written else None


def _index(place: int) -> _Members:
    return _Members(lambda _: place)


def _repeated(block: Block) -> bool:
    return bool({"count", "for_each"} & set(block.body.attributes))


def _each(over: Any) -> list[tuple[Any, Any]]:
    if isinstance(over, Unknown):
        return [(Unknown("each.key"), Unknown(f"{over.text}[each.key]"))]
    if isinstance(over, dict):
        return list(over.items())
    if isinstance(over, list):
        return [(one, one) for one in over]
    raise Invalid("for_each of no collection")


class _Members:
    """What stands before a dot, and gives a value for each name behind it."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def attribute(self, name: str) -> Any:
        """The member of that name."""
        return self._of(name)

    def at(self, key: Any) -> Any:
        """The member of that name, in brackets."""
        return self._of(plain(key))

    def __str__(self) -> str:
        return "${...}"


class Resource:
    """A resource or data source, or one of its instances."""

    def __init__(
        self, module: Module, block: Block, where: str, scope: Names | None = None
    ) -> None:
        self._module, self.block, self._where, self._scope = module, block, where, scope

    def each(self) -> Any:
        """All of its instances."""
        made = [self._of(scope) for _, scope in self._module.instances(self.block)]
        return Several(made) if self._is_open() else made

    def keyed(self) -> Any:
        """Its instances by their keys, as `for_each` over another resource takes them."""
        if self._is_open() or "for_each" not in self.block.body.attributes:
            return Unknown(self._where)
        scopes = (scope for _, scope in self._module.instances(self.block))
        return {one.name("each").attribute("key"): self._of(one) for one in scopes}

    def _is_open(self) -> bool:
        known = self.block.body.attributes
        number = known.get("count") or known.get("for_each")
        if number is None:
            return False
        return is_open(self._module.run.unasked(lambda: number.value(self._module.scope)))

    def _of(self, scope: Names) -> Resource:
        return Resource(self._module, self.block, self._where, scope)

    def at(self, key: Any) -> Any:
        """Its instance with that key. Raises Invalid where there is none."""
        instances = self._module.instances(self.block)
        if isinstance(key, Unknown) or self._is_open():
            if not instances:
                raise Invalid(f"no {self._where}")
            return self._of(instances[0][1])
        if isinstance(key, int):
            if key >= len(instances):
                raise Invalid(f"no {self._where}[{key}]")
            return self._of(instances[key][1])
        for place, scope in instances:
            if place == f'["{plain(key)}"]':
                return self._of(scope)
        raise Invalid(f"no {self._where}[{key}]")

    def attribute(self, name: str) -> Any:
        """What an attribute is, as far as it is known before apply."""
        kind = self.block.labels[0]
        if (kind, name) in _ALWAYS:
            return _ALWAYS[kind, name]
        text = f"{self._where}.{name}"
        if kind == DOCUMENT and name in ("json", "minified_json"):
            return Json(self._module.document(self.block, self._here()))
        if (kind, name) == ("template_file", "rendered"):
            return self._rendered(text)
        if kind == PROVIDER and name in ("arn", "id", "url"):
            return self._provider(name, text)
        if (kind, name) == ("aws_eks_cluster", "identity"):
            # https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
            host = f"oidc.eks.region-code.amazonaws.com/id/${{{self._where}}}"
            return [{"oidc": [{"issuer": f"https://{host}"}]}]
        written = self.block.body.attributes.get(name)
        if written is None or name in ("id", "arn"):
            return Unknown(text)
        own = (self._module, text, self._scope)
        return self._module.run.once(own, lambda: written.value(self._here()), Unknown(text))

    def _here(self) -> Names:
        if self._scope is None:
            instances = self._module.instances(self.block)
            if not instances:
                raise Invalid(f"no {self._where}")
            return instances[0][1]
        return self._scope

    def _rendered(self, text: str) -> Any:
        """https://registry.terraform.io/providers/hashicorp/template/latest/docs/data-sources/file"""
        known, here = self.block.body.attributes, self._here()
        written = known["template"].value(here) if "template" in known else None
        names = known["vars"].value(here) if "vars" in known else {}
        if isinstance(written, str) and isinstance(names, dict):
            with suppress(Unreadable):
                return template(written)(Names(names))
        return Unknown(text)

    def _provider(self, name: str, text: str) -> Any:
        written = self.block.body.attributes.get("url") or self.block.body.attributes.get("arn")
        if written is None:
            return Unknown(text)
        url = written.value(self._here())
        if not isinstance(url, str | Unknown) or url == "":
            return Unknown(text)
        host = str(url).rpartition(":oidc-provider/")[2].removeprefix("https://").rstrip("/")
        # IAM gives the address back without its scheme.
        # https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetOpenIDConnectProvider.html
        return host if name == "url" else provider_arn(host)

    def __str__(self) -> str:
        return f"${{{self._where}}}"
