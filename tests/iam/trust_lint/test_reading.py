"""Trust policies as people write them: Terraform, templates, CDK, scripts, with names left open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.iam.engine.documents import PolicyError
from scripts.iam.trust_lint import Judgement, Setting, lint, lint_all
from scripts.iam.trust_lint.shapes import meant_subject
from scripts.iam.trust_lint.sources import InputError, read_paths, read_text

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

HOST = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{HOST}"
FILES = Path(__file__).parent / "written"
NAMED = "octo-org/app"


def judged(file: str) -> Judgement:
    """What is found in one of the files as it stands."""
    return lint_all(list(read_paths([FILES / file], Setting("")).documents))


def rules(found: Judgement) -> set[str]:
    return {one.rule for one in found.findings}


def who(found: Judgement) -> str:
    [reach] = found.reach.values()
    return reach.who


@pytest.mark.parametrize(
    ("file", "rule", "said"),
    [
        ("document.tf", "any-context", f"everyone who can push a branch to {NAMED}"),
        ("jsonencode.tf", "no-audience", "jobs of ${var.repository}: environment"),
        ("heredoc.tf", "any-context", "${var.org}/${var.repo}"),
        ("template.yaml", "any-context", f"everyone who can push a branch to {NAMED}"),
        ("synthesised.json", "any-context", f"everyone who can push a branch to {NAMED}"),
        ("stack.ts", "any-repository", "any repository of <OWNER>"),
        ("stack.txt", "any-context", "${owner}/app"),
        ("role.sh", "never-matches", "nobody"),
        ("pulumi.ts", "any-context", f"everyone who can push a branch to {NAMED}"),
        ("guide.md", "any-context", f"everyone who can push a branch to {NAMED}"),
    ],
)
def test_a_policy_is_read_where_people_write_it(file: str, rule: str, said: str) -> None:
    found = judged(file)
    assert rule in rules(found)
    assert said in who(found)


def test_the_action_that_cdk_writes_is_judged() -> None:
    # FederatedPrincipal's own action is sts:AssumeRole.
    text = f"""new iam.FederatedPrincipal('{PROVIDER}', {{ StringEquals: {{
      '{HOST}:aud': 'sts.amazonaws.com',
      '{HOST}:sub': 'repo:octo-org/app:ref:refs/heads/main' }} }})"""
    found = lint_all(list(read_text(text, "stack.ts", Setting("")).documents))
    assert "wrong-action" in rules(found)


def test_a_default_that_counts_is_named() -> None:
    for file, name in (("template.yaml", "Repository"), ("variable/main.tf", "var.repository")):
        read = read_paths([FILES / file], Setting(""))
        assert f"the default of {name} counts here" in read.unknown[0]
        assert not lint_all(list(read.documents)).not_judged


def test_what_holds_no_policy_is_refused_with_what_to_give() -> None:
    for text in ("resource {}", "kind: Deployment\nmetadata: {}\n", "AssumeRole {" * 200):
        with pytest.raises(InputError, match=r"not JSON .* give JSON"):
            read_text(text, "a.tf", Setting(""))


def policy(sub: str, operator: str = "StringLike") -> dict[str, Any]:
    condition: dict[str, dict[str, str]] = {"StringEquals": {f"{HOST}:aud": "sts.amazonaws.com"}}
    condition.setdefault(operator, {})[f"{HOST}:sub"] = sub
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": PROVIDER},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": condition,
            }
        ],
    }


@pytest.mark.parametrize("left", ["<ORG>", "${var.org}", "{{ org }}", "$ORG", "{org}", "__ORG__"])
def test_a_name_that_is_not_filled_in_hides_nothing_else(left: str) -> None:
    found = lint(policy(f"repo:{left}/app:*"), Setting("a.json"))
    assert "any-context" in rules(found)
    assert f"{left}/app" in who(found)
    assert f"{left} is not filled in and was read as a name" in found.not_judged[0]
    assert "zq0" not in str(found)


@pytest.mark.parametrize(
    "sub",
    [
        "${subject}",
        "repo:${repository}",
        "repo:octo-org/${repository}",
        "repo:octo-org/app:${filter}",
        '${jsonencode(formatlist("repo:%s:*", var.repos))}',
    ],
)
def test_what_may_be_anything_is_not_judged(sub: str) -> None:
    found = lint(policy(sub), Setting("a.json"))
    assert found.findings == ()
    assert found.reach == {}
    document = policy(sub)
    del document["Statement"][0]["Condition"]["StringEquals"]
    assert rules(lint(document, Setting("a.json"))) == {"no-audience"}
    assert "more than a name may stand in its place" in found.not_judged[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("repo:app:ref:refs/heads/main", "repo:OWNER/app:ref:refs/heads/main"),
        ("repo:app:*", "repo:OWNER/app:ref:refs/heads/BRANCH"),
        ("octo-org/app:ref:refs/heads/main", "repo:octo-org/app:ref:refs/heads/main"),
        ("repo:octo-org/app:main", "repo:octo-org/app:ref:refs/heads/main"),
        ("repo:octo-org/app:branch:main", "repo:octo-org/app:ref:refs/heads/main"),
        ("repo:octo-org/app:refs/heads/main", "repo:octo-org/app:ref:refs/heads/main"),
        ("repo:octo-org/app:ref:heads/main", "repo:octo-org/app:ref:refs/heads/main"),
        ("repo:octo-org/app:tag:v1", "repo:octo-org/app:ref:refs/tags/v1"),
        ("repo:octo-org/app:env:prod", "repo:octo-org/app:environment:prod"),
        ("repo:octo-org/app:pull-request", "repo:octo-org/app:pull_request"),
    ],
)
def test_a_subject_of_another_form_comes_with_the_right_one(written: str, meant: str) -> None:
    operator = "StringLike" if "*" in written else "StringEquals"
    found = lint(policy(written, operator), Setting("a.json"))
    [told] = [one for one in found.findings if one.rule == "never-matches"]
    assert f"write {meant!r} for {written!r}" in told.fix
    assert meant_subject(meant) == ("", "")
    after = lint(json.loads(json.dumps(policy(meant, "StringEquals"))), Setting("a.json"))
    assert after.reach["a.json"].level == "contexts"
    assert not [one for one in after.findings if one.severity == "error"]


CDK = """
const issuer = 'token.actions.githubusercontent.com';
const provider = iam.OpenIdConnectProvider.fromOpenIdConnectProviderArn(
  this, 'Actions', `arn:aws:iam::${this.account}:oidc-provider/${issuer}`);
