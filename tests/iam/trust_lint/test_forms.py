"""Forms of source beside Terraform and JSON: what is read of them, and what is named as unread."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

import pytest

from scripts.iam.trust_lint import Judgement, Setting, lint_all
from scripts.iam.trust_lint.sources import Input, InputError, read_paths, read_text
from scripts.names import GITHUB_HOST as HOST

pytestmark = pytest.mark.slow

PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{HOST}"


def policy(subject: str, provider: str = PROVIDER) -> str:
    return f"""{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
      "Principal": {{"Federated": "{provider}"}}, "Action": "sts:AssumeRoleWithWebIdentity",
      "Condition": {{"StringEquals": {{"{HOST}:aud": "sts.amazonaws.com"}},
      "StringLike": {{"{HOST}:sub": "{subject}"}}}}}}]}}"""


def read(text: str, name: str) -> Input:
    return read_text(text, name, Setting(""), Path(name))


def judged(text: str, name: str) -> Judgement:
    return lint_all(list(read(text, name).documents))


def who(found: Judgement) -> list[str]:
    return [reach.who for reach in found.reach.values()]


@pytest.mark.parametrize(
    ("name", "text", "told", "command"),
    [
        (
            "Stack.kt",
            "import software.amazon.awscdk.Stack\n"
            'WebIdentityPrincipal(provider.arn, mapOf("StringEquals" to mapOf("a" to "b")))',
            "Kotlin that makes policies is not read",
            "cdk synth --json",
        ),
        (
            "role.go",
            'import "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"\n'
            'Actions: pulumi.StringArray{pulumi.String("sts:AssumeRoleWithWebIdentity")},',
            "no trust policy that can be read is there",
            "pulumi stack export",
        ),
    ],
)
def test_a_program_that_is_not_read_is_named_with_what_renders_it(
    name: str, text: str, told: str, command: str
) -> None:
    found = read(text, name)
    assert not found.documents
    [line] = found.unknown
    assert f"line 2: web identity is spoken of, and {told}" in line
    assert f"give what `{command}` prints" in line


# How each language builds a provider and a role: AWS CDK Reference (constructs in C#, Java and Go),
# and Pulumi's "Inputs and outputs" on apply and all.
GO = """
oidc, err := iam.NewOpenIdConnectProvider(ctx, "gh", &iam.OpenIdConnectProviderArgs{
    Url: pulumi.String("https://HOST"),
    ClientIdLists: pulumi.StringArray{pulumi.String("sts.amazonaws.com")},
})
policy := oidc.Arn.ApplyT(func(arn string) (string, error) {
    doc, err := json.Marshal(map[string]interface{}{
        "Statement": []map[string]interface{}{{
            "Effect": "Allow", "Principal": map[string]interface{}{"Federated": arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": map[string]interface{}{
                "StringLike": map[string]string{"HOST:sub": fmt.Sprintf("repo:%s/shop:*", "acme")},
            },
        }},
    })
    return string(doc), err
}).(pulumi.StringOutput)
"""
GO_CDK = """
gh := awsiam.NewOpenIdConnectProvider(stack, jsii.String("gh"), &awsiam.OpenIdConnectProviderProps{
    Url: jsii.String("https://HOST"), ClientIds: jsii.Strings("sts.amazonaws.com"),
})
awsiam.NewRole(stack, jsii.String("Ci"), &awsiam.RoleProps{
    AssumedBy: awsiam.NewWebIdentityPrincipal(gh.OpenIdConnectProviderArn(), &map[string]any{
        "StringLike": map[string]*string{"HOST:sub": jsii.String("repo:acme/shop:*")},
    }),
})
"""
CSHARP = """
private const string Org = "acme";
var gh = new OpenIdConnectProvider(this, "Gh", new OpenIdConnectProviderProps {
    Url = "https://HOST", ClientIds = new[] { "sts.amazonaws.com" } });
new Role(this, "Ci", new RoleProps {
    AssumedBy = new WebIdentityPrincipal(gh.OpenIdConnectProviderArn, new Dictionary<string, object>
    {
        { "StringLike", new Dictionary<string, object> { ["HOST:sub"] = $"repo:{Org}/shop:*" } }
    }) });
"""
JAVA = """
OpenIdConnectProvider gh = OpenIdConnectProvider.Builder.create(this, "Gh")
    .url("https://HOST").clientIds(List.of("sts.amazonaws.com"))
    .build();
final String org = "acme";
Role role = Role.Builder.create(this, "Ci")
    .assumedBy(new WebIdentityPrincipal(gh.getOpenIdConnectProviderArn(), Map.of(
        "StringLike", new HashMap<String, String>() {{
            put("HOST:sub", "repo:" + org + "/shop:*");
        }})))
    .build();
