"""The linter against policies as they are found, good and bad: none may be misjudged."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from scripts.github.trust import judge
from scripts.iam.engine.documents import parse_policy
from scripts.iam.trust_lint import RULES, Judgement, Setting, lint
from tests import parse_yaml

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

HOST = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{HOST}"
TABLE = parse_yaml((Path(__file__).parent / "policies.yaml").read_text().replace("$H", HOST))
GOOD, BAD = TABLE["good"], TABLE["bad"]


def document(case: Mapping[str, Any]) -> dict[str, Any]:
    """Write the policy out that a row stands for."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": case.get("action", "sts:AssumeRoleWithWebIdentity"),
    }
    if "not_principal" in case:
        statement["NotPrincipal"] = case["not_principal"]
    else:
        statement["Principal"] = case.get("principal", {"Federated": PROVIDER})
    if "condition" in case:
        statement["Condition"] = case["condition"]
    return {"Version": "2012-10-17", "Statement": [statement]}


def setting(case: Mapping[str, Any]) -> Setting:
    """What a row says of its surroundings."""
    writes = case.get("writes")
    return Setting(
        origin="trust.json",
        subjects=tuple(case.get("subjects", ())),
        immutable=case.get("format") == "immutable",
        audiences=tuple(case.get("audiences", ("sts.amazonaws.com",))),
        writes=None if writes is None else tuple(writes),
    )


@functools.cache
def judged(name: str) -> Judgement:
    """What the linter says of a row."""
    case = next(case for case in (*GOOD, *BAD) if case["name"] == name)
    return lint(document(case), setting(case))


def names(cases: list[dict[str, Any]]) -> list[str]:
    return [case["name"] for case in cases]


@pytest.mark.parametrize("case", GOOD, ids=names(GOOD))
def test_nothing_is_found_in_a_good_policy(case: dict[str, Any]) -> None:
    found = judged(case["name"])
    assert [finding.rule for finding in found.findings] == case.get("notes", [])
    assert all(finding.severity == "note" for finding in found.findings)
    assert len(found.not_judged) == case.get("not judged", 0)


@pytest.mark.parametrize("case", BAD, ids=names(BAD))
def test_exactly_the_mistakes_of_a_bad_policy_are_found(case: dict[str, Any]) -> None:
    found = judged(case["name"]).findings
    assert sorted(finding.rule for finding in found) == sorted(case["expect"])
    assert all(finding.who and finding.fix and finding.message for finding in found)
    assert case["seen"]
    # What lets nobody in is a note, and only notes do not fail a build.
    assert all(finding.severity == "note" for finding in found) is case.get("only notes", False)


@pytest.mark.parametrize("case", BAD, ids=names(BAD))
def test_a_subject_that_is_shown_as_accepted_is_accepted_by_the_engine(
    case: dict[str, Any],
) -> None:
    found = judged(case["name"]).findings
    for finding in found:
        if finding.witness is not None:
            assert accepts(case, {"sub": finding.witness, **finding.claims}), finding.witness
    if "accepts" in case:
        claims = {"sub": case["accepts"], "repository_id": "2", "ref": "refs/heads/main"}
        assert accepts(case, claims)
        assert any(finding.witness for finding in found)


def accepts(case: Mapping[str, Any], claims: Mapping[str, str]) -> bool:
    """Ask the judge whether a token with these claims gets in."""
    trust = parse_policy(document(case), name="trust", kind="trust")
    aud = case.get("audiences", ["sts.amazonaws.com"])[0]
    token = {"iss": f"https://{HOST}", "aud": aud, **claims}
    return judge("arn:aws:iam::111122223333:role/ci", trust, token).allowed


def test_the_table_is_large_enough_and_half_of_it_is_bad() -> None:
    assert len(GOOD) + len(BAD) >= 60
    assert len(BAD) >= 30
    assert len(set(names(GOOD) + names(BAD))) == len(GOOD) + len(BAD)


def test_every_rule_is_raised_by_some_policy() -> None:
    raised = {rule for case in BAD for rule in case["expect"]}
    raised |= {rule for case in GOOD for rule in case.get("notes", [])}
    # It is tested below, with intended subjects.
    assert set(RULES) - raised == {"not-the-intended"}


def test_intended_subjects_are_proved_equal() -> None:
    case = GOOD[5]
    meant = case["condition"]["StringEquals"][f"{HOST}:sub"]
    assert lint(document(case), setting(case | {"subjects": meant})).findings == ()