const principal = new iam.WebIdentityPrincipal(provider.openIdConnectProviderArn)%s;
"""
CONDITIONS = f"""{{
  StringEquals: {{ '{HOST}:aud': 'sts.amazonaws.com' }},
  StringLike: {{ '{HOST}:sub': %s }},
}}"""


def of_text(text: str, name: str = "stack.ts") -> Judgement:
    return lint_all(list(read_text(text, name, Setting("")).documents))


@pytest.mark.parametrize(
    ("subjects", "said"),
    [
        ("branches.map((branch) => `repo:octo-org/app:ref:refs/heads/${branch}`)",
         "jobs of octo-org/app: refs/heads/${branches}"),
        ("repos.map((repo) => { return `repo:${repo}:ref:refs/heads/main`; })",
         "jobs of ${repos}: refs/heads/main"),
        ("('repo:octo-org/' + 'app:ref:refs/heads/main')", "jobs of octo-org/app: refs/heads/main"),
        ("[`repo:${owner}/app:*`]", "everyone who can push a branch to ${owner}/app"),
    ],
)  # fmt: skip
def test_subjects_are_read_as_code_makes_them(subjects: str, said: str) -> None:
    found = of_text(CDK % f".withConditions({CONDITIONS % subjects})")
    assert said in who(found)
    assert "no-subject" not in rules(found)


def test_conditions_that_are_not_written_out_are_not_taken_for_none() -> None:
    for made in ("conditions", "made(by, another)"):
        found = of_text(CDK % f".withConditions({made})")
        assert found.findings == ()
        assert made in found.not_judged[0]


def test_what_is_added_to_a_list_counts() -> None:
    found = of_text(f"""
subjects = [f"repo:octo-org/*:environment:{{stage}}"]
if stage == "sandbox":
    subjects.append("repo:octo-org/*:*")
role = iam.WebIdentityPrincipal("{PROVIDER}", conditions={{
    "StringEquals": {{"{HOST}:aud": "sts.amazonaws.com"}},
    "StringLike": {{"{HOST}:sub": subjects}},
}})
""")
    [reach] = found.reach.values()
    assert reach.token is not None
    assert reach.token.subject.endswith(":pull_request")


LOOPS = f"""
data "aws_iam_policy_document" "trust" {{
  statement {{
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {{
      type        = "Federated"
      identifiers = ["{PROVIDER}"]
    }}
    condition {{
      test     = "StringEquals"
      variable = "{HOST}:aud"
      values   = ["sts.amazonaws.com"]
    }}
    condition {{
      test     = "StringLike"
      variable = "{HOST}:sub"
      values = concat(
        [for repo in var.repos : "repo:${{repo}}:ref:refs/heads/main"],
        formatlist("repo:%%s:environment:prod", var.repos),
        [
          for repo in var.repos :
          "repo:${{split("/", repo)[0]}}@*/${{split("/", repo)[1]}}@*:ref:refs/heads/main"
        ],
      )
    }}
    condition {{
      test     = "StringEquals"
      variable = "{HOST}:repository"
      values   = %s
    }}
  }}
}}
"""


def test_a_loop_over_a_list_is_one_of_its_items() -> None:
    found = of_text(LOOPS % "var.repos", "role.tf")
    assert "jobs of ${var.repos}" in who(found)
    assert any(
        "owner(${var.repos})@*/name(${var.repos})@*" in one.message for one in found.findings
    )


@pytest.mark.parametrize(
    ("principal", "action", "told"),
    [
        ({"Federated": "arn:aws:iam::YOUR_ACCOUNT_ID:saml-provider/Okta"},
         "sts:AssumeRoleWithSAML", "YOUR_ACCOUNT_ID is not filled in"),
        ({"Federated": "${var.provider}"}, "sts:AssumeRoleWithSAML", ""),
        ({"AWS": "arn:aws:iam::ACCOUNT_ID:root"}, "sts:AssumeRole", "ACCOUNT_ID is not filled in"),
    ],
)  # fmt: skip
def test_a_word_in_the_place_of_an_account_is_no_end(
    principal: dict[str, str], action: str, told: str
) -> None:
    """An account is twelve digits.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-identifiers.html
    """
    document = policy("repo:octo-org@1001/app@2002:ref:refs/heads/main")
    other = {"Effect": "Allow", "Principal": principal, "Action": action}
    document["Statement"].append(other)
    found = lint(document, Setting("a.json"))
    assert [one.who for one in found.reach.values()] == ["jobs of octo-org/app: refs/heads/main"]
    assert len(found.not_judged) == bool(told)
    assert told in "".join(found.not_judged)


def test_tags_that_are_new_each_time_are_advised_an_environment() -> None:
    """https://docs.github.com/en/actions/how-tos/deploy/configure-and-manage-deployments/manage-environments"""
    for pattern, advised in (("refs/tags/v*", True), ("refs/heads/*", False)):
        found = lint(policy(f"repo:octo-org@1001/app@2002:ref:{pattern}"), Setting(""))
        [told] = [one for one in found.findings if one.rule == "any-ref"]
        assert ("an environment that such tags alone may deploy to" in told.fix) == advised


