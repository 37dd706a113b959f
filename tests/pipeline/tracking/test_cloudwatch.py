"""Numbers for alarms: a finished step does not fail because one could not be published."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from pipeline import train
from pipeline.data import dataset
from pipeline.tracking import cloudwatch, lineage, runs


def workspace(session: Any, namespace: str = "Keyless/dev") -> Any:
    """As much of a step's workspace as publishing looks at."""
    platform = SimpleNamespace(metrics_namespace=namespace)
    return SimpleNamespace(platform=platform, model="breast-cancer", session=session)


class Denied:
    """A role without cloudwatch:PutMetricData."""

    def client(self, _: str) -> Denied:
        return self

    def put_metric_data(self, **_: Any) -> None:
        error = {"Error": {"Code": "AccessDenied", "Message": "no"}}
        raise ClientError(error, "PutMetricData")  # type: ignore[arg-type]


def test_a_training_that_ended_well_is_counted_by_model() -> None:
    with mock_aws():
        session = boto3.Session("testing", "testing", region_name="us-east-1")
        assert cloudwatch.publish_or_say(workspace(session), {"TrainingsDone": 1}) is None
        [metric] = session.client("cloudwatch").list_metrics(Namespace="Keyless/dev")["Metrics"]
    assert metric["MetricName"] == "TrainingsDone"
    assert metric["Dimensions"] == [{"Name": "Model", "Value": "breast-cancer"}]


def test_what_cannot_be_published_is_said_and_does_not_fail_the_step() -> None:
    said = cloudwatch.publish_or_say(workspace(Denied()), {"TrainingsDone": 1})
    assert said is not None
    assert "TrainingsDone could not be published" in said
    with pytest.raises(ClientError):
        cloudwatch.publish(workspace(Denied()), {"RowsPredicted": 1})


def test_a_training_that_rightly_kept_its_model_is_counted_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fault: an alarm on registered versions stayed on while the data did not change."""
    counted: list[Mapping[str, float]] = []
    digests = ("sha256", "raw_sha256", "contract_sha256", "source")
    rows = SimpleNamespace(**dict.fromkeys(digests, "same"))
    kept = SimpleNamespace(
        finished=True, registered=SimpleNamespace(version="3"), run_id="r", lease=None
    )
    monkeypatch.setattr(dataset, "load", lambda *_: rows)
    monkeypatch.setattr(lineage, "lineage_tags", lambda _: {})
    monkeypatch.setattr(runs, "open_run", lambda *_: kept)
    monkeypatch.setattr(cloudwatch, "publish_or_say", lambda _, values: counted.append(values))
    step: Any = train.main.callback
    training = inspect.getclosurevars(step).nonlocals["function"]
    outcome = training(SimpleNamespace(settings=None, model="breast-cancer"))
    assert outcome.values["reused"]
    assert counted == [{"TrainingsDone": 1}]
