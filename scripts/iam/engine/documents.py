"""Policy documents: parsed and checked as strictly as AWS checks them, with precise errors.

Rules: IAM User Guide, "Grammar of the IAM JSON policy language" (reference_policies_grammar),
the pages of the single elements (reference_policies_elements_*) and "IAM policy validation check
reference" (access-analyzer-reference-policy-checks).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from scripts.iam.engine.elements import Condition, Statement
from scripts.iam.engine.errors import PolicyError
from scripts.iam.engine.principals import ANYONE, check_principal
from scripts.iam.engine.statements import CompiledStatement, compile_statement

__all__ = ["Condition", "Policy", "PolicyError", "PolicyKind", "Statement", "parse_policy"]

PolicyKind = Literal[
    "identity", "boundary", "session", "scp", "resource", "trust", "rcp", "endpoint"
]
NAMES_CALLERS = ("resource", "trust", "rcp", "endpoint")
"""The kinds with a Principal. An RCP is an organization's resource control policy, an endpoint's
policy that of a VPC endpoint."""
VERSIONS = ("2012-10-17", "2008-10-17")
# AWS's own limits lie between 2 kB (session) and 100 kB (OpenSearch); beyond is not a policy.
MAX_BYTES = 128 * 1024


@dataclass(frozen=True)
class Policy:
    """A checked policy document. `principals` of "Principal": "*" reads {"*": ("*",)}."""

    name: str
    kind: PolicyKind
    version: str
    statements: tuple[Statement, ...]

    @cached_property
    def compiled(self) -> tuple[CompiledStatement, ...]:
        """The statements ready for evaluation, made once."""
        variables = self.version == VERSIONS[0]
        return tuple(
            compile_statement(statement, variables=variables) for statement in self.statements
        )

    @cached_property
    def allows(self) -> tuple[CompiledStatement, ...]:
        """The compiled Allow statements."""
        return tuple(statement for statement in self.compiled if statement.allow)

    @cached_property
    def denies(self) -> tuple[CompiledStatement, ...]:
        """The compiled Deny statements."""
        return tuple(statement for statement in self.compiled if not statement.allow)

    @cached_property
    def condition_keys(self) -> frozenset[str]:
        """Every condition key that the conditions and variables read, in lower case."""
        return frozenset().union(*(statement.keys for statement in self.compiled))


_TOP = ("Version", "Id", "Statement")
_ELEMENTS = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
)
_ACTION = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9*?-]+|\*|\*:\*", re.ASCII)
_SID = re.compile(r"[A-Za-z0-9]*", re.ASCII)
_VARIABLE = re.compile(r"\$\{[^}]*\}")


def parse_policy(
    document: str | bytes | Mapping[str, Any], *, name: str, kind: PolicyKind, stored: bool = False
) -> Policy:
    """Parse and check a policy document (JSON text or the object it decodes to).

    `stored`: the policy is there already. A statement of it that AWS would refuse is then carried
    along as `unreadable`, and leaves the others in force.

    `name` is what messages and decisions call the policy. `kind` says where it is attached:
    resource and trust policies name principals, the others must not.

    Raises PolicyError, which names the statement and the element and says what to write.
    """
    try:
        content = _load(document)
        _only_known(content, _TOP, "the document")
        version = content.get("Version", VERSIONS[1])
        if version not in VERSIONS:
            raise PolicyError(f"Version: {version!r} is unknown; write {VERSIONS[0]!r}")
        written = content.get("Statement")
        if isinstance(written, Mapping):
            written = [written]
        if not isinstance(written, list) or not written:
            raise PolicyError("Statement: missing or empty; write a list of statements")
        variables = version == VERSIONS[0]
        statements = tuple(
            _statement(item, index, kind, variables, stored) for index, item in enumerate(written)
        )
        # AWS's own policy of the key aws/secretsmanager has one Sid twice.
        if kind != "resource":
            _unique_sids(statements)
    except PolicyError as error:
        raise PolicyError(f"policy {name!r}: {error}") from None
    return Policy(name, kind, version, statements)


def _load(document: str | bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    text: str | bytes
    if not isinstance(document, Mapping):
        text = document
    else:
        try:
            text = json.dumps(document)
        except (TypeError, ValueError, RecursionError):
            raise PolicyError("the document holds something that is not JSON") from None
    size = len(text.encode() if isinstance(text, str) else text)
    if size > MAX_BYTES:
        raise PolicyError(f"the document has {size} bytes; no AWS policy has more than {MAX_BYTES}")
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError:
            raise PolicyError("the document is not UTF-8 text") from None
    if text.lstrip()[:3].upper() == "%7B":
        raise PolicyError("the document is URL-encoded, as IAM returns it; decode it first")
    try:
        content = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise PolicyError(
            f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except RecursionError:
        raise PolicyError("not a policy: nested too deeply") from None
    if not isinstance(content, dict):
        raise PolicyError("not a policy: write a JSON object with Version and Statement")
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise PolicyError(f"{twice!r} is written twice in one object; write it once")
    return result


def _no_constant(text: str) -> None:
    raise PolicyError(f"not JSON: {text}")


def _only_known(content: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    spelling = {element.lower(): element for element in known}
    for key in content:
        if key not in known:
            right = spelling.get(key.lower())
            hint = f"write {right!r}" if right else f"known are {', '.join(known)}"
            raise PolicyError(f"{place} has an unknown element {key!r}; {hint}")


def _statement(
    item: object, index: int, kind: PolicyKind, variables: bool, stored: bool
) -> Statement:
    place = f"statement #{index}"
    if not isinstance(item, dict):
        raise PolicyError(f"{place}: not an object")
    if not item:
        raise PolicyError(f"{place}: empty; it needs Effect and Action")
    sid = item.get("Sid")
    if isinstance(sid, str) and sid:
        place = f"statement {sid!r}"
    try:
        _only_known(item, _ELEMENTS, "it")
        statement = Statement(
            sid=_sid(sid, kind, present="Sid" in item),
            index=index,
            effect=_effect(item),
            **_either(item, "Action", required=True),
            **_resources(item, kind),
            **_principals(item, kind),
            conditions=_conditions(item, kind),
        )
        _check_actions(statement, kind)
        compile_statement(statement, variables=variables)
    except PolicyError as error:
        if stored:
            return _unreadable(item, index, f"{place}: {error}")
        raise PolicyError(f"{place}: {error}") from None
    return statement


def _unreadable(item: dict[str, Any], index: int, why: str) -> Statement:
    """A statement that is known for its actions at most."""
    try:
        actions = _strings(item.get("Action"), "Action")
        if not all(_ACTION.fullmatch(action) for action in actions):
            actions = ("*",)
    except PolicyError:
        actions = ("*",)
    sid = item.get("Sid")
    return Statement(
        sid=sid if isinstance(sid, str) and sid else None,
        index=index,
        effect="Deny" if item.get("Effect") == "Deny" else "Allow",
        actions=actions,
        unreadable=why,
    )


def _sid(sid: object, kind: PolicyKind, *, present: bool) -> str | None:
    if not present:
        return None
    if not isinstance(sid, str):
        raise PolicyError("Sid: not a string")
    # Services other than IAM allow more characters (S3, SNS and KMS take spaces).
    if kind != "resource" and not _SID.fullmatch(sid):
        raise PolicyError(f"Sid: {sid!r} has other characters than letters and digits")
    return sid or None


def _effect(item: dict[str, Any]) -> Literal["Allow", "Deny"]:
    effect = item.get("Effect")
    if effect == "Allow":
        return "Allow"
    if effect == "Deny":
        return "Deny"
    raise PolicyError(f"Effect: {effect!r}; write 'Allow' or 'Deny'")


def _strings(value: object, element: str) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise PolicyError(f"{element}: an empty list; write at least one value")
    for item in items:
        if not isinstance(item, str) or not item:
            raise PolicyError(f"{element}: {item!r}; write a non-empty string or a list of them")
    return tuple(items)


def _either(item: dict[str, Any], element: str, *, required: bool) -> dict[str, Any]:
    negated = f"Not{element}"
    if element in item and negated in item:
        raise PolicyError(f"both {element} and {negated}; write one of them")
    if required and element not in item and negated not in item:
        raise PolicyError(f"neither {element} nor {negated}; write one of them")
    plural = element.lower() + "s"
    return {
        plural: _strings(item[element], element) if element in item else None,
        f"not_{plural}": _strings(item[negated], negated) if negated in item else None,
    }


def _resources(item: dict[str, Any], kind: PolicyKind) -> dict[str, Any]:
    if kind == "trust":
        for element in ("Resource", "NotResource"):
            if element in item:
                raise PolicyError(
                    f"{element}: a trust policy has none, it belongs to its role; remove it"
                )
    # Some services' resource policies (ECR) have no Resource: the policy's own is meant.
    found = _either(item, "Resource", required=kind not in ("trust", "resource"))
    if kind in ("identity", "boundary", "session", "scp"):
        for element, values in found.items():
            found[element] = values and tuple(map(_complete, values))
    return found


def _complete(resource: str) -> str:
    """An ARN with all six fields: AWS reads `arn:aws:sqs` as `arn:aws:sqs:*:*:*`.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    fields = _VARIABLE.sub("", resource).count(":") + 1
    if not resource.startswith("arn:") or resource.endswith("*") or not 3 <= fields < 6:
        return resource
    if resource.endswith(":"):
        return f"{resource}*{':*' * (6 - fields)}"
    return resource + ":*" * (6 - fields)