def test_a_script_that_takes_the_policy_from_a_file_names_it() -> None:
    script = "aws iam create-role --role-name ci --assume-role-policy-document file://trust.json\n"
    with pytest.raises(InputError, match=r"takes a role's from trust\.json: give that file$"):
        read_text(script, "a.sh", Setting(""))


def test_of_others_providers_the_bare_star_alone_does_not_count() -> None:
    """As IAM was recorded to answer; see test_written.py."""
    document = policy("x")
    [statement] = document["Statement"]
    statement["Principal"]["Federated"] = PROVIDER.replace(HOST, "gitlab.com")
    statement["Condition"] = {"StringLike": {"gitlab.com:sub": "*"}}
    [told] = lint(document, Setting("")).findings
    assert told.fix == "compare gitlab.com:sub with whole values; * alone does not count"


def test_a_name_and_a_literal_that_may_agree_are_not_said_to_differ() -> None:
    document = policy("repo:octo-org/app:environment:prod")
    compared = document["Statement"][0]["Condition"]
    compared["StringEquals"] = {**compared.get("StringEquals", {}), f"{HOST}:repository": "${repo}"}
    found = lint(document, Setting("a.json"))
    assert found.findings == ()
    assert "${repo} is not filled in" in found.not_judged[0]
    assert "it and the rest have in common in repository, sub" in found.not_judged[0]
    # Where literals differ, no name that is filled in helps.
    compared["StringEquals"][f"{HOST}:environment"] = "dev"
    assert rules(lint(document, Setting("a.json"))) == {"never-matches"}


@pytest.mark.parametrize(
    ("subject", "who"),
    [
        ("repo:octo-org@1001/${repo}:ref:refs/heads/main", "jobs of octo-org/${repo}"),
        ("repo:${org}/app@2002:ref:refs/heads/main", "jobs of ${org}/app"),
        ("repo:OWNER@OWNER-ID/REPO@REPO-ID:ref:refs/heads/main", "jobs of OWNER/REPO"),
    ],
)
def test_what_stands_beside_an_id_may_hold_one(subject: str, who: str) -> None:
    """https://docs.github.com/en/actions/reference/security/oidc#immutable-subject-claims"""
    found = lint(policy(subject), Setting("a.json"))
    assert rules(found) <= {"no-audience"}
    [reach] = found.reach.values()
    assert reach.who == f"{who}: refs/heads/main"
    assert reach.token is not None
    assert reach.token.subject == subject


def test_two_names_that_may_agree_are_not_said_to_differ() -> None:
    found = of_text(LOOPS % '["${var.owner}/${var.name}"]', "role.tf")
    assert found.findings == ()
    assert "hangs on what they have in common in repository, sub" in found.not_judged[0]


def claims(**values: str) -> dict[str, Any]:
    """A policy that compares these claims exactly."""
    condition = {f"{HOST}:{name}": value for name, value in values.items()}
    document = policy("repo:o/a:*")
    document["Statement"][0]["Condition"] = {"StringEquals": condition}
    return document


def test_what_stands_in_the_way_after_a_fix_is_told_with_it() -> None:
    document = claims(
        repositry="${repo}", environment="prod", sub="repo:${repo}:ref:refs/heads/main"
    )
    [told] = [one for one in lint(document, Setting("a")).findings if one.rule == "unknown-key"]
    assert f"write {HOST}:repository; then with GitHub's default subject nobody gets in" in told.fix
    assert "or take" in told.fix


def test_a_subject_that_nobody_has_is_told_whatever_the_names_are() -> None:
    sub = "repo:$OWNER/$NAME:environment:$STAGE:pull_request"
    found = lint(claims(aud="sts.amazonaws.com", repository="$OWNER/$NAME", sub=sub), Setting("a"))
    assert "never-matches" in rules(found)


