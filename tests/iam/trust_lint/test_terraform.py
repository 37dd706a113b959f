"""Terraform's expressions, and the trust policies that a module makes with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.iam.trust_lint import Judgement, Setting, lint_all
from scripts.iam.trust_lint.reading.literals import begin
from scripts.iam.trust_lint.sources import Input, InputError, read_paths, read_text
from scripts.iam.trust_lint.terraform.module import Module, source
from scripts.iam.trust_lint.terraform.values import Invalid, plain

# As the other readers of the linter: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

HOST = "token.actions.githubusercontent.com"
ARN = f"arn:aws:iam::111122223333:oidc-provider/{HOST}"

LOCALS = """
variable "given" { default = "octo-org" }
variable "open" {}
variable "typed" {
  type    = list(object({ name = string, refs = optional(list(string), ["main"]) }))
  default = [{ name = "app" }]
}
locals {
  teams = { core = ["app", "api"], data = [] }
  value = %s
}
"""


def value_of(expression: str) -> Any:
    begin()
    return plain(Module(source(LOCALS % expression, None)).root("local").attribute("value"))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('"repo:${var.given}/app"', "repo:octo-org/app"),
        ('"$${kept} %{if true}yes%{else}no%{endif}"', "${kept} yes"),
        ('"%{for one in local.teams.core}${one} %{endfor}"', "app api "),
        ("local.teams[\"core\"][1]", "api"),
        ("local.teams.core[*]", ["app", "api"]),
        ("{ for team, repos in local.teams : team => length(repos) }", {"core": 2, "data": 0}),
        ("[for team, repos in local.teams : upper(team) if length(repos) > 0]", ["CORE"]),
        ("{ for one in local.teams.core : substr(one, 0, 2) => one... }", {"ap": ["app", "api"]}),
        ("flatten([for team in local.teams : [for repo in team : repo]])", ["app", "api"]),
        ('merge({ a = 1 }, { "b" : 2 }, null)', {"a": 1, "b": 2}),
        ('concat(["a"], local.teams.data, ["b"])', ["a", "b"]),
        ('distinct(concat(["a"], ["a"]))', ["a"]),
        ('setunion(toset(["a"]), ["a", "b"])', ["a", "b"]),
        ('format("repo:%s/%s#%03d%%", var.given, "app", 7)', "repo:octo-org/app#007%"),
        ('formatlist("repo:%s/%s:*", var.given, local.teams.core)',
         ["repo:octo-org/app:*", "repo:octo-org/api:*"]),
        ('join(",", local.teams.core)', "app,api"),
        ('split("/", "octo-org/app")[1]', "app"),
        ('lookup(local.teams, "none", "other")', "other"),
        ('try(local.teams.none, local.teams["core"][0])', "app"),
        ("can(local.teams.none)", False),
        ('coalesce(null, "", "a")', "a"),
        ("one(local.teams.data)", None),
        ('trimprefix("https://x.test", "https://")', "x.test"),
        ('replace("a-b-c", "/-./", "")', "a"),
        ('length(regexall(":+", "a:b")) > 0 ? "yes" : "no"', "yes"),
        ("!(1 + 2 * 3 == 7 && 4 >= 5) || false", True),
        ('var.typed[0].refs[0]', "main"),
        ('contains(keys(local.teams), "core")', True),
        ("zipmap([\"a\"], [1])", {"a": 1}),
        ("setproduct([\"a\", \"b\"], [1])", [["a", 1], ["b", 1]]),
        ("jsondecode(\"{\\\"a\\\": [1]}\").a[0]", 1),
        # What is not known stays what it was written as, and nothing else with it.
        ("var.open", "${var.open}"),
        ('"repo:${var.open}/app:*"', "repo:${var.open}/app:*"),
        ('[for one in var.open : "repo:${one.name}:*"]', ["repo:${var.open.name}:*"]),
        ('concat(["a"], var.open)', ["a", "${var.open}"]),
        ("length(var.open) > 0", "${length(var.open) > 0}"),
        ("false && var.open", False),
        ('var.open == "a" ? "same" : "same"', "same"),
        ('lower("A${var.open}")', "a${var.open}"),
        ("try(var.open.x, 1)", "${var.open.x}"),
        ('contains(["a", var.open], "a")', True),
        ('strcontains(var.open, "a")', "${strcontains(var.open, \"a\")}"),
        ("timestamp()", "${timestamp()}"),
        ("local.value", "${local.value}"),
    ],
)  # fmt: skip
def test_an_expression_is_what_terraform_makes_of_it(expression: str, value: Any) -> None:
    assert value_of(expression) == value


@pytest.mark.parametrize(
    "expression",
    ["local.teams.none", "local.teams.core[9]", "one(local.teams.core)", 'regex("a", "b")',
     "[for one in null : one]", 'try(local.teams.none)', 'tobool("maybe")'],
)  # fmt: skip
def test_what_terraform_refuses_is_refused(expression: str) -> None:
    with pytest.raises(Invalid):
        value_of(expression)


DOCUMENT = """
resource "aws_iam_openid_connect_provider" "github" {
  url = "https://HOST"
}
data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${aws_iam_openid_connect_provider.github.url}:aud"
      values   = ["sts.amazonaws.com"]
    }
    SUBJECT
  }
}
""".replace("HOST", HOST)
CONDITION = """condition {
      test     = "StringLike"
      variable = "HOST:sub"
      values   = VALUES
    }""".replace("HOST", HOST)


def module_of(values: str, more: str = "", condition: str = CONDITION) -> Input:
    text = DOCUMENT.replace("SUBJECT", condition.replace("VALUES", values)) + more
    return read_text(text, "main.tf", Setting(""))


def judged(read: Input) -> Judgement:
    return lint_all(list(read.documents))


def whos(found: Judgement) -> list[str]:
    return [one.who for one in found.reach.values()]


@pytest.mark.parametrize(
    ("values", "more", "who"),
    [
        ("local.of", 'locals { of = [for b in ["main"] : "repo:o/a:ref:refs/heads/${b}"] }',
         "jobs of o/a: refs/heads/main"),
        ('[for one in var.repos : "repo:${one}:pull_request"]', 'variable "repos" { default = [] }',
         "jobs of ${var.repos}: pull requests"),
        ('var.on ? ["repo:o/*"] : ["repo:o/a:environment:p"]', 'variable "on" { default = false }',
         "jobs of o/a: environment p"),
        ('["repo:o/${local.names[var.stage]}:environment:p"]',
         'locals { names = { dev = "a" } }\nvariable "stage" { default = "dev" }',
         "jobs of o/a: environment p"),
    ],
)  # fmt: skip
def test_values_that_expressions_make_are_judged(values: str, more: str, who: str) -> None:
    assert whos(judged(module_of(values, more))) == [who]


def test_the_address_that_iam_gives_back_has_no_scheme() -> None:
    found = judged(module_of('["repo:o/a:environment:p"]'))
    assert not {"unknown-key", "no-audience"} & {one.rule for one in found.findings}


def test_each_way_of_a_condition_that_is_not_known_is_judged() -> None:
    values = 'var.all ? ["repo:o/a:*"] : ["repo:o/a:environment:p"]'
    read = module_of(values, 'variable "all" {}')
    assert whos(judged(read)) == [
        "everyone who can push a branch to o/a or open a pull request from one there",
        "jobs of o/a: environment p",
    ]
    assert [line.partition("whether ")[2] for line in read.unknown] == [
        "var.all holds is not known; this is judged as if it did",
        "var.all holds is not known; this is judged as if it did not",
    ]


DYNAMIC = """dynamic "condition" {
      for_each = VALUES
      iterator = one
      content {
        test     = one.value.test
        variable = "HOST:${one.key}"
        values   = one.value.values
      }
    }""".replace("HOST", HOST)


def test_dynamic_blocks_are_made_for_each_item() -> None:
    values = '{ sub = { test = "StringEquals", values = ["repo:o/a:environment:p"] } }'
    assert whos(judged(module_of(values, condition=DYNAMIC))) == ["jobs of o/a: environment p"]


def test_a_default_without_a_value_gives_way_to_a_name() -> None:
    """Of an empty list nobody gets in, and that is not what the module is for."""
    found = judged(module_of("var.subjects", 'variable "subjects" { default = [] }'))
    assert found.findings == ()
    assert "${var.subjects}" in found.not_judged[0]


def test_an_empty_default_is_compared_as_empty_and_is_no_name() -> None:
    more = 'variable "repo" { default = "" }\nvariable "env" { default = "" }'
    values = '["repo:${var.repo}:${var.env != "" ? "environment:x" : "pull_request"}"]'
    assert whos(judged(module_of(values, more))) == ["jobs of ${var.repo}: pull requests"]


def test_only_the_defaults_that_count_are_named() -> None:
    more = 'variable "env" { default = "p" }\nvariable "on" { default = true }\n'
    read = module_of('["repo:o/a:environment:${var.on ? var.env : var.env}"]', more)
    [line] = read.unknown
    assert "the default of var.env counts here" in line


def test_documents_of_others_are_taken_in() -> None:
    more = f"""
