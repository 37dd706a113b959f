"""Modules that other files of those given call: each is judged through its callers alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.iam.trust_lint import Setting, lint_all
from scripts.iam.trust_lint.sources import Input, InputError, read_paths

HOST = "token.actions.githubusercontent.com"
ROLE = f"""
resource "aws_iam_role" "ci" {{
  count = var.on ? 1 : 0
  assume_role_policy = jsonencode({{ Statement = [{{
    Effect = "Allow", Action = "sts:AssumeRoleWithWebIdentity"
    Principal = {{ Federated = "arn:aws:iam::111122223333:oidc-provider/{HOST}" }}
    Condition = {{ StringEquals = {{ "{HOST}:sub" = var.sub }} }}
  }}] }})
}}
variable "sub" {{}}
variable "on" {{ default = true }}
"""
WHOLE = 'resource "aws_iam_role" "ci" {\n  assume_role_policy = var.trust\n}\nvariable "trust" {}\n'
CI = 'module "%s" {\n  source = "%s"\n  sub    = "repo:o/%s:environment:p"\n}\n'


def call(name: str, source: str = "./role") -> str:
    return CI % (name, source, name)


def tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        place = folder / name.replace("__", "/") / "main.tf"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


def origins(read: Input) -> list[str]:
    return [setting.origin.partition("main.tf: ")[2] for _, setting in read.documents]


def read(*paths: Path) -> Input:
    return read_paths(paths, Setting(""))


def test_an_example_of_a_module_does_not_stand_for_its_own_defaults(tmp_path: Path) -> None:
    wide = ROLE.replace('variable "sub" {}', 'variable "sub" { default = "repo:*" }')
    tree(tmp_path, examples__basic=call("ci", "../.."))
    (tmp_path / "main.tf").write_text(wide)
    assert sorted(origins(read(tmp_path))) == ["aws_iam_role.ci", "module.ci.aws_iam_role.ci"]


def test_an_environment_that_is_called_test_is_a_caller(tmp_path: Path) -> None:
    tree(tmp_path, modules__role=ROLE, terraform__test=call("ci", "../../modules/role"))
    assert origins(read(tmp_path)) == ["module.ci.aws_iam_role.ci"]
    # In the module itself it is a test of it.
    tree(tmp_path / "two", role=ROLE, role__test=call("ci", ".."))
    assert len(origins(read(tmp_path / "two"))) == 2


def test_what_a_caller_leaves_open_is_told_at_the_caller(tmp_path: Path) -> None:
    text = 'module "ci" {\n  source = "./a/role"\n  sub    = [for one in split(",", var.all) :\n'
    text += "    trimspace(one) # names\n  ]\n}\n"
    tree(tmp_path, a__role=ROLE)
    (tmp_path / "z.tf").write_text(text)
    found = read(tmp_path)
    assert [one.origin for _, one in found.documents] == [
        f"{tmp_path}/z.tf: module.ci.aws_iam_role.ci"
    ]
    [told] = lint_all(found.documents).not_judged
    # As the source has it, but for the comment.
    assert '${[for one in split(",", var.all) : trimspace(one)]}' in told


def test_each_caller_counts_and_the_module_does_not(tmp_path: Path) -> None:
    tree(tmp_path, role=ROLE, env__dev=call("dev", "../../role"), env__prod=call("p", "../../role"))
    assert origins(read(tmp_path)) == ["module.dev.aws_iam_role.ci", "module.p.aws_iam_role.ci"]
    # In whichever order they are given, and as files, too.
    files = [tmp_path / one / "main.tf" for one in ("role", "env/prod", "env/dev")]
    assert origins(read(*files)) == ["module.p.aws_iam_role.ci", "module.dev.aws_iam_role.ci"]
    assert origins(read(tmp_path / "role", tmp_path / "env" / "dev")) == [
        "module.dev.aws_iam_role.ci"
    ]


def test_a_module_whose_caller_is_not_given_is_judged_by_itself(tmp_path: Path) -> None:
    tree(tmp_path, role=ROLE, env=call("ci", "../role"))
    assert origins(read(tmp_path / "role")) == ["aws_iam_role.ci"]
    assert origins(read(tmp_path / "role" / "main.tf")) == ["aws_iam_role.ci"]


def test_modules_within_modules_are_judged_through_the_root(tmp_path: Path) -> None:
    outer = 'variable "sub" {}\nmodule "in" {\n  source = "../role"\n  sub    = var.sub\n}\n'
    tree(tmp_path, b__outer=outer, b__role=ROLE, c=call("ci", "../b/outer"))
    once = ["module.ci.module.in.aws_iam_role.ci"]
    assert origins(read(tmp_path)) == once
    # The one between may not be given.
    assert origins(read(tmp_path / "b" / "role", tmp_path / "c")) == once


@pytest.mark.parametrize("more", ["  count = 0\n", "  on = false\n", "  for_each = {}\n"])
def test_a_module_that_is_called_and_switched_off_is_judged_by_itself(
    tmp_path: Path, more: str
) -> None:
    tree(tmp_path, role=ROLE)
    (tmp_path / "main.tf").write_text(call("ci").replace("  sub", f"{more}  sub"))
    assert origins(read(tmp_path)) == ["aws_iam_role.ci"]


@pytest.mark.parametrize("count", ["var.sub != null ? 1 : 0", "var.sub == null ? 0 : 1"])
def test_a_role_is_there_in_the_ways_in_which_its_count_makes_it(
    tmp_path: Path, count: str
) -> None:
    role = ROLE.replace("var.on ? 1 : 0", count)
    role = role.replace("= var.sub }", '= var.sub != null ? "repo:${var.sub}:pull_request" : "x" }')
    call = 'module "ci" {\n  source = "./role"\n  sub    = var.repo\n}\nvariable "repo" {}\n'
    found = lint_all(read(tree(tmp_path, role=role, **{".": call})).documents)
    assert [reach.level for reach in found.reach.values()] == ["contexts"]


def test_a_caller_that_cannot_be_read_hides_nothing(tmp_path: Path) -> None:
    tree(tmp_path, role=ROLE)
    (tmp_path / "main.tf").write_text(call("ci") + "resource ]")
    assert origins(read(tmp_path)) == ["aws_iam_role.ci"]


def test_a_caller_of_whose_policy_nothing_is_known_is_not_hidden_by_another(tmp_path: Path) -> None:
    known = ROLE.partition("= jsonencode")[2].partition("\n}\n")[0]
    values = {"known": f"jsonencode{known}".replace("var.sub", '"repo:o/a:environment:p"'),
              "open": "data.aws_ssm_parameter.trust.value"}  # fmt: skip
    tree(tmp_path, role=WHOLE)
    for name, value in values.items():
        call = f'module "{name}" {{\n  source = "../role"\n  trust = {value}\n}}\n'
        tree(tmp_path, **{name: call})
    told = f"{tmp_path}/role/main.tf: aws_iam_role.ci: its trust policy is var.trust"
    found = read(tmp_path)
    assert origins(found) == ["module.known.aws_iam_role.ci"]
    assert [one.startswith(told) for one in found.unknown] == [True]
    (tmp_path / "open" / "main.tf").unlink()
    assert read(tmp_path).unknown == ()  # what the module's variable is, its caller says


def test_a_module_that_is_reached_by_a_link_is_the_same(tmp_path: Path) -> None:
    tree(tmp_path, role=ROLE, env=call("ci", "./linked"))
    (tmp_path / "env" / "linked").symlink_to(tmp_path / "role")
    assert origins(read(tmp_path)) == ["module.ci.aws_iam_role.ci"]


def test_modules_that_call_each_other_are_not_passed_over(tmp_path: Path) -> None:
    """Terraform refuses them; a comment that shows how a module is called is none of its calls."""
    tree(tmp_path, a=ROLE + call("ci", "../b"), b=ROLE + call("ci", "../a"))
    assert "aws_iam_role.ci" in origins(read(tmp_path))
    comment = "".join(f"# {line}\n" for line in call("ci", "../b").splitlines())
    tree(tmp_path, a=comment + ROLE, b=call("ci", "../a"))
    assert origins(read(tmp_path)) == ["module.ci.aws_iam_role.ci"]


def test_a_file_that_was_named_and_holds_none_is_still_an_error(tmp_path: Path) -> None:
    tree(tmp_path, role=ROLE, env=call("ci", "../role"))
    (tmp_path / "role" / "other.tf").write_text('variable "x" {}\n')
    with pytest.raises(InputError, match="no trust policy is written out"):
        read(tmp_path / "env", tmp_path / "role" / "other.tf")
