"""A nineteenth attack: tags that make a thing unusable."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcloud.clients import Account, statement
from tests.localcloud.test_eleventh import told

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow


def test_tags_that_differ_in_case_make_nothing_unusable(account: Account) -> None:
    """Tag keys are case sensitive, so a thing may have both; who decides by them decides nothing.

    https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    """
    ec2, secrets = account.client("ec2"), account.client("secretsmanager")
    vpc = ec2.create_vpc(CidrBlock="10.19.0.0/16")["Vpc"]["VpcId"]
    secrets.create_secret(Name="tagged-19", SecretString="x")
    of_tag = {"StringEquals": {"aws:ResourceTag/Stage": "dev"}}
    reader = account.session(
        "by-tag-19", statement("secretsmanager:GetSecretValue", Condition=of_tag)
    )
    read = account.client("secretsmanager", reader).get_secret_value
    first, second = ({"Key": "Stage", "Value": "dev"}, {"Key": "stage", "Value": "prod"})
    ec2.create_tags(Resources=[vpc], Tags=[first])
    secrets.tag_resource(SecretId="tagged-19", Tags=[first])
    assert told(read, SecretId="tagged-19") == ""
    ec2.create_tags(Resources=[vpc], Tags=[second])
    secrets.tag_resource(SecretId="tagged-19", Tags=[second])
    assert told(read, SecretId="tagged-19") == "LocalCloudUnsupportedPolicy"
    assert secrets.get_secret_value(SecretId="tagged-19")["SecretString"] == "x"
    secrets.untag_resource(SecretId="tagged-19", TagKeys=["stage"])
    assert told(read, SecretId="tagged-19") == ""
    assert told(ec2.delete_vpc, VpcId=vpc) == ""


def test_a_role_and_a_user_have_a_tag_in_one_case(account: Account) -> None:
    """A tag whose key differs in case only replaces the one that is there.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
    """
    iam = account.client("iam")
    account.job_role("tagged-19")
    iam.create_user(UserName="tagged-19")
    of_role: dict[str, Any] = {"RoleName": "tagged-19"}
    of_user: dict[str, Any] = {"UserName": "tagged-19"}
    for name, thing in (("role", of_role), ("user", of_user)):
        tag, untag = getattr(iam, f"tag_{name}"), getattr(iam, f"untag_{name}")
        for key, value in (("Department", "finance"), ("other", "x"), ("department", "hr")):
            tag(**thing, Tags=[{"Key": key, "Value": value}])
        shown = getattr(iam, f"list_{name}_tags")
        assert {t["Key"].lower(): t["Value"] for t in shown(**thing)["Tags"]} == {
            "department": "hr",
            "other": "x",
        }
        assert len(shown(**thing)["Tags"]) == 2
        untag(**thing, TagKeys=["DEPARTMENT"])
        assert [t["Key"] for t in shown(**thing)["Tags"]] == ["other"]
        assert told(getattr(iam, f"delete_{name}"), **thing) == ""