data "aws_iam_policy_document" "both" {{
  source_policy_documents = [data.aws_iam_policy_document.trust.json, var.further]
  statement {{
    effect  = "Deny"
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {{
      type        = "*"
      identifiers = ["*"]
    }}
    condition {{
      test     = "StringNotEquals"
      variable = "{HOST}:environment"
      values   = ["p"]
    }}
  }}
}}
variable "further" {{}}
"""
    read = module_of('["repo:o/a:*"]', more)
    both = next(one for one, setting in read.documents if setting.origin.endswith("both"))
    assert isinstance(both, dict)
    assert [one["Effect"] for one in both["Statement"]] == ["Allow", "Deny"]
    assert any("which statements ${[data." in line for line in read.unknown)


CHILD = (
    DOCUMENT.replace("SUBJECT", CONDITION.replace("VALUES", "local.subjects"))
    + """
variable "repositories" { type = map(object({ refs = optional(list(string), ["main"]) })) }
locals {
  subjects = flatten([for name, one in var.repositories : [
    for ref in one.refs : "repo:o/${name}:ref:refs/heads/${ref}"]])
}
"""
)
CALLER = """
module "ci" {
  for_each     = { first = { app = {} }, second = { api = { refs = ["v1"] } } }
  source       = "./role"
  repositories = each.value
}
"""


def test_a_module_in_a_folder_beside_it_is_read_with_its_inputs(tmp_path: Path) -> None:
    (tmp_path / "role").mkdir()
    (tmp_path / "role" / "main.tf").write_text(CHILD)
    (tmp_path / "main.tf").write_text(CALLER)
    read = read_paths([tmp_path / "main.tf"], Setting(""))
    assert whos(judged(read)) == ["jobs of o/app: refs/heads/main", "jobs of o/api: refs/heads/v1"]
    assert 'module.ci["first"].data.aws_iam_policy_document.trust' in read.documents[0][1].origin


def test_a_module_from_elsewhere_is_named_as_not_judged() -> None:
    text = CALLER.replace("./role", "someone/github-oidc/aws")
    read = read_text(text, "main.tf", Setting(""))
    assert read.documents == ()
    assert "module.ci: which roles someone/github-oidc/aws makes" in read.unknown[0]
    assert read_text(text + DOCUMENT.replace("SUBJECT", ""), "main.tf", Setting("")).documents


TEMPLATE = (
    '{"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",'
    f' "Principal": {{"Federated": "{ARN}"}}, "Condition": {{"StringEquals": {{'
    f'"{HOST}:aud": "sts.amazonaws.com", "{HOST}:sub": ${{jsonencode(subjects)}}}}}}}}]}}'
)
RENDERS = (
    'resource "aws_iam_role" "ci" {\n  assume_role_policy = templatefile('
    '"${path.module}/FILE", { subjects = ["repo:o/a:environment:p"] })\n}\n'
)


@pytest.mark.parametrize("name", ["trust.json.tpl", "trust.json"])
def test_a_role_is_read_from_a_file_that_it_renders(tmp_path: Path, name: str) -> None:
    """The file is judged as rendered, and not again as it stands."""
    (tmp_path / name).write_text(TEMPLATE)
    (tmp_path / "main.tf").write_text(RENDERS.replace("FILE", name))
    for path in (tmp_path / "main.tf", tmp_path):
        read = read_paths([path], Setting(""))
        assert whos(judged(read)) == ["jobs of o/a: environment p"]
        assert read.unknown == ()
        assert [one.origin for _, one in read.documents] == [
            f"{tmp_path / 'main.tf'}: aws_iam_role.ci"
        ]


OWN = """
data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = ["ARN"]
    }
    condition {
      test     = "StringEquals"
      variable = "HOST:sub"
      values   = ["repo:o@1/a@2:pull_request"]
    }
  }
}
resource "aws_iam_role" "plan" {
  assume_role_policy = data.aws_iam_policy_document.trust.json
}
data "aws_iam_policy_document" "rights" {
  statement {
    actions   = ["s3:GetObject", "ACTION"]
    resources = [aws_s3_bucket.state.arn]
  }
}
""".replace("ARN", ARN).replace("HOST", HOST)
INLINE = """
resource "aws_iam_role_policy" "plan" {
  role   = aws_iam_role.plan.id
  policy = POLICY
}
""".replace("POLICY", "data.aws_iam_policy_document.rights.json")
ATTACHED = """
resource "aws_iam_policy" "plan" {
  policy = jsonencode({ Statement = { Effect = "Allow", Action = "ACTION", Resource = "*" } })
}
resource "aws_iam_role_policy_attachment" "plan" {
  role       = aws_iam_role.plan.name
  policy_arn = aws_iam_policy.plan.arn
}
"""
ADMIN = ATTACHED[ATTACHED.index('resource "aws_iam_role_p') :].replace(
    "aws_iam_policy.plan.arn", '"arn:aws:iam::aws:policy/AdministratorAccess"'
)


@pytest.mark.parametrize(
    ("more", "action", "may"),
    [
        (INLINE, "dynamodb:PutItem", "may do dynamodb:PutItem"),
        (ATTACHED, "iam:PassRole", "may do iam:PassRole"),
        (ADMIN, "x", "may do *"),
        # Another file may allow more, so nothing is concluded.
        (INLINE, "s3:ListBucket", "what the role may do was not judged"),
        (ATTACHED.replace("aws_iam_role.plan.name", "aws_iam_role.other.name"), "s3:PutObject",
         "what the role may do was not judged"),
    ],
)  # fmt: skip
def test_what_a_role_may_do_is_read_beside_it(more: str, action: str, may: str) -> None:
    found = judged(read_text((OWN + more).replace("ACTION", action), "main.tf", Setting("")))
    [told] = [one for one in found.findings if one.rule.startswith("pull-request")]
    assert told.message.endswith(may)
    assert told.severity == ("error" if may.startswith("may do") else "note")


def test_the_own_account_is_no_name_that_is_filled_in() -> None:
    found = judged(
        read_text(
            """
