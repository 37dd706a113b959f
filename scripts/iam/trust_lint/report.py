"""Findings for people, as JSON, and as SARIF for code scanning."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scripts.github.issuers import issuer_of
from scripts.iam.engine.documents import Condition, PolicyError, parse_policy
from scripts.iam.trust_lint.decide.who import Reach
from scripts.iam.trust_lint.findings import RULES, Finding
from scripts.iam.trust_lint.lint import Judgement
from scripts.iam.trust_lint.rules import Setting
from scripts.iam.trust_lint.sources import Document

Judged = tuple[Document, Setting]
_WIDTH = 100
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ORDER = ("error", "warning", "note")


def counted(found: Sequence[Finding]) -> str:
    """ "2 errors, 1 warning, 0 notes"."""
    counts = Counter(str(finding.severity) for finding in found)
    return ", ".join(
        f"{counts[level]} {level}{'' if counts[level] == 1 else 's'}" for level in _ORDER
    )


def as_text(judged: Judgement, documents: Sequence[Judged], unknown: Sequence[str] = ()) -> str:
    """The verdict, one block a finding, the gravest first, and whom each policy lets in."""
    policies = len(documents)
    not_judged = _together([*judged.not_judged, *unknown], documents)
    head = f"{policies} trust {'policy' if policies == 1 else 'policies'}"
    lines = [f"{head}: {counted(judged.findings)}" + (
        f"; {len(not_judged)} not judged" if not_judged else ""
    )]  # fmt: skip
    for places, finding in _alike(judged.findings):
        lines += ["", f"{finding.severity}: {RULES[finding.rule].title} [{finding.rule}]"]
        for at, place in enumerate(places):
            lines += _field("" if at else "where", place)
        lines += _field("what", finding.message)
        if finding.witness is not None:
            lines += _field("such as", " with ".join([finding.witness, *_beside(finding)]))
        lines += _field("who", finding.who)
        lines += _field("fix", finding.fix)
        lines += _field("page", RULES[finding.rule].page)
    if not_judged:
        lines.append("")
        for sentence, places in not_judged.items():
            where = f"{places[0]}: " if len(places) == 1 and places[0] else ""
            lines += _wrapped(f"not judged: {where}{sentence}", "", "  ")
            lines += [f"    {place}" for place in places] if len(places) > 1 else []
    if judged.reach:
        lines += ["", f"Through GitHub gets in{', as far as was judged' if not_judged else ''}:"]
    # A name that is left out reads as the whole input.
    origins = {setting.origin for _, setting in documents}
    elsewhere = {place for places in not_judged.values() for place in places} - origins
    alone = policies == 1 and not elsewhere
    groups: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
    for document, setting in sorted(documents, key=lambda item: item[1].origin):
        if (reach := judged.reach.get(setting.origin)) is not None:
            told = _reach(reach, "  " if alone else "    ")
            for who in trusted(document) if policies > 1 else ():
                told += _wrapped(f"trusts {who}", "    ", "      ")
            groups.setdefault((reach.token is None, tuple(told)), []).append(setting.origin)
    # Those that let somebody in first.
    for (_, reached), named in sorted(groups.items(), key=lambda one: one[0][0]):
        lines += [*(f"  {one}" for one in named if not alone), *reached]
    return "\n".join(lines)


def _alike(found: Sequence[Finding]) -> list[tuple[list[str], Finding]]:
    """The findings, the gravest first; those of several policies that say the same are one."""
    together: dict[tuple[object, ...], tuple[list[str], Finding]] = {}
    for one in sorted(found, key=lambda item: (_ORDER.index(item.severity), item.origin)):
        said = (one.severity, one.rule, one.message, one.who, one.fix, one.witness, *_beside(one))
        places, _ = together.setdefault(said, ([], one))
        places.append(f"{one.origin}, statement {one.statement}")
    return list(together.values())


def _together(lines: Sequence[str], documents: Sequence[Judged]) -> dict[str, list[str]]:
    """What is said of policies, each sentence once with the places that it is said of."""
    origins = sorted((setting.origin for _, setting in documents), key=len, reverse=True)
    found: dict[str, list[str]] = {}
    for line in lines:
        begins = (one for one in origins if line.startswith((f"{one}: ", f"{one}, ")))
        at = line.find(": ", len(next(begins, line)))
        place, sentence = (line[:at], line[at + 2 :]) if at > 0 else ("", line)
        found.setdefault(sentence, []).append(place)
    return found


def _beside(finding: Finding) -> list[str]:
    shown = ", ".join(f"{name} {value}" for name, value in sorted(finding.claims.items()))
    return [shown] if shown else []


def _reach(reach: Reach, indent: str) -> list[str]:
    """Whom a policy lets in, with a token as the proof."""
    lines = _wrapped(reach.who, indent, f"{indent}  ")
    if reach.token is not None:
        lines += _wrapped(f"such as {reach.token.subject}", indent, f"{indent}  ")
    return lines


def _field(name: str, value: str) -> list[str]:
    return _wrapped(value, f"  {name:7} ", " " * 10)


def _wrapped(text: str, first: str, later: str) -> list[str]:
    """At most _WIDTH columns; a subject, ARN or address is never broken."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def trusted(document: Document) -> list[str]:
    """Whom a trust policy names: principal and conditions of each Allow, a line each."""
    try:
        policy = parse_policy(document, name="trust", kind="trust")
    except PolicyError:
        return []  # not judged, which is said beside it
    return [
        f"{kind} {name}" + (f" if {', '.join(conditions)}" if conditions else "")
        for statement in policy.statements
        if statement.effect == "Allow"
        for conditions in [[_short(condition) for condition in statement.conditions]]
        for kind, names in (statement.principals or {}).items()
        for name in names
    ]


