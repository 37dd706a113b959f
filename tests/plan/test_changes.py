"""The normalised list of changes, its digest, and the summary that a reviewer reads."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.plan.changes import changes_of, digest, normalised
from scripts.plan.summary import code, headline, render

SECRET = "hunter2-in-the-clear"


def resource(
    address: str = "aws_x.y",
    actions: tuple[str, ...] = ("update",),
    before: Any = None,
    after: Any = None,
    **change: Any,
) -> dict[str, Any]:
    entry: dict[str, Any] = {"address": address, "mode": "managed"}
    entry |= {name: change.pop(name) for name in ("mode", "previous_address") if name in change}
    entry |= {"type": address.split(".")[0], "name": "y"}
    marks: dict[str, Any] = {"after_unknown": {}, "before_sensitive": {}, "after_sensitive": {}}
    change = {"actions": list(actions), "before": before, "after": after} | marks | change
    return entry | {"change": change}


def plan(*resources: dict[str, Any], **outputs: Any) -> dict[str, Any]:
    return {"resource_changes": list(resources), "output_changes": outputs}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(sid: str, *actions: str, resource: str = "arn:aws:s3:::b/*") -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}


def test_reads_and_what_stays_are_no_changes() -> None:
    assert not changes_of(
        plan(
            resource(actions=("no-op",), before={"a": 1}, after={"a": 1}),
            resource("data.aws_x.y", ("read",), after={"a": 1}, mode="data"),
            value={"actions": ["no-op"], "before": 1, "after": 1},
        )
    )


@pytest.mark.parametrize(
    ("actions", "word"),
    [
        (("create",), "create"),
        (("update",), "change"),
        (("delete",), "destroy"),
        (("delete", "create"), "replace"),
        (("create", "delete"), "replace"),
        (("forget",), "forget"),
    ],
)
def test_each_action_has_its_word(actions: tuple[str, ...], word: str) -> None:
    (change,) = changes_of(plan(resource(actions=actions, before={"a": 1}, after={"a": 2})))
    assert change.action == word


def test_a_move_and_an_output_are_changes_too() -> None:
    moved = resource(actions=("no-op",), previous_address="aws_x.old", before={}, after={})
    found = changes_of(plan(moved, value={"actions": ["update"], "before": 1, "after": 2}))
    assert [(one.address, one.action) for one in found] == [
        ("aws_x.y", "move"),
        ("output.value", "change"),
    ]


def test_only_attributes_that_differ_are_listed() -> None:
    before = {"same": 1, "tags": {"a": "1", "b": "2"}}
    after = {"same": 1, "tags": {"a": "1", "b": "3"}, "new": [1]}
    (change,) = changes_of(plan(resource(before=before, after=after)))
    assert [one.path for one in change.attributes] == ["new.0", "tags.b"]


BASE_POLICY = policy(allow("A", "s3:GetObject"))
BASE = plan(
    resource("aws_a.y", before={"n": 1, "p": BASE_POLICY}, after={"n": 2}),
    resource("aws_b.y", ("create",), after={"x": "1"}, after_unknown={"id": True}),
)


def changed(edit: Any) -> dict[str, Any]:
    other = copy.deepcopy(BASE)
    edit(other["resource_changes"])
    return other


@pytest.mark.parametrize(
    "edit",
    [
        lambda resources: resources.reverse(),
        lambda resources: resources[0]["change"].update(
            before={"p": json.dumps(json.loads(BASE_POLICY), indent=4), "n": 1}
        ),
        lambda resources: resources.append(resource("data.aws_c.y", ("read",), mode="data")),
        lambda resources: resources.append(resource("aws_c.y", ("no-op",))),
        lambda resources: resources[0].update(action_reason="replace_because_tainted"),
    ],
    ids=["order", "spaces in a policy", "a read", "an unchanged resource", "Terraform's reason"],
)
def test_two_plans_of_the_same_change_have_one_digest(edit: Any) -> None:
    assert digest(changes_of(changed(edit))) == digest(changes_of(BASE))


@pytest.mark.parametrize(
    "edit",
    [
        lambda resources: resources[0]["change"].update(after={"n": 3}),
        lambda resources: resources[0]["change"]["before"].update(n=7),
        lambda resources: resources[0].update(address="aws_a.z"),
        lambda resources: resources[0]["change"].update(actions=["delete", "create"]),
        lambda resources: resources.pop(),
        lambda resources: resources[1]["change"]["after"].update(extra=True),
        lambda resources: resources[1]["change"]["after_unknown"].update(arn=True),
        lambda resources: resources[0].update(deposed="abc"),
    ],
    ids=["new", "old", "address", "action", "fewer", "attribute", "unknown", "deposed"],
)
def test_another_change_has_another_digest(edit: Any) -> None:
    assert digest(changes_of(changed(edit))) != digest(changes_of(BASE))


def test_a_sensitive_value_counts_in_the_digest_and_is_shown_nowhere() -> None:
    def with_secret(value: str) -> dict[str, Any]:
        return plan(
            resource(
                before={"password": "old-" + SECRET, "n": 1},
                after={"password": value, "n": 2},
                before_sensitive={"password": True},
                after_sensitive={"password": True},
            )
        )

    changes = changes_of(with_secret(SECRET))
    assert digest(changes) != digest(changes_of(with_secret("another")))
    published = json.dumps(normalised(changes)) + render("dev", changes) + repr(changes)
    assert SECRET not in published
    assert "a sensitive value changes" in published


def test_the_hash_of_a_sensitive_value_cannot_be_looked_up() -> None:
    """A plain SHA-256 of a short secret is guessed in no time; its salt is where it stands."""
    marks = {"after_sensitive": {"password": True}}
    changes = changes_of(
        plan(
            resource("aws_a.y", ("create",), after={"password": SECRET}, **marks),
            resource("aws_b.y", ("create",), after={"password": SECRET}, **marks),
            resource("aws_c.y", ("create",), after={"password": SECRET}),
        )
    )
    first, second, plain = (change.normal["attributes"]["password"]["after"] for change in changes)
    assert len({first, second, plain}) == 3


def test_a_wholly_sensitive_object_is_not_looked_into() -> None:
    change = resource(
        before={"a": SECRET}, after={"a": SECRET + "2"}, before_sensitive=True, after_sensitive=True
    )
    found = changes_of(plan(change))
    assert SECRET not in render("dev", found)
    assert SECRET not in json.dumps(normalised(found))


def test_of_a_destroyed_resource_only_its_address_is_approved() -> None:
    one = changes_of(plan(resource(actions=("delete",), before={"capacity": 1})))
    two = changes_of(plan(resource(actions=("delete",), before={"capacity": 0})))
    assert digest(one) == digest(two)


def test_security_comes_first_and_alarms_before_all() -> None:
    text = render(
        "dev",
        changes_of(
            plan(
                resource("aws_budgets_budget.y", before={"limit": 1}, after={"limit": 2}),
                resource(
                    "aws_iam_role_policy.y",
                    before={"policy": policy(allow("Read", "s3:GetObject"))},
                    after={"policy": policy(allow("Read", "s3:GetObject", "s3:PutObject"))},
                ),
                resource(
                    "aws_vpc_security_group_ingress_rule.y",
                    ("create",),
                    after={"cidr_ipv4": "0.0.0.0/0", "from_port": 5432},
                ),
            )
        ),
    )
    places = [
        text.index(part)
        for part in (
            "### Security",
            "OPEN: anyone on the internet",
            "changes statement `Read`: `Action` gains `s3:PutObject`",
            "### Everything else",
            "aws_budgets_budget.y",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (resource("aws_db_instance.y", ("delete",), before={"id": "x"}), "DATA: the database goes"),
        (
            resource("aws_s3_bucket.y", ("delete", "create"), before={"a": 1}, after={"a": 2}),
            "DATA: the bucket goes",
        ),
        (
            resource(
                "aws_db_instance.y",
                before={"publicly_accessible": False},
                after={"publicly_accessible": True},
            ),
            "OPEN: the database",
        ),
        (
            resource(
                "aws_db_instance.y",
                before={"storage_encrypted": True},
                after={"storage_encrypted": False},
            ),
            "UNENCRYPTED",
        ),
        (
            resource(
                "aws_s3_bucket_public_access_block.y",
                before={"block_public_acls": True},
                after={"block_public_acls": False},
            ),
            "OPEN: public access is not wholly blocked",
        ),
        (
            resource(
                "aws_iam_role.y",
                before={"assume_role_policy": policy()},
                after={
                    "assume_role_policy": policy(
                        {
                            "Sid": "Jobs",
                            "Effect": "Allow",
                            "Action": "sts:AssumeRoleWithWebIdentity",
                            "Principal": {"Federated": "arn"},
                            "Condition": {"StringLike": {"token.example:sub": "repo:x/*"}},
                        }
                    )
                },
            ),
            "WIDE: statement Jobs trusts a wildcard subject",
        ),
        (
            resource(
                "aws_iam_policy.y",
                before={"policy": policy()},
                after={"policy": policy(allow("All", "s3:*"))},
            ),
            "WIDE: statement All allows s3:*",
        ),
        (
            resource(
                "aws_s3_bucket_policy.y",
                before={"policy": policy()},
                after={"policy": policy(allow("Any", "s3:GetObject") | {"Principal": "*"})},
            ),
            "WIDE: statement Any allows everyone",
        ),
        (
            resource("aws_launch_template.y", before={"user_data": "a"}, after={"user_data": "b"}),
            "what runs on the server",
        ),
        (
            resource(
                "aws_db_instance.y",
                before={"deletion_protection": True},
                after={"deletion_protection": False},
            ),
            "recovery",
        ),
        (
            resource("aws_iam_role.y", ("create",), after_unknown={"assume_role_policy": True}),
            "trust",
        ),
        (
            resource(
                "aws_launch_template.y",
                ("create",),
                after={"network_interfaces": [{"associate_public_ip_address": "true"}]},
            ),
            "public access",
        ),
        (resource("aws_key_pair.y", ("create",), after={"public_key": "x"}), "long-lived identity"),
    ],
)
def test_what_bears_on_security_is_said(change: dict[str, Any], words: str) -> None:
    text = render("dev", changes_of(plan(change)))
    assert "### Security" in text
    assert words in text


@pytest.mark.parametrize(
    "change",
    [
        resource("aws_cloudwatch_metric_alarm.y", before={"threshold": 1}, after={"threshold": 2}),
        resource("aws_vpc.y", ("create",), after={"cidr_block": "10.0.0.0/16"}),
        resource(
            "aws_s3_bucket.y", ("create",), after={"bucket": "b"}, after_unknown={"policy": True}
        ),
        resource(
            "aws_launch_template.y",
            ("create",),
            after={"network_interfaces": [{"associate_public_ip_address": "false"}]},
        ),
        resource("aws_db_subnet_group.y", before={"tags": {"a": "1"}}, after={"tags": {"a": "2"}}),
    ],
)
def test_what_does_not_bear_on_security_is_not_called_so(change: dict[str, Any]) -> None:
    assert "### Security" not in render("dev", changes_of(plan(change)))


def test_what_forces_a_replacement_is_named() -> None:
    change = resource(
        "aws_db_instance.y",
        ("delete", "create"),
        before={"kms_key_id": "a", "arn": "b"},
        after={"kms_key_id": "c"},
        after_unknown={"arn": True},
        replace_paths=[["kms_key_id"]],
    )
    (found,) = changes_of(plan(change))
    assert found.replacing == ["kms_key_id"]
    assert "`kms_key_id`: `a` to `c`, forces the replacement" in render("dev", [found])


def test_an_empty_plan_says_so() -> None:
    assert headline(changes_of(plan())) == "no changes"


@given(st.text())
def test_no_value_leaves_its_code_span(text: str) -> None:
    """A pull request chooses the names in its plan; they must not become markup or mentions."""
    spanned = code(text)
    assert spanned.count("`") == 2
    assert "\n" not in spanned


def test_a_forged_name_stays_text() -> None:
    evil = 'aws_x.y["`](https://evil.example) @octocat\n# Approved"]'
    text = render("dev", changes_of(plan(resource(evil, ("create",), after={"a": 1}))))
    assert "\n# Approved" not in text
    assert text.count("`") == 2


def parameter(method: str, value: str = "1") -> list[dict[str, str]]:
    return [{"name": "shared_buffers", "value": value, "apply_method": method}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], parameter("pending-reboot")),
        (parameter("pending-reboot"), parameter("pending-reboot", "2")),
        (parameter("pending-reboot"), []),
    ],
)
def test_a_static_parameter_that_changes_waits_for_a_reboot(before: Any, after: Any) -> None:
    [change] = changes_of(
        plan(resource("aws_db_parameter_group.y", before={"parameter": before},
                      after={"parameter": after}))
    )  # fmt: skip
    assert change.concerns == ("WAITS: shared_buffers counts only after a reboot of the database",)


@pytest.mark.parametrize(
    ("actions", "before", "after"),
    [
        (("update",), parameter("immediate"), parameter("immediate", "2")),
        (("update",), parameter("pending-reboot"), parameter("pending-reboot")),
        (("create",), [], parameter("pending-reboot")),
    ],
)
def test_nothing_else_waits(actions: tuple[str, ...], before: Any, after: Any) -> None:
    was = {"parameter": before, "tags": {}} if actions == ("update",) else None
    made = plan(
        resource("aws_db_parameter_group.y", actions, was, {"parameter": after, "tags": {"a": "b"}})
    )
    assert not any("WAITS" in one for change in changes_of(made) for one in change.concerns)
