"""The linter against policies as they are found, good and bad: none may be misjudged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.iam.engine import PolicySet, Principal, Request, evaluate
from scripts.iam.engine.documents import parse_policy
from scripts.iam.trust_lint import RULES, Setting, lint

HOST = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{HOST}"
TABLE = yaml.safe_load((Path(__file__).parent / "policies.yaml").read_text().replace("$H", HOST))
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


def names(cases: list[dict[str, Any]]) -> list[str]:
    return [case["name"] for case in cases]


@pytest.mark.parametrize("case", GOOD, ids=names(GOOD))
def test_nothing_is_found_in_a_good_policy(case: dict[str, Any]) -> None:
    found = lint(document(case), setting(case))
    assert [finding.rule for finding in found] == case.get("notes", [])
    assert all(finding.severity == "note" for finding in found)


@pytest.mark.parametrize("case", BAD, ids=names(BAD))
def test_exactly_the_mistakes_of_a_bad_policy_are_found(case: dict[str, Any]) -> None:
    found = lint(document(case), setting(case))
    assert sorted(finding.rule for finding in found) == sorted(case["expect"])
    assert all(finding.who and finding.fix and finding.message for finding in found)
    assert case["seen"]


@pytest.mark.parametrize("case", BAD, ids=names(BAD))
def test_a_subject_that_is_shown_as_accepted_is_accepted_by_the_engine(
    case: dict[str, Any],
) -> None:
    found = lint(document(case), setting(case))
    for finding in found:
        if finding.witness is not None and finding.rule.startswith("any-"):
            assert accepts(case, finding.witness), finding.witness
    if "accepts" in case:
        assert accepts(case, case["accepts"])
        assert any(finding.witness for finding in found)


def accepts(case: Mapping[str, Any], subject: str) -> bool:
    """Ask the policy engine whether a token with this subject gets in."""
    claims = {"aud": "sts.amazonaws.com", "sub": subject, "repository_id": "2"}
    claims["ref"] = "refs/heads/main"
    trust = parse_policy(document(case), name="trust", kind="trust")
    request = Request(
        Principal(PROVIDER, "111122223333", "federated", federated_provider=PROVIDER),
        "sts:AssumeRoleWithWebIdentity",
        "arn:aws:iam::111122223333:role/ci",
        {f"{HOST}:{name}": (value,) for name, value in claims.items()},
    )
    return evaluate(request, PolicySet(resource=(trust,))).allowed


def test_the_table_is_large_enough_and_half_of_it_is_bad() -> None:
    assert len(GOOD) + len(BAD) >= 60
    assert len(BAD) >= 30
    assert len(set(names(GOOD) + names(BAD))) == len(GOOD) + len(BAD)


def test_every_rule_is_raised_by_some_policy() -> None:
    raised = {rule for case in BAD for rule in case["expect"]}
    raised |= {rule for case in GOOD for rule in case.get("notes", [])}
    # The first is tested with intended subjects, the second with patterns made to explode.
    assert set(RULES) - raised == {"not-the-intended", "undecided"}


def test_intended_subjects_are_proved_equal() -> None:
    case = GOOD[5]
    meant = case["condition"]["StringEquals"][f"{HOST}:sub"]
    assert lint(document(case), setting(case | {"subjects": meant})) == []


def test_an_accepted_subject_that_is_not_intended_is_printed() -> None:
    case = GOOD[5]
    meant = case["condition"]["StringEquals"][f"{HOST}:sub"][:1]
    [found] = lint(document(case), setting(case | {"subjects": meant}))
    assert found.rule == "not-the-intended"
    assert found.witness == "repo:octo-org@1001/app@2002:environment:b"


def test_an_intended_subject_that_is_refused_is_printed() -> None:
    case = GOOD[0]
    both = [
        "repo:octo-org@1001/app@2002:environment:prod",
        "repo:octo-org@1001/app@2002:pull_request",
    ]
    [found] = lint(document(case), setting(case | {"subjects": both}))
    assert found.rule == "not-the-intended"
    assert "pull_request" in found.message


def test_a_pattern_may_equal_the_intended_subjects() -> None:
    condition = {
        "StringEquals": {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:repository_id": "2",
                         f"{HOST}:environment": "prod", f"{HOST}:ref": "refs/heads/main"},
        "StringLike": {f"{HOST}:sub": "repo:o@1/a@2:environment:p*d"},
    }  # fmt: skip
    meant = ("repo:o@1/a@2:environment:prod",)
    assert lint(document({"condition": condition}), Setting("x", meant)) == []


def test_a_repository_with_ids_elsewhere_in_the_input_has_them_here() -> None:
    from scripts.iam.trust_lint import lint_all

    with_ids, names_alone = document(GOOD[0]), document(GOOD[4])
    found = lint_all([(with_ids, Setting("a")), (json.dumps(names_alone), Setting("b"))])
    assert [(item.rule, item.origin) for item in found] == [("names-only-subject", "b")]


def test_patterns_that_explode_are_named_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.iam.trust_lint import automata

    monkeypatch.setattr(automata, "MOST_STATES", 50)
    case = {"condition": {"StringLike": {f"{HOST}:sub": "*a*b*c*d*e*f*g*"}}}
    assert [item.rule for item in lint(document(case), Setting("x"))] == ["undecided"]
