"""Keys that AWS sets and no row does: the list that the gateway refuses by."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import pytest

from scripts.iam.requests.unset import FILE, unset
from tests.iam.unset import unseen_names
from tests.iam.unset.reference_keys import ABSENT, _excused, _of_reference, _set_keys, render

pytestmark = pytest.mark.slow


def test_the_list_is_what_the_reference_has_and_no_row_sets() -> None:
    assert FILE.read_text() == render(), "run python -m tests.iam.unset.reference_keys"


def test_each_excuse_excuses_something() -> None:
    actions = _set_keys()
    for pattern, of, why in ABSENT:
        assert why
        assert any(
            fnmatchcase(action, of)
            and any(fnmatchcase(key.lower(), pattern) for key in _of_reference(action))
            for action in actions
        ), (pattern, of)


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("s3:PutObject", "s3:object-lock-remaining-retention-days"),
        ("ec2:DeleteVolume", "ec2:encrypted"),
        ("iam:PassRole", "iam:associatedresourcearn"),
        ("ec2:ModifyLaunchTemplate", "ec2:attribute/"),
    ],
)
def test_a_key_that_attackers_would_use_is_on_it(action: str, key: str) -> None:
    assert key in unset(action)
    assert not _excused(action, key)


def test_a_key_that_is_set_is_not_on_it() -> None:
    assert "ec2:instancetype" not in unset("ec2:RunInstances")
    assert not unset("s3:GetObject")


def test_each_name_in_a_call_is_seen_by_a_permission_or_on_the_list() -> None:
    """A name that no permission sees could be another's: it is looked at before it is listed."""
    assert unseen_names.FILE.read_text() == unseen_names.render(), (
        "run python -m tests.iam.unset.unseen_names, and look at what is new"
    )


def test_names_that_attackers_would_use_are_seen() -> None:
    listed = json.loads(unseen_names.FILE.read_text())
    assert "VpcId" not in listed.get("ec2:CreateSecurityGroup", ())
    assert "SubnetId" not in listed["ec2:RunInstances"]
    assert "SubscriptionArn" in listed["sns:Unsubscribe"]  # its topic is seen