def test_an_accepted_subject_that_is_not_intended_is_printed() -> None:
    case = GOOD[5]
    meant = case["condition"]["StringEquals"][f"{HOST}:sub"][:1]
    [found] = lint(document(case), setting(case | {"subjects": meant})).findings
    assert found.rule == "not-the-intended"
    assert found.witness == "repo:octo-org@1001/app@2002:environment:b"


def test_an_intended_subject_that_is_refused_is_printed() -> None:
    case = GOOD[0]
    both = [
        "repo:octo-org@1001/app@2002:environment:prod",
        "repo:octo-org@1001/app@2002:pull_request",
    ]
    [found] = lint(document(case), setting(case | {"subjects": both})).findings
    assert found.rule == "not-the-intended"
    assert "pull_request" in found.message


def of(subject: str, operator: str = "StringEquals", provider: str = PROVIDER) -> dict[str, Any]:
    condition: dict[str, Any] = {
        "StringEquals": {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:repository_id": "2"}
    }
    condition.setdefault(operator, {})[f"{HOST}:sub"] = subject
    return document({"condition": condition, "principal": {"Federated": provider}})


def test_what_keeps_an_intended_subject_out_is_named_and_was_tried() -> None:
    main, prod = (f"repo:o@1/a@2:{one}" for one in ("ref:refs/heads/main", "environment:prod"))
    listed = {HOST: ("https://github.com/o",)}
    [found, *_] = [
        one
        for one in lint(of(main), Setting("x", (main,), client_ids=listed)).findings
        if one.rule == "not-the-intended"
    ]
    assert found.fix == f"change StringEquals {HOST}:aud, by which it is refused whatever sub is"
    # Where the subject lacks too, both are named.
    [found, *_] = [
        one
        for one in lint(of(prod), Setting("x", (main,), client_ids=listed)).findings
        if one.rule == "not-the-intended"
    ]
    assert found.fix.endswith(f"whatever sub is, and write StringEquals {HOST}:sub: {main}")


def test_every_pattern_that_is_open_to_more_refs_is_quoted() -> None:
    patterns = ("repo:o@1/a@2:ref:refs/heads/r/*", "repo:o@1/a@2:ref:refs/tags/v*")
    audience = {"StringEquals": {f"{HOST}:aud": "sts.amazonaws.com"}}
    both = {**audience, "StringLike": {f"{HOST}:sub": [*patterns, "repo:o@1/a@2:environment:x"]}}
    judged = lint(document({"condition": both}), Setting("x")).findings
    [found] = [one for one in judged if one.rule == "any-ref"]
    assert all(repr(one) in found.message for one in patterns)
    assert found.message.endswith(" accept more refs than they name")


def test_an_intended_subject_may_be_another_statements() -> None:
    main, prod = (f"repo:o@1/a@2:{one}" for one in ("ref:refs/heads/main", "environment:prod"))
    both = of(main)
    both["Statement"] += of(main.replace("main", "x"))["Statement"]
    other = main.replace("main", "x")
    assert lint(both, Setting("x", (main, other))).findings == ()
    [found] = lint(both, Setting("x", (main, other, prod))).findings
    assert found.message == f"the intended subject {prod!r} is not accepted"


def test_a_policy_that_lets_nobody_in_refuses_what_is_intended() -> None:
    """aws-actions/configure-aws-credentials#721"""
    policy = of("repo:github.com/o@1/a@2:*", "StringLike")
    found = lint(policy, Setting("x", ("repo:o@1/a@2:ref:refs/heads/main",))).findings
    assert {one.rule: one.severity for one in found} == {
        "not-the-intended": "error", "never-matches": "note",
    }  # fmt: skip
    [dead] = lint(policy, Setting("x")).findings
    assert "write 'repo:o@1/a@2:ref:refs/heads/BRANCH' for" in dead.fix


def test_chinas_audience_is_proposed_for_a_role_in_china() -> None:
    """aws-actions/configure-aws-credentials#457"""
    policy = of("repo:o@1/a@2:ref:refs/heads/main", provider=PROVIDER.replace("aws", "aws-cn", 1))
    del policy["Statement"][0]["Condition"]["StringEquals"][f"{HOST}:aud"]
    [found] = lint(policy, Setting("x")).findings
    assert found.fix.endswith(": sts.amazonaws.com.cn")
    [found] = lint(policy, Setting("x", audiences=("mine",))).findings
    assert found.fix.endswith(": mine")


def test_a_pattern_may_equal_the_intended_subjects() -> None:
    condition = {
        "StringEquals": {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:repository_id": "2",
                         f"{HOST}:environment": "prod", f"{HOST}:ref": "refs/heads/main"},
        "StringLike": {f"{HOST}:sub": "repo:o@1/a@2:environment:p*d"},
    }  # fmt: skip
    meant = ("repo:o@1/a@2:environment:prod",)
    assert lint(document({"condition": condition}), Setting("x", meant)).findings == ()


def test_a_repository_with_ids_elsewhere_in_the_input_has_them_here() -> None:
    from scripts.iam.trust_lint import lint_all

    with_ids, names_alone = document(GOOD[0]), document(GOOD[4])
    found = lint_all([(with_ids, Setting("a")), (json.dumps(names_alone), Setting("b"))])
    assert [(item.rule, item.origin) for item in found.findings] == [("names-only-subject", "b")]


def test_patterns_that_explode_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.iam.trust_lint.decide import automata

    monkeypatch.setattr(automata, "MOST_STATES", 50)
    case = {"condition": {"StringLike": {f"{HOST}:sub": "*a*b*c*d*e*f*g*"}}}
    found = lint(document(case), Setting("x"))
    assert "over 50 combinations" in found.not_judged[0]


def test_a_subject_that_is_whole_is_not_to_be_written_whole() -> None:
    """A workflow alone is a whole subject; what shuts strangers out is the owner's number."""
    workflow = "octo-org/shared/.github/workflows/deploy.yml@refs/heads/main"
    exact = {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:sub": f"job_workflow_ref:{workflow}"}
    owned = exact | {f"{HOST}:repository_owner_id": "1001"}
    found = {
        name: [one for one in lint(document({"condition": {"StringEquals": equals}}),
                                   Setting("p")).findings if one.rule == "any-owner"]
        for name, equals in (("exact", exact), ("owned", owned))
    }  # fmt: skip
    assert f"{HOST}:repository_owner_id" in found["exact"][0].fix
    assert found["owned"] == []


def test_advice_that_opens_more_than_is_named_says_whom() -> None:
    """The action alone would let in what the pattern behind it takes."""
    wide = {"StringEquals": {f"{HOST}:aud": "sts.amazonaws.com"},
            "StringLike": {f"{HOST}:sub": "repo:o/a:*"}}  # fmt: skip
    [found] = lint(document({"action": "sts:AssumeRole", "condition": wide}), Setting("p")).findings
    assert found.rule == "wrong-action"
    assert found.fix.startswith("write sts:AssumeRoleWithWebIdentity; alone it would let in every")
    assert found.fix.endswith("so narrow sub with it")


def test_a_provider_beside_githubs_is_not_the_one_to_exchange() -> None:
    both = {"Federated": [PROVIDER, "cognito-identity.amazonaws.com"]}
    exact = {"StringEquals": {f"{HOST}:aud": "sts.amazonaws.com",
                              f"{HOST}:sub": "repo:o@1/a@2:ref:refs/heads/main"}}  # fmt: skip
    case = {"principal": both, "condition": exact}
    found = {one.rule: one for one in lint(document(case), Setting("p")).findings}
    assert found["other-provider"].who == "nobody"
    assert found["other-provider"].fix.startswith("take cognito-identity.amazonaws.com out")
    assert "compare cognito-identity.amazonaws.com:aud " in found["refused-when-written"].fix


def test_the_claims_of_a_witness_pass_every_deny() -> None:
    """A Deny on a claim that the Allow does not compare: the proof names that claim, too."""
    allow = document({"condition": {"StringEquals": {f"{HOST}:aud": "sts.amazonaws.com"},
                                    "StringLike": {f"{HOST}:sub": "repo:o/*"}}})  # fmt: skip
    denied = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRoleWithWebIdentity",
              "Condition": {"StringNotLike": {f"{HOST}:workflow": "deploy-*"}}}  # fmt: skip
    allow["Statement"].append(denied)
    trust = parse_policy(allow, name="trust", kind="trust")
    [found] = [one for one in lint(allow, Setting("p")).findings if one.rule == "any-repository"]
    assert found.claims["workflow"].startswith("deploy-")
    sent = {"iss": f"https://{HOST}", "aud": "sts.amazonaws.com", "sub": found.witness}
    assert judge("arn:aws:iam::111122223333:role/ci", trust, {**sent, **found.claims}).allowed


def test_whoever_gets_in_by_any_statement_is_said() -> None:
    """department-of-veterans-affairs/va.gov-team#136742: a statement for each of two servers."""
    main = {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:sub": "repo:o/a:ref:refs/heads/main"}
    both = document({"condition": {"StringEquals": main}})
    host = "token.actions.octocorp.ghe.com"
    both["Statement"] += json.loads(json.dumps(both["Statement"]).replace(HOST, host)
                                    .replace("repo:o/a:", "repo:p/b:"))  # fmt: skip
    assert lint(both, Setting("p")).reach["p"].who == (
        "jobs of o/a: refs/heads/main; and jobs of p/b: refs/heads/main"
    )


def test_a_misspelt_claim_is_written_right() -> None:
    exact = {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:repositry": "o/a",
             f"{HOST}:sub": "repo:o/a:ref:refs/heads/main"}  # fmt: skip
    [found] = lint(document({"condition": {"StringEquals": exact}}), Setting("p")).findings
    assert found.rule == "unknown-key"
    assert found.fix == f"write {HOST}:repository"


@pytest.mark.parametrize(
    ("workflow", "who"),
    [
        ("o/a/.github/workflows/ci.yml@refs/heads/main", "what the named workflow runs of the"),
        ("shared/b/.github/workflows/ci.yml@" + "0a" * 20, "what the named workflow runs of the"),
        ("o/a/.github/workflows/ci.yml@refs/pull/*", "the pull request's own code runs with"),
        ("o/a/.github/workflows/ci.yml@*", "the pull request's own code runs with"),
        ("*", "the pull request's own code runs with"),
    ],
)
def test_a_pull_request_runs_its_own_code_unless_the_workflow_is_fixed(
    workflow: str, who: str
) -> None:
    condition = {
        "StringEquals": {
            f"{HOST}:aud": "sts.amazonaws.com",
            f"{HOST}:sub": "repo:o/a:pull_request",
        },
        "StringLike": {f"{HOST}:job_workflow_ref": workflow},
    }
    found = {
        one.rule: one for one in lint(document({"condition": condition}), Setting("p")).findings
    }
    assert who in found["pull-request-unknown"].who


def test_whoever_owns_the_name_today_gets_in_too() -> None:
    equals = {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:repository": "o/a"}
    condition = {"StringEquals": equals, "StringLike": {f"{HOST}:sub": "repo:*:environment:prod"}}
    found = lint(document({"condition": condition}), Setting("p"))
    assert found.reach["p"].who.startswith("jobs of o/a, and whoever registers o/a once the name")


def test_a_ref_or_workflow_that_is_asked_for_beside_an_environment_is_said() -> None:
    equals = {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:ref": "refs/heads/main",
              f"{HOST}:workflow": "deploy", f"{HOST}:actor": ["ann", "bob"],
              f"{HOST}:sub": "repo:acme@1/infra@2:environment:production"}  # fmt: skip
    found = lint(document({"condition": {"StringEquals": equals}}), Setting("p"))
    assert found.reach["p"].who == (
        "jobs of acme/infra: environment production at refs/heads/main, in a run that ann or bob "
        "starts, in a run of the workflow deploy"
    )


@pytest.mark.parametrize(
    ("subject", "who", "is_kept_out"),
    [
        ("repo:o/a:ref:refs/heads/main", "whoever registered o/a before 15 July 2026, when", True),
        ("repository:o/a:ref:refs/heads/main", "whoever registers o/a once the name", False),
    ],
)
def test_since_subjects_carry_ids_a_freed_name_lets_in_who_took_it_before(
    subject: str, who: str, is_kept_out: bool
) -> None:
    """And its own repository not, if its subjects carry ids.

    https://docs.github.com/en/actions/reference/security/oidc
    """
    equals = {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:sub": subject}
    found = lint(document({"condition": {"StringEquals": equals}}), Setting("p"))
    [finding] = [one for one in found.findings if one.rule == "no-repository-id"]
    assert finding.who.startswith(who)
    assert finding.fix.endswith("is let in by its subject with them alone") == is_kept_out


@pytest.mark.parametrize("host", ["vstoken.actions.githubusercontent.com", "gitlab.com"])
def test_a_job_that_only_the_wrong_provider_is_for_is_an_error(host: str) -> None:
    subject = "repo:octo-org/app:ref:refs/heads/main"
    provider = f"arn:aws:iam::111122223333:oidc-provider/{host}"
    case = {"principal": {"Federated": provider},
            "condition": {"StringEquals": {f"{HOST}:sub": subject}}}  # fmt: skip
    for subjects, severity in (((), "note"), ((subject,), "error")):
        found = lint(document(case), Setting("p", subjects=subjects)).findings
        assert [one.severity for one in found if one.rule == "other-provider"] == [severity]


@pytest.mark.parametrize(
    "hidden",
    ["<ACCOUNT_ID>", "ACCOUNT", "${AWS::AccountId}", "###", "", "{a}", "aws", "123", "1111\u2026"],
)
def test_a_hidden_account_hides_nothing_else(hidden: str) -> None:
    text = json.dumps(
        {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
             "Principal": {"Federated": f"arn:aws:iam::{hidden}:oidc-provider/{HOST}"},
             "Condition": {"StringEquals": {f"{HOST}:aud": "sts.amazonaws.com"},
                           "StringLike": {f"{HOST}:sub": "repo:octo-org/app:*"}}}]},
        ensure_ascii=False,
    )  # fmt: skip
    for document in (text, json.loads(text)):
        found = lint(document, Setting("a.json"))
        assert "any-context" in [one.rule for one in found.findings]
        assert len(found.not_judged) == 1
        assert f"in the provider's ARN {hidden or 'the account'} is n" in found.not_judged[0]
        assert ("is not filled in" in found.not_judged[0]) == (hidden not in ("", "aws", "123"))


def test_a_hidden_account_is_quoted_as_it_is_written() -> None:
    provider = {"Federated": PROVIDER.replace("111122223333", "<ACCOUNT>")}
    found = lint(document({"principal": provider}), Setting("a.json"))
    [refused] = [one for one in found.findings if one.rule == "refused-when-written"]
    assert "<ACCOUNT>" in refused.message
    assert "0000" not in refused.message


def test_no_token_has_an_issue_time_in_aws() -> None:
    condition = {"NumericLessThan": {"aws:TokenIssueTime": "3600"}}
    found = lint(document({"condition": condition}), Setting("a.json"))
    assert found.reach["a.json"].who == "nobody"
    [told] = [one for one in found.findings if one.rule == "unknown-key"]
    assert "take the condition out" not in told.fix
    assert "anybody's repository would get in" in told.fix


@pytest.mark.parametrize("left", ["{branch}", "$BRANCH", "$branch", "$($Branch)"])
def test_what_a_template_or_a_shell_leaves_is_a_placeholder(left: str) -> None:
    sub = f"repo:octo-org/app:ref:refs/heads/{left}"
    found = lint(
        {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
             "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{HOST}"},
             "Condition": {"StringEquals": {f"{HOST}:aud": "sts.amazonaws.com",
                                            f"{HOST}:sub": sub}}}]},
        Setting("a.json"),
    )  # fmt: skip
    assert f"refs/heads/{left}" in found.reach["a.json"].who
    assert f"{left} is not filled in and was read as a name" in found.not_judged[0]