def test_a_workflow_is_not_called_anothers_where_the_repository_is_open() -> None:
    found = lint(
        claims(
            aud="sts.amazonaws.com",
            repository_id="${id}",
            sub="repo:${repo}:environment:prod",
            job_workflow_ref="octo-org/app/.github/workflows/deploy.yml@refs/heads/main",
        ),
        Setting("a"),
    )
    [told] = [one for one in found.findings if one.rule == "movable-workflow"]
    assert "may be another repository's" in told.message
    assert told.severity == "note"


def test_another_product_is_named_although_its_provider_is_open() -> None:
    text = """
resource "aws_iam_role" "ci" {
  assume_role_policy = jsonencode({
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = aws_iam_openid_connect_provider.gitlab.arn }
      Condition = {
        StringEquals = { "gitlab.com:aud" = "https://gitlab.com" }
        StringLike   = { "gitlab.com:sub" = "project_path:${var.project}:ref_type:branch:ref:*" }
      }
    }]
  })
}
"""
    found = of_text(text, "role.tf")
    assert found.findings == ()
    assert "the provider gitlab.com is not one of GitHub's" in found.not_judged[0]


def test_a_sharp_in_a_shells_variable_is_no_comment() -> None:
    found = of_text(f"""
SUBJECT="repo:octo-org/app:environment:${{stage#tofu-}}"
cat > trust.json <<EOF
{json.dumps(claims(aud="sts.amazonaws.com", sub="${SUBJECT}"))}
EOF
""", "role.sh")  # fmt: skip
    assert "environment ${stage#tofu-}" in who(found)


@pytest.mark.parametrize("name", ["module.eks.oidc_provider_arn", "aws_iam_x.gitlab.arn"])
def test_a_provider_that_is_called_anothers_is_not_taken_for_githubs(name: str) -> None:
    document = claims(aud="sts.amazonaws.com")
    document["Statement"][0]["Principal"] = {"Federated": f"${{{name}}}"}
    found = lint(document, Setting("a"))
    assert found.findings == ()
    assert "which provider it is decides who gets in" in found.not_judged[0]


def test_who_is_trusted_beside_a_provider_is_told_where_it_is_open() -> None:
    document = claims(aud="sts.amazonaws.com", sub="repo:o/a:ref:refs/heads/main")
    other = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "${var.trusted}"}}
    document["Statement"].append(other)
    assert "${var.trusted} is not filled in" in lint(document, Setting("a")).not_judged[0]
    # A word in capitals stands for what is filled in, too, at least beside a placeholder.
    document["Statement"][0]["Sid"] = "${var.sid}"
    other["Principal"] = {"AWS": "DEPLOYER_ARN"}
    assert (
        "DEPLOYER_ARN is a placeholder that nothing filled in"
        in lint(document, Setting("a")).not_judged[0]
    )


def test_of_another_products_policy_nothing_is_taken_for_granted() -> None:
    found = of_text("""
new iam.FederatedPrincipal('cognito-identity.amazonaws.com', {
  StringEquals: { 'cognito-identity.amazonaws.com:aud': this.identityPool.ref },
}, 'sts:AssumeRoleWithWebIdentity')
""")
    [told] = found.not_judged
    assert told.endswith("the provider cognito-identity.amazonaws.com is not one of GitHub's")


def test_what_stands_for_the_beginning_of_a_subject_is_a_repository() -> None:
    sub = "${local.prefix}:ref:refs/heads/main"
    found = lint(claims(aud="sts.amazonaws.com", sub=sub), Setting("a"))
    assert "jobs of ${local.prefix}: refs/heads/main" in who(found)
    assert found.reach["a"].token is not None
    assert found.reach["a"].token.subject == sub
    assert "no-repository-id" not in rules(found)
    assert "whether the subject carries ids is not known" in found.not_judged[0]
    found = lint(claims(aud="sts.amazonaws.com", sub=sub, event_name="push"), Setting("a"))
    assert "unknown-key" in rules(found)


def test_two_variables_for_a_repository_are_taken_for_one() -> None:
    found = lint(
        claims(
            aud="sts.amazonaws.com",
            repository="${var.repo}",
            sub="${local.prefix}:ref:refs/heads/main",
        ),
        Setting("a"),
    )
    assert who(found) == "jobs of ${var.repo}: refs/heads/main"
    assert "were taken for the same one" in found.not_judged[0]


def test_a_word_in_the_providers_place_hides_nothing_else() -> None:
    document = claims(aud="sts.amazonaws.com", sub="repo:o/a:ref:refs/heads/main")
    document["Statement"][0]["Principal"] = {"Federated": "YOUR_OIDC_ARN_HERE"}
    assert who(lint(document, Setting("a"))) == "jobs of o/a: refs/heads/main"


