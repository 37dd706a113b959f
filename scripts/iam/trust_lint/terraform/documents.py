"""The trust policies that a Terraform module makes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from scripts.iam.trust_lint.reading.literals import TooTangled, Unreadable, begin
from scripts.iam.trust_lint.reading.policies import (
    Found,
    alike_once,
    beside,
    lets_in,
    policy_of,
    web_identity,
)
from scripts.iam.trust_lint.terraform.callers import Callers, Chain
from scripts.iam.trust_lint.terraform.module import DOCUMENT, Module, Names, read_once, source
from scripts.iam.trust_lint.terraform.providers import audiences
from scripts.iam.trust_lint.terraform.rights import allowed
from scripts.iam.trust_lint.terraform.run import Asked, Run
from scripts.iam.trust_lint.terraform.statements import REFUSES, json_of
from scripts.iam.trust_lint.terraform.syntax import Block, Body, Expression
from scripts.iam.trust_lint.terraform.values import (
    Invalid,
    Json,
    Unknown,
    is_open,
    plain,
    source_of,
)

# Which defaults are taken for no value where those that are left say nothing of a subject.
_NO_VALUES = (
    (),
    ("None",),
    ("[]", "{}"),
    ("[]", "{}", "False"),
    ("None", "[]", "{}"),
    ("None", "[]", "{}", "''"),
    ("None", "[]", "{}", "''", "False"),
)
_MOST_DEPTH = 4
_NO_VALUE = re.compile(r"\[\]|[\[ ]None[\],}]|\$\{null\}")
_VOUCHED = re.compile(r"'[\w.-]+\.\w+[^'\s]*:(?:sub|job_workflow_ref|repository\w*)'")  # a host
_TERRAFORM = re.compile(r"^[ \t]*(?:resource|data|module|locals|variable)\b[^\n=]*\{", re.MULTILINE)


def trust_policies(
    text: str, file: Path | None, callers: Callers | None = None
) -> list[Found] | None:
    """The trust policies of a Terraform file; None if it is none or cannot be read.

    A block that was judged through `callers` of the file's module is left out.
    """
    if not _TERRAFORM.search(text):
        return None
    try:
        read = source(text, file)
        own = {one.text for one in source(text, None).blocks}
    except Unreadable:
        return None
    begin()
    run = Run(callers)
    module = Module(read, run)
    best: dict[str, list[Found]] = {}
    blocks = sorted(read.blocks, key=lambda one: one.kind != "data")
    blocks = [one for one in blocks if one.text in own]
    for run.empty in _NO_VALUES:
        for block in [*blocks]:
            variants, asked = run.traced(partial(_variants, block, module))
            for place, found in variants.items():
                if _better(found, best.get(place)):
                    best[place] = found
            if all(kind != "empty" for kind, _, _ in asked):
                blocks.remove(block)  # the same whichever defaults stand for no value
        if best and all(_told(found) == 2 and len(found) == 1 for found in best.values()):
            break
    if run.left_out and file:
        run.callers.left_out.add(file)
    found = _once([one for listed in best.values() for one in listed])
    if not any(web_identity(one.policy) for one in found):
        return found
    client_ids, rights = audiences(read), allowed(read)
    return [
        replace(one, client_ids=client_ids, allowed=rights.get(one.place.partition("[")[0], ()))
        for one in found
    ]


_GITHUBS = re.compile(
    r"token\.actions|\brepo:|(?:source|enable)\w*\s*=.*(?:github.*oidc|oidc.*github)|github_oidc\w*\s*=",
    re.IGNORECASE,
)


# Whether a Terragrunt file is for GitHub, and what says nothing of that.
_FOR_GITHUB = re.compile(r"oidc|github|\brepo:", re.IGNORECASE)
_ADDRESS = re.compile(r"github\.com[:/][\w.-]+/[\w.-]+|^[ \t]*#.*", re.MULTILINE)


def made_elsewhere(
    text: str, file: Path | None = None, callers: Callers | None = None
) -> list[str]:
    """What makes trust policies and is not here: modules for GitHub, and roles' whole policies."""
    if file and file.name == "terragrunt.hcl":
        return _terragrunt(text, file.parent)
    if not _TERRAFORM.search(text):
        return []
    try:
        blocks = read_once(text).blocks
        roles = [one for one in blocks if one.labels[:1] == ("aws_iam_role",)]
        module = Module(source(text, file if roles else None))
    except (Unreadable, TooTangled):
        return []
    found = []
    for one in blocks:
        written = one.body.attributes.get("source")
        if one.kind == "module" and written and _GITHUBS.search(one.text):
            origin = written.text.strip('"')
            if not origin.startswith("."):
                given = _given(one.body.attributes, module)
                found.append(
                    f"module.{'.'.join(one.labels)}: which roles {origin} makes of these inputs is "
                    f"written there and not here{given}; give the plan"
                )
    if callers:
        roles = [one for one in roles if not callers.judge(module.chain(one))]
    return found + [line for one in roles for line in _not_here(one, module)]