def trusting(*, like: dict[str, Any], equal: dict[str, Any] | None = None) -> Judgement:
    """What is found in a policy with the right audience and these conditions on claims."""
    operators = {"StringEquals": {"aud": "sts.amazonaws.com"} | (equal or {}), "StringLike": like}
    condition = {
        operator: {f"{HOST}:{claim}": value for claim, value in claims.items()}
        for operator, claims in operators.items()
    }
    return lint(document({"condition": condition}), Setting("a.json"))


def test_a_value_by_which_nobody_gets_in_is_told() -> None:
    main, dead = "repo:octo-org/app:ref:refs/heads/main", "repo:octo-org/app:pull_request:main"
    found = trusting(
        like={"sub": [main, dead], "actor": ["octo-org/*", "github-actions[bot]"]},
        equal={"repository_id": "2002"},
    )
    told = [one.message for one in found.findings if one.rule == "never-matches"]
    assert [value in what for value, what in zip((dead, "octo-org/*"), told, strict=True)]
    assert not any(one.rule == "claim-pattern" for one in found.findings)
    assert "in a run that github-actions[bot] starts" in found.reach["a.json"].who


def test_of_living_values_nothing_is_told() -> None:
    found = trusting(
        like={"sub": ["repo:octo-org/app:ref:refs/heads/main", "repo:octo-org/app:pull_request"]}
    )
    assert not any(one.rule == "never-matches" for one in found.findings)