def _principals(item: dict[str, Any], kind: PolicyKind) -> dict[str, Any]:
    names = [element for element in ("Principal", "NotPrincipal") if element in item]
    if kind not in NAMES_CALLERS:
        if names:
            raise PolicyError(
                f"{names[0]}: a policy of kind {kind!r} has none, it applies to whom it is "
                "attached to; remove it, or parse it as a resource or trust policy"
            )
        return {"principals": None, "not_principals": None}
    if len(names) != 1:
        raise PolicyError(
            f"{'both' if names else 'neither'} Principal and NotPrincipal; write Principal"
            if names
            else f"no Principal; a policy of kind {kind!r} says whom it applies to"
        )
    if names[0] == "NotPrincipal":
        if kind == "trust":
            raise PolicyError("NotPrincipal: a trust policy has none; write Principal")
        if item.get("Effect") != "Deny":
            raise PolicyError(
                'NotPrincipal: AWS takes it with "Effect": "Deny" only; write Principal'
            )
        return {"principals": None, "not_principals": _principal(item[names[0]], names[0])}
    return {"principals": _principal(item[names[0]], names[0]), "not_principals": None}


def _principal(value: object, element: str) -> Mapping[str, tuple[str, ...]]:
    if value == ANYONE:
        return {ANYONE: (ANYONE,)}
    if not isinstance(value, dict) or not value:
        raise PolicyError(
            f'{element}: {value!r}; write "*" or an object such as {{"AWS": "ACCOUNT_ID"}}'
        )
    result = {}
    for kind, names in value.items():
        place = f"{element}.{kind}"
        result[kind] = _strings(names, place)
        for name in result[kind]:
            try:
                check_principal(kind, name)
            except PolicyError as error:
                raise PolicyError(f"{place}: {error}") from None
    return result