# The arguments of a module that may say who gets in.
_SAYS = re.compile(
    r"subject|repo|branch|environment|audience|client_id|condition|organi[sz]ation|\borg|_org\b"
    r"|owner|\brefs?\b|_refs?\b|\btags?_|workflow|wildcard|github",
    re.IGNORECASE,
)
_MOST_SHOWN = 300


def _given(arguments: Mapping[str, Expression], module: Module) -> str:
    """What a module is given that may say who gets in, "" if nothing is."""
    told = []
    for name, written in arguments.items():
        if name not in ("source", "version") and _SAYS.search(name):
            try:
                shown = source_of(written.value(module.scope))
            except (Invalid, TooTangled, RecursionError):
                shown = written.text
            told.append((name, shown))
    return _shown(told)


def _inputs(text: str) -> str:
    """The same of Terragrunt's `inputs`."""
    written = read_once(text).attributes.get("inputs")
    try:
        value = written.value(Module(source(text, None)).scope) if written else {}
    except (Invalid, TooTangled, RecursionError):
        return ""
    given = value.items() if isinstance(value, dict) else ()
    return _shown([(str(name), source_of(one)) for name, one in given if _SAYS.search(str(name))])


def _shown(given: list[tuple[str, str]]) -> str:
    told = [
        f"{name} = {value if len(value) <= _MOST_SHOWN else '(too long to show)'}"
        for name, value in given
    ]
    return f"; it is given {', '.join(told)}" if told else ""


def _terragrunt(text: str, home: Path) -> list[str]:
    """The modules whose inputs a Terragrunt file gives, where it speaks of GitHub."""
    if not _FOR_GITHUB.search(_ADDRESS.sub("", text)):
        return []
    with suppress(Unreadable, TooTangled):
        return [
            f"which roles {origin} makes of Terragrunt's inputs is written there and not here"
            f"{_inputs(text)}; give what `terragrunt show -json PLAN` prints"
            for one in read_once(text).blocks
            if one.kind == "terraform" and (written := one.body.attributes.get("source"))
            for origin in [written.text.strip('"')]
            if not origin.startswith(".") or _makes_roles(home / origin)
        ]
    return []


def _makes_roles(module: Path) -> bool:
    """Whether a module may make a role, or is not here to be asked."""
    with suppress(OSError, UnicodeDecodeError):
        files = [one.read_text() for one in (*module.glob("*.tf"), *module.glob("*.tofu"))]
        return not files or any(re.search(r"assume_role|\bmodule ", one) for one in files)
    return True


def _not_here(role: Block, module: Module) -> list[str]:
    """That the trust policy of a role comes as a whole from what is not known."""
    written = role.body.attributes.get("assume_role_policy")
    if role.kind != "resource" or written is None:
        return []
    begin()
    try:
        values = [written.value(scope) for _, scope in module.instances(role)]
    except Invalid:
        return []  # Terraform refuses it
    except (TooTangled, RecursionError):
        values = [Unknown(written.text)]
    for value in values:
        is_text = isinstance(value, str) and is_open(value)
        if (isinstance(value, Unknown) or is_text) and not [*policies_within(value)]:
            return [
                f"{'.'.join(role.labels)}: its trust policy is {written.text}, which is not known "
                "here; give the plan"
            ]
    return []


def _once(found: list[Found]) -> list[Found]:
    """All of them but a role's policy that is a document's here."""
    documents = [one.policy for one in found if "data." in one.place]
    kept: list[Found] = []
    for one in found:
        again = any(other.policy == one.policy and other.place == one.place for other in kept)
        if not again and ("data." in one.place or one.policy not in documents):
            kept.append(one)
    return kept


def _better(found: list[Found], before: list[Found] | None) -> bool:
    """Whether these say more of who gets in than what other defaults gave."""
    return before is None or (_told(found), -len(found)) > (_told(before), -len(before))


def _told(found: list[Found]) -> int:
    """How much is known in the way of which most is: 2 if whose jobs get in and by whom they are
    vouched for, 1 if whose jobs alone, 0 if nothing or what Terraform would refuse."""
    return max((_told_by(one) for one in found), default=0)


def _told_by(one: Found) -> int:
    statements = web_identity(one.policy)
    if not statements or any(REFUSES in line for line in one.taken):
        return 0
    if not all(_compares_job(statement) for statement in statements):
        return 0
    return 2 if all(_VOUCHED.search(str(statement))
                    for statement in statements) else 1  # fmt: skip


def _compares_job(statement: dict[str, Any]) -> bool:
    condition = str(statement.get("Condition", ""))
    return (
        re.search(r":(?:sub|job_workflow_ref|repository\w*)'", condition) is not None
        and not _NO_VALUE.search(condition)
        and statement.get("Principal") != {"Federated": []}
    )