def test_a_loop_over_a_default_is_each_of_its_items() -> None:
    text = f"""
variable "refs" {{
  default = ["refs/heads/main"]
}}
resource "aws_iam_role" "ci" {{
  assume_role_policy = jsonencode({{
    Statement = [{{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = {{ Federated = "{PROVIDER}" }}
      Condition = {{
        StringEquals = {{ "{HOST}:aud" = "sts.amazonaws.com" }}
        StringLike   = {{ "{HOST}:sub" = [for ref in var.refs : "repo:${{var.repo}}:${{ref}}"] }}
      }}
    }}]
  }})
}}
"""
    found = of_text(text, "role.tf")
    [told] = [one for one in found.findings if one.rule == "never-matches"]
    assert "write 'repo:${var.repo}:ref:refs/heads/main'" in told.fix


def test_a_statement_that_a_module_takes_is_read() -> None:
    text = f"""
module "role" {{
  trust_policy_permissions = {{
    github = {{
      actions    = ["sts:AssumeRoleWithWebIdentity"]
      principals = [{{ type = "Federated", identifiers = ["{PROVIDER}"] }}]
      condition = [
        {{ test = "StringEquals", variable = "{HOST}:aud", values = ["sts.amazonaws.com"] }},
        {{ test = "StringLike", variable = "{HOST}:sub", values = ["repo:octo-org/app:*"] }},
      ]
    }}
  }}
}}
"""
    assert "any-context" in rules(of_text(text, "role.tf"))


def test_each_way_of_a_choice_over_several_lines_is_judged() -> None:
    choice = "stage === 'dev'\n  ? 'repo:o/a:environment:dev'\n  : 'repo:o/a:environment:prod'"
    found = of_text(CDK % f".withConditions({CONDITIONS % choice})")
    whos = [one.who for one in found.reach.values()]
    assert whos == ["jobs of o/a: environment dev", "jobs of o/a: environment prod"]


def test_a_choice_that_is_none_between_texts_is_named_as_a_whole() -> None:
    found = of_text(CDK % f".withConditions({CONDITIONS % 'stage ? one() : two()'})")
    assert found.findings == ()
    assert "stage ? one() : two()" in found.not_judged[0]


def test_a_ref_that_is_not_filled_in_is_quoted_as_it_is_written() -> None:
    document = claims(aud="sts.amazonaws.com", ref="${ref}", sub="repo:o/a:ref:${ref}")
    assert who(lint(document, Setting("a"))) == "jobs of o/a: ${ref}"


def test_a_document_for_each_of_a_map_is_one_policy_each() -> None:
    text = LOOPS.replace(
        "  statement {",
        """  for_each = {
    plan   = ["octo-org/app"]
    deploy = ["octo-org/other"]
  }

  statement {""",
    ).replace("var.repos", "each.value")
    read = read_text(text % "each.value", "role.tf", Setting(""))
    assert [one.origin for _, one in read.documents] == [
        'role.tf: data.aws_iam_policy_document.trust["plan"]',
        'role.tf: data.aws_iam_policy_document.trust["deploy"]',
    ]
    assert ["octo-org/other" in str(document) for document, _ in read.documents] == [False, True]


def test_a_shells_command_with_quotes_is_a_placeholder() -> None:
    text = (
        f'TRUST=$(cat <<EOF\n{{"Statement": [{{"Effect": "Allow", "Action": '
        f'"sts:AssumeRoleWithWebIdentity", "Principal": {{"Federated": "{PROVIDER}"}}, '
        f'"Condition": {{"StringEquals": {{"{HOST}:aud": "sts.amazonaws.com", "{HOST}:sub": '
        '"repo:$(escape "$REPO"):ref:refs/heads/$(escape "$BRANCH")"}}}]}\nEOF\n)\n'
    )
    assert 'refs/heads/$(escape "$BRANCH")' in who(of_text(text, "role.sh"))


def test_a_saml_provider_is_named_as_what_it_is() -> None:
    document = policy("repo:o/a:*")
    document["Statement"][0] |= {
        "Action": "sts:AssumeRoleWithSAML",
        "Principal": {"Federated": "arn:aws:iam::${account}:saml-provider/${name}"},
        "Condition": {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}},
    }
    found = lint(document, Setting("a.json"))
    assert found.findings == ()
    assert found.not_judged == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "x: &a [1,1,1,1,1,1,1,1]\n"
        + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "principals = [{" * 3000,
        "statement={ /*" * 3000,
        "statement = { a = <<EOF\n" * 2000,
        "statement: [{ a: " + "(" * 20_000,
        'data "x" "y" {\n' * 1000,
        "statement = { " + "a" * 20_000,
    ],
)
def test_what_nobody_writes_is_given_up_soon(text: str) -> None:
    with pytest.raises(InputError, match="not JSON"):
        read_text(f"# AssumeRole\n{text}", "a.tf", Setting(""))