def test_what_has_not_the_form_of_its_claim_is_told_with_the_form() -> None:
    found = trusting(
        like={"sub": "repo:octo-org/app:ref:refs/heads/main"}, equal={"job_workflow_ref": "Deploy"}
    )
    [told] = [one for one in found.findings if one.rule == "never-matches"]
    assert ".github/workflows/FILE@REF" in str(told.fix)


def test_a_merged_pull_request_is_on_its_base() -> None:
    """https://github.blog/changelog/2023-09-13-github-actions-updates-to-github_ref-and-github-ref/"""
    both = ["repo:octo-org/app:ref:refs/heads/main", "repo:octo-org/app:pull_request"]
    for subjects in (both, both[1]):
        found = trusting(like={"sub": subjects}, equal={"ref": "refs/heads/main"})
        rules = {one.rule for one in found.findings}
        assert not rules & {"never-matches", "pull-request", "pull-request-unknown"}
        assert "pull requests once they are merged" in found.reach["a.json"].who
    open_too = trusting(like={"sub": both})
    assert "pull-request-unknown" in {one.rule for one in open_too.findings}
    assert "merged" not in open_too.reach["a.json"].who
    loose = trusting(like={"sub": "repo:octo-org/app:*"}, equal={"ref": "refs/heads/main"})
    assert "any-context" not in {one.rule for one in loose.findings}


