"""Another independent evaluator, cloud-copilot's iam-simulate, which runs in Node.

`make install-tools` installs it where npm is found. https://github.com/cloud-copilot/iam-simulate
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.iam.engine import Request
from tests import ROOT
from tests.iam.conformance.loader import Case

PROGRAM = Path(__file__).with_name("simulate") / "ask.mjs"
INSTALLED = ROOT / ".venv-tools" / "simulate"
PACKAGE = INSTALLED / "node_modules" / "@cloud-copilot" / "iam-simulate"

# Part of a case's name -> why it differs. AWS's page is with the case.
EXPLAINED = {
    "a star crosses lines": "its star stops at a line break",
    "equal moments as seconds": "it reads no seconds since 1970 as a date",
    "any IPv4 address": "it takes 0.0.0.0/0 for no network",
    "an empty list is null": "it takes an empty list for a value",
    "all of an empty string": "it does not take an empty string for a null data set",
    "any value that may be absent": "it has no IfExists beside ForAnyValue",
    "a variable without a value": "a variable without a value makes any condition false",
    "a literal dollar": "it has no ${$}",
    "under the older version": "it replaces variables in policies of any version",
    "a variable without any version is text": "it replaces variables in policies of any version",
    "a star for service and action": "it knows * alone, not *:*",
    "an action without resource against an ARN": "it takes * in the request for any resource",
    "a star that ends the account": "its star stops at a colon",
    "wildcards in the request are plain": "it reads a * of the request as a pattern",
    "a request without resource": "it takes * in the request for any resource",
    "whose variable has no value excepts nothing": "it excepts what no value names",
    "other allow:session allowed": "its session policies limit a resource's policy too",
    "allow:role+allow:session allowed": "its session policies limit a resource's policy too",
    "other allow:everyone allowed": "its session policies limit a resource's policy too",
    "other allow:arn allowed": "its session policies limit a resource's policy too",
    "account denied": "it takes an account in NotPrincipal for every principal of the account",
}  # fmt: skip


def why_absent() -> str:
    """Why it cannot be asked; empty if it can."""
    if shutil.which("node") is None:
        return "Node is not installed, so there is no third opinion"
    if not PACKAGE.exists():
        return "iam-simulate is not installed, so there is no third opinion: make install-tools"
    return ""


def ask(
    questions: Sequence[Mapping[str, Any]], shared: Mapping[str, Mapping[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """Its answer to each question; `result` is AWS's word, `error` says why it has none.

    A question takes the policies of `shared` that it names in `shares`.
    """
    done = subprocess.run(
        ["node", str(PROGRAM), str(INSTALLED)],
        input=json.dumps({"questions": questions, "shared": shared or {}}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(answers) == len(questions)
    return answers


def question(
    request: Request, documents: Mapping[Any, Sequence[Any]], *, checked: bool = False
) -> dict[str, Any]:
    """A request with the policies that decide it, as it wants them.

    `checked` lets it hold the request against AWS's reference too: then it refuses a resource that
    the action has not, and says which condition keys the action does not know.
    """
    context = {
        key: values[0] if len(values) == 1 else list(values)
        for key, values in request.context.items()
    }
    account = request.resource_account or request.principal.account
    asked: dict[str, Any] = {
        "checked": checked,
        "request": {
            "principal": request.principal.arn,
            "action": request.action,
            "resource": {"resource": request.resource, "accountId": account},
            "contextVariables": context,
        },
        **policies(documents),
        "serviceControlPolicies": [],
        "resourceControlPolicies": [],
    }
    for kind, name in (("resource", "resourcePolicy"), ("session", "sessionPolicy")):
        if documents.get(kind):
            [asked[name]] = documents[kind]
    return asked


def policies(documents: Mapping[Any, Sequence[Any]]) -> dict[str, Any]:
    """Identity policies and boundary as it wants them; what is not given is left out."""
    names = {"identity": "identityPolicies", "boundary": "permissionBoundaryPolicies"}
    return {
        name: [{"name": f"{kind}-{i}", "policy": one} for i, one in enumerate(documents[kind])]
        for kind, name in names.items()
        if kind in documents
    }


def question_of(case: Case) -> dict[str, Any] | None:
    """A conformance case as a question; None for what it cannot express."""
    kind = case.request.principal.kind
    if kind not in ("assumed-role", "user") or "trust" in case.documents:
        return None
    if case.expected == "unsupported":
        return None
    # Only its checked entry takes session policies and policies of resources.
    checked = bool({"resource", "session"} & case.documents.keys())
    documents = {kind: [document] for kind, document in case.documents.items()}
    return {"identityPolicies": []} | question(case.request, documents, checked=checked)