def test_anothers_provider_is_told_as_such_whatever_its_organisation() -> None:
    provider = "oidc.circleci.com/org/<ORG_ID>"
    document = policy("x")
    statement = document["Statement"][0]
    statement["Principal"] = {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{provider}"}
    statement["Condition"] = {
        "StringEquals": {f"{provider}:aud": "<ORG_ID>"},
        "StringLike": {f"{provider}:sub": "org/<ORG_ID>/project/*/user/*"},
    }
    told = (
        "a.json, statement #0: the provider oidc.circleci.com/org/<ORG_ID> is not one of GitHub's"
    )
    assert lint(document, Setting("a.json")).not_judged == (told,)


def test_a_provider_whose_subjects_are_service_accounts_is_no_github(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html"""
    for provider, key, name in (
        ("aws_iam_openid_connect_provider.eks.arn",
         '"${replace(aws_iam_openid_connect_provider.eks.url, "https://", "")}:sub"',
         "oidc.eks.region-code.amazonaws.com/id/${aws_eks_cluster.main}"),
        ("var.provider_arn", '"${var.provider}:sub"', "${var.provider_arn}"),
    ):  # fmt: skip
        (tmp_path / "main.tf").write_text(f"""
resource "aws_eks_cluster" "main" {{}}
resource "aws_iam_openid_connect_provider" "eks" {{
  url = aws_eks_cluster.main.identity[0].oidc[0].issuer
}}
data "aws_iam_policy_document" "pod" {{
  statement {{
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {{
      type        = "Federated"
      identifiers = [{provider}]
    }}
    condition {{
      test     = "StringEquals"
      variable = {key}
      values   = ["system:serviceaccount:kube-system:autoscaler"]
    }}
  }}
}}
""")
        read = read_paths([tmp_path], Setting("", github_only=False))
        [told] = lint_all(read.documents).not_judged
        assert told.endswith(f": the provider {name} is not one of GitHub's")
        passed_over = read_paths([tmp_path], Setting("", github_only=True))
        assert lint_all(passed_over.documents).not_judged == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_powershell_keeps_of_an_answer_is_read(encoding: str) -> None:
    """https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_character_encoding"""
    answer = {"Role": {"Arn": "arn:aws:iam::111122223333:role/ci", "AssumeRolePolicyDocument":
                       policy("repo:octo-org/app:*")}}  # fmt: skip
    read = read_text(json.dumps(answer).encode(encoding), "role.json", Setting(""))
    assert "any-context" in rules(lint_all(read.documents))


def test_each_item_of_a_list_that_may_count_makes_its_own_subject() -> None:
    text = """
import * as iam from "aws-cdk-lib/aws-iam";
const branches = props.branches ?? ["main", "next"];
const subjects = branches.map((branch) => `repo:o/a:ref:refs/heads/${branch}`);
new iam.Role(this, "Ci", { assumedBy: new iam.WebIdentityPrincipal(props.arn, {
  StringEquals: { "HOST:sub": subjects, "HOST:aud": "sts.amazonaws.com" },
}) });
""".replace("HOST", HOST)
    found = lint_all(read_text(text, "a.ts", Setting(""), Path("a.ts")).documents)
    assert [one.who for one in found.reach.values()] == [
        "jobs of o/a: refs/heads/${props.branches}",
        "jobs of o/a: refs/heads/main, refs/heads/next",
    ]


def test_an_empty_list_is_told_as_one() -> None:
    document = policy("x")
    document["Statement"][0]["Condition"] = {"ForAnyValue:StringLike": {f"{HOST}:sub": []}}
    [told] = [one for one in lint(document, Setting("")).findings if one.rule == "never-matches"]
    assert told.message.endswith(":sub compares with an empty list, which nothing fulfils")


def test_a_name_in_angle_brackets_is_quoted_as_a_script_has_it() -> None:
    text = """#!/bin/bash
OWNER=<<your-user>>
aws iam create-role --role-name ci --assume-role-policy-document '%s'
""" % json.dumps(policy("repo:${OWNER}/*:*")).replace("${OWNER}", "'${OWNER}'")  # noqa: UP031
    found = lint_all(read_text(text, "a.sh", Setting("")).documents)
    [told] = [one for one in found.findings if one.rule == "any-repository"]
    assert told.message == "'repo:<<your-user>>/*:*' accepts other repositories"


def test_a_list_with_anothers_provider_is_not_passed_over_as_anothers() -> None:
    """GitHub's is in it too, and its names are not known."""
    document = policy("repo:<ORG>/<REPO>:*")
    others = "arn:aws:iam::111122223333:oidc-provider/oidc.circleci.com/org/<ORG_ID>"
    document["Statement"][0]["Principal"] = {"Federated": [others, PROVIDER]}
    found = lint(document, Setting("a.json"))
    assert "ORG/REPO" not in str(found.reach)
    assert any("<" in line for line in found.not_judged)


TRUST = """
data "aws_iam_policy_document" "ci" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringLike"
      variable = "token.actions.githubusercontent.com:sub"
      values   = [local.subject]
    }
  }
}
"""
BESIDE = """
variable "org" { default = "octo-org" }
locals { subject = "repo:${var.org}/${var.repo}:*" }
resource "aws_iam_openid_connect_provider" "github" { url = "https://HOST" }
""".replace("HOST", HOST)


def module(folder: Path, values: str = "") -> Path:
    (folder / "roles.tf").write_text(TRUST)
    (folder / "others.tf").write_text(BESIDE + 'variable "repo" {}\n')
    (folder / "terraform.tfvars").write_text(values)
    return folder / "roles.tf"


def test_names_of_a_module_are_read_in_all_of_its_files(tmp_path: Path) -> None:
    read = read_paths([module(tmp_path, 'repo = "app"\n')], Setting(""))
    [default] = read.unknown
    assert "the default of var.org counts here" in default
    judgement = lint_all(list(read.documents))
    assert f"everyone who can push a branch to {NAMED}" in who(judgement)
    assert judgement.not_judged == ()


def test_a_value_that_is_given_is_no_default(tmp_path: Path) -> None:
    file = module(tmp_path, 'repo = "app"\norg = "octo-org"\n')
    (tmp_path / "a.auto.tfvars").write_text('repo = "*"\n')
    read = read_paths([file], Setting(""))
    assert read.unknown == ()
    assert "any-repository" in rules(lint_all(list(read.documents)))


def test_a_name_that_no_file_gives_stays_open(tmp_path: Path) -> None:
    found = lint_all(list(read_paths([module(tmp_path)], Setting("")).documents))
    assert "${var.repo} is not filled in" in found.not_judged[0]


def test_a_folder_is_read_with_all_that_is_kept_in_it(tmp_path: Path) -> None:
    module(tmp_path, 'repo = "app"\n')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "stack.ts").write_text((FILES / "stack.ts").read_text())
    (tmp_path / "deep" / "main.py").write_text("import os\n")
    (tmp_path / "deep" / "half.py").write_text('ACTION = "sts:AssumeRoleWithWebIdentity"\n')
    for other in (".terraform", "node_modules"):
        (tmp_path / other).mkdir()
        (tmp_path / other / "main.tf").write_text((FILES / "document.tf").read_text())
    read = read_paths([tmp_path], Setting(""))
    assert {setting.origin.split(":")[0] for _, setting in read.documents} == {
        f"{tmp_path}/roles.tf", f"{tmp_path}/deep/stack.ts",
    }  # fmt: skip
    assert any(line.startswith(f"{tmp_path}/deep/half.py: line 1: web") for line in read.unknown)
    assert not any("main.py" in line for line in read.unknown)


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "```json\n// secure\n{}\n```",
        "const trust = {};",
        "Role:\n  AssumeRolePolicyDocument: {}",
    ],
)
def test_a_key_that_stands_twice_is_told_in_every_language(around: str) -> None:
    """A reader that takes the last would lose the audience here."""
    text = json.dumps(policy(f"repo:{NAMED}:ref:refs/heads/main"))
    twice = text.replace('"StringLike"', '"StringEquals"')
    assert read_text(around.replace("{}", text), "a.ts", Setting("")).documents
    with pytest.raises((InputError, PolicyError), match="'StringEquals' is written twice"):
        lint_all(list(read_text(around.replace("{}", twice), "a.ts", Setting("")).documents))