data "aws_caller_identity" "current" {}
resource "aws_iam_role" "admin" {
  assume_role_policy = jsonencode({ Statement = [{
    Effect    = "Allow"
    Action    = "sts:AssumeRole"
    Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:root" }
  }] })
}
""",
            "main.tf",
            Setting(""),
        )
    )
    assert found.not_judged == ()


def test_a_document_without_statements_adds_none() -> None:
    more = 'data "aws_iam_policy_document" "all" {\n  source_policy_documents = [\n'
    more += "    data.aws_iam_policy_document.trust.json, var.more\n  ]\n}\n"
    more += 'variable "more" { default = "{}" }\n'
    found = judged(read_text(OWN.replace("ACTION", "x") + more, "main.tf", Setting("")))
    assert found.not_judged == ()
    assert set(whos(found)) == {"jobs of o/a: pull requests"}


def test_documents_are_made_for_each_provider(tmp_path: Path) -> None:
    """https://developer.hashicorp.com/terraform/language/meta-arguments/for_each#chaining-for_each-between-resources"""
    (tmp_path / "main.tf").write_text(f"""
locals {{
  subjects = {{ github = "repo:o/a:environment:p", gitlab = "project_path:o/a:*" }}
}}
resource "aws_iam_openid_connect_provider" "all" {{
  for_each       = {{ github = "{HOST}", gitlab = "gitlab.com" }}
  url            = "https://${{each.value}}"
  client_id_list = ["sts.amazonaws.com"]
}}
data "aws_iam_policy_document" "trust" {{
  for_each = aws_iam_openid_connect_provider.all
  statement {{
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {{
      type        = "Federated"
      identifiers = [each.value.arn]
    }}
    condition {{
      test     = "StringEquals"
      variable = "${{each.value.url}}:sub"
      values   = [local.subjects[each.key]]
    }}
  }}
}}
""")
    found = judged(read_paths([tmp_path], Setting("")))
    assert whos(found) == ["jobs of o/a: environment p"]
    [told] = found.not_judged
    assert told.endswith("the provider gitlab.com is not one of GitHub's")


