"""The pipeline on a platform that Pulumi made: its parameter, its bucket, its roles' rights."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.handlers
import pytest
from click.testing import CliRunner
from moto import mock_aws
from moto.backends import get_backend

from pipeline import ingest, monitor, predict, promote, train
from pipeline.errors import InputError
from pipeline.outputs import parse_platform
from pipeline.settings import DEFAULT_FILE
from scripts.iam.engine import PolicySet, Principal, Request, evaluate, parse_policy
from scripts.iam.requests import needs
from tests.iam.requests.support import ACCOUNT, REGION, FakeAccount, as_request
from tests.pipeline.conftest import (
    SMALL,
    THIRD_PARTY_WARNINGS,
    clean_environment,
    mlflow_imported,
    mlflow_template,
    mlflow_uri,
)

__all__ = ["clean_environment", "mlflow_imported", "mlflow_template", "mlflow_uri"]
pytestmark = [
    pytest.mark.terraform,
    *(pytest.mark.filterwarnings(each) for each in THIRD_PARTY_WARNINGS),
]

STEPS = (ingest, train, promote, predict, monitor)
PARAMETER = "/keyless/dev/platform"


class There(FakeAccount):
    """An account that has every object that is asked for: of a missing one, no role may be told."""

    def tags(self, arn: str) -> Mapping[str, str]:
        return {}


class Made:
    """What Pulumi registered for dev, made in an account in process; requests to it are judged."""

    def __init__(self, recording: dict[str, Any]) -> None:
        self._resources = recording["resources"]
        self._requests: list[Any] = []

    def inputs(self, kind: str) -> list[dict[str, Any]]:
        """The arguments of each resource of a type."""
        return [each["inputs"] for each in self._resources if each["type"] == kind]

    @property
    def contract(self) -> dict[str, Any]:
        """What the parameter holds that steps read first."""
        (text,) = (
            each["value"]
            for each in self.inputs("aws:ssm/parameter:Parameter")
            if each["name"] == PARAMETER
        )
        contract: dict[str, Any] = json.loads(text)
        return contract

    def make(self) -> None:
        """Make buckets and parameters."""
        s3, ssm = boto3.client("s3"), boto3.client("ssm")
        for bucket in self.inputs("aws:s3/bucketV2:BucketV2"):
            s3.create_bucket(Bucket=bucket["bucket"])
            s3.put_bucket_versioning(
                Bucket=bucket["bucket"], VersioningConfiguration={"Status": "Enabled"}
            )
        for given in self.inputs("aws:ssm/parameter:Parameter"):
            ssm.put_parameter(Name=given["name"], Value=given["value"], Type=given["type"])
        self._requests.clear()

    def change(self, contract: dict[str, Any]) -> None:
        """Keep another contract in the parameter."""
        text = json.dumps(contract)
        boto3.client("ssm").put_parameter(Name=PARAMETER, Value=text, Overwrite=True)
        self._requests.clear()

    def keep(self, request: Any, event_name: str, **_: Any) -> None:
        """Keep a request that is about to be sent; a body that is a file is left to be read."""
        service, operation = event_name.replace("cloudwatch", "monitoring").split(".")[1:]
        body = b"" if hasattr(request.body, "read") else request.body
        sent = SimpleNamespace(
            url=request.url, method=request.method, headers=request.headers, body=body
        )
        self._requests.append((operation, as_request(sent, service)))

    def refused(self, step: str) -> list[str]:
        """What was asked since the last time and the step's role may not, by its own policies."""
        arn = f"arn:aws:iam::{ACCOUNT}:role/keyless-dev-{step}"
        assert arn.rpartition("/")[2] in {each["name"] for each in self.inputs("aws:iam/role:Role")}
        policies = tuple(
            parse_policy(each["policy"], name=each["name"], kind="identity")
            for each in self.inputs("aws:iam/rolePolicy:RolePolicy")
            if each["role"] == f"keyless-dev-{step}"
        )
        caller = Principal(
            f"arn:aws:sts::{ACCOUNT}:assumed-role/keyless-dev-{step}/job",
            ACCOUNT,
            "assumed-role",
            role_arn=arn,
        )
        asked = [
            (operation, one)
            for operation, request in self._requests
            for one in needs(request, There())
        ]
        assert asked, f"{step} asked AWS for nothing"
        self._requests.clear()
        known = {"aws:ResourceAccount": (ACCOUNT,), "aws:RequestedRegion": (REGION,)}
        return [
            f"{operation}: {one.action} on {one.resource}"
            for operation, one in asked
            if not evaluate(
                Request(caller, one.action, one.resource, known | one.context, ACCOUNT),
                PolicySet(identity=policies),
            ).allowed
        ]


