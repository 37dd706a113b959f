"""Advice on the audience, where it is known which ones the provider lists.

STS refuses a token whose aud the provider does not list.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.iam.trust_lint import Setting, lint_all
from scripts.iam.trust_lint.findings import Finding
from scripts.iam.trust_lint.sources import Input, read_paths, read_text

HOST = "token.actions.githubusercontent.com"
ORG = "https://github.com/octo-org"
POLICY = """{ Statement = [{
    Effect = "Allow", Action = "sts:AssumeRoleWithWebIdentity"
    Principal = { Federated = "arn:aws:iam::111122223333:oidc-provider/HOST" }
    Condition = { StringEquals = { "HOST:sub" = "repo:o/a:environment:p"AUD } }
  }] }""".replace("HOST", HOST)
ROOT = f"""
module "provider" {{
  source = "./provider"
  lists  = LISTS
}}
resource "aws_iam_role" "ci" {{
  assume_role_policy = jsonencode({POLICY})
}}
"""
PROVIDER = f"""
variable "lists" {{}}
resource "aws_iam_openid_connect_provider" "github" {{
  url            = "https://{HOST}"
  client_id_list = var.lists
}}
"""


def audience(read: Input) -> Finding | None:
    told = [one for one in lint_all(read.documents).findings if one.rule.endswith("-audience")]
    assert len(told) < 2
    return told[0] if told else None


def root(folder: Path, lists: str, aud: str = "", more: str = "") -> Input:
    (folder / "provider").mkdir()
    (folder / "provider" / "main.tf").write_text(PROVIDER)
    compared = f', "{HOST}:aud" = "{aud}"' if aud else ""
    (folder / "main.tf").write_text(ROOT.replace("LISTS", lists).replace("AUD", compared) + more)
    return read_paths([folder], Setting(""))


def found(folder: Path, lists: str, aud: str = "", more: str = "") -> Finding:
    told = audience(root(folder, lists, aud, more))
    assert told is not None
    return told


def test_an_audience_that_the_provider_lists_is_advised(tmp_path: Path) -> None:
    """With another one no job would get in."""
    told = found(tmp_path, f'["{ORG}"]')
    assert told.fix.startswith(f"add StringEquals {HOST}:aud: {ORG}; or let the provider")
    assert "list sts.amazonaws.com as well, and let the jobs ask for it (`audience:`" in told.fix
    assert (told.severity, told.who.partition(",")[0]) == ("warning", "nobody more")
    assert told.change is not None
    assert told.change.conditions[-1].values == (ORG,)


@pytest.mark.parametrize(
    ("lists", "level"),
    [('["sts.amazonaws.com"]', "warning"), (f'["{ORG}", "sts.amazonaws.com"]', "error"),
     ("var.lists", "error"), (f'["{ORG}", var.other]', "error"), ("[]", "error")],
)  # fmt: skip
def test_else_aws_s_audience_is(tmp_path: Path, lists: str, level: str) -> None:
    told = found(tmp_path, lists)
    assert told.fix == f"add StringEquals {HOST}:aud: sts.amazonaws.com"
    # With one in the list there is no token for another service that would do.
    assert told.severity == level
    assert ("a token for another service" in told.who) == (level == "error")
    # Of a list that is not known nothing is told as known.
    assert ("if the provider lists" in told.who) == ("var." in lists or lists == "[]")


def test_of_two_accounts_providers_that_list_others_nothing_is_known(tmp_path: Path) -> None:
    more = PROVIDER.replace("var.lists", '["sts.amazonaws.com"]').replace('"github"', '"two"')
    assert found(tmp_path, f'["{ORG}"]', more=more).fix.endswith("aud: sts.amazonaws.com")


def test_another_audience_is_not_exchanged_for_one_that_is_not_listed(tmp_path: Path) -> None:
    told = found(tmp_path, f'["{ORG}"]', aud=ORG)
    assert told.fix.startswith(f"let the provider, which lists {ORG} alone, list sts.amazonaws.com")
    assert told.fix.endswith("if the audience is meant, name it with --audience")


@pytest.mark.parametrize(("lists", "aud"), [("sts.amazonaws.com", ORG), (ORG, "sts.amazonaws.com")])
def test_an_audience_that_is_not_listed_lets_nobody_in(
    tmp_path: Path, lists: str, aud: str
) -> None:
    judged = lint_all(root(tmp_path, f'["{lists}"]', aud).documents)
    [told] = judged.findings
    assert (told.rule, told.severity) == ("never-matches", "note")
    assert told.message.startswith(f"aud must be {aud}, and the provider lists {lists} alone")
    assert told.fix.startswith(f"write StringEquals {HOST}:aud: {lists} and let the job ask for it")
    [reach] = judged.reach.values()
    assert reach.who == "nobody, as long as the provider lists no other audience"


def _plan(policy: dict[str, Any]) -> str:
    resources = [
        {"type": "aws_iam_role", "address": "aws_iam_role.ci",
         "values": {"name": "ci", "assume_role_policy": json.dumps(policy)}},
        {"type": "aws_iam_openid_connect_provider", "address": "aws_iam_openid_connect_provider.g",
         "values": {"url": HOST, "client_id_list": [ORG]}},
    ]  # fmt: skip
    planned = {"root_module": {"resources": resources}}
    return json.dumps({"format_version": "1.2", "planned_values": planned})


def _template(policy: dict[str, Any]) -> str:
    properties = {"Url": f"https://{HOST}", "ClientIdList": [{"Ref": "Org"}]}
    resources = {
        "Github": {"Type": "AWS::IAM::OIDCProvider", "Properties": properties},
        "Ci": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": policy}},
    }
    return json.dumps({"Parameters": {"Org": {"Default": ORG}}, "Resources": resources})


@pytest.mark.parametrize("made", [_plan, _template])
def test_a_plan_and_a_template_say_so_too(made: Any) -> None:
    statement = {
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{HOST}"},
        "Condition": {"StringEquals": {f"{HOST}:sub": "repo:o/a:environment:p"}},
    }  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    told = audience(read_text(made(policy), "a.json", Setting("")))
    assert told is not None
    assert told.fix.startswith(f"add StringEquals {HOST}:aud: {ORG}; or let the provider")


CDK = f"""
const provider = new iam.OpenIdConnectProvider(this, 'Github', {{
  url: 'https://{HOST}', clientIds: ['sts.amazonaws.com'],
}});
new iam.Role(this, 'Deploy', {{
  assumedBy: new iam.FederatedPrincipal(provider.openIdConnectProviderArn, {{
    StringEquals: {{ '{HOST}:sub': 'repo:o/a:environment:p' }},
  }}, 'sts:AssumeRoleWithWebIdentity'),
}});
"""
PYTHON = f"""
provider = iam.OpenIdConnectProvider(
    self, "Github", url="https://{HOST}", client_ids=["sts.amazonaws.com"]
)
iam.Role(self, "Deploy", assumed_by=iam.OpenIdConnectPrincipal(
    provider, conditions={{"StringEquals": {{"{HOST}:sub": "repo:o/a:environment:p"}}}}
))
"""
TEMPLATE = f"""
Parameters: {{Existing: {{Type: String, Default: ""}}}}
Conditions: {{Create: !Equals [!Ref Existing, ""]}}
Resources:
  Github:
    Type: AWS::IAM::OIDCProvider
    Condition: Create
    Properties: {{Url: "https://{HOST}", ClientIdList: [sts.amazonaws.com]}}
  Deploy:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Action: sts:AssumeRoleWithWebIdentity
            Principal: {{Federated: !If [Create, !Ref Github, !Ref Existing]}}
            Condition: {{StringEquals: {{"{HOST}:sub": "repo:o/a:environment:p"}}}}