def test_a_file_of_the_root_is_read_where_a_module_takes_it(tmp_path: Path) -> None:
    """https://developer.hashicorp.com/terraform/language/expressions/references#filesystem-and-workspace-info"""
    role = tmp_path / "role"
    role.mkdir()
    (tmp_path / "trust.json.tpl").write_text(TEMPLATE)
    (role / "main.tf").write_text(RENDERS.replace("path.module}/FILE", "path.root}/trust.json.tpl"))
    (tmp_path / "main.tf").write_text('module "role" {\n  source = "./role"\n}\n')
    read = read_paths([tmp_path], Setting(""))
    assert whos(judged(read)) == ["jobs of o/a: environment p"]
    assert read.unknown == ()


@pytest.mark.parametrize("name", ["trust.json.tpl", "trust.json.erb", "policies"])
def test_a_template_that_nothing_here_renders_is_judged_as_it_stands(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(TEMPLATE.replace("${jsonencode(subjects)}", '"repo:o/*"'))
    (tmp_path / "main.tf").write_text(RENDERS.replace("FILE", "elsewhere.tpl"))
    assert [one.origin for _, one in read_paths([tmp_path], Setting("")).documents] == [
        str(tmp_path / name)
    ]


def test_a_kind_of_ref_that_is_not_known_is_not_taken_for_a_name() -> None:
    found = judged(module_of('["repo:o/a:ref:refs/${var.kind}/main"]', 'variable "kind" {}'))
    assert found.findings == ()
    assert "${var.kind}" in found.not_judged[0]


def test_a_set_operator_is_told_whatever_the_subject_is() -> None:
    text = DOCUMENT.replace("SUBJECT", CONDITION.replace("VALUES", "var.subjects"))
    text = text.replace("StringEquals", "ForAllValues:StringEquals").replace(
        '"StringLike"', '"ForAllValues:StringLike"'
    )
    found = judged(read_text(text + 'variable "subjects" {}', "main.tf", Setting("")))
    told = [one for one in found.findings if one.rule == "for-all-values"]
    assert len(told) == 2
    assert "zq" not in str(found)


def test_one_provider_made_here_or_elsewhere_is_one() -> None:
    more = """
variable "make" {}
variable "url" {}
data "aws_iam_openid_connect_provider" "other" { url = var.url }
locals { provider = var.make ? aws_iam_openid_connect_provider.github : RESOURCE }
""".replace("RESOURCE", "data.aws_iam_openid_connect_provider.other")
    text = DOCUMENT.replace("SUBJECT", CONDITION.replace("VALUES", '["repo:o/a:environment:p"]'))
    text = text.replace("[aws_iam_openid_connect_provider.github.arn]", "[local.provider.arn]")
    read = read_text(text + more, "main.tf", Setting(""))
    assert whos(judged(read)) == ["jobs of o/a: environment p"]
    assert read.unknown == ()


def test_of_a_provider_that_is_not_known_the_name_is_told() -> None:
    text = DOCUMENT.replace(f'"https://{HOST}"', "var.address").replace("SUBJECT", "")
    found = judged(read_text(text + 'variable "address" {}', "main.tf", Setting("")))
    assert "${var.address}" in found.not_judged[0]


def test_defaults_that_name_the_provider_go_before_names_that_are_open() -> None:
    more = """
variable "issuer" { default = null }
variable "repository" { default = null }
variable "repositories" { default = [] }
locals {
  issuer = var.issuer != null ? var.issuer : "HOST"
  all    = compact(concat([var.repository], var.repositories))
}
""".replace("HOST", HOST)
    condition = CONDITION.replace(f"{HOST}:sub", "${local.issuer}:sub").replace(
        "VALUES", "local.of"
    )
    text = DOCUMENT.replace("SUBJECT", condition) + more
    text += 'locals { of = [for one in local.all : "repo:${one}:environment:p"] }'
    found = judged(read_text(text, "main.tf", Setting("")))
    assert whos(found) == ["jobs of ${var.repositories}: environment p"]


def test_both_ways_of_a_choice_in_typescript_are_judged() -> None:
    text = f"""new iam.WebIdentityPrincipal('{ARN}', {{
      StringEquals: {{ '{HOST}:aud': 'sts.amazonaws.com' }},
      StringLike: {{ '{HOST}:sub': stage ? `repo:o/a:environment:${{stage}}` : 'repo:o/a:*' }},
    }})"""
    read = read_text(text, "stack.ts", Setting(""))
    assert whos(judged(read)) == [
        "jobs of o/a: environment ${stage}",
        "everyone who can push a branch to o/a or open a pull request from one there",
    ]
    assert read.unknown[0].endswith("whether stage holds is not known; this is judged as if it did")


def test_a_called_module_has_its_defaults_for_what_the_caller_leaves_out(tmp_path: Path) -> None:
    """Nobody else gives them a value, so an empty one is one."""
    (tmp_path / "role").mkdir()
    child = CHILD.replace('"repo:o/${name}:ref', '"repo:o${var.end}/${name}:ref')
    child += 'variable "end" { default = "" }\nvariable "off" { default = [] }\n'
    child += (
        DOCUMENT.replace('"trust"', '"other"')
        .replace("SUBJECT", "")
        .replace("  statement {", "  for_each = toset(var.off)\n  statement {")
    )
    (tmp_path / "role" / "main.tf").write_text(child)
    (tmp_path / "main.tf").write_text(CALLER)
    read = read_paths([tmp_path / "main.tf"], Setting(""))
    assert read.unknown == ()
    assert whos(judged(read)) == ["jobs of o/app: refs/heads/main", "jobs of o/api: refs/heads/v1"]


TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
 "Principal": {"Federated": "ARN"}, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {
 "StringEquals": {"HOST:aud": "sts.amazonaws.com",
                  "HOST:sub": "repo:octo-org/${repo}:pull_request"}}}]}
