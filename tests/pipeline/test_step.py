import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import click
import pytest
from botocore.exceptions import ClientError, NoRegionError
from click.testing import CliRunner

from pipeline import ingest, predict, train
from pipeline.errors import InputError, first_line
from pipeline.outputs import load_platform
from pipeline.settings import Settings
from pipeline.step import Outcome, Workspace, guarded, step, use_region, write_text
from pipeline.storage import BucketStore
from pipeline.tracking import lineage
from tests.pipeline.conftest import SMALL, Run


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


@pytest.mark.parametrize("main", [train.main, predict.main])
def test_a_folder_that_is_mistyped_is_named_and_not_made(
    main: click.Command, tmp_path: Path
) -> None:
    mistyped = tmp_path / "wrok"
    done = CliRunner().invoke(main, ["--local", str(mistyped)])
    assert done.exit_code == 2
    assert f"the folder {mistyped} does not exist" in done.stderr
    assert not mistyped.exists()


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


def _write_to_a_full_device() -> Outcome:
    # Its error says no name of a file, as those of writes do.
    with Path("/dev/full").open("w") as file:
        file.write("x")
    return Outcome([], {})


def _fill_a_database() -> Outcome:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("PRAGMA max_page_count = 1")
        try:
            database.execute("CREATE TABLE one (x)")
        except sqlite3.Error as error:
            raise RuntimeError("the library's own words") from error
    return Outcome([], {})


@pytest.mark.parametrize("run", [_write_to_a_full_device, _fill_a_database])
def test_a_full_disk_is_said_in_one_line(
    run: Callable[[], Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        guarded(run)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said == "error: no space is left on the disk: free some, and run the step again\n"


def test_of_a_copy_that_finds_the_disk_full_the_copy_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        guarded(lambda: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full", "a", None, "b")))
    assert "on the disk for b: free" in capsys.readouterr().err


def test_a_step_that_is_interrupted_says_so_once_with_what_goes_on(
    tmp_path: Path, settings_file: Path
) -> None:
    def interrupted(_: Workspace) -> Outcome:
        raise KeyboardInterrupt

    arguments = ["--local", str(tmp_path), "--settings", str(settings_file)]
    done = CliRunner().invoke(step(interrupted), arguments)
    assert done.exit_code == 130  # as shells have it: 128 and SIGINT
    assert done.output.startswith("error: interrupted: ")
    assert "the same command goes on" in done.output
    assert "Aborted" not in done.output
    told = CliRunner().invoke(step(interrupted, interrupted="look at the models"), arguments)
    assert told.output == "error: interrupted: look at the models\n"


@pytest.mark.parametrize("content", [b"", b"id,size\n1,2\n", b"id,y\n1,yes\n2\n"])
def test_an_ingest_that_is_refused_leaves_no_folder_behind(
    tmp_path: Path, settings_file: Path, content: bytes
) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    settings_file.write_text(SMALL.replace("sklearn:breast_cancer", "rows.csv"))
    folder = tmp_path / "new" / "work"
    arguments = ["--local", str(folder), "--settings", str(settings_file)]
    done = CliRunner().invoke(ingest.main, arguments)
    assert done.exit_code == 2, done.output
    assert not folder.parent.exists()


def test_what_the_local_cloud_does_not_do_is_said_in_its_words_without_a_code(
    tmp_path: Path, settings_file: Path
) -> None:
    def refused(_: Workspace) -> Outcome:
        raise ClientError(
            {"Error": {"Code": "LocalCloudNotImplemented", "Message": "no images here"}},
            "CreateImage",
        )

    arguments = ["--local", str(tmp_path), "--settings", str(settings_file)]
    done = CliRunner().invoke(step(refused), arguments)
    assert done.output == "error: the local cloud, not AWS, does not do this: no images here\n"


def test_another_error_of_the_operating_system_is_not_taken_for_a_full_disk() -> None:
    with pytest.raises(OSError, match="broken"):
        guarded(lambda: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))


def test_training_before_the_first_ingest_says_what_comes_first(
    run_local: Run, run_aws: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "no data of small was ingested yet: run ingest first"
    assert said in run_local(train.main, code=2).output
    assert said in run_aws(train.main, code=2).output

    # Without the right to list, S3 hides that there is no such object.
    def denied(*_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    monkeypatch.setattr(BucketStore, "read", denied)
    assert f"{said}; or this role may not" in run_aws(train.main, code=2).output


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"monitor": {"min_rows": 7, "column_threshold": 0.5, "labels": "l.csv"}}, True),
        ({"predict": {"chunk_rows": 9, "input": "b.csv", "separator": ";"}}, True),
        ({"evaluation": {"importance_repeats": 9, "plots": True}}, True),
        ({"promotion": {"min_improvement": 0.1, "floors": {"roc_auc": 0.6}}}, True),
        ({"rollout": {"sticky_header": "x-user"}}, True),
        ({"search": {"trials": 9}}, False),
        ({"task": {"metric": "f1"}}, False),
        ({"features": {"text_size": 9}}, False),
        ({"decision": {"threshold": 0.3}}, False),
        ({"data": {"positive": "benign"}}, False),
    ],
)
def test_only_settings_that_make_another_model_train_again(
    workspace: Workspace,
    make_settings: Callable[..., Settings],
    changes: dict[str, Any],
    same: bool,
) -> None:
    other = replace(workspace, settings=make_settings(**changes))
    assert workspace.settings.digest() != other.settings.digest()
    first, second = (train.fingerprint(lineage.lineage_tags(w)) for w in (workspace, other))
    assert (first == second) == same