def test_what_each_value_opens_is_told() -> None:
    found = trusting(
        like={"sub": ["repo:octo-org/app:*", "repo:octo-org/*:environment:production"]}
    )
    told = {one.rule: one.message for one in found.findings if one.severity == "error"}
    assert set(told) == {"any-repository", "any-context"}
    assert "'repo:octo-org/app:*'" in told["any-context"]
    alone = trusting(like={"sub": "repo:octo-org/*"})
    assert "any-context" not in {one.rule for one in alone.findings}


def on(host: str, sub: str | list[str], provider: str = "") -> dict[str, Any]:
    """A statement for an issuer."""
    return {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": provider or f"arn:aws:iam::111122223333:oidc-provider/{host}"},
        "Condition": {
            "StringEquals": {f"{host}:aud": "sts.amazonaws.com"},
            "StringLike": {f"{host}:sub": sub},
        },
    }


def several(*statements: dict[str, Any]) -> Judgement:
    """What is found in a policy of these statements."""
    return lint({"Version": "2012-10-17", "Statement": list(statements)}, Setting("a.json"))


def test_everybody_on_one_server_does_not_hide_who_gets_in_from_another() -> None:
    server = "ghes.example.com/_services/token"
    found = several(on(server, "repo:*/*:*"), on(HOST, "repo:octo-org/*:*"))
    who = found.reach["a.json"].who
    assert "everybody who can run a workflow on the server ghes.example.com" in who
    assert "any repository of octo-org" in who


