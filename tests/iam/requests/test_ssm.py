"""SSM: sessions on a document and a node, parameters with their keys, documents."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.requests import Need

from .support import ACCOUNT, KEY, REGION, FakeAccount, needed, only, pairs_of

SSM = f"arn:aws:ssm:{REGION}:{ACCOUNT}:"
INSTANCE = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0a"
DOCUMENT = f"{SSM}document/keyless-dev-mlflow-session"
PARAMETER = f"{SSM}parameter/keyless/dev/platform"


def ssm(operation: str, account: FakeAccount | None = None, **parameters: Any) -> list[Need]:
    return needed("ssm", operation, account, **parameters)


def test_a_session_needs_the_node_and_the_document() -> None:
    account = FakeAccount(resources={INSTANCE: {"Environment": "dev"}})
    found = ssm("StartSession", account, Target="i-0a", DocumentName="keyless-dev-mlflow-session")
    assert pairs_of(found) == [("ssm:StartSession", INSTANCE), ("ssm:StartSession", DOCUMENT)]
    node, document = found
    assert node.context["ssm:resourceTag/Environment"] == ("dev",)
    assert node.context["aws:ResourceTag/Environment"] == ("dev",)
    for need in (node, document):
        assert need.context["ssm:SessionDocumentAccessCheck"] == ("true",)


def test_a_bare_session_is_asked_for_on_the_node_alone_and_says_so() -> None:
    [need] = ssm("StartSession", Target="i-0a")
    assert need.resource == INSTANCE
    assert need.context["ssm:SessionDocumentAccessCheck"] == ("false",)


def test_a_stock_document_belongs_to_no_account() -> None:
    found = ssm("StartSession", Target="i-0a", DocumentName="AWS-StartPortForwardingSession")
    stock = f"arn:aws:ssm:{REGION}::document/AWS-StartPortForwardingSession"
    assert found[1].resource == stock


def test_a_document_named_by_arn_is_the_same_document() -> None:
    assert ssm("StartSession", Target="i-0a", DocumentName=DOCUMENT)[1].resource == DOCUMENT


def test_a_session_on_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="neither an instance"):
        ssm("StartSession", Target="*")


def test_a_session_carries_whose_it_is() -> None:
    arn = f"{SSM}session/someone-1"
    tags = {"aws:ssmmessages:session-id": "AROA:someone", "Environment": "dev"}
    [need] = ssm("TerminateSession", FakeAccount(resources={arn: tags}), SessionId="someone-1")
    assert need.resource == arn
    assert need.context == {"ssm:resourceTag/aws:ssmmessages:session-id": ("AROA:someone",)}


def test_a_command_needs_the_document_and_every_instance() -> None:
    found = ssm("SendCommand", DocumentName="AWS-RunShellScript", InstanceIds=["i-0a", "i-0b"])
    assert [need.resource for need in found] == [
        f"arn:aws:ssm:{REGION}::document/AWS-RunShellScript",
        INSTANCE,
        INSTANCE.replace("i-0a", "i-0b"),
    ]


def test_a_command_chosen_by_tag_may_reach_any_instance() -> None:
    targets = [{"Key": "tag:Role", "Values": ["mlflow"]}]
    found = ssm("SendCommand", DocumentName="AWS-RunShellScript", Targets=targets)
    assert found[-1].resource == INSTANCE.replace("i-0a", "*")


@pytest.mark.parametrize(
    "name",
    [
        "/keyless/dev/platform",
        "/keyless/dev/platform:3",
        "/keyless/dev/platform:label",
        PARAMETER,
        f"{PARAMETER}:3",
    ],
)
def test_a_parameter_is_named_in_many_ways(name: str) -> None:
    assert pairs_of(ssm("GetParameter", Name=name)) == [("ssm:GetParameter", PARAMETER)]


def test_a_public_parameter_belongs_to_no_account() -> None:
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    [need] = ssm("GetParameter", Name=name)
    assert need.resource == f"arn:aws:ssm:{REGION}::parameter{name}"


def test_several_parameters_are_each_asked_for() -> None:
    found = ssm("GetParameters", Names=["/a", "/b"])
    assert [need.resource for need in found] == [f"{SSM}parameter/a", f"{SSM}parameter/b"]


def test_a_path_is_asked_for_as_such() -> None:
    [bare] = ssm("GetParametersByPath", Path="/keyless/dev/champion")
    assert bare.resource == f"{SSM}parameter/keyless/dev/champion"
    [need] = ssm("GetParametersByPath", Path="/keyless/dev/champion/", Recursive=True)
    assert need.resource == f"{SSM}parameter/keyless/dev/champion/"
    assert need.context["ssm:Recursive"] == ("true",)


@pytest.mark.parametrize(("asked", "key"), [({}, "false"), ({"Overwrite": True}, "true")])
def test_a_put_says_whether_it_may_overwrite(asked: dict[str, Any], key: str) -> None:
    [need] = ssm("PutParameter", Name="/a", Value="b", Type="String", **asked)
    assert need.context["ssm:Overwrite"] == (key,)


def test_a_put_onto_a_parameter_that_is_there_carries_its_tags() -> None:
    there = FakeAccount(resources={PARAMETER: {"Environment": "dev"}})
    [need] = ssm("PutParameter", there, Name="/keyless/dev/platform", Value="b", Overwrite=True)
    assert need.context["aws:ResourceTag/Environment"] == ("dev",)
    [need] = ssm("PutParameter", there, Name="/new", Value="b", Type="String")
    assert not [key for key in need.context if "ResourceTag" in key]


def test_a_put_with_tags_needs_the_right_to_tag() -> None:
    tags = [{"Key": "Environment", "Value": "dev"}]
    found = ssm("PutParameter", Name="/a", Value="b", Type="String", Tags=tags)
    need = only(found, "ssm:AddTagsToResource", f"{SSM}parameter/a")
    assert need.context["aws:RequestTag/Environment"] == ("dev",)


def test_a_secure_parameter_is_read_with_its_key() -> None:
    account = FakeAccount(parameter_keys={"/keyless/dev/platform:3": KEY})
    assert len(ssm("GetParameter", account, Name="/keyless/dev/platform", WithDecryption=True)) == 1
    found = ssm("GetParameter", account, Name="/keyless/dev/platform:3", WithDecryption=True)
    need = only(found, "kms:Decrypt", KEY)
    assert need.context["kms:ViaService"] == ("ssm.us-east-1.amazonaws.com",)
    assert need.context["kms:EncryptionContext:PARAMETER_ARN"] == (PARAMETER,)


def test_secure_parameters_under_a_path_are_read_with_their_keys() -> None:
    account = FakeAccount(facts={f"{SSM}parameter/keyless": {"keys": {"/keyless/a": KEY}}})
    found = ssm("GetParametersByPath", account, Path="/keyless", WithDecryption=True)
    need = only(found, "kms:Decrypt", KEY)
    assert need.context["kms:EncryptionContext:PARAMETER_ARN"] == (f"{SSM}parameter/keyless/a",)


@pytest.mark.parametrize(("recursive", "keys"), [(True, 1), (False, 0)])
def test_parameters_further_down_are_read_only_recursively(recursive: bool, keys: int) -> None:
    account = FakeAccount(facts={f"{SSM}parameter/keyless": {"keys": {"/keyless/a/b": KEY}}})
    asked = {"Path": "/keyless/", "WithDecryption": True, "Recursive": recursive}
    found = ssm("GetParametersByPath", account, **asked)
    assert [need.action for need in found].count("kms:Decrypt") == keys


def test_a_secure_parameter_read_as_it_is_needs_no_key() -> None:
    account = FakeAccount(parameter_keys={"/a": KEY})
    assert len(ssm("GetParameter", account, Name="/a")) == 1


def test_a_secure_parameter_is_written_with_its_key() -> None:
    secure: dict[str, Any] = {"Name": "/a", "Value": "b", "Type": "SecureString", "KeyId": KEY}
    only(ssm("PutParameter", **secure), "kms:Encrypt", KEY)
    only(ssm("PutParameter", **secure, Tier="Advanced"), "kms:GenerateDataKey", KEY)


def test_a_secure_parameter_that_names_no_key_takes_the_services_own() -> None:
    secure: dict[str, Any] = {"Name": "/a", "Value": "b", "Type": "SecureString"}
    for asked in (secure, {**secure, "KeyId": "alias/aws/ssm"}):
        need = only(ssm("PutParameter", **asked), "kms:Encrypt")
        assert need.context["kms:ViaService"] == ("ssm.us-east-1.amazonaws.com",)


def test_a_new_document_carries_its_type_and_tags() -> None:
    found = ssm(
        "CreateDocument",
        Name="keyless-dev-mlflow-session",
        DocumentType="Session",
        Content="{}",
        Tags=[{"Key": "Environment", "Value": "dev"}],
    )
    need = only(found, "ssm:CreateDocument", DOCUMENT)
    assert need.context["ssm:DocumentType"] == ("Session",)
    only(found, "ssm:AddTagsToResource", DOCUMENT)


def test_tags_of_an_unmapped_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="OpsItem"):
        ssm("ListTagsForResource", ResourceType="OpsItem", ResourceId="a")
