"""What the pipeline's tests share: a small problem, a workspace, an MLflow database, a platform."""

import json
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipeline.data.dataset import Dataset
from pipeline.data.infer import infer
from pipeline.data.prepare import prepare, rows_of
from pipeline.data.splits import define, key_of
from pipeline.outputs import Platform, parse_platform
from pipeline.settings import Settings, parse_settings
from pipeline.step import Workspace

ACCOUNT, REGION = "123456789012", "us-east-1"
BUCKET = f"keyless-dev-artifacts-{ACCOUNT}-{REGION}"
SMALL = """
model = "small"

[data]
source = "sklearn:breast_cancer"
target = "diagnosis"
positive = "malignant"
batch_fraction = 0.1

[task]
type = "binary"
metric = "roc_auc"

[holdout]
fraction = 0.25
seed = 1

[search]
families = ["linear", "histogram_gradient_boosting"]
trials = 2
folds = 2
space = { histogram_gradient_boosting = { max_iter = [10, 11] } }

[evaluation]
plots = false
importance_repeats = 1

[promotion]
resamples = 100
"""

Run = Callable[..., Result]
# Faults of libraries in their newest versions, not of the code under test.
THIRD_PARTY_WARNINGS = (
    "ignore:The ``noload`` loader strategy",  # MLflow on SQLAlchemy 2.1
    "ignore:Operation with range is deprecated",  # MLflow on pandas 3.1
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            for warning in THIRD_PARTY_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the caller, and no AWS configuration of his."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "KEYLESS_", "GITHUB_", "ACTIONS_", "MLFLOW_")):
            monkeypatch.delenv(name)
    # Steps set it for boto3; set and unset here, it is gone again after the test.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.fixture
def make_settings() -> Callable[..., Settings]:
    """Settings of the small problem with some keys changed: make_settings(search={"trials": 3})."""

    def make(**changes: Any) -> Settings:
        raw: dict[str, Any] = tomllib.loads(SMALL)
        for section, values in changes.items():
            if isinstance(values, dict):
                raw[section] = {**raw.get(section, {}), **values}
            else:
                raw[section] = values
        return parse_settings(raw, origin="test")

    return make


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a workspace without AWS."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def workspace(
    make_settings: Callable[..., Settings], settings_file: Path, folder: Path
) -> Workspace:
    return Workspace(make_settings(), settings_file, folder=folder)


@pytest.fixture(scope="session")
def mlflow_imported() -> None:
    """MLflow's modules, which warn about their own type hints when they are imported."""
    import importlib
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("mlflow.data", "mlflow.pyfunc", "mlflow.sklearn"):
            importlib.import_module(name)


@pytest.fixture(scope="session")
def mlflow_template(mlflow_imported: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database; to make its schema takes seconds, to copy it nothing."""
    from mlflow.store.db.utils import _initialize_tables
    from sqlalchemy import create_engine

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    engine = create_engine(f"sqlite:///{path}")
    _initialize_tables(engine)  # type: ignore[no-untyped-call]
    engine.dispose()
    return path


@pytest.fixture
def mlflow_uri(
    mlflow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A tracking server of its own for one test: a database file, artifacts beside it."""
    database = tmp_path / "mlflow.db"
    shutil.copy(mlflow_template, database)
    uri = f"sqlite:///{database}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    yield uri


@pytest.fixture
def run_local(settings_file: Path, folder: Path) -> Run:
    """Run a step in process on the local folder: run_local(train.main, "--option", …)."""

    def run(command: Any, *options: str, code: int = 0) -> Result:
        arguments = ["--local", str(folder), "--settings", str(settings_file), *options]
        result = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


def contract_document() -> dict[str, Any]:
    """The contract as Terraform writes it."""
    prefixes = {
        "raw": "data/raw/",
        "train": "data/train/",
        "holdout": "data/holdout/",
        "inputs": "data/inputs/",
        "contracts": "data/contracts/",
        "models": "mlflow/",
        "references": "references/",
        "decisions": "decisions/",
        "predictions": "predictions/",
        "reports": "reports/",
        "rollouts": "rollouts/",
        "wheelhouse": "wheelhouse/",
    }
    # Any name will do: the list of roles is Terraform's.
    roles = ["plan-main", "train", "server"]
    return {
        "schema_version": 1,
        "environment": "dev",
        "region": REGION,
        "account_id": ACCOUNT,
        "prefix": "keyless-dev",
        "artifact_store": {"bucket": BUCKET, "kms_key_arn": None, "prefixes": prefixes},
        "database": {
            "identifier": "keyless-dev",
            "address": "keyless-dev.abc.us-east-1.rds.amazonaws.com",
            "port": 5432,
            "name": "mlflow",
            "user": "mlflow",
            "resource_id": "db-ABC",
            "master_secret_arn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1",
        },
        "mlflow": {
            "autoscaling_group_name": "keyless-dev-mlflow",
            "ports": {"read": 5000, "train": 5001, "promote": 5002, "operate": 5003},
            "artifact_root": f"s3://{BUCKET}/mlflow",
            "artifact_access": "direct",
            "instance_tags": {"Environment": "dev", "Role": "mlflow"},
        },
        "sessions": {
            "documents": {"database": "keyless-dev-database-session"}
            | {
                name: f"keyless-dev-mlflow-{name}-session"
                for name in ("read", "train", "promote", "operate")
            },
        },
        "roles": {role: f"arn:aws:iam::{ACCOUNT}:role/keyless-dev-{role}" for role in roles},
        "parameters": {
            "platform": "/keyless/dev/platform",
            "champion_prefix": "/keyless/dev/champion/",
        },
        "secrets": {
            "third_party_arn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:kaggle-AbCdEf"
        },
        "metrics_namespace": "Keyless/dev",
        "github": {
            "owner": "octo-org",
            "owner_id": "1001",
            "repository": "keyless-mlops",
            "repository_id": "2002",
            "subject_format": "immutable",
        },
    }


@pytest.fixture
def contract() -> dict[str, Any]:
    return contract_document()


@pytest.fixture
def platform(contract: dict[str, Any]) -> Platform:
    return parse_platform(contract, origin="test")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, platform: Platform) -> Iterator[Platform]:
    """An AWS account in process, with the platform's bucket in it."""
    import boto3
    from moto import mock_aws

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield platform


@pytest.fixture
def platform_file(contract: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "platform.json"
    path.write_text(json.dumps(contract))
    return path


@pytest.fixture
def run_aws(aws: Platform, platform_file: Path, settings_file: Path) -> Run:
    """Run a step in process on the platform in the account in process."""

    def run(command: Any, *options: str, code: int = 0) -> Result:
        arguments = ["--platform", str(platform_file), "--settings", str(settings_file), *options]
        result = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


def make_dataset(frame: Any, settings: Settings) -> Dataset:
    """Rows as ingest would have stored them: all of a frame on one side."""
    import pyarrow  # type: ignore[import-untyped]

    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    contract = infer(table, settings).contract
    prepared = prepare(table, contract, settings)
    key = key_of(contract, table)
    definition = define(rows_of(table, prepared, contract, key, settings), key, settings)
    return Dataset(table, contract, definition, "c", "r", "source", "key", "s")