""".replace("ARN", ARN).replace("HOST", HOST)
ROLES = """
resource "aws_iam_role" "read"  { assume_role_policy = file("${path.module}/app.json") }
resource "aws_iam_role" "older" { assume_role_policy = data.template_file.one.rendered }
resource "aws_iam_role" "given" { assume_role_policy = var.policy }
resource "aws_iam_role" "gone"  { assume_role_policy = file("nowhere.json") }
data "template_file" "one" {
  template = file("${path.module}/trust.tpl")
  vars     = { repo = "api" }
}
"""


def test_a_role_whose_policy_is_a_files_is_judged_and_one_that_is_not_here_is_named(
    tmp_path: Path,
) -> None:
    (tmp_path / "main.tf").write_text(ROLES)
    (tmp_path / "trust.tpl").write_text(TRUST)
    (tmp_path / "app.json").write_text(TRUST.replace("${repo}", "app"))
    found = read_paths([tmp_path / "main.tf"], Setting(""))
    who = {setting.origin.rpartition(".")[2]: str(policy) for policy, setting in found.documents}
    assert {name: "octo-org/app" in policy for name, policy in who.items()} == {
        "read": True,
        "older": False,
    }
    assert "octo-org/api" in who["older"]
    assert [line.rpartition("aws_iam_role.")[2] for line in found.unknown] == [
        "given: its trust policy is var.policy, which is not known here; give the plan",
        'gone: its trust policy is file("nowhere.json"), which is not known here; give the plan',
    ]


def test_a_role_whose_policy_terraform_refuses_is_no_crash() -> None:
    text = 'locals { all = ["a"] }\n'
    text += 'resource "aws_iam_role" "one" { assume_role_policy = local.all[3] }\n'
    with pytest.raises(InputError, match="no trust policy is written out"):
        read_text(text, "main.tf", Setting(""))


def test_modules_may_take_each_others_outputs(tmp_path: Path) -> None:
    """As long as no value depends on itself: Terraform's graph is one of values, not of modules."""
    (tmp_path / "main.tf").write_text(
        """
module "iam" {
  source = "./iam"
  sub    = module.eks.sub
}
module "eks" {
  source = "./eks"
  role   = module.iam.role
}
"""
    )
    for name, text in (
        ("iam", 'variable "sub" {}\noutput "role" { value = aws_iam_role.one.arn }\n'
         'resource "aws_iam_role" "one" { assume_role_policy = jsonencode('
         + TRUST.replace('"repo:octo-org/${repo}:pull_request"', "var.sub") + ") }"),
        ("eks", 'variable "role" {}\n'
         'output "sub" { value = "repo:octo-org/app:ref:refs/heads/main" }'),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.tf").write_text(text)
    found = read_paths([tmp_path / "main.tf"], Setting(""))
    assert ["octo-org/app:ref:refs/heads/main" in str(one) for one, _ in found.documents] == [True]


def test_a_role_and_its_document_in_two_files_are_judged_once(tmp_path: Path) -> None:
    statement = """data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = ["%s"]
    }
  }
}
"""
    (tmp_path / "data.tf").write_text(statement.replace("%s", ARN))
    role = 'resource "aws_iam_role" "one" {\n  assume_role_policy = data.%s.trust.json\n}\n'
    (tmp_path / "role.tf").write_text(role.replace("%s", "aws_iam_policy_document"))
    # One from elsewhere is given the document, too.
    (tmp_path / "module.tf").write_text(
        'module "role" {\n  source = "octo-org/role/aws"\n'
        "  policies = [data.aws_iam_policy_document.trust.json]\n  principals = []\n}\n"
    )
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "data.tf").write_text(statement.replace("%s", ARN))
    for given, places in (
        (tmp_path, ["b/data.tf", "data.tf"]),
        (tmp_path / "role.tf", ["role.tf"]),
    ):
        found = read_paths([given], Setting("")).documents
        assert [
            str(Path(one.origin.partition(": ")[0]).relative_to(tmp_path)) for _, one in found
        ] == places


