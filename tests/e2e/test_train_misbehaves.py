"""A compromised training job: what it can do, that it shows, and that predictions do not change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import Home

pytestmark = [pytest.mark.e2e, pytest.mark.terraform]

MODEL = "breast-cancer"


def champion_files(home: Home) -> dict[str, Any]:
    ssm = home.actors.client("promote", "ssm")
    name = home.platform["parameters"]["champion_prefix"] + MODEL
    record: dict[str, Any] = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    return record


def prediction_bytes(home: Home, key: str) -> bytes:
    s3 = home.actors.client("monitor", "s3")
    bucket = home.platform["artifact_store"]["bucket"]
    return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def test_an_overwritten_artifact_and_a_moved_alias_change_no_prediction(home: Home) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    actors, bucket = home.actors, home.platform["artifact_store"]["bucket"]
    record = champion_files(home)
    before = home.results[0]["results"]["predict"]
    rows = prediction_bytes(home, before["predictions"])

    s3 = actors.client("train", "s3")
    for file in record["files"].values():
        s3.put_object(Bucket=bucket, Key=file["key"], Body=b"not the model that was promoted")
    with home.session("train", "train") as uri:
        client = MlflowClient(tracking_uri=uri)
        run = client.get_run(record["run_id"])
        forged = client.create_model_version(MODEL, run.info.artifact_uri, run_id=run.info.run_id)
        with pytest.raises(MlflowException, match=r"'champion'.*keyless-dev-promote") as refused:
            client.set_registered_model_alias(MODEL, "champion", forged.version)
        assert refused.value.error_code == "PERMISSION_DENIED"
    # What the guard would have let through if it were off: a port on which everything is allowed.
    with home.session("administrator", "operate") as uri:
        MlflowClient(tracking_uri=uri).set_registered_model_alias(MODEL, "champion", forged.version)
        after = home.step("predict", "predict", MLFLOW_TRACKING_URI=uri)

    assert after["model_version"] == before["model_version"]
    assert prediction_bytes(home, after["predictions"]) == rows
    assert "champion" in after["alias_disagreement"]
    assert after["overwritten"], "the report names the files that are no longer the newest versions"


def test_without_the_record_the_same_overwrite_would_have_reached_predictions(home: Home) -> None:
    """The control absent: who loads the newest object, as an alias leads to, gets the forgery."""
    record = champion_files(home)
    s3 = home.actors.client("predict", "s3")
    bucket = home.platform["artifact_store"]["bucket"]
    newest = s3.get_object(Bucket=bucket, Key=record["files"]["model.skops"]["key"])["Body"].read()
    assert newest == b"not the model that was promoted"
