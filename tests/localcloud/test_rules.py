"""What AWS's services refuse whoever asks, and the table that says which of it is checked here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.wire import shapes
from scripts.localcloud.rules import databases, identities
from scripts.localcloud.rules.documents import size
from scripts.localcloud.rules.table import RULES, as_markdown
from tests import ROOT
from tests.localcloud.clients import Account, statement


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def document(characters: int) -> str:
    """An identity policy of so many characters that count."""
    empty = size(
        json.dumps(
            {"Version": "2012-10-17", "Statement": statement("s3:GetObject", "arn:aws:s3:::")}
        )
    )
    resource = "arn:aws:s3:::" + "a" * (characters - empty)
    return json.dumps(
        {"Version": "2012-10-17", "Statement": statement("s3:GetObject", resource)}, indent=4
    )


def test_the_docs_show_the_table() -> None:
    assert as_markdown() in (ROOT / "docs" / "local-cloud.md").read_text()


def test_each_rule_is_about_calls_that_are_mapped() -> None:
    for rule in RULES:
        for operation in rule.operations.split():
            assert operation == "*" or operation in SERVICES[rule.service].table, rule.what
        assert rule.page.startswith("https://docs.aws.amazon.com/")


def test_what_aws_refuses_for_its_own_roles_is_refused_in_every_call() -> None:
    """As the calls' own models say: each names the error UnmodifiableEntity."""
    model = shapes.service_model("iam")
    able = {
        name
        for name in model.operation_names
        if any(
            e.name.startswith("UnmodifiableEntity")
            for e in model.operation_model(name).error_shapes
        )
    }
    [rule] = [rule for rule in RULES if rule.check is identities.protected]
    assert able <= set(rule.operations.split())


def test_a_services_role_is_put_into_no_instance_profile(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = account.client("iam")
    service = "elasticloadbalancing.amazonaws.com"
    name = iam.create_service_linked_role(AWSServiceName=service)["Role"]["RoleName"]
    iam.create_instance_profile(InstanceProfileName="of-a-service")
    given = {"InstanceProfileName": "of-a-service", "RoleName": name}
    assert refusal(iam.add_role_to_instance_profile, **given)[0] == "UnmodifiableEntity"
    monkeypatch.setattr(identities, "_ONLY_AWS", ("nowhere",))
    iam.add_role_to_instance_profile(**given)


def test_white_space_does_not_count() -> None:
    assert size('{\n  "a b": [ 1 ]\n}') == len('{"ab":[1]}')


def test_all_inline_policies_of_a_role_have_one_quota(account: Account) -> None:
    account.job_role("roomy")
    iam = account.client("iam")
    put = {"RoleName": "roomy", "PolicyDocument": document(9_000)}
    iam.put_role_policy(PolicyName="one", **put)
    code, message = refusal(iam.put_role_policy, PolicyName="two", **put)
    assert (code, message) == (
        "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role roomy"
    )  # fmt: skip
    iam.put_role_policy(PolicyName="one", RoleName="roomy", PolicyDocument=document(10_240))
    iam.delete_role_policy(RoleName="roomy", PolicyName="one")
    iam.put_role_policy(PolicyName="two", **put)


def test_a_managed_policy_and_a_trust_policy_have_quotas(account: Account) -> None:
    iam = account.client("iam")
    assert iam.create_policy(PolicyName="full", PolicyDocument=document(6_144))
    code, message = refusal(iam.create_policy, PolicyName="over", PolicyDocument=document(6_145))
    assert (code, message) == ("LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
    trust = json.dumps(
        account.trust({"sub": [f"repo:o/r{i}:ref:refs/heads/main" for i in range(80)]})
    )
    code, message = refusal(iam.create_role, RoleName="wordy", AssumeRolePolicyDocument=trust)
    assert (code, message) == ("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")


def test_a_role_has_room_for_ten_managed_policies(account: Account) -> None:
    iam = account.client("iam")
    account.job_role("collector")
    arns = [
        iam.create_policy(PolicyName=f"p{i}", PolicyDocument=document(200))["Policy"]["Arn"]
        for i in range(11)
    ]
    for arn in arns[:10]:
        iam.attach_role_policy(RoleName="collector", PolicyArn=arn)
    iam.attach_role_policy(RoleName="collector", PolicyArn=arns[0])
    code, message = refusal(iam.attach_role_policy, RoleName="collector", PolicyArn=arns[10])
    assert (code, message) == ("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10")


def test_a_principal_that_is_not_there_is_refused(account: Account) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
                      "Principal": {"AWS": f"arn:aws:iam::{account.cloud.account_id}:role/nobody"}},
    }  # fmt: skip
    code, message = refusal(
        account.client("iam").create_role, RoleName="trusting",
        AssumeRolePolicyDocument=json.dumps(trust),
    )  # fmt: skip
    assert (code, "Invalid principal" in message) == ("MalformedPolicyDocument", True)