def test_the_outer_of_several_choices_is_made_first(tmp_path: Path) -> None:
    chosen = (
        'var.a == "x" ? ["repo:o/one:*"] : (var.b == "x" ? ["repo:o/two:*"] : '
        '(var.c == "x" ? ["repo:o/three:*"] : ["repo:o/${var.d != null ? var.d : "four"}:*"]))'
    )
    (tmp_path / "main.tf").write_text(
        f"""data "aws_iam_policy_document" "trust" {{
  statement {{
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {{
      type        = "Federated"
      identifiers = ["{ARN}"]
    }}
    condition {{
      test     = "StringLike"
      variable = "{HOST}:sub"
      values   = {chosen}
    }}
  }}
}}
"""
    )
    found = lint_all(list(read_paths([tmp_path], Setting("")).documents))
    said = " ".join(reach.who for reach in found.reach.values())
    assert all(f"o/{one}" in said for one in ("one", "two", "three", "${var.d"))


def test_modules_that_take_each_other_s_outputs_are_read(tmp_path: Path) -> None:
    for name, output in (("a", "var.given"), ("b", '"octo-org"')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.tf").write_text(
            f'variable "given" {{}}\noutput "owner" {{\n  value = {output}\n}}\n'
            f'output "repository" {{\n  value = "${{var.given}}/app"\n}}\n'
        )
    (tmp_path / "main.tf").write_text(
        'module "a" {\n  source = "./a"\n  given  = module.b.owner\n}\n'
        'module "b" {\n  source = "./b"\n  given  = module.a.owner\n}\n'
        'resource "aws_iam_role" "deploy" {\n  assume_role_policy = jsonencode({ Statement = [{\n'
        f'    Effect = "Allow", Principal = {{ Federated = "{ARN}" }}\n'
        '    Action = "sts:AssumeRoleWithWebIdentity"\n'
        "    Condition = { StringLike = {\n"
        f'      "{HOST}:sub" = "repo:${{module.b.repository}}:*" }} }}\n'
        "  }] })\n}\n"
    )
    found = lint_all(list(read_paths([tmp_path], Setting("")).documents))
    assert [reach.who for reach in found.reach.values()] == [
        "everyone who can push a branch to octo-org/app or open a pull request from one there"
    ]