def test_an_owner_of_whom_some_repositories_get_in_is_not_called_wholly_open() -> None:
    found = several(on(HOST, ["repo:first/app-*-test:*", "repo:second/*:*"]))
    who = found.reach["a.json"].who
    assert "any repository of second" in who
    assert "to one of first whose name fits" in who
    [told] = [one for one in found.findings if one.rule == "no-repository-id"]
    assert "first/app-*" not in told.who


@pytest.mark.parametrize(
    ("host", "right"),
    [
        ("octo.ghe.com/_services/token", "token.actions.octo.ghe.com"),
        ("vstoken.actions.githubusercontent.com", HOST),
    ],
)
def test_a_provider_that_issues_nothing_comes_with_the_one_that_does(host: str, right: str) -> None:
    sub = "repo:octo-org@1/app@2:ref:refs/heads/main"
    provider = f"arn:aws-us-gov:iam::111122223333:oidc-provider/{host}"
    found = several(on(host, sub, provider))
    [told] = [one for one in found.findings if one.rule == "other-provider"]
    assert f"arn:aws-us-gov:iam::ACCOUNT:oidc-provider/{right}," in told.fix
    assert "begin the condition keys with the same address" in told.fix
    after = several(on(right, sub, provider.replace(host, right)))
    assert after.reach["a.json"].who == "jobs of octo-org/app: refs/heads/main"
    assert not [one for one in after.findings if one.severity == "error"]


