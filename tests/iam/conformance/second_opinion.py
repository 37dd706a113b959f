"""The conformance cases asked of an independent evaluator, MiniStack's; every difference explained.

`.venv-tools/bin/python -m tests.iam.conformance.second_opinion` prints the figures; that
environment has the version of requirements.txt beside this file. Exit code 1 for a difference
without explanation, or for an explanation that no difference needs any more.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from typing import Any

from tests.iam.conformance.loader import Case, load_cases

# Part of a case's name -> why the other evaluator differs. AWS's page is with the case.
EXPLAINED = {
    "reference_policies_variables": "it has no policy variables",
    "Deny with NotPrincipal": "it never matches a statement with NotPrincipal",
    "a star crosses lines": "its star stops at a line break",
    "the documented mismatch of ArnLike": "it compares ARNs as text, not by component",
    "an empty list is null": "it takes an empty list for a value",
    "all of an empty string": "it does not take an empty string for a null data set",
    "allow:everyone allowed": "its boundaries and session policies limit what everyone may do",
    "allow:arn allowed": "its boundaries and session policies limit what everyone may do",
}


@dataclass
class Opinion:
    """How many cases the two agree on, and what becomes of the others."""

    agreed: int = 0
    not_comparable: int = 0
    refused_here: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)


def ask() -> Opinion:
    """Ask the other evaluator every case that it can express."""
    other = importlib.import_module("ministack.core.iam_evaluator")
    opinion = Opinion()
    for case in load_cases():
        # It has no anonymous callers, and services and trust policies only as parts of others.
        if case.request.principal.kind not in ("assumed-role", "user") or "trust" in case.documents:
            opinion.not_comparable += 1
        elif case.expected == "unsupported":
            opinion.refused_here += 1
        elif _allows(other, case) == (case.expected == "ALLOWED"):
            opinion.agreed += 1
        elif part := next((part for part in EXPLAINED if part in case.name), None):
            opinion.explained[part] = opinion.explained.get(part, 0) + 1
        else:
            opinion.unexplained.append(f"{case.name}: {case.expected} by {case.page}")
    opinion.needless = [part for part in EXPLAINED if part not in opinion.explained]
    return opinion


def main() -> int:
    opinion = ask()
    for case in opinion.unexplained:
        print(f"differs: {case}")
    for part in opinion.needless:
        print(f"no longer differs: {part}")
    print(
        f"{opinion.agreed} agree, {sum(opinion.explained.values())} differ for a reason, "
        f"{len(opinion.unexplained)} differ, {opinion.not_comparable} cannot be asked, "
        f"{opinion.refused_here} are refused here"
    )
    return 1 if opinion.unexplained or opinion.needless else 0


def _allows(other: Any, case: Case) -> bool:
    request, documents = case.request, case.documents
    principal = request.principal
    context = {key.lower(): values for key, values in request.context.items()}

    def resolve(key: str, _context: object) -> object:
        values = context.get(key.lower())
        if values is None:
            return None
        return values[0] if len(values) == 1 else list(values)

    other._resolve_condition_key = resolve
    asked = other.EvalContext(
        principal.arn,
        "AssumedRole" if principal.role_arn else "User",
        principal.account,
        request.action,
        request.resource,
        "us-east-1",
    )
    kinds: tuple[Any, ...] = ("identity", "boundary", "session")
    parsed = {
        kind: [other.parse_policy_document(documents[kind])] for kind in kinds if kind in documents
    }
    limits = tuple(parsed[kind] for kind in kinds[1:] if kind in parsed)
    own = other.evaluate(asked, parsed.get("identity", []), *limits)
    decided = other.combine_resource_policy(
        own,
        asked,
        documents.get("resource"),
        request.resource_account or principal.account,
        ":kms:" in request.resource,
        limits,
    )
    return bool(decided.decision == "Allow")


if __name__ == "__main__":
    sys.exit(main())