@pytest.fixture
def made(
    recordings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, mlflow_uri: str
) -> Iterator[Made]:
    """The account, of which steps know the environment's name alone, as jobs do."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("KEYLESS_ENVIRONMENT", "dev")
    account = Made(recordings["platform"]["dev"])
    handlers = [("before-send", account.keep), *botocore.handlers.BUILTIN_HANDLERS]
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    # What Terraform's tests keep in moto's one account stays: nothing is reset but these.
    mock = mock_aws()
    mock.start(reset=False)
    try:
        account.make()
        yield account
    finally:
        mock.stop(remove_data=False)
        get_backend("s3")[ACCOUNT]["aws"].reset()
        get_backend("ssm")[ACCOUNT][REGION].reset()
        get_backend("cloudwatch")[ACCOUNT][REGION].reset()


def run(step: Any, settings: Path, code: int = 0) -> str:
    """Run a step as a job does."""
    done = CliRunner().invoke(step.main, ["--settings", str(settings)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


def test_the_shipped_example_runs_and_no_role_lacks_a_right(made: Made) -> None:
    for step in STEPS:
        run(step, DEFAULT_FILE)
        assert made.refused(step.__name__.rpartition(".")[2]) == []
    contract = made.contract
    bucket, prefixes = contract["artifact_store"]["bucket"], contract["artifact_store"]["prefixes"]
    listed = boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    kept = {
        name
        for name, each in prefixes.items()
        if any(one["Key"].startswith(each) for one in listed)
    }
    assert kept >= {"raw", "train", "holdout", "inputs", "contracts", "models", "decisions"}
    assert kept >= {"predictions", "references", "reports"}
    champion = f"{contract['parameters']['champion_prefix']}breast-cancer"
    assert boto3.client("ssm").get_parameter(Name=champion)["Parameter"]["Value"]


def misnamed(*path: str) -> Callable[[dict[str, Any]], None]:
    """A change of one value of the contract."""

    def change(contract: dict[str, Any]) -> None:
        *above, last = path
        for name in above:
            contract = contract[name]
        contract[last] = f"{contract[last].rstrip('/')}x/"

    return change


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (misnamed("artifact_store", "prefixes", "raw"), "ingest"),
        (misnamed("artifact_store", "prefixes", "models"), "train"),
        (misnamed("parameters", "champion_prefix"), "promote"),
        (misnamed("artifact_store", "prefixes", "predictions"), "predict"),
        (misnamed("metrics_namespace"), "train"),
    ],
    ids=["raw", "models", "champion", "predictions", "namespace"],
)
def test_a_name_of_the_contract_that_the_roles_do_not_have_is_found(
    made: Made, change: Callable[[dict[str, Any]], None], step: str, tmp_path: Path
) -> None:
    contract = made.contract
    change(contract)
    made.change(contract)
    settings = tmp_path / "pipeline.toml"
    settings.write_text(SMALL)
    for each in STEPS:
        run(each, settings)
        refused = made.refused(each.__name__.rpartition(".")[2])
        if each.__name__.endswith(step):
            assert refused
            return
        assert refused == []


def test_without_any_one_part_of_the_contract_no_step_begins(recordings: dict[str, Any]) -> None:
    contract = Made(recordings["platform"]["dev"]).contract
    parse_platform(contract, origin="test")
    for path in _parts(contract):
        lacking = copy.deepcopy(contract)
        *above, last = path
        inner = lacking
        for name in above:
            inner = inner[name]
        del inner[last]
        with pytest.raises(InputError, match=last):
            parse_platform(lacking, origin="test")


def _parts(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each name of the contract, but those of maps whose names anyone may choose."""
    for name, each in value.items():
        if isinstance(each, dict) and name in ("roles", "documents", "ports", "instance_tags"):
            yield (*path, name)
        elif isinstance(each, dict):
            yield from _parts(each, (*path, name))
        else:
            yield (*path, name)