def _short(condition: Condition) -> str:
    provider, _, claim = condition.key.rpartition(":")
    key = claim if issuer_of(provider) else condition.key
    sign = "=" if condition.operator == "StringEquals" else f" {condition.operator} "
    return f"{key}{sign}{' or '.join(condition.values)}"


def as_json(judged: Judgement, documents: Sequence[Judged], unknown: Sequence[str] = ()) -> str:
    """The same as an object."""
    return json.dumps(
        {
            "policies": len(documents),
            "findings": [finding.as_dict() for finding in judged.findings],
            "not_judged": [*judged.not_judged, *unknown],
            "gets_in": {
                origin: {
                    "level": reach.level,
                    "who": reach.who,
                    "claims": None if reach.token is None else dict(reach.token.claims),
                }
                for origin, reach in judged.reach.items()
            },
            "trusted": {setting.origin: trusted(document) for document, setting in documents},
        },
        indent=2,
    )


def as_sarif(found: Sequence[Finding], not_judged: Sequence[str] = ()) -> str:
    """SARIF 2.1.0, as GitHub's code scanning takes it; what was not judged as notifications."""
    rules = [
        {
            "id": name,
            "shortDescription": {"text": rule.title},
            "helpUri": rule.page,
            "defaultConfiguration": {"level": rule.severity},
        }
        for name, rule in RULES.items()
    ]
    names = list(RULES)
    results = [_result(finding, names.index(finding.rule)) for finding in found]
    driver = {"name": "keyless lint-trust", "rules": rules}
    told = [{"level": "warning", "message": {"text": f"not judged: {line}"}} for line in not_judged]
    invocation = {"executionSuccessful": True, "toolExecutionNotifications": told}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _result(finding: Finding, index: int) -> dict[str, Any]:
    text = f"{finding.message}. Who could use it: {finding.who}. Fix: {finding.fix}."
    if finding.witness is not None:
        text += f" Accepted, for example: {finding.witness}"
    place = f"{finding.origin}/{finding.statement}"
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": text},
        "locations": [
            {
                "logicalLocations": [{"fullyQualifiedName": place, "kind": "member"}],
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(finding.origin)},
                    "region": {"startLine": 1},
                },
            }
        ],
        # Code scanning cannot compute a fingerprint for a result without a file; provide one.
        "partialFingerprints": {
            "primaryLocationLineHash": sha256(f"{finding.rule} {place}".encode()).hexdigest()
        },
    }


def _uri(origin: str) -> str:
    """Where a finding is: code scanning takes none without an artifact, a file or not.

    https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
    """
    if origin.startswith("arn:"):
        account, name = origin.split(":", 5)[4:]
        return quote(f"aws-account/{account}/{name}")
    path = Path(origin if Path(origin).exists() else origin.partition(": ")[0])
    if not path.exists():
        return quote(f"terraform-plan/{origin}")
    whole = path.resolve()
    here = Path.cwd()
    return (
        quote(whole.relative_to(here).as_posix())
        if whole.is_relative_to(here)
        else (whole.as_uri())
    )