def test_a_named_workflow_does_not_hide_that_more_branches_get_in() -> None:
    flow = "job_workflow_ref:o/a/.github/workflows/i.yml@refs/heads/main"
    found = several(
        on(HOST, [f"repo:o/a:pull_request:{flow}", f"repo:o/a:ref:refs/heads/dev/*:{flow}"])
    )
    who = found.reach["a.json"].who
    assert "pull requests, refs such as refs/heads/dev/" in who


@pytest.mark.parametrize(
    ("subjects", "from_a_job_of"),
    [
        (["repo:o/*:ref:refs/heads/main"], ", from a job of refs/heads/main"),
        (["repo:*:ref:refs/heads/main"], ", from a job of refs/heads/main"),
        (["repo:o/*:environment:a", "repo:o/*:ref:refs/heads/b"],
         ", from a job of environment a or refs/heads/b"),
        (["repo:o/*:environment:a", "repo:o/*:ref:*"], ""),
        (["repo:o/*"], ""),
    ],
)  # fmt: skip
def test_what_a_strangers_job_must_be_of_is_said_with_who_gets_in(
    subjects: list[str], from_a_job_of: str
) -> None:
    policy = of("")
    equals = policy["Statement"][0]["Condition"]["StringEquals"]
    del equals[f"{HOST}:repository_id"], equals[f"{HOST}:sub"]
    policy["Statement"][0]["Condition"]["StringLike"] = {f"{HOST}:sub": subjects}
    found = lint(policy, Setting("x"))
    who = " ".join(one.who for one in found.findings if one.rule.startswith("any"))
    assert (from_a_job_of in who) if from_a_job_of else ("from a job of" not in who)


@pytest.mark.parametrize(
    ("pattern", "pushed"),
    [("heads/feature/*", "branch"), ("tags/v*", "tag"), ("*", "branch or tag")],
)
def test_what_must_be_pushed_is_said(pattern: str, pushed: str) -> None:
    policy = of(f"repo:o@1/a@2:ref:refs/{pattern}", "StringLike")
    [reach] = lint(policy, Setting("x")).reach.values()
    assert reach.who.startswith(f"everyone who can push such a {pushed} to o/a")


def test_a_job_is_of_one_of_several_workflows() -> None:
    policy = of("repo:o@1/a@2:ref:refs/heads/main")
    equals = policy["Statement"][0]["Condition"]["StringEquals"]
    files = [f"o/a/.github/workflows/{name}.yml@refs/heads/main" for name in "xy"]
    equals[f"{HOST}:job_workflow_ref"] = files
    [reach] = lint(policy, Setting("x")).reach.values()
    assert f"in a job of {files[0]} or {files[1]}" in reach.who


@pytest.mark.parametrize(
    ("subjects", "said"),
    [
        (["repo:o/a:*", "repo:o/b:*"], "'repo:o/a:*' and 'repo:o/b:*' accept every context"),
        (["repo:o/*", "repo:p/*"], "'repo:o/*' and 'repo:p/*' accept other repositories"),
        (["repo:o/a", "repo:o/b"], "'repo:o/a' and 'repo:o/b' are not GitHub's default subjects"),
        (["repo:o/a:*pull*", "repo:o/a:*"], "'repo:o/a:*' accepts every context"),
        (
            ["repo:o/a:ref:refs/heads/*", "repo:o/b:ref:refs/heads/*", "repo:o/b:environment:p"],
            "'repo:o/a:ref:refs/heads/*' and 'repo:o/b:ref:refs/heads/*' accept more refs",
        ),
    ],
)
def test_every_value_that_is_open_in_the_same_way_is_named(subjects: list[str], said: str) -> None:
    condition = {"StringEquals": {f"{HOST}:aud": "sts.amazonaws.com"},
                 "StringLike": {f"{HOST}:sub": subjects}}  # fmt: skip
    found = lint(document({"condition": condition}), Setting("trust.json")).findings
    assert any(one.message.startswith(said) for one in found), [one.message for one in found]


def test_a_workflow_that_proves_something_has_a_file() -> None:
    policy = of("")
    equals = policy["Statement"][0]["Condition"]["StringEquals"]
    del equals[f"{HOST}:repository_id"], equals[f"{HOST}:sub"]
    only = {f"{HOST}:job_workflow_ref": "o/a/.github/workflows/*"}
    policy["Statement"][0]["Condition"]["StringLike"] = only
    [reach] = lint(policy, Setting("x")).reach.values()
    assert reach.token is not None
    assert re.match(r"o/a/\.github/workflows/[^/@]+@", str(reach.token.claims["job_workflow_ref"]))
    assert "which they may call if its repository is public" in reach.who