def _variants(block: Block, module: Module) -> dict[str, list[Found]]:
    """The policies of a block by their places, with the defaults that count for them."""
    run = module.run
    read, asked = run.traced(lambda: _each_way(block, module))
    otherwise = {}
    for name in (about for kind, about, _ in asked if kind == "default"):
        run.without = frozenset([name])
        otherwise[f"var.{name}"] = _each_way(block, module)
    run.without = frozenset()
    found = {}
    for place, listed in read.items():
        same = [lets_in(policy) for policy, _ in listed]
        counts = tuple(
            name
            for name, others in otherwise.items()
            if any(lets_in(policy) not in same for policy, _ in others.get(place, []))
        )
        found[place] = alike_once([Found(place, policy, counts, taken) for policy, taken in listed])
    return found


# Where a policy stands in a root, its block, the policy in Terraform's or in IAM's words, and the
# questions that it hangs on.
Place = tuple[str, Chain, dict[str, Any], tuple[Asked, ...]]
# What a trust policy's words are, or where they come from.
_MAY_TRUST = re.compile(r"rincipal|ssume|_policy_documents")
Read = tuple[dict[str, Any], tuple[str, ...]]


def _each_way(block: Block, module: Module) -> dict[str, list[Read]]:
    """The policies by place, for each way that conditions may go, what is not known."""
    found: dict[str, list[Read]] = {}
    run = module.run
    run.taken.clear()
    while True:
        places: list[Place] = []
        known = -1
        while known < len(run.taken):
            # Whether an instance is there may hang on a condition that was asked for behind it.
            known = len(run.taken)
            places = [*_policies(block, module, 0)]
        for place, chain, raw, asked in places:
            written = plain(raw)
            policy = policy_of(written)
            run.callers.note(chain, place, made=policy is not None)
            if policy is not None and run.callers.judge(chain):
                run.left_out = True
            elif policy is not None:
                taken = [*map(_told_of, asked), *beside(written)]
                found.setdefault(place, []).append((policy, tuple(filter(None, taken))))
        if not run.next():
            return found


def _told_of(asked: Asked) -> str:
    """What a question took for granted, "" if nothing."""
    kind, about, answer = asked
    if kind == "told":
        return about
    if kind != "way" or answer is None:
        return ""
    return (
        f"whether {about} holds is not known; this is judged as if it did{'' if answer else ' not'}"
    )


def _policies(block: Block, module: Module, depth: int) -> Iterator[Place]:
    """The policies of a block; for each of its instances comes an empty one before them."""
    if block.kind not in ("data", "resource", "module", "locals", "output"):
        return
    if block.kind != "module" and not _MAY_TRUST.search(block.text):
        return
    place = ".".join([block.kind, *block.labels]) if block.kind != "resource" else (
        ".".join(block.labels))  # fmt: skip
    chain, run = module.chain(block), module.run
    if block.kind != "module" and run.callers.judge(chain):
        run.left_out = True
        return
    try:
        instances = module.instances(block)
    except Invalid:
        yield place, chain, {}, ()
        return
    for behind, inner in instances:
        where = "" if block.kind == "locals" else place + behind
        called = None
        if block.kind == "module" and depth < _MOST_DEPTH:
            called = module.child(block, inner)
        if called is not None:
            for one in called.source.blocks:
                for within, way, raw, asked in _policies(one, called, depth + 1):
                    yield f"{where}.{within}", way, raw, asked
            continue
        yield where, chain, {}, ()
        listed, asked = run.traced(partial(_own, block, inner, module))
        for raw in listed:
            yield where, chain, raw, asked


def _own(block: Block, scope: Names, module: Module) -> list[dict[str, Any]]:
    """The policies of one instance of a block."""
    if block.kind != "data":
        return [*_written(block.body, scope, block.text)]
    try:
        return [module.document(block, scope)] if block.labels[:1] == (DOCUMENT,) else []
    except Invalid:
        return []


def _written(body: Body, scope: Names, text: str) -> Iterator[dict[str, Any]]:
    """The policies that are written out in a block's attributes."""
    if "ssume" not in text and "rincipal" not in text:
        return
    for name, expression in body.attributes.items():
        if "ssume" in name + expression.text or "rincipal" in expression.text:
            try:
                yield from policies_within(expression.value(scope))
            except Invalid:
                continue
    for block in body.blocks:
        yield from _written(block.body, scope, block.text)


def policies_within(value: Any) -> Iterator[dict[str, Any]]:
    """The policies that stand in a value, as objects, JSON or statements."""
    if isinstance(value, Json):
        value = value.value
    if isinstance(value, str):
        read = json_of(value) if "tatement" in value else None
        if read is not None:
            yield from policies_within(read)
    elif isinstance(value, list):
        for one in value:
            yield from policies_within(one)
    elif isinstance(value, dict):
        low = {str(key).lower() for key in value}
        if "statement" in low:
            yield value
        elif low & {"principal", "principals"} and low & {"action", "actions"}:
            yield {"Statement": [value]}
        else:
            for one in value.values():
                yield from policies_within(one)
