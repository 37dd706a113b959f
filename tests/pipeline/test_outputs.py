import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from pipeline.errors import InputError, StepFailed
from pipeline.outputs import Platform, load_platform, parse_platform


def test_the_contract_is_read_from_json(contract: dict[str, Any]) -> None:
    platform = parse_platform(json.dumps(contract), origin="test")
    assert platform.artifact_store.prefixes.holdout == "data/holdout/"


def test_the_whole_of_terraform_output_is_read_too(contract: dict[str, Any]) -> None:
    document = {"platform": {"sensitive": False, "type": "object", "value": contract}}
    assert parse_platform(document, origin="test").environment == "dev"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"surprise": 1}, "surprise"),
        ({"region": None}, "region"),
        ({"mlflow": {}}, r"mlflow\.ports"),
    ],
)
def test_a_document_that_strays_from_the_contract_is_refused(
    contract: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parse_platform(contract | change, origin="test")


def test_a_missing_key_is_named(contract: dict[str, Any]) -> None:
    del contract["database"]["resource_id"]
    with pytest.raises(InputError, match=r"database\.resource_id: Field required"):
        parse_platform(contract, origin="test")


def test_the_file_comes_first(platform_file: Path) -> None:
    environ = {"KEYLESS_PLATFORM": "{broken", "KEYLESS_ENVIRONMENT": "dev"}
    assert load_platform(platform_file, environ=environ).environment == "dev"


@pytest.mark.parametrize("as_file", [True, False])
def test_the_variable_holds_a_file_or_the_document(
    as_file: bool, platform_file: Path, contract: dict[str, Any]
) -> None:
    value = str(platform_file) if as_file else json.dumps(contract)
    environ = {"KEYLESS_PLATFORM": value, "KEYLESS_ENVIRONMENT": "nowhere"}
    assert load_platform(environ=environ).environment == "dev"


def test_the_parameter_of_the_environment_comes_third(
    aws: Platform, contract: dict[str, Any]
) -> None:
    boto3.client("ssm").put_parameter(
        Name="/keyless/dev/platform", Value=json.dumps(contract), Type="String"
    )
    assert load_platform(environ={"KEYLESS_ENVIRONMENT": "dev"}) == aws


def test_a_missing_parameter_is_named(aws: Platform) -> None:
    with pytest.raises(InputError, match="/keyless/prod/platform cannot be read"):
        load_platform(environ={"KEYLESS_ENVIRONMENT": "prod"})


def test_the_region_may_be_named_as_for_other_tools(
    aws: Platform, contract: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 alone reads AWS_DEFAULT_REGION, and the message names AWS_REGION."""
    boto3.client("ssm", region_name="us-east-1").put_parameter(
        Name="/keyless/dev/platform", Value=json.dumps(contract), Type="String"
    )
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert load_platform(environ={"KEYLESS_ENVIRONMENT": "dev"}) == aws


def test_an_aws_that_does_not_answer_is_no_wrong_input(
    aws: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import EndpointConnectionError

    class Silent:
        def get_parameter(self, **_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="https://a")

    monkeypatch.setattr(boto3, "client", lambda *_, **__: Silent())
    with pytest.raises(StepFailed, match="keyless doctor --aws"):
        load_platform(environ={"KEYLESS_ENVIRONMENT": "dev"})


def test_without_any_platform_the_ways_to_name_one_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass --platform FILE"):
        load_platform(environ={}, terraform_root=tmp_path)


def test_an_initialised_root_is_asked_through_python_terraform(
    tmp_path: Path, contract: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".terraform").mkdir()
    answer = json.dumps({"platform": {"sensitive": False, "value": contract}})
    binary = tmp_path / "terraform"
    binary.write_text(f"#!/bin/sh\n[ \"$*\" = 'output -json' ] && cat <<'END'\n{answer}\nEND\n")
    binary.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert load_platform(environ={}, terraform_root=tmp_path).environment == "dev"
