"""Linters of policies that nobody here wrote, run in the isolated tools' environment."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import ROOT
from tests.terraform.rendered import Document

PYTHON = ROOT / ".venv-tools" / "bin" / "python"
ANSWERS = Path(__file__).with_name("answers.yaml")

# Each reads [[name, policy], ...] from standard input and writes [[name, issue, detail], ...].
# No socket can be opened: a judge decides, it asks nobody.
_SEALED = """
import json, socket, sys, warnings
warnings.simplefilter("ignore")
def closed(*arguments, **options):
    raise OSError("a judge opens no connection")
socket.socket.connect = socket.socket.bind = closed
documents = json.load(sys.stdin)
"""
_PARLIAMENT = """
from parliament import analyze_policy_string
found = []
for name, text in documents:
    for finding in analyze_policy_string(text).findings:
        detail = finding.detail
        if isinstance(detail, list):
            actions = {one["action"] if isinstance(one, dict) else one for one in detail}
            detail = f"{len(actions)} actions" if len(actions) > 5 else " ".join(sorted(actions))
        found.append([name, finding.issue, str(detail)])
print(json.dumps(found))
"""
_CLOUDSPLAINING = """
from cloudsplaining.scan.policy_document import PolicyDocument
kinds = (
    "allows_privilege_escalation", "credentials_exposure", "allows_data_exfiltration_actions",
    "permissions_management_without_constraints", "write_actions_without_constraints",
    "tagging_actions_without_constraints", "service_wildcard",
)
found = []
for name, text in documents:
    policy = PolicyDocument(json.loads(text))
    for kind in kinds:
        found += [[name, kind, str(one)] for one in getattr(policy, kind, None) or ()]
print(json.dumps(found))
"""


@dataclass(frozen=True, order=True)
class Finding:
    """What a judge says of a policy; `policy` has ENV in place of the environment's name."""

    policy: str
    issue: str
    detail: str


@dataclass(frozen=True)
class Answer:
    """Findings that stand, and why."""

    policies: tuple[str, ...]
    issue: str
    details: tuple[str, ...]
    why: str

    def covers(self, finding: Finding) -> bool:
        return (
            finding.issue == self.issue
            and any(fnmatchcase(finding.policy, one) for one in self.policies)
            and any(fnmatchcase(finding.detail, one) for one in self.details)
        )


def answers(judge: str) -> list[Answer]:
    """The reviewed answers to one judge."""
    return [
        Answer(tuple(one["policies"]), one["issue"], tuple(one["details"]), one["why"])
        for one in yaml.safe_load(ANSWERS.read_text())[judge]
    ]


def parliament(documents: Iterable[Document]) -> set[Finding]:
    """Duo's linter: https://github.com/duo-labs/parliament."""
    return _ask("parliament", _PARLIAMENT, documents)


def cloudsplaining(documents: Iterable[Document]) -> set[Finding]:
    """Salesforce's assessment: https://github.com/salesforce/cloudsplaining."""
    return _ask("cloudsplaining", _CLOUDSPLAINING, documents)


def _ask(package: str, script: str, documents: Iterable[Document]) -> set[Finding]:
    if not any(PYTHON.parents[1].glob(f"lib/*/site-packages/{package}")):
        pytest.fail(f"{package} is not installed: make install-tools")
    given = [[document.name, document.text] for document in documents]
    done = subprocess.run(
        [str(PYTHON), "-I", "-c", _SEALED + script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return {Finding(*(_plain(str(part)) for part in one)) for one in found}


def _plain(text: str) -> str:
    return re.sub(r"\bkeyless-(?:dev|prod)\b", "keyless-ENV", text)