"""
PULUMI_PYTHON = """
gh = aws.iam.OpenIdConnectProvider("gh", client_id_lists=["sts.amazonaws.com"], url="https://HOST")
aws.iam.Role("Ci", assume_role_policy=pulumi.Output.all(gh.arn, gh.url).apply(
    lambda args: json.dumps({
    "Statement": [{"Effect": "Allow", "Principal": {"Federated": args[0]},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringLike": {f"{args[1]}:sub": "repo:{}/shop:*".format("acme")}}}]})))
"""
PULUMI_TYPESCRIPT = """
const gh = new aws.iam.OpenIdConnectProvider("gh", {
    clientIdLists: ["sts.amazonaws.com"], url: "https://HOST" });
new aws.iam.Role("Ci", { assumeRolePolicy: pulumi.all([gh.arn, gh.url]).apply(([arn, url]) =>
    JSON.stringify({ Statement: [{ Effect: "Allow", Principal: { Federated: arn },
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: { StringLike: { [`${url}:sub`]: "repo:" + "acme" + "/shop:*" } } }] })) });
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("main.go", GO),
        ("stack.go", GO_CDK),
        ("Stack.cs", CSHARP),
        ("Stack.java", JAVA),
        ("github.py", PULUMI_PYTHON),
        ("index.ts", PULUMI_TYPESCRIPT),
    ],
)
def test_a_program_is_read_with_the_provider_that_it_makes(name: str, text: str) -> None:
    given = read(text.replace("HOST", HOST), name)
    assert not given.unknown
    found = lint_all(list(given.documents))
    assert not found.not_judged
    rules = [one.rule for one in found.findings]
    assert rules == ["any-context", "no-audience", "no-repository-id"]
    assert "the provider lists one, sts.amazonaws.com" in found.findings[1].message
    [reach] = who(found)
    assert "acme/shop" in reach


def test_an_action_in_a_list_that_an_argument_takes_is_not_passed_over() -> None:
    beside = "doc = aws.iam.get_policy_document(statements=[\n    aws.iam.Statement(\n        "
    beside += 'actions=["sts:AssumeRoleWithWebIdentity"], principals=[github()])])\n'
    given = read(PULUMI_PYTHON.replace("HOST", HOST) + beside, "github.py")
    [line] = given.unknown
    assert "web identity is spoken of" in line
    assert "line 10:" in line


def test_pulumi_s_yaml_is_read() -> None:
    text = (
        "resources:\n  ci:\n    type: aws:iam:Role\n    properties:\n      assumeRolePolicy:\n"
        f"        fn::toJSON: {policy('repo:o/a:*')}\n"
    )
    [reach] = who(judged(text, "Pulumi.yaml"))
    assert "o/a" in reach


def test_powershell_sets_names_with_their_sign() -> None:
    head = f'$Org = "acme"\n$Repo = "shop"\n$Arn = "{PROVIDER}"\n'
    found = judged(head + '$P = @"\n' + policy("repo:$Org/$($Repo):*", "$Arn") + '\n"@\n', "a.ps1")
    [reach] = who(found)
    assert "acme/shop" in reach
    assert not found.not_judged


_HASHTABLE = f"""$aud = "{HOST}:aud"
$policy = @{{
    Version = "2012-10-17"
    Statement = @(
        @{{
            Effect = "Allow"; Principal = @{{ Federated = "{PROVIDER}" }}
            Action = "sts:AssumeRoleWithWebIdentity"
            Condition = @{{
                StringEquals = @{{ ($aud) = "sts.amazonaws.com" }}
                StringLike = @{{ "{HOST}:sub" = ("repo:{{0}}:*" -f $Repo) }}
            }}
        }}
    )
}} | ConvertTo-Json -Depth 10
"""


def test_powershell_s_hashtables_are_read() -> None:
    found = judged('$Repo = "octo-org/app"\n' + _HASHTABLE, "a.ps1")
    assert who(found) == [
        "everyone who can push a branch to octo-org/app or open a pull request from one there"
    ]
    assert not found.not_judged


def test_a_subject_in_an_operator_s_place_is_told_with_its_name_unfilled() -> None:
    text = _HASHTABLE.replace("StringLike = @{ ", "").replace("$Repo) }", "$Repo)")
    [line] = judged(text, "a.ps1").not_judged
    assert "MalformedPolicyDocument" in line


def test_a_name_before_a_colon_is_none_to_powershell() -> None:
    """`$Account:oidc` is the variable oidc of a drive that is called Account."""
    text = _HASHTABLE.replace("111122223333:oidc", "$Account:oidc")
    lines = read(text, "a.ps1").unknown
    assert any("line 6: PowerShell does not fill $Account in" in line for line in lines)
    told = read(text.replace("$Account:", "${Account}:"), "a.ps1").unknown
    assert not any("PowerShell" in line for line in told)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "main.tf",
            'module "ci" {\n  source   = "terraform-aws-modules/iam/aws//modules/'
            'iam-github-oidc-role"\n  subjects = ["octo-org/app:*"]\n}\n',
        ),
        (
            "terragrunt.hcl",
            'terraform {\n  source = "tfr:///terraform-aws-modules/iam/aws//modules/'
            'iam-github-oidc-role?version=5.39.0"\n}\n'
            'inputs = {\n  subjects = ["octo-org/app:*"]\n}\n',
        ),
    ],
)
def test_what_a_module_of_others_is_given_is_told(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    [line] = read_paths([tmp_path / name], Setting("")).unknown
    assert 'it is given subjects = ["octo-org/app:*"]; give ' in line


def test_a_word_in_quotes_is_no_parameter_of_a_function() -> None:
    text = PULUMI_TYPESCRIPT.replace("HOST", HOST).replace("[arn, url]", "[repo, url]")
    text = text.replace("Federated: arn", "Federated: repo")
    [reach] = who(judged(text, "index.ts"))
    assert "acme/shop" in reach


# https://www.serverless.com/framework/docs/guides/variables
SERVERLESS = f"""
service: boot
custom: {{org: acme, repo: shop}}
resources:
  Resources:
    Github:
      Type: AWS::IAM::OIDCProvider
      Properties: {{Url: "https://{HOST}", ClientIdList: [sts.amazonaws.com]}}
    Ci:
      Type: AWS::IAM::Role
      Properties:
        AssumeRolePolicyDocument:
          Statement:
            - Effect: Allow
              Principal: {{Federated: !Ref Github}}
              Action: sts:AssumeRoleWithWebIdentity
              Condition:
                StringLike: {{"{HOST}:sub": "repo:ORG/REPO:*"}}
"""


@pytest.mark.parametrize(
    ("org", "shown"),
    [
        ("${self:custom.org}", "acme/"),
        ("${opt:org, 'acme'}", "${opt:org, 'acme'}/"),
        ("${env:ORG}", "${env:ORG}/"),
    ],
)
def test_what_the_serverless_framework_fills_in_is_no_variable_of_iam_s(
    org: str, shown: str
) -> None:
    text = SERVERLESS.replace("ORG", org, 1) if "ORG" not in org else SERVERLESS
    text = text.replace("repo:ORG/", f"repo:{org}/").replace("REPO", "${self:custom.repo}")
    found = judged(text, "serverless.yml")
    assert "any-context" in [one.rule for one in found.findings]
    [reach] = who(found)
    assert f"{shown}shop" in reach


def test_a_policy_beside_one_that_cannot_be_read_does_not_hide_it() -> None:
    text = f"const one = {policy('repo:octo-org/app:*')};\nuse(new iam.WebIdentityPrincipal(arn, {{"
    found = read(text, "stack.ts")
    assert len(found.documents) == 1
    assert "line 5: web identity is spoken of" in found.unknown[0]
    # Where it is commented out or only compared there is nothing to judge.
    for other in (
        "// new iam.WebIdentityPrincipal(arn, {",
        'expect(action == "sts:AssumeRoleWithWebIdentity")',
    ):
        assert not read(f"const one = {policy('repo:octo-org/app:*')};\n{other}", "a.ts").unknown


def test_what_a_program_formats_is_filled_in() -> None:
    text = f"""owner := "octo-org"
    AssumeRolePolicy: pulumi.Sprintf(`{policy("repo:%s/%s:*", "%s")}`, owner, name, provider.Arn)"""
    text = text.replace('"Federated": "%s"', '"Federated": "%[1]s"', 1).replace("%[1]s", "%s")
    found = judged(text.replace("owner, name, provider.Arn", "provider.Arn, owner, name"), "a.go")
    assert who(found) == [
        "everyone who can push a branch to octo-org/${name} or open a pull request from one there"
    ]
    # A verb that nothing fills in is a placeholder, and no name.
    assert "%s" in judged(policy("repo:octo-org/%s:*"), "a.php").not_judged[0]


def test_a_script_takes_its_defaults() -> None:
    text = f"""owner="${{GITHUB_OWNER:-octo-org}}"
    cat > trust.json <<EOF
    {policy("repo:${owner}/${GITHUB_REPO:-app}:*")}
EOF
"""
    found = read(text, "role.sh")
    assert who(lint_all(list(found.documents))) == [
        "everyone who can push a branch to octo-org/app or open a pull request from one there"
    ]
    assert "the defaults of GITHUB_OWNER, GITHUB_REPO count here" in found.unknown[0]
    # What the script itself sets is no default.
    set_here = read(f"GITHUB_REPO=site\n{text}", "role.sh")
    assert "octo-org/site" in who(lint_all(list(set_here.documents)))[0]
    assert "the default of GITHUB_OWNER counts" in set_here.unknown[0]
    # A script that sets a name to itself or else a default sets nothing.
    or_else = text.replace('owner="${GITHUB_OWNER', 'GITHUB_OWNER="${GITHUB_OWNER').replace(
        "${owner}", "$GITHUB_OWNER"
    )
    assert read(or_else, "role.sh").unknown == found.unknown
    # And what has no default is open.
    for form in ("${R:?no repository}", "${R#*/}", "${R:-$(git remote)}"):
        left = judged(f"cat <<EOF\n{policy(f'repo:octo-org/{form}:*')}\nEOF", "role.sh")
        assert any("placeholder" in one or "not filled in" in one for one in left.not_judged), form


_HEADS = {
    "one line": ("a.py", "def made(name, sub={}):\n    "),
    "lines of their own": ("a.py", "def made(\n    name,\n    sub: str = {},\n):\n    "),
    "a field": ("a.py", "@dataclass\nclass Made:\n    sub: str = {}\n\n    "),
    "TypeScript": ("a.ts", "function made(\n  scope: Construct,\n  sub: string = {},\n) {{\n  "),
    "an arrow": ("a.ts", "const made = (\n  sub = {},\n): iam.Role =>\n  "),
    "taken out of an object": ("a.ts", "function made({{\n  sub = {},\n}}: Options) {{\n  "),
    "taken out later": ("a.ts", "const {{\n  sub = {},\n}} = options;\n"),
}


@pytest.mark.parametrize("head", _HEADS)
def test_a_default_that_callers_replace_is_no_constant(head: str) -> None:
    name, opened = _HEADS[head]
    sub = "self.sub" if head == "a field" else "sub"
    role = (
        f"x = new iam.WebIdentityPrincipal('{PROVIDER}', {{StringEquals: {{'{HOST}:sub': {sub}}}}})"
    )
    found = read(f"{opened.format(repr('repo:octo-org/app:ref:refs/heads/main'))}{role}", name)
    assert "refs/heads/main" in who(lint_all(list(found.documents)))[0]
    assert "the default of sub counts here; with another value others may" in found.unknown[0]


@pytest.mark.parametrize(
    "change",
    [
        "subjects += ['repo:octo-org/*']",
        "subjects.extend(['repo:octo-org/*'])",
        "subjects[0] = 'repo:octo-org/*'",
        "subjects.insert(0, 'repo:octo-org/*')",
        "for subjects in load():\n    pass",
        "if (subjects := load()):\n    pass",
        "subjects, others = load()",
        "with load() as subjects:\n    pass",
    ],
)
def test_a_value_that_is_changed_is_not_taken_as_it_was(change: str) -> None:
    text = f"""subjects = ['repo:octo-org/app:ref:refs/heads/main']
{change}
x = iam.WebIdentityPrincipal('{PROVIDER}', {{'StringLike': {{'{HOST}:sub': subjects}}}})"""
    assert "${subjects} is a placeholder" in judged(text, "a.py").not_judged[0]


_SET_AGAIN = {
    "a switch": ("a.ts", "switch (x) {{ case 'dev': sub = '{}'; }}"),
    "a block": ("a.ts", "if (dev) {{ sub = '{}'; }}"),
    "a condition": ("a.ts", "if (dev) sub = '{}';"),
    "an arrow": ("a.ts", "['{}'].forEach(sub => {{"),
    "one line of Python": ("a.py", "if dev: sub = '{}'"),
    "and": ("a.sh", '[ "$X" = dev ] && sub="{}"'),
    "then": ("a.sh", 'if [ "$X" = dev ]; then sub="{}"; fi'),
    "read": ("a.sh", "read -r -p '{}' sub"),
    "for": ("a.sh", "for sub in '{}'; do"),
}


@pytest.mark.parametrize("form", _SET_AGAIN)
def test_a_name_that_is_set_again_is_not_what_it_was_set_to_first(form: str) -> None:
    name, again = _SET_AGAIN[form]
    first = "sub='repo:octo-org/app:ref:refs/heads/main'"
    role = f"x = iam.WebIdentityPrincipal('{PROVIDER}', {{'StringLike': {{'{HOST}:sub': sub}}}})"
    if name == "a.sh":
        first, role = f"#!/bin/sh\n{first}", f"cat <<EOF\n{policy('${sub}')}\nEOF"
    text = f"{first}\n{again.format('repo:octo-org/*')}\n{role}\n"
    assert "${sub} is a placeholder" in judged(text, name).not_judged[0]
    # In a comment nothing is set.
    if name != "a.sh":
        commented = (
            f"{first}\n/* {again} */\n{role}" if name == "a.ts" else f"{first}\n# {again}\n{role}"
        )
        assert "refs/heads/main" in who(judged(commented, name))[0]


def test_a_script_that_edits_what_it_wrote_says_so() -> None:
    written = f"#!/bin/sh\ncat > t.json <<'EOF'\n{policy('repo:octo-org/app:*')}\nEOF\n"
    assert read(written, "a.sh").unknown == ()
    for edit in ("sed -i 's|app|*|' t.json", "sed -E --in-place=.bak 's|app|*|' t.json"):
        [told] = read(f"{written}{edit}\n", "a.sh").unknown
        assert "changes a file with sed, and how is not read" in told, edit
    assert read(f"{written}sed -n 1p t.json\n", "a.sh").unknown == ()


def test_several_names_are_set_on_one_line() -> None:
    text = f"""const repo = 'app'; const branch = '*';
    x = new iam.WebIdentityPrincipal('{PROVIDER}', {{'StringLike': {{
      '{HOST}:sub': `repo:octo-org/${{repo}}:ref:refs/heads/${{branch}}`}}}})"""
    assert who(judged(text, "a.ts")) == ["everyone who can push such a branch to octo-org/app"]


def test_a_list_takes_another_in() -> None:
    for name, taken in (("a.py", "*more"), ("a.ts", "...more")):
        text = f"""more = ['repo:octo-org/site:*']
x = new iam.WebIdentityPrincipal('{PROVIDER}', {{'StringLike': {{
  '{HOST}:sub': [{taken}, 'repo:octo-org/app:*']}}}})"""
        assert "octo-org/app and octo-org/site" in who(judged(text, name))[0]


def test_a_policy_that_is_changed_later_says_so() -> None:
    written = policy("repo:octo-org/app:ref:refs/heads/main")
    for change in (
        f"policy['Statement'][0]['Condition']['StringLike']['{HOST}:sub'] = 'repo:octo-org/*'",
        "policy['Statement'].append(more)",
        "policy.Statement.push(more)",
        "policy.update(more)",
    ):
        found = read(f"policy = {written}\n\n{change}\n", "a.py")
        assert "changes policy, and how is not read" in found.unknown[0], change
    assert read(f"policy = {written}\nprint(policy['Statement'] == more)\n", "a.py").unknown == ()


def test_a_name_within_a_default_is_no_parameter() -> None:
    text = f"""const REPO = 'octo-org/app';
    function made(scope: Construct, sub: string = `repo:${{REPO}}:ref:refs/heads/main`) {{
      x = new iam.WebIdentityPrincipal('{PROVIDER}', {{StringEquals: {{'{HOST}:sub': sub}}}})"""
    [told] = read(text, "a.ts").unknown
    assert "the default of sub counts here" in told


def test_an_argument_of_another_call_is_no_constant() -> None:
    policy_ = f"{{'{HOST}:sub': sub}}"
    role = f"x = iam.WebIdentityPrincipal('{PROVIDER}', {{'StringEquals': {policy_}}})"
    text = f"other(\n    sub='repo:octo-org/app:ref:refs/heads/main',\n)\n{role}"
    assert "${sub} is a placeholder" in judged(text, "a.py").not_judged[0]
    # What this file sets is taken for what a caller gives, and told.
    set_here = text.replace("other(\n    sub", "sub").replace(",\n)", "\ndef made(sub):\n    ")
    found = read(set_here, "a.py")
    assert "what callers give for sub is not known" in found.unknown[0]
    assert "refs/heads/main" in who(lint_all(list(found.documents)))[0]


def test_fields_of_a_class_have_any_modifiers() -> None:
    text = f"""class Ops extends Stack {{
      private static readonly repository = 'octo-org/app';
      role = new iam.WebIdentityPrincipal('{PROVIDER}', {{
        StringLike: {{ '{HOST}:sub': `repo:${{this.repository}}:*` }} }});"""
    assert "octo-org/app" in who(judged(text, "ops.ts"))[0]


CHOICE = f"""
Conditions: {{Open: !Equals [!Ref Stage, dev], Own: !Equals [!Ref Stage, prod]}}
Parameters: {{Stage: {{Type: String}}}}
Resources:
  Deploy:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {{Federated: "{PROVIDER}"}}
            Action: sts:AssumeRoleWithWebIdentity
            Condition:
              StringEquals:
                {HOST}:aud: sts.amazonaws.com
              StringLike:
                {HOST}:sub: !If [Open, "repo:octo-org/app:*", "repo:octo-org/app:environment:p"]
          - !If
            - Own
            - {{Effect: Allow, Principal: {{AWS: "111122223333"}}, Action: sts:AssumeRole}}
            - !Ref AWS::NoValue
"""


def test_both_ways_of_a_template_s_condition_are_judged() -> None:
    found = read(CHOICE, "template.yaml")
    judgement = lint_all(list(found.documents))
    # The other condition changes nothing about who gets in through GitHub.
    assert sorted(who(judgement)) == [
        "everyone who can push a branch to octo-org/app or open a pull request from one there",
        "jobs of octo-org/app: environment p",
    ]
    assert [line.partition("whether ")[2] for line in found.unknown] == [
        "the condition Open holds is not known; this is judged as if it did",
        "the condition Open holds is not known; this is judged as if it did not",
    ]


@pytest.mark.parametrize("swapped", [False, True])
def test_the_way_that_lets_everybody_in_is_judged_whichever_comes_first(swapped: bool) -> None:
    ways = ['"111122223333"', '"*"'][:: -1 if swapped else 1]
    text = CHOICE.replace('AWS: "111122223333"', f"AWS: !If [Open, {ways[0]}, {ways[1]}]")
    text = text.replace('!If [Open, "repo:octo-org/app:*", "repo:octo-org/app:environment:p"]', "r")
    judgement = lint_all(list(read(text, "template.yaml").documents))
    assert "any-principal" in {finding.rule for finding in judgement.findings}


def test_roles_of_a_template_that_trust_the_same_are_each_named() -> None:
    text = CHOICE + CHOICE.partition("Resources:\n")[2].replace("Deploy:", "Other:")
    places = {setting.origin for _, setting in read(text, "template.yaml").documents}
    assert {place.partition(": ")[2].partition(" ")[0] for place in places} == {"Deploy", "Other"}


def test_a_role_that_a_template_hides_is_named() -> None:
    text = """
Resources:
  Deploy:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Fn::Transform: {Name: Trust, Parameters: {Action: sts:AssumeRoleWithWebIdentity}}
"""
    [line] = read(text, "template.yaml").unknown
    assert "Deploy: its trust policy cannot be read; give the rendered template" in line


def test_conditions_beside_a_policy_of_a_page_are_told() -> None:
    more = f'"StringLike": {{ "{HOST}:sub": [ "repo:octo-org/a:*" ] }}'
    page = f"Here it is:\n\n    {policy('repo:octo-org/app:*')}\n\nUse a list:\n\n    {more}\n"
    found = read(page, "answer.md")
    assert len(found.documents) == 1
    assert any("no statement that they are of: 1" in line for line in found.unknown)


def test_a_module_that_makes_no_role_is_no_news_of_terragrunt(tmp_path: Path) -> None:
    place = tmp_path / "live" / "github" / "terragrunt.hcl"
    place.parent.mkdir(parents=True)
    place.write_text('terraform {\n  source = "../../modules/github"\n}\ninputs = {}\n')
    module = tmp_path / "modules" / "github" / "main.tf"
    module.parent.mkdir(parents=True)
    for text, told in (
        ('resource "github_repository" "app" {}\n', 0),
        ('resource "aws_iam_role" "ci" {\n  assume_role_policy = var.policy\n}\n', 1),
        (None, 1),
    ):
        module.unlink(missing_ok=True) if text is None else module.write_text(text)
        unknown = () if (found := _read(place)) is None else found.unknown
        assert len(unknown) == told


def _read(file: Path) -> Input | None:
    try:
        return read_paths([file], Setting(""))
    except InputError:
        return None


def test_what_terragrunt_gives_a_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "oidc").mkdir()
    file = tmp_path / "oidc" / "terragrunt.hcl"
    file.write_text('terraform {\n  source = "../modules/github-oidc"\n}\ninputs = {}\n')
    found = read_paths([tmp_path], Setting(""))
    assert "which roles ../modules/github-oidc makes" in found.unknown[0]
    assert "terragrunt show -json PLAN" in found.unknown[0]


def test_a_policy_that_iam_refuses_does_not_end_the_run() -> None:
    bad = policy("repo:octo-org/app:*", "somebody")
    found = lint_all(
        [(bad, Setting("bad.json")), (policy("repo:octo-org/app:*"), Setting("good.json"))]
    )
    assert "bad.json: " in found.not_judged[0]
    assert list(found.reach) == ["good.json"]


def test_a_github_elsewhere_is_asked_by_its_name() -> None:
    elsewhere = "token.actions.octo.ghe.com"
    found = judged(policy("repo:octo-org/app:*").replace(HOST, elsewhere), "trust.json")
    [fix] = [one.fix for one in found.findings if one.rule == "no-repository-id"]
    assert "`gh api --hostname octo.ghe.com repos/" in fix


def test_roles_of_one_policy_are_told_apart() -> None:
    one = f"""assumedBy: new iam.WebIdentityPrincipal('{PROVIDER}', {{
      StringLike: {{ '{HOST}:sub': 'repo:octo-org/app:*' }} }})"""
    text = f"new iam.Role(this, 'Push', {{ {one} }});\nnew iam.Role(this, 'Deploy', {{ {one} }});"
    assert sorted(judged(text, "stack.ts").reach) == ["stack.ts: Deploy", "stack.ts: Push"]


def test_subjects_of_a_loop_in_a_list_are_read() -> None:
    text = f"""const subs = branches.flatMap((branch) => [
      `repo:octo-org/app:ref:refs/heads/${{branch}}`,
      `repo:octo-org@*/app@*:ref:refs/heads/${{branch}}`,
    ]);
    const trust = {policy("X").replace('"X"', "subs")};"""
    assert "any-id" in {one.rule for one in judged(text, "role.ts").findings}


def test_a_module_s_role_is_judged_once(tmp_path: Path) -> None:
    module = tmp_path / "modules" / "role"
    module.mkdir(parents=True)
    (module / "main.tf").write_text(
        'resource "aws_iam_role" "deploy" {\n  assume_role_policy = <<EOF\n'
        f"{policy('repo:octo-org/app:*')}\nEOF\n}}\n"
    )
    (tmp_path / "main.tf").write_text('module "role" {\n  source = "./modules/role"\n}\n')
    [(_, setting)] = read_paths([tmp_path], Setting("")).documents
    assert setting.origin.endswith("module.role.aws_iam_role.deploy")


def test_conditions_around_a_principal_count() -> None:
    text = f"""new iam.Role(this, 'Deploy', {{
      assumedBy: new iam.PrincipalWithConditions(
        new iam.WebIdentityPrincipal('{PROVIDER}'), // GitHub's
        {{ StringLike: {{ '{HOST}:sub': 'repo:octo-org/app:*' }} }}),
    }});"""
    found = read(text, "stack.ts")
    assert not found.unknown
    assert who(lint_all(list(found.documents))) == [
        "everyone who can push a branch to octo-org/app or open a pull request from one there"
    ]
    # Without them anybody gets in.
    bare = text.replace("PrincipalWithConditions(", "Wrapped(")
    assert who(judged(bare, "stack.ts")) != who(judged(text, "stack.ts"))


def test_a_construct_that_makes_a_role_elsewhere_is_named() -> None:
    text = """import { GithubActionsRole } from 'aws-cdk-github-oidc';
    new GithubActionsRole(this, 'Deploy', { owner: 'octo-org', repo: 'app' });"""
    [line] = read(text, "stack.ts").unknown
    assert "line 2: a role for GitHub is made by a construct whose policy is elsewhere" in line
    assert "`cdk synth --json`" in line


def test_quotes_of_a_shell_are_none_of_the_policy_s() -> None:
    provider = """'"$PROVIDER_ARN"'"""
    trust = policy("repo:'$REPO':*", provider)
    text = f"#!/bin/bash\nTRUST='{trust}'\n"
    found = judged(text, "role.sh")
    assert who(found) == [
        "everyone who can push a branch to ${REPO} or open a pull request from one there"
    ]


def test_a_condition_that_a_program_parses_is_read() -> None:
    text = f"""condition = json.dumps({{"StringLike": {{"{HOST}:sub": "repo:octo-org/app:*"}}}})
policy = {{"Statement": [{{"Effect": "Allow", "Principal": {{"Federated": args[0]}},
  "Action": "sts:AssumeRoleWithWebIdentity", "Condition": json.loads(condition)}}]}}"""
    assert {"any-context", "no-audience"} <= {one.rule for one in judged(text, "a.py").findings}


def test_each_kind_of_context_that_is_open_is_told() -> None:
    trust = policy("X").replace(
        '"X"', '["repo:octo-org/app:ref:refs/heads/release/*", "repo:octo-org/app:environment:*"]'
    )
    [said] = who(judged(trust, "trust.json"))
    assert "everyone who can push such a branch to octo-org/app; and everyone who can run" in said
    pulls = trust.replace("app:environment:*", "app:pull_request")
    [said] = who(judged(pulls, "trust.json"))
    assert said.endswith("such a branch to octo-org/app; and pull requests of octo-org/app")


@pytest.mark.parametrize("fence", ["```", "~~~"])
def test_fences_of_either_kind_are_read(fence: str) -> None:
    page = f"# Setup\n{fence}json\n{policy('repo:octo-org/app:*')}\n{fence}\n"
    assert len(read(page, "guide.md").documents) == 1


_UNFENCED_HCL = f"""data "aws_iam_policy_document" "trust" {{
statement {{
actions = ["sts:AssumeRoleWithWebIdentity"]
principals {{
type = "Federated"
identifiers = ["arn:aws:iam::111122223333:oidc-provider/{HOST}"]
}}
condition {{
test = "StringLike"
variable = "{HOST}:sub"
values = ["repo:octo-org/app:*"]
}}
}}
}}
resource "aws_iam_role" "deploy" {{
assume_role_policy = data.aws_iam_policy_document.trust.json
}}"""
_UNFENCED_YAML = f"""Description: a role
Resources:
  Deploy:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {{Federated: arn:aws:iam::111122223333:oidc-provider/{HOST}}}
            Action: sts:AssumeRoleWithWebIdentity
            Condition: {{StringLike: {{"{HOST}:sub": "repo:octo-org/app:*"}}}}
"""


@pytest.mark.parametrize(
    ("name", "marked"),
    [
        ("guide.md", lambda block: block),
        ("guide.txt", lambda block: indent(block, "    ")),
        ("page.html", lambda block: f"<pre><code>{html.escape(block)}</code></pre>"),
    ],
)
@pytest.mark.parametrize("block", [_UNFENCED_HCL, _UNFENCED_YAML])
def test_a_whole_block_that_no_fence_sets_apart_is_read(
    name: str, marked: Callable[[str], str], block: str
) -> None:
    """As a page's text is copied from a browser, or as the page itself is kept."""
    page = f"Use a role: it's clean.\n{marked(block)}Verify\n- Run it: see that it's right.\n"
    [said] = who(judged(page, name))
    assert said.startswith("everyone who can push a branch to octo-org/app")


@pytest.mark.parametrize(
    "prose",
    [
        'resource "aws_iam_role" "x" { ... } takes "sts:AssumeRoleWithWebIdentity".',
        "Resources:\n  Type: AWS::IAM::Role is what you need for sts:AssumeRoleWithWebIdentity",
    ],
)
def test_prose_that_begins_like_a_block_is_none(prose: str) -> None:
    assert read(f"Write it so:\n{prose}\nThen go on: run it.\n", "guide.md").documents == ()


def test_examples_of_the_same_block_on_a_page_are_judged_each() -> None:
    better = _UNFENCED_HCL.replace("app:*", "app:environment:live")
    page = f"It's bad:\n{_UNFENCED_HCL}\nIt's better:\n{better}\nThat's it.\n"
    assert len(read(page, "guide.md").documents) == 2


def test_a_registry_s_module_on_a_page_is_named_beside_the_page_s_policies() -> None:
    call = 'module "oidc" {\n  source = "unfunco/oidc-github/aws"\n}'
    page = f"Either\n\n```hcl\n{call}\n```\nor\n\n```json\n{policy('repo:o/r:*')}\n```\n"
    found = read(page, "guide.md")
    assert len(found.documents) == 1
    assert "which roles unfunco/oidc-github/aws makes" in found.unknown[0]


def test_conditions_of_terraform_alone_are_told() -> None:
    page = f"""# Scope
```hcl
condition {{
  test     = "StringLike"
  variable = "{HOST}:sub"
  values   = ["repo:octo-org/app:*"]
}}
```
"""
    assert "no statement that they are of: 1" in read(page, "guide.md").unknown[0]


def test_a_template_within_a_program_is_read() -> None:
    text = f"""<Copyable command={{`
  Resources:
    Role:
      Type: AWS::IAM::Role
      Properties:
        AssumeRolePolicyDocument:
          Statement:
            - Effect: Allow
              Action: sts:AssumeRoleWithWebIdentity
              Principal: {{Federated: "{PROVIDER}"}}
              Condition:
                StringLike:
                  {HOST}:sub: !Sub repo:\\${{Org}}/app:*
`}} />"""
    assert who(judged(text, "page.tsx")) == [
        "everyone who can push a branch to ${Org}/app or open a pull request from one there"
    ]


def test_a_folder_s_tests_and_settings_are_no_news(tmp_path: Path) -> None:
    (tmp_path / "trust.json").write_text(policy("repo:octo-org/app:*"))
    (tmp_path / "tsconfig.json").write_text('{ // strict\n  "strict": true,\n}')
    (tmp_path / "role.test.ts").write_text("new GithubActionsRole(stack, 'Test', {});")
    found = read_paths([tmp_path], Setting(""))
    assert len(found.documents) == 1
    assert not found.unknown


PULLS = "everyone who can push a branch to octo-org/app or open a pull request from one there"
JOB = "jobs of octo-org/app: environment "


@pytest.mark.parametrize(
    ("name", "written", "said", "ways"),
    [
        ("a.ts", "`repo:octo-org/app:${branch ?? '*'}`", "branch counts", [PULLS]),
        ("a.ts", "`repo:octo-org/app:environment:${process.env.STAGE || 'prod'}`",
         "process.env.STAGE counts", [f"{JOB}${{process.env.STAGE}}", f"{JOB}prod"]),
        ("a.ts", "stage\n ? `repo:octo-org/app:environment:${stage}`\n : 'repo:octo-org/app:*'",
         "stage holds", [f"{JOB}${{stage}}", PULLS]),
        ("a.py", '"repo:octo-org/app:*" if wide else "repo:octo-org/app:environment:p"',
         "wide holds", [PULLS, f"{JOB}p"]),
        ("a.py", "f\"repo:octo-org/app:environment:{stage or 'p'}\"", "stage counts",
         [f"{JOB}${{stage}}", f"{JOB}p"]),
        ("a.py", "f\"repo:octo-org/app:{'*' if stage == 'dev' else 'environment:p'}\"",
         "stage == 'dev' holds", [PULLS, f"{JOB}p"]),
        ("a.py", '["repo:octo-org/app:*"] if wide else subjects', "wide holds", [PULLS]),
    ],
)  # fmt: skip
def test_each_value_that_a_program_may_choose_is_judged(
    name: str, written: str, said: str, ways: list[str]
) -> None:
    text = f"const trust = {policy('X')};".replace('"X"', written)
    found = read(text, name)
    assert who(lint_all(list(found.documents))) == ways
    told = [line.partition("whether ")[2] for line in found.unknown]
    assert f"{said} is not known; this is judged as if it did" in told
    assert f"{said} is not known; this is judged as if it did not" in told


def test_what_the_same_file_gives_is_no_choice() -> None:
    text = f"const branch = 'main';\nconst trust = {policy('X')};"
    found = read(text.replace('"X"', "`repo:octo-org/app:ref:refs/heads/${branch ?? '*'}`"), "a.ts")
    assert not found.unknown
    assert who(lint_all(list(found.documents))) == ["jobs of octo-org/app: refs/heads/main"]
    # And Python's statement on the next line is none.
    text = f"subject = 'repo:octo-org/app:*'\nif x:\n  y = 1\nelse:\n  z = {policy('X')}"
    assert who(judged(text.replace('"X"', "subject"), "a.py")) == [PULLS]


def test_each_object_of_a_list_makes_its_own_subject() -> None:
    text = f"""const repos: {{ owner: string; repo: string; filter?: string }}[] = [
      {{ owner: 'octo-org', repo: 'app' }},
      {{ owner: 'octo-org', repo: 'site', filter: 'ref:refs/heads/main' }},
    ];
    const subjects = repos.map((r) => `repo:${{r.owner}}/${{r.repo}}:${{r.filter ?? '*'}}`);
    const trust = {policy("X").replace('"X"', "subjects")};"""
    found = read(text, "a.ts")
    assert not found.unknown
    [(document, _)] = found.documents
    assert "'repo:octo-org/app:*', 'repo:octo-org/site:ref:refs/heads/main'" in str(document)


def test_nobody_gets_in_whatever_the_subject_is() -> None:
    dead = policy("${subject}").replace('"StringLike": {', f'"StringLike": {{"{HOST}:iss": "x", ')
    [finding] = judged(dead, "trust.json").findings
    assert (finding.rule, finding.who) == ("unknown-key", "nobody")


@pytest.mark.parametrize(
    ("name", "text", "address"),
    [
        # https://docs.redhat.com/en/documentation/red_hat_ceph_storage/5/html/developer_guide/examples-using-the-secure-token-service-apis_dev
        ("a.py", "iam = boto3.client('iam', aws_access_key_id=KEY, endpoint_url=URL)\n", "URL"),
        ("a.ts", "const iam = new IAMClient({ endpoint: 'http://minio:9000' });\n", "minio:9000"),
        ("a.sh", "aws --endpoint-url http://rgw iam create-role --role-name a\n", "http://rgw"),
        ("a.sh", "radosgw-admin role create --role-name=a\n", "radosgw-admin"),
        ("a.py", "s3 = boto3.client('s3', endpoint_url=URL)\niam = boto3.client('iam')\n", ""),
        ("a.py", "iam = boto3.client('iam', endpoint_url='https://iam.amazonaws.com')\n", ""),
    ],
)
def test_another_service_than_iam_is_told(name: str, text: str, address: str) -> None:
    provider = f"arn:aws:iam:::oidc-provider/{HOST}"
    quote = "'''" if name.endswith(".py") else "`" if name.endswith(".ts") else "'"
    found = read(f"{text}policy = {quote}{policy('repo:octo-org/app:*', provider)}{quote}\n", name)
    told = [line for line in found.unknown if "need not be AWS's IAM" in line]
    assert len(told) == bool(address)
    assert all(address in line for line in told)
    said = " ".join(lint_all(list(found.documents)).not_judged)
    assert "AWS has no such provider; another service with IAM's API, as Ceph, may have it" in said
    assert "nobody gets in" not in said
