import os
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import NoRegionError

from pipeline import predict
from pipeline.errors import InputError, first_line
from pipeline.outputs import load_platform
from pipeline.step import Workspace, use_region, write_text
from tests.pipeline.conftest import Run


@pytest.mark.slow
def test_boto3_alone_does_not_find_the_region_that_other_tools_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(NoRegionError):
        boto3.session.Session().client("ssm")
    use_region(os.environ)
    assert boto3.session.Session().client("ssm").meta.region_name == "eu-west-1"


def test_a_step_works_where_only_aws_region_is_set(
    run_local: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    run_local(predict.main, code=2)
    assert os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"


def test_a_default_region_that_is_set_stays() -> None:
    environ = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}
    use_region(environ)
    assert environ["AWS_DEFAULT_REGION"] == "us-east-1"


def test_without_any_region_the_variable_to_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without a region: set AWS_REGION"):
        load_platform(environ={"KEYLESS_ENVIRONMENT": "dev"}, terraform_root=tmp_path)


@pytest.mark.parametrize("uri", ["postgresql://u@host/mlflow", "s3://bucket/mlflow"])
def test_a_tracking_address_that_is_no_server_is_refused(
    workspace: Workspace, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match="must name the MLflow server"):
        _ = workspace.tracking_uri


@pytest.mark.parametrize(
    "name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"]
)
def test_an_endpoint_that_is_a_bucket_is_refused(
    run_local: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "s3://bucket")
    assert f"{name} = 's3://bucket' must begin" in run_local(predict.main, code=2).output


def test_an_error_without_words_is_named_by_its_class() -> None:
    assert first_line(ValueError("")) == "ValueError"
    assert first_line(ValueError("\n what went wrong\nand more")) == "what went wrong"


def test_a_file_is_written_whole_and_its_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "pages" / "models.html"
    write_text(page, "before")

    def full(self: Path, text: str, encoding: str) -> None:
        self.write_bytes(text.encode()[:2])
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        write_text(page, "after")
    assert page.read_bytes() == b"before"
