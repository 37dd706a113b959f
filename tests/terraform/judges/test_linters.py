"""The rendered policies before linters that nobody here wrote: findings are fixed or answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest

from tests.terraform.conftest import Plan
from tests.terraform.judges import linters
from tests.terraform.judges.linters import Finding, answers
from tests.terraform.rendered import Document, attached

pytestmark = [pytest.mark.terraform, pytest.mark.slow]

Judge = Callable[[Iterable[Document]], set[Finding]]


@pytest.fixture(scope="module")
def attached_to(bootstrap: Plan, dev: Plan, prod: Plan, keyed: Plan) -> list[Document]:
    return [document for plan in (bootstrap, dev, prod, keyed) for document in attached(plan)]


@pytest.fixture(scope="module")
def by_parliament(documents: list[Document], attached_to: list[Document]) -> set[Finding]:
    return linters.parliament([*documents, *attached_to])


@pytest.fixture(scope="module")
def by_cloudsplaining(documents: list[Document]) -> set[Finding]:
    return linters.cloudsplaining([one for one in documents if not one.bounds])


def unanswered(judge: str, found: set[Finding]) -> list[Finding]:
    known = answers(judge)
    return sorted(one for one in found if not any(answer.covers(one) for answer in known))


def needless(judge: str, found: set[Finding]) -> list[str]:
    return [one.why for one in answers(judge) if not any(one.covers(each) for each in found)]


def test_parliament_finds_nothing_that_is_not_answered(by_parliament: set[Finding]) -> None:
    assert unanswered("parliament", by_parliament) == []


def test_every_answer_to_parliament_is_still_needed(by_parliament: set[Finding]) -> None:
    assert needless("parliament", by_parliament) == []


def test_cloudsplaining_finds_nothing_that_is_not_answered(by_cloudsplaining: set[Finding]) -> None:
    assert unanswered("cloudsplaining", by_cloudsplaining) == []
    assert needless("cloudsplaining", by_cloudsplaining) == []


BAD = Document(
    "bad",
    json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": ["iam:PassRole", "s3:GetObject"], "Resource": "*"},
                {"Effect": "Allow", "Action": "s3:GetObjec", "Resource": "arn:aws:s3:::bucket/*"},
            ],
        }
    ),
)


@pytest.mark.parametrize(
    ("judge", "issue"),
    [
        (linters.parliament, "RESOURCE_STAR"),
        (linters.parliament, "UNKNOWN_ACTION"),
        (linters.cloudsplaining, "allows_data_exfiltration_actions"),
        (linters.cloudsplaining, "permissions_management_without_constraints"),
    ],
)
def test_a_bad_policy_is_found(judge: Judge, issue: str) -> None:
    assert issue in {finding.issue for finding in judge([BAD])}


def test_an_answer_is_for_the_finding_that_it_names_alone() -> None:
    [answer, *_] = answers("parliament")
    assert not answer.covers(Finding("keyless-ENV-apply-data", "RESOURCE_STAR", "ec2:RunInstances"))
    assert not answer.covers(Finding("other", "RESOURCE_MISMATCH", "ec2:RunInstances"))