def test_a_key_that_terraform_takes_from_its_later_place_is_told() -> None:
    text = f"""resource "aws_iam_role" "ci" {{
      assume_role_policy = jsonencode({{ Statement = [{{
        Effect = "Allow", Action = "sts:AssumeRoleWithWebIdentity"
        Principal = {{ Federated = "{ARN}" }}
        Condition = {{
          StringEquals = {{ "{HOST}:aud" = "sts.amazonaws.com" }}
          StringEquals = {{ "{HOST}:sub" = "repo:o/a:ref:refs/heads/main" }}
        }}
      }}] }})
    }}"""
    read = read_text(text, "main.tf", Setting(""))
    assert "no-audience" in {one.rule for one in judged(read).findings}
    assert "'StringEquals' is written twice in one object" in read.unknown[0]


@pytest.mark.parametrize(
    "values",
    [
        "[var.match]",
        '[null, "repo:octo-org/app:*"]',
        '[try(var.more.sub, "")]',
        '[lookup(var.more, "sub", null)]',
    ],
)
def test_null_is_a_value_that_is_not_given(values: str) -> None:
    # Terraform refuses null in a list ("Null values are not allowed"), so another one is given.
    text = f"""
    variable "match" {{
      type    = string
      default = null
    }}
    variable "more" {{
      type    = object({{ sub = optional(string) }})
      default = {{}}
    }}
    data "aws_iam_policy_document" "trust" {{
      statement {{
        actions = ["sts:AssumeRoleWithWebIdentity"]
        principals {{
          type        = "Federated"
          identifiers = ["arn:aws:iam::111122223333:oidc-provider/{HOST}"]
        }}
        condition {{
          test     = "StringLike"
          variable = "{HOST}:sub"
          values   = {values}
        }}
      }}
    }}
    """
    found = read_text(text, "main.tf", Setting(""), Path("main.tf"))
    judged = lint_all(list(found.documents))
    assert {one.rule for one in judged.findings} == {"no-audience"}
    assert "is a placeholder that nothing filled in" in " ".join(judged.not_judged)