def test_a_marked_word_for_the_provider_is_filled_in_by_the_conditions() -> None:
    written = json.dumps(policy("repo:octo-org/app:ref:refs/heads/main"))
    found = lint(json.loads(written.replace(PROVIDER, "__PROVIDER_ARN__")), Setting("a.json"))
    assert who(found) == "jobs of octo-org/app: refs/heads/main"
    assert f"taken for {HOST}" in found.not_judged[0]


def test_conditions_alone_on_a_page_are_named_as_not_judged() -> None:
    whole = json.dumps(policy(f"repo:{NAMED}:ref:refs/heads/main"))
    alone = json.dumps({"StringLike": {f"{HOST}:sub": "repo:*"}})
    page = "".join(f"```json\n{part}\n```\n" for part in (whole, alone, '{"a": 1}'))
    read = read_text(page, "guide.md", Setting(""))
    assert len(read.documents) == 1
    assert read.unknown == (
        "guide.md: blocks with conditions and no statement that they are of: 1",
    )
    assert read_text(f"```\n{whole}\n```\n", "guide.md", Setting("")).unknown == ()
    # Also where the page has nothing else.
    read = read_text(f"```json\n{alone}\n```\n", "guide.md", Setting(""))
    assert (read.documents, len(read.unknown)) == ((), 1)


def test_a_word_in_capitals_for_a_whole_repository_is_a_placeholder() -> None:
    found = lint(policy("repo:OUR_REPOSITORY:*"), Setting("a.json"))
    assert "any-context" in rules(found)
    assert "OUR_REPOSITORY is not filled in" in found.not_judged[0]
    assert who(lint(policy("repo:OUR_ORG/a:environment:p"), Setting("a.json"))) == (
        "jobs of OUR_ORG/a: environment p"
    )


@pytest.mark.parametrize(
    "written",
    ['"IpAddress": {"aws:SourceIp": ["YOUR_OFFICE_IP/32"]}', '"IpAddress": {"aws:SourceIp": "$ip"}',
     '"NotIpAddress": {"aws:SourceIp": "x.x.x.x/32"}', '"Bool": {"aws:SecureTransport": "${on}"}',
     '"DateLessThanIfExists": {"aws:CurrentTime": "<day>"}'],
)  # fmt: skip
def test_a_word_in_the_place_of_an_address_or_a_time_is_named(written: str) -> None:
    text = json.dumps(policy("repo:octo-org/app:environment:p")).replace(
        '"StringLike"', f'{written}, "StringLike"'
    )
    found = of_text(text, "trust.json")
    [line] = found.not_judged
    assert "stands for an address, a time or the like that is not known" in line
    assert who(found).startswith("jobs of octo-org/app: environment p, where aws:")


