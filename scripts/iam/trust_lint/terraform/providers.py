"""Which audiences a Terraform module, and those that it calls, let OIDC providers list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.iam.trust_lint.reading.literals import TooTangled, begin
from scripts.iam.trust_lint.reading.names import client_ids
from scripts.iam.trust_lint.terraform.module import PROVIDER, Module, Names, Source
from scripts.iam.trust_lint.terraform.syntax import Expression
from scripts.iam.trust_lint.terraform.values import Invalid, plain

_MOST_DEPTH = 4


def audiences(read: Source) -> dict[str, tuple[str, ...]]:
    """The audiences by the provider's address, where they are known."""
    begin()
    try:
        return client_ids(_providers(Module(read), 0))
    except (TooTangled, RecursionError):
        return {}


def _providers(module: Module, depth: int) -> Iterator[tuple[Any, Any]]:
    """Each provider's address and list; of each module that is called those within it."""
    for block in module.source.blocks:
        is_provider = block.kind == "resource" and block.labels[:1] == (PROVIDER,)
        if not is_provider and (block.kind != "module" or depth == _MOST_DEPTH):
            continue
        try:
            instances = module.instances(block)
        except Invalid:
            continue
        for _, scope in instances:
            child = None if is_provider else module.child(block, scope)
            if child is not None:
                yield from _providers(child, depth + 1)
            elif is_provider:
                known = block.body.attributes
                yield _value(known.get("url"), scope), _value(known.get("client_id_list"), scope)


def _value(written: Expression | None, scope: Names) -> Any:
    try:
        return plain(written.value(scope)) if written else None
    except Invalid:
        return None
