"""Which audiences a Terraform module, and those that it calls, let OIDC providers list."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from scripts.iam.trust_lint.reading.literals import TooTangled, begin
from scripts.iam.trust_lint.reading.names import client_ids
from scripts.iam.trust_lint.terraform.module import PROVIDER, Module, Names, Source
from scripts.iam.trust_lint.terraform.syntax import Block, Expression
from scripts.iam.trust_lint.terraform.values import Invalid, is_open, plain

_MOST_DEPTH = 4
# What decides whether a provider is made, and may be another in the next environment.
_HANGS_ON = ("way", "default")


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
                listed = (
                    _value(known.get("client_id_list"), scope) if _is_made(block, module) else None
                )
                yield _value(known.get("url"), scope), listed


def _is_made(block: Block, module: Module) -> bool:
    """Whether a provider is made here for sure: in place of one of others' nothing is known."""
    repeated = [block.body.attributes.get(name) for name in ("count", "for_each")]
    for written in (one for one in repeated if one is not None):
        value, asked = module.run.traced(partial(_value, written, module.scope))
        if value is None or is_open(value) or any(kind in _HANGS_ON for kind, _, _ in asked):
            return False
    return True


def _value(written: Expression | None, scope: Names) -> Any:
    try:
        return plain(written.value(scope)) if written else None
    except Invalid:
        return None