def _check_actions(statement: Statement, kind: PolicyKind) -> None:
    element = "Action" if statement.actions is not None else "NotAction"
    for action in statement.actions or statement.not_actions or ():
        if not _ACTION.fullmatch(action):
            raise PolicyError(
                f"{element}: {action!r} is not an action; write service:Action, such as "
                "s3:GetObject or s3:Get*"
            )
        if kind == "trust" and not action.lower().startswith("sts:"):
            raise PolicyError(
                f"{element}: {action!r}; a trust policy takes sts actions only, such as "
                "sts:AssumeRole"
            )
    if kind == "trust" and statement.not_actions is not None:
        raise PolicyError("NotAction: a trust policy has none; write Action")


def _conditions(item: dict[str, Any], kind: PolicyKind) -> tuple[Condition, ...]:
    block = item.get("Condition", {})
    if not isinstance(block, dict):
        raise PolicyError("Condition: not an object; write {operator: {key: value}}")
    result = []
    for operator, keys in block.items():
        if not isinstance(keys, dict):
            raise PolicyError(f"Condition.{operator}: not an object; write {{key: value}}")
        seen: set[str] = set()
        for key, value in keys.items():
            place = f"Condition.{operator}.{key}"
            if ":" not in key:
                raise PolicyError(f"{place}: not a condition key; write service:key")
            if key.lower() in seen:
                raise PolicyError(f"{place}: the key is there twice, in different case")
            seen.add(key.lower())
            # IAM stores a trust policy with an empty list (recorded): nothing is one of its values.
            empty = value == [] and kind == "trust"
            values = () if empty else _condition_values(value, place)
            result.append(Condition(operator, key, values))
    return tuple(result)


def _condition_values(value: object, place: str) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise PolicyError(f"{place}: an empty list; write at least one value")
    return tuple(_condition_value(item, place) for item in items)


def _condition_value(value: object, place: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise PolicyError(f"{place}: {value!r}; write a string, a number, true or false")


def _unique_sids(statements: tuple[Statement, ...]) -> None:
    seen: set[str] = set()
    for statement in statements:
        if statement.sid in seen:
            raise PolicyError(
                f"statement {statement.sid!r}: the Sid is there twice; each must be its own"
            )
        if statement.sid:
            seen.add(statement.sid)