"""
COUNTED = PROVIDER.replace("var.lists", '["sts.amazonaws.com"]').replace(
    "{\n  url", "{\n  count = var.create ? 1 : 0\n  url"
) + ROOT[ROOT.index("resource") :].replace("AUD", "")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "is_sure"),
    [
        ("a.ts", CDK, True),
        ("a.py", PYTHON, True),
        ("a.ts", CDK.replace("clientIds", "thumbprints"), False),
        ("a.ts", CDK + "iam.OpenIdConnectProvider.fromOpenIdConnectProviderArn(this, x, y)", False),
        ("a.yaml", TEMPLATE, False),
        ("a.yaml", TEMPLATE.replace("    Condition: Create\n", ""), True),
        ("a.tf", COUNTED + 'variable "create" {}', False),
        ("a.tf", COUNTED + 'variable "create" { default = true }', False),
        ("a.tf", COUNTED.replace("var.create ? 1 : 0", "1"), True),
    ],
)  # fmt: skip
def test_the_list_of_a_provider_that_is_made_for_sure_counts(
    tmp_path: Path, name: str, text: str, is_sure: bool
) -> None:
    """An account has one provider with an address, this one or one that was there before.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html
    """
    (tmp_path / name).write_text(text)
    told = audience(read_paths([tmp_path], Setting("")))
    assert told is not None
    assert told.severity == ("warning" if is_sure else "error")
    assert ("the provider lists one" in told.message) == is_sure


@pytest.mark.parametrize(
    ("aud", "told"),
    [
        ("", "with a token for another service that the provider lists"),
        ("https://github.com/octo-org", "and the service that such a token is made for"),
        ("https://example.com", "nobody"),
    ],
)
def test_an_audience_of_which_the_owner_is_open_is_one_more(
    tmp_path: Path, aud: str, told: str
) -> None:
    lists = '["sts.amazonaws.com", "https://github.com/${var.org}"]'
    told_of = lint_all(root(tmp_path, lists, aud, 'variable "org" {}\n').documents).findings
    about = ("no-audience", "other-audience", "never-matches")
    [finding] = [one for one in told_of if one.rule in about]
    assert told in finding.who
