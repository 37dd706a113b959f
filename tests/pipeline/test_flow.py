"""Whole flows in process: without AWS, and on a platform with moto and a local MLflow."""

import json
from pathlib import Path
from typing import Any

import boto3

from pipeline import ingest, monitor, predict, promote, train
from tests.pipeline.conftest import BUCKET, Run


def _flow(run: Run, tmp_path: Path) -> dict[str, Any]:
    """Ingest to monitor; the answer is each step's result."""
    results = {}
    for module in (ingest, train, promote, predict, monitor):
        name = module.__name__.rpartition(".")[2]
        file = tmp_path / f"{name}.json"
        run(module.main, "--result", str(file))
        results[name] = json.loads(file.read_text())
    return results


def test_without_aws_a_model_is_trained_promoted_used_and_watched(
    run_local: Run, mlflow_uri: str, tmp_path: Path, folder: Path
) -> None:
    results = _flow(run_local, tmp_path)
    assert results["train"]["model_version"] == "1"
    assert results["promote"]["verdict"] == "promote"
    assert results["promote"]["holdout_value"] > 0.95
    assert results["predict"]["predicted"] == results["ingest"]["rows"]["batch"]
    assert (folder / results["predict"]["predictions"]).is_file()
    assert results["monitor"]["model_version"] == "1"


def test_on_a_platform_a_model_is_trained_promoted_used_and_watched(
    run_aws: Run, mlflow_uri: str, tmp_path: Path
) -> None:
    results = _flow(run_aws, tmp_path)
    record = json.loads(
        boto3.client("ssm").get_parameter(Name="/keyless/dev/champion/small")["Parameter"]["Value"]
    )
    assert record["model_version"] == results["predict"]["model_version"] == "1"
    pinned = record["files"]["model.skops"]
    assert pinned["key"].startswith("mlflow/small/")
    assert pinned["version"]
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="predictions/small/date=")
    assert [entry["Key"] for entry in found["Contents"]] == [results["predict"]["predictions"]]
    names = {
        metric["MetricName"] for metric in boto3.client("cloudwatch").list_metrics()["Metrics"]
    }
    assert {"RowsPredicted", "RowsRejected", "DriftedFraction", "RetrainNeeded"} <= names