def _of(**conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:*"],
        "Principal": {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{HOST}"},
        "Condition": {
            operator: {key if ":" in key else f"{HOST}:{key}": one for key, one in compared.items()}
            for operator, compared in conditions.items()
        },
    }


_SEVERAL = (
    _of(StringLike={"sub": "repo:octo-org/app:*"}, StringEquals={"repository_owner_id": "1001"}),
    _of(
        StringEquals={"aud": "sts.amazonaws.com", "ref": "refs/heads/main"},
        StringLike={"sub": ["repo:octo-org/web:*", "repo:octo-org/docs:*"]},
        IpAddress={"aws:SourceIp": "203.0.113.0/24"},
    ),
    _of(
        StringEquals={"job_workflow_ref": "octo-org/x/.github/workflows/a.yml@refs/heads/main"},
        StringLike={"sub": "repo:*", "environment": "production"},
    ),
)
_VALUES = [
    (index, operator, key)
    for index, one in enumerate(_SEVERAL)
    for operator, compared in one["Condition"].items()
    for key in compared
]


def _rules(statements: Sequence[dict[str, Any]]) -> set[tuple[str, str]]:
    policy = {"Version": "2012-10-17", "Statement": [*statements]}
    return {(one.statement, one.rule) for one in lint(policy, Setting("a.json")).findings}


@functools.cache
def _before() -> set[tuple[str, str]]:
    return _rules(_SEVERAL)


@pytest.mark.parametrize("unknown", ["${var.unknown}", ["<anything here>"]])
@pytest.mark.parametrize(("index", "operator", "key"), _VALUES)
def test_a_value_that_is_not_known_hides_nothing_that_does_not_hang_on_it(
    index: int, operator: str, key: str, unknown: Any
) -> None:
    changed = deepcopy(_SEVERAL)
    changed[index]["Condition"][operator][key] = unknown
    before, after = _before(), _rules(changed)
    others = {one for one in before if one[0] != f"#{index}"}
    assert others <= after
    anyway = {"broad-action", *(() if key.endswith(":aud") else ("no-audience",))}
    assert {one for one in before - others if one[1] in anyway} <= after


@pytest.mark.parametrize(
    "provider", ["${var.provider}", "arn:aws:iam::111122223333:oidc-provider/${var.url}"]
)
def test_a_provider_that_is_not_known_hides_no_other_statement(provider: str) -> None:
    other = _of(StringEquals={"aud": "b"}) | {"Principal": {"Federated": provider}}
    other["Condition"] = {"StringEquals": {"${var.url}:sub": "repo:octo-org/app:*"}}
    policy = {"Version": "2012-10-17", "Statement": [other, _SEVERAL[0]]}
    judged = lint(policy, Setting("a.json"))
    assert {"any-context", "no-audience"} <= {
        one.rule for one in judged.findings if one.statement == "#1"
    }
    assert "which provider it is decides who gets in" in judged.not_judged[-1]
    assert {reach.level for reach in judged.reach.values()} == {"repository"}


def test_a_deny_that_is_not_known_may_keep_anybody_out() -> None:
    deny = _of(StringLike={"sub": "${var.kept_out}"}) | {"Effect": "Deny"}
    policy = {"Version": "2012-10-17", "Statement": [_SEVERAL[0], deny]}
    judged = lint(policy, Setting("a.json"))
    assert {one.rule for one in judged.findings} == {"no-audience", "broad-action"}
    assert judged.reach == {}


def test_an_empty_list_of_principals_beside_others_names_nobody() -> None:
    # IAM refuses a statement that names nobody at all ("a statement with no principals!"), not this
    # one: https://github.com/hashicorp/terraform-provider-aws/issues/7756
    service = {"AWS": [], "Service": ["ec2.amazonaws.com"]}
    other = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": service}
    policy = {"Version": "2012-10-17", "Statement": [other, _SEVERAL[0]]}
    judged = lint(policy, Setting("a.json"))
    assert {(one.statement, one.rule) for one in judged.findings} >= {("#1", "any-context")}
    assert {one.statement for one in judged.findings} == {"#1"}
    assert judged.not_judged == ()
