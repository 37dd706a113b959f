"""Keys that AWS sets and no row does: the list that the gateway refuses by."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import pytest

from scripts.iam.requests.unset import FILE, unset
from tests.iam.unset import unseen_names
from tests.iam.unset.reference_keys import (
    ABSENT,
    NEW,
    UNSAID,
    _excused,
    _of_reference,
    _plain,
    _set_keys,
    render,
)

pytestmark = pytest.mark.slow


def test_the_list_is_what_the_reference_has_and_no_row_sets() -> None:
    assert FILE.read_text() == render(), "run python -m tests.iam.unset.reference_keys"


def test_each_excuse_excuses_something() -> None:
    actions = _set_keys()
    for pattern, of, why in (*ABSENT, *UNSAID, *NEW):
        assert why
        assert any(
            fnmatchcase(action, of) and fnmatchcase(_plain(key), pattern)
            for action in actions
            for keys in _of_reference(action).values()
            for key in keys
        ), (pattern, of)


@pytest.mark.parametrize(
    ("action", "key", "resource"),
    [
        ("s3:PutObject", "s3:object-lock-remaining-retention-days", "bucket/key"),
        ("ec2:DeleteVolume", "ec2:encrypted", "volume/vol-0a"),
        ("iam:PassRole", "iam:associatedresourcearn", "role/some-role"),
        ("ec2:ModifyLaunchTemplate", "ec2:attribute/", "launch-template/lt-0a"),
        ("ec2:RunInstances", "ec2:metadatahttptokens", "instance/*"),
        ("ec2:RunInstances", "ec2:associatepublicipaddress", "network-interface/*"),
        ("ec2:RunInstances", "ec2:volumesize", "volume/*"),
    ],
)
def test_a_key_that_attackers_would_use_is_on_it(action: str, key: str, resource: str) -> None:
    assert key in unset(action, f"arn:aws:x:y:z:{resource}")
    assert not _excused(action, key)


def test_a_key_of_another_kind_of_resource_is_not_on_it() -> None:
    """A Deny by a key of the instance is not about the image, on AWS as here."""
    assert "ec2:metadatahttptokens" not in unset("ec2:RunInstances", "arn:aws:x:y::image/ami-0a")


def test_a_key_that_is_set_is_not_on_it() -> None:
    assert "ec2:instancetype" not in unset("ec2:RunInstances", "arn:aws:x:y:z:instance/*")
    assert not unset("s3:GetObject", "arn:aws:s3:::bucket/key")


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
