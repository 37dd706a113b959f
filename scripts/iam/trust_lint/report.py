"""Findings for people, as JSON, and as SARIF for code scanning."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from scripts.iam.trust_lint.findings import RULES, Finding

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ORDER = ("error", "warning", "note")


def counted(found: Sequence[Finding]) -> str:
    """ "2 errors, 1 warning, 0 notes"."""
    counts = Counter(str(finding.severity) for finding in found)
    return ", ".join(
        f"{counts[level]} {level}{'' if counts[level] == 1 else 's'}" for level in _ORDER
    )


def as_text(found: Sequence[Finding], policies: int, unknown: Sequence[str]) -> str:
    """One block a finding, the gravest first, and a line that counts them."""
    lines = []
    for finding in sorted(found, key=lambda item: (_ORDER.index(item.severity), item.origin)):
        lines.append(f"{finding.severity}: {RULES[finding.rule].title} [{finding.rule}]")
        lines.append(f"  where  {finding.origin}, statement {finding.statement}")
        lines.append(f"  what   {finding.message}")
        if finding.witness is not None:
            lines.append(f"  such as {finding.witness}")
        lines.append(f"  who    {finding.who}")
        lines.append(f"  fix    {finding.fix}")
        lines.append(f"  page   {RULES[finding.rule].page}")
        lines.append("")
    lines += [f"not judged: {line}" for line in unknown]
    lines.append(f"{policies} trust {'policy' if policies == 1 else 'policies'}: {counted(found)}")
    return "\n".join(lines)


def as_json(found: Sequence[Finding], policies: int, unknown: Sequence[str]) -> str:
    """The same as an object."""
    return json.dumps(
        {
            "policies": policies,
            "findings": [finding.as_dict() for finding in found],
            "unknown": list(unknown),
        },
        indent=2,
    )


def as_sarif(found: Sequence[Finding]) -> str:
    """SARIF 2.1.0, as GitHub's code scanning takes it."""
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
    run = {"tool": {"driver": driver}, "results": results}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _result(finding: Finding, index: int) -> dict[str, Any]:
    text = f"{finding.message}. Who could use it: {finding.who}. Fix: {finding.fix}."
    if finding.witness is not None:
        text += f" Accepted, for example: {finding.witness}"
    location: dict[str, Any] = {
        "logicalLocations": [
            {"fullyQualifiedName": f"{finding.origin}/{finding.statement}", "kind": "member"}
        ]
    }
    if finding.origin.endswith(".json"):
        location["physicalLocation"] = {
            "artifactLocation": {"uri": PurePath(finding.origin).as_posix()},
            "region": {"startLine": 1},
        }
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": text},
        "locations": [location],
    }