def test_a_value_that_iam_refuses_is_no_word() -> None:
    text = json.dumps(policy("repo:octo-org/app:*")).replace(
        '"StringLike"', '"IpAddress": {"aws:SourceIp": "203.0.113.0/33"}, "StringLike"'
    )
    with pytest.raises(PolicyError):
        of_text(text, "trust.json")


def test_all_names_that_are_open_are_told() -> None:
    text = json.dumps(policy("${subject}")).replace(
        '"StringLike"',
        f'"StringEquals": {{"{HOST}:actor": "${{actor}}", "{HOST}:ref": "$R:$S"}}, "StringLike"',
    )
    [line] = of_text(text, "trust.json").not_judged
    assert "$R and $S and ${subject} are placeholders that nothing filled in" in line
    assert "nor is anything known of ${actor}" in line


def test_roles_of_an_account_beside_the_provider_are_read_by_their_names() -> None:
    open_names = {"Effect": "Allow", "Action": "sts:AssumeRole",
                  "Principal": {"AWS": "arn:aws:iam::${account}:role/${role}"}}  # fmt: skip
    written = policy("repo:octo-org/app:*")
    written["Statement"].append(open_names)
    found = of_text(json.dumps(written), "trust.json")
    assert "any-context" in rules(found)
    assert "${account}, ${role} are not filled in and were read as names" in found.not_judged[0]


def test_a_link_that_leads_nowhere_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "trust.json").write_text(json.dumps(policy("repo:octo-org/app:*")))
    (tmp_path / "gone.tf").symlink_to(tmp_path / "nowhere.tf")
    found = read_paths([tmp_path], Setting(""))
    assert len(found.documents) == 1
    assert "gone.tf: it cannot be read: No such file" in found.unknown[0]


@pytest.mark.parametrize("language", ["typescript", "python"])
def test_what_an_object_takes_in_counts_and_a_later_key_wins(language: str) -> None:
    take_in, name = ("...", "const shared") if language == "typescript" else ("**", "SHARED")
    text = f"""{name} = {{
        "StringEquals": {{"{HOST}:aud": "sts.amazonaws.com",
                          "{HOST}:sub": "repo:{NAMED}:ref:refs/heads/main"}},
        "StringLike": {{"{HOST}:sub": "repo:evil/*"}},
    }}
    policy = {{"Statement": [{{
        "Effect": "Allow",
        "Principal": {{"Federated": "{PROVIDER}"}},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {{{take_in}{name.split()[-1]},
                       "StringLike": {{"{HOST}:repository": "octo-org/*"}}}},
    }}]}}
    """
    found = lint_all(list(read_text(text, "stack.py", Setting("")).documents))
    assert (who(found), found.not_judged) == (f"jobs of {NAMED}: refs/heads/main", ())


def test_what_an_object_takes_in_from_elsewhere_is_named_as_not_judged() -> None:
    text = f"""const policy = {{ Statement: [{{
        Effect: "Allow", Principal: {{ Federated: "{PROVIDER}" }},
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: {{ StringLike: {{ ...shared, "{HOST}:sub": "repo:octo-org/*" }} }},
    }}] }}"""
    found = lint_all(list(read_text(text, "stack.ts", Setting("")).documents))
    assert found.findings == ()
    assert "${shared}" in str(found.not_judged)


def test_each_way_of_what_an_object_takes_in_is_judged() -> None:
    text = f"""const policy = {{ Statement: [{{
        Effect: "Allow", Principal: {{ Federated: "{PROVIDER}" }},
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: {{ StringEquals: {{
          "{HOST}:aud": "sts.amazonaws.com",
          ...(wide ? {{ "{HOST}:sub": "repo:{NAMED}:pull_request" }}
                   : {{ "{HOST}:sub": "repo:{NAMED}:ref:refs/heads/main" }}),
        }} }},
    }}] }}"""
    reached = {
        one.who
        for one in lint_all(list(read_text(text, "stack.ts", Setting("")).documents)).reach.values()
    }
    assert len(reached) == 2


def test_what_one_repository_alone_may_do_is_not_said_of_the_others() -> None:
    """Subjects: GitHub Docs, "OpenID Connect reference", example subject claims."""
    host = "token.actions.githubusercontent.com"
    values = ["repo:o/a:pull_request", "repo:o/a:environment:e", "repo:o/b:ref:refs/heads/main"]
    found = lint(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{host}"},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": {
                        "StringEquals": {f"{host}:aud": "sts.amazonaws.com", f"{host}:sub": values}
                    },
                }
            ],
        },
        Setting("trust.json"),
    )
    by_rule = {one.rule: one.who for one in found.findings}
    assert by_rule["no-ref"].startswith("everyone who can push a branch to o/a, unless")
    assert by_rule["pull-request-unknown"].startswith("whoever may push a branch to o/a:")
    [reach] = found.reach.values()
    assert reach.who == "jobs of o/a: environment e, pull requests; of o/b: refs/heads/main"
