"""A role that is added to terraform/roles.yaml in a copy of the project is known everywhere."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.pipeline.conftest import contract_document
from tests.terraform.conftest import Plan, Terraform

pytestmark = pytest.mark.terraform

ROLE = """
explain:
  root: platform
  context: environment:{environment}-explain
  workflow: step.yml
  reviewers: true
  policies: [contract, explanations]
  storage:
    read: [models]
    write: [reports]
  session: read
"""
DOCUMENT = """
data "aws_iam_policy_document" "explanations" {
  statement {
    sid       = "ReadOneParameter"
    actions   = ["ssm:GetParameter"]
    resources = ["${local.parameter_arn}/keyless/${var.environment}/explanations"]
  }
}
"""
ENTRY = "    metrics            = "
ACCOUNT = "123456789012"
# Runs in the copy: `scripts` and `pipeline` are the copied ones, `tests` is the checkout's.
PROGRAM = """
import json, sys
from pipeline.outputs import parse_platform
from scripts.github.repository import read_facts
from scripts.github.setup import Wanted, changes, find_reviewers
from scripts.iam.account.identities import identities
from scripts.iam.ledger import in_scope, measure, read_reviewed
from scripts.local_run.actors import Actors
from scripts.names import ROLES_FILE
from tests.actions_runner.recorded import RecordedGh

given = json.load(sys.stdin)
gh = RecordedGh()
facts = read_facts(gh, gh.github.name)
wanted = Wanted(("dev",), given["account"], "us-east-1", find_reviewers(gh, ()))
pending = changes(gh, facts, wanted)
platform = parse_platform(given["contract"], origin="the copy")
reviewed = read_reviewed(given["account"], "us-east-1", "dev")
[ledger] = measure([], in_scope(identities(given["details"]), "dev"), reviewed).ledgers
json.dump({
    "file": str(ROLES_FILE),
    "github": [change.what for change in pending],
    "contract": platform.roles["explain"],
    "ledger": ledger.role,
    "unused": sorted({grant.action for grant in ledger.unused}),
    "outside": ledger.outside,
}, sys.stdout)
"""


@dataclass(frozen=True)
class Copy:
    """A copy of the project with one role more, and what Terraform plans of it."""

    project: Path
    bootstrap: Plan
    platform: Plan

    def policies(self) -> dict[str, Any]:
        """The role's inline policies, as planned."""
        return {
            after["name"]: json.loads(after["policy"])
            for address, after in self.platform.after.items()
            if 'module.role["explain"].aws_iam_role_policy.' in address
        }


@pytest.fixture(scope="module")
def copy(terraform: Terraform, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    project = tmp_path_factory.mktemp("copy")
    skipped = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfplan", "__pycache__")
    for name in ("pipeline", "scripts", "terraform"):
        shutil.copytree(ROOT / name, project / name, ignore=skipped)
    roles = project / "terraform" / "roles.yaml"
    roles.write_text(roles.read_text() + ROLE)
    policies = project / "terraform" / "modules" / "workload_roles" / "policies.tf"
    text = policies.read_text()
    assert text.count(ENTRY) == 1
    entry = f"    explanations = data.aws_iam_policy_document.explanations.json\n{ENTRY}"
    policies.write_text(text.replace(ENTRY, entry) + DOCUMENT)
    made = replace(terraform, folder=project / "terraform")
    return Copy(
        project,
        made.planned("bootstrap", "-var", "environments={dev={customer_managed_key=false}}"),
        made.planned("platform", "-var-file=environments/dev.tfvars"),
    )


def test_terraform_plans_the_role_for_its_own_environment_alone(copy: Copy) -> None:
    role = copy.platform.after['module.workload_roles.module.role["explain"].aws_iam_role.github']
    assert role["name"] == "keyless-dev-explain"
    [statement] = json.loads(role["assume_role_policy"])["Statement"]
    subject = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
    assert subject == "repo:octo-org@1001/keyless-mlops@2002:environment:dev-explain"
    assert set(copy.policies()) == {"contract", "explanations", "storage", "tunnel"}


def test_the_apply_role_may_make_it(copy: Copy) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/keyless-dev-explain"
    [policy] = [
        json.loads(after["policy"])
        for after in copy.bootstrap.after.values()
        if after.get("name") == "keyless-dev-apply-identity"
    ]
    allowed = {
        statement["Sid"] for statement in policy["Statement"] if arn in statement["Resource"]
    }
    assert allowed == {"RolesInsideTheBoundary", "RoleTags"}


def test_github_setup_the_contract_and_the_ledger_know_it(copy: Copy) -> None:
    contract = contract_document()
    arn = f"arn:aws:iam::{ACCOUNT}:role/keyless-dev-explain"
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/keyless-dev-boundary"
    limits = [
        after["policy"]
        for after in copy.bootstrap.after.values()
        if after.get("name") == "keyless-dev-boundary"
    ]
    given = {
        "account": ACCOUNT,
        "contract": {**contract, "roles": {**contract["roles"], "explain": arn}},
        "details": {
            "Policies": [
                {
                    "Arn": boundary,
                    "PolicyVersionList": [
                        {"IsDefaultVersion": True, "Document": json.loads(document)}
                        for document in limits
                    ],
                }
            ],
            "RoleDetailList": [
                {
                    "Arn": arn,
                    "RoleName": "keyless-dev-explain",
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
                    "PermissionsBoundary": {"PermissionsBoundaryArn": boundary},
                    "RolePolicyList": [
                        {"PolicyName": name, "PolicyDocument": document}
                        for name, document in copy.policies().items()
                    ],
                }
            ],
        },
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=copy.project,
        env={**os.environ, "PYTHONPATH": f"{copy.project}{os.pathsep}{ROOT}"},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["file"] == str(copy.project / "terraform" / "roles.yaml")
    assert "environment dev-explain, approved by octocat" in found["github"]
    assert found["contract"] == arn
    assert found["ledger"] == "keyless-dev-explain"
    # Of an empty log nothing is used, and nothing of it is beyond the boundary.
    assert {"ssm:GetParameter", "s3:GetObject", "s3:PutObject", "ssm:StartSession"} <= set(
        found["unused"]
    )
    assert found["outside"] == []