@pytest.mark.parametrize(
    ("service", "call", "arguments", "code"),
    [
        ("iam", "put_user_policy", {"UserName": "u", "PolicyName": "p", "PolicyDocument": "{}"},
         "MalformedPolicyDocument"),
        ("kms", "create_key", {"Policy": "{}"}, "MalformedPolicyDocumentException"),
        ("sns", "create_topic", {"Name": "t", "Attributes": {"Policy": "{"}}, "InvalidParameter"),
        ("ec2", "create_vpc_endpoint", {"VpcId": "vpc-1", "ServiceName": "s",
         "PolicyDocument": '{"Statement": {}}'}, "InvalidPolicyDocument"),
    ],
)  # fmt: skip
def test_a_policy_is_checked_wherever_it_is_put(
    account: Account, service: str, call: str, arguments: dict[str, Any], code: str
) -> None:
    assert refusal(getattr(account.client(service), call), **arguments)[0] == code


@pytest.fixture(scope="module")
def group(account: Account) -> str:
    account.client("rds").create_db_parameter_group(
        DBParameterGroupName="mine", DBParameterGroupFamily="postgres17", Description="d"
    )
    return "mine"


@pytest.mark.parametrize(
    ("name", "value", "method", "code"),
    [
        ("shared_buffers", "16384", "immediate", "InvalidParameterCombination"),
        ("max_connections", "200", "immediate", "InvalidParameterCombination"),
        ("rds.logical_replication", "1", "immediate", "InvalidParameterCombination"),
        ("shared_buffers", "16384", "pending-reboot", None),
        ("max_connections", "LEAST({DBInstanceClassMemory/9531392},5000)", "pending-reboot", None),
        ("log_min_duration_statement", "500", "pending-reboot", None),
        ("log_min_duration_statement", "500", "immediate", None),
        ("log_min_duratoin_statement", "500", "immediate", "InvalidParameterValue"),
        ("shared_buffers", "128MB", "pending-reboot", "InvalidParameterValue"),
        ("work_mem", "1", "immediate", "InvalidParameterValue"),
        ("autovacuum", "perhaps", "immediate", "InvalidParameterValue"),
        ("rds.force_ssl", "1", "immediate", None),
        ("pg_stat_statements.track", "all", "immediate", None),
        ("rds.made_up", "1", "immediate", "InvalidParameterValue"),
    ],
)
def test_a_database_parameter_is_one_and_waits_where_it_must(
    account: Account, group: str, name: str, value: str, method: str, code: str | None
) -> None:
    modify = account.client("rds").modify_db_parameter_group
    given = [{"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}]
    if code is None:
        assert modify(DBParameterGroupName=group, Parameters=given)
    else:
        assert refusal(modify, DBParameterGroupName=group, Parameters=given)[0] == code


def test_what_waits_for_a_reboot_is_what_postgresql_says() -> None:
    found = databases.postgres_parameters()
    assert found["shared_buffers"].static
    assert not found["work_mem"].static


def test_an_expected_owner_is_the_owner(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="owned-bucket")
    assert s3.list_objects_v2(Bucket="owned-bucket", ExpectedBucketOwner=account.cloud.account_id)
    other = {"Bucket": "owned-bucket", "ExpectedBucketOwner": "999999999999"}
    assert refusal(s3.list_objects_v2, **other)[0] == "AccessDenied"
