"""All requests of the steps to MLflow, in as few round trips as possible."""

import json
import logging
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.data.dataset import Dataset
from pipeline.errors import StepFailed
from pipeline.model.search import Trial
from pipeline.settings import without_secrets
from pipeline.step import Workspace
from pipeline.tracking.lease import OPEN, Lease, acquire

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run
    from mlflow.entities.model_registry import ModelVersion

FINGERPRINT = "keyless.fingerprint"
FILES = "keyless.files"
_PARENT = "mlflow.parentRunId"
_TRIAL = "keyless.trial"
# MLflow prints addresses and progress bars between our lines by default, and by its
# own defaults a server that died is only given up after minutes.
_ENVIRONMENT = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}
_PROBES, _PROBE_SECONDS = 3, 10.0
_PREPARED: dict[Path, bool] = {}
_BATCH_PARAMS = 100  # MLflow's limit for one log-batch request


@dataclass
class Tracking:
    """A training run in MLflow: its client, ids, and the trials that an earlier attempt logged."""

    client: "MlflowClient"
    experiment_id: str
    run_id: str
    registered: "ModelVersion | None" = None
    finished: bool = False
    trials: dict[int, Trial] = field(default_factory=dict)
    unfinished: dict[int, str] = field(default_factory=dict)
    lease: Lease | None = None

    def finish(self) -> None:
        """End the run. From then on it is history, to which the lease writes no more either."""
        if self.lease is not None:
            self.lease.quiet()
        self.client.set_terminated(self.run_id)
        if self.lease is not None:
            self.lease.over = True

    def check(self) -> None:
        """Raise StepFailed if another training took this run over meanwhile."""
        if self.lease is not None:
            self.lease.check()


def connect(workspace: Workspace) -> "MlflowClient":
    """A client for the tracking server that the workspace names.

    Raises StepFailed for one that does not answer.
    """
    address = workspace.tracking_uri
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address.startswith(("http://", "https://")):
        _await_answer(address)
    import mlflow

    # The step reports a failed request once, and not as a traceback of the database before it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    if address.startswith("sqlite:///") and workspace.folder is not None:
        return _client_of(Path(address.removeprefix("sqlite:///")))
    return mlflow.MlflowClient()


def _await_answer(address: str) -> None:
    """Ask the server for its health before MLflow's own retries, which go on for minutes."""
    from requests import RequestException, Session

    shown = without_secrets(address)
    failure = ""
    with Session() as session:
        for attempt in range(_PROBES):
            time.sleep(attempt)
            try:
                answer = session.get(f"{address.rstrip('/')}/health", timeout=_PROBE_SECONDS)
                if answer.status_code < 500:
                    return
                failure = f"it answers {answer.status_code}"
            except RequestException as error:
                failure = type(error).__name__
    raise StepFailed(
        f"MLflow refused or was not reached: no server answers at {shown} ({failure}); is the "
        "tunnel open? `keyless tunnel` opens it and prints the address"
    )


def _client_of(database: Path) -> "MlflowClient":
    """A client for a database file.

    To make one makes the tables, too. One process at a time does so: two would undo each other's
    migrations. It does so under another name: half of the tables, as a full disk leaves them, can
    neither be used nor finished.
    """
    import fcntl

    import mlflow

    if _PREPARED.get(database):
        return mlflow.MlflowClient()

    def client_at(path: Path) -> "MlflowClient":
        mlflow.set_tracking_uri(f"sqlite:///{path}")
        mlflow.set_registry_uri(f"sqlite:///{path}")
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
        return client

    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            unfinished = database.with_name(f".part-{database.name}")
            for left in database.parent.glob(f"{unfinished.name}*"):
                left.unlink()
            client_at(unfinished)
            unfinished.replace(database)
        client = client_at(database)
    _PREPARED[database] = True
    return client


def open_run(workspace: Workspace, fingerprint: str, tags: Mapping[str, str]) -> Tracking:
    """Start the run of this fingerprint, or find the one that an earlier attempt began.

    A run that is not done comes with a lease, which must be left when the work is done: of two
    trainings at once the second waits here for the first.
    """
    client = connect(workspace)
    experiment_id = _experiment(client, workspace)

    def find() -> "Run | None":
        found = client.search_runs(
            [experiment_id],
            f"tags.`{FINGERPRINT}` = '{fingerprint}'",
            order_by=["attributes.start_time ASC"],
        )
        # Work that can be taken up, the oldest first; else the newest that is done.
        unfinished = [run for run in found if run.info.status in OPEN]
        if unfinished:
            return unfinished[0]
        return found[-1] if found else None

    def done() -> Tracking | None:
        run = find()
        if run is None or run.info.status != "FINISHED":
            return None
        version = registered_version(client, workspace.model, run.info.run_id)
        if version is None:
            return None
        return Tracking(client, experiment_id, run.info.run_id, version, finished=True)

    if (before := done()) is not None:
        return before
    experiment = client.get_experiment(experiment_id)
    # The time tells apart servers that give their experiments the same numbers.
    place = f"{experiment_id}-{experiment.creation_time}"

    def holder() -> "Run | None":
        # A lease outlives its run: without this a deleted one would be waited for.
        return find() or _deleted(client, experiment_id, fingerprint)

    lease = acquire(
        client, workspace.store, workspace.key("models", "leases", place, fingerprint[:16]), holder
    )
    # Whoever waited finds the work of another; a finished run without its version is left alone.
    if (meanwhile := done()) is not None:
        return meanwhile
    run = find()
    if run is None and (deleted := _deleted(client, experiment_id, fingerprint)):
        click.echo(
            f"run {deleted.info.run_id} of the same data and settings was deleted in MLflow: "
            "training it again, which registers another version",
            err=True,
        )
    if run is None or run.info.status not in OPEN:
        run = client.create_run(
            experiment_id,
            tags={**tags, FINGERPRINT: fingerprint},
            run_name=f"{workspace.model}-{fingerprint[:8]}",
        )
    tracking = Tracking(client, experiment_id, run.info.run_id, lease=lease)
    lease.name(tracking.run_id)
    tracking.registered = registered_version(client, workspace.model, tracking.run_id)
    _recall_trials(tracking)
    return tracking


def _experiment(client: "MlflowClient", workspace: Workspace) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(workspace.model)
    if found is None:
        try:
            return client.create_experiment(workspace.model, workspace.artifact_location())
        except MlflowException:
            # Another run created it in between.
            found = client.get_experiment_by_name(workspace.model)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        way = f"mlflow experiments restore --experiment-id {found.experiment_id}"
        if workspace.platform is not None:  # where no job's role may change that
            way = f"keyless tunnel --document operate -- {way}"
        raise StepFailed(
            f"the experiment {workspace.model} was deleted in MLflow, and its name stays taken: "
            f"bring it back with `{way}` or in the UI's list of deleted experiments, then train "
            "again"
        )
    return str(found.experiment_id)


def _deleted(client: "MlflowClient", experiment_id: str, fingerprint: str) -> "Run | None":
    """The newest run of this fingerprint that somebody deleted."""
    from mlflow.entities import ViewType

    found = client.search_runs(
        [experiment_id],
        f"tags.`{FINGERPRINT}` = '{fingerprint}'",
        run_view_type=ViewType.DELETED_ONLY,
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return found[0] if found else None


def _recall_trials(tracking: Tracking) -> None:
    """Trials are their own memory: what is in MLflow is not run again, on any machine."""
    runs: list[Run] = tracking.client.search_runs(
        [tracking.experiment_id], f"tags.`{_PARENT}` = '{tracking.run_id}'", max_results=1000
    )
    for run in runs:
        number = int(run.data.tags[_TRIAL])
        if run.info.status == "FINISHED":
            memory = json.loads(run.data.tags["keyless.result"])
            tracking.trials[number] = Trial(
                number, memory["parameters"], memory["folds"], memory.get("why")
            )
        else:
            tracking.unfinished[number] = run.info.run_id


def log_trials(tracking: Tracking, trials: list[Trial], metric: str) -> None:
    """One nested run for each trial: parameters, and each metric fold by fold."""
    from mlflow.entities import Param, RunTag

    for trial in trials:
        run_id = tracking.unfinished.get(trial.number) or _nested_run(tracking, trial)
        memory = {
            "parameters": dict(trial.parameters),
            "folds": dict(trial.folds),
            "why": trial.why,
        }
        tracking.client.log_batch(
            run_id,
            metrics=fold_metrics(trial, only=metric),
            params=[Param(name, str(value)) for name, value in trial.parameters.items()],
            tags=[RunTag("keyless.result", json.dumps(memory))],
        )
        tracking.client.set_terminated(run_id)


def _nested_run(tracking: Tracking, trial: Trial) -> str:
    run = tracking.client.create_run(
        tracking.experiment_id,
        run_name=f"trial-{trial.number:03}",
        tags={_PARENT: tracking.run_id, _TRIAL: str(trial.number)},
    )
    return str(run.info.run_id)


def fold_metrics(trial: Trial, *, only: str | None = None) -> "list[Metric]":
    """cv_NAME by fold (the step is the fold) and cv_NAME_mean."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    names = [name for name in trial.folds if only in (None, name)]
    means = {name: trial.value(name) for name in names}
    return [
        *(
            Metric(f"cv_{name}", value, now, fold)
            for name in names
            for fold, value in enumerate(trial.folds[name])
            if value is not None
        ),
        *(
            Metric(f"cv_{name}_mean", mean, now, 0)
            for name, mean in means.items()
            if mean is not None
        ),
    ]


def log_training(
    tracking: Tracking,
    dataset: Dataset,
    uri: str,
    trial: Trial,
    parameters: Mapping[str, Any],
    folder: Path,
) -> None:
    """The parent run's parameters, metrics, data set and plots."""
    import mlflow.data
    from mlflow.entities import DatasetInput, InputTag, Param

    logged = [Param(name, str(value)[:500]) for name, value in parameters.items()]
    tracking.client.log_batch(
        tracking.run_id, metrics=fold_metrics(trial), params=logged[:_BATCH_PARAMS]
    )
    with warnings.catch_warnings():
        # It finds two names for one kind of source, whichever of them it takes.
        warnings.filterwarnings("ignore", message="The specified dataset source can be")
        frame: Any = mlflow.data.from_pandas(  # type: ignore[attr-defined]
            dataset.table,
            source=uri,
            targets=dataset.contract.target,
            name=dataset.contract.model,
            digest=dataset.sha256[:32],
        )
    entry = DatasetInput(frame._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])
    tracking.client.log_inputs(tracking.run_id, [entry])
    tracking.client.log_artifacts(tracking.run_id, str(folder))


def registered_version(client: "MlflowClient", model: str, run_id: str) -> "ModelVersion | None":
    """The version that a run registered, if it did."""
    found = client.search_model_versions(f"run_id = '{run_id}'")
    return next((version for version in found if version.name == model), None)


def version_by(client: "MlflowClient", model: str, selector: str) -> "ModelVersion | None":
    """A model version by number or alias; None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        if selector.isdigit():
            return client.get_model_version(model, selector)
        return client.get_model_version_by_alias(model, selector)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def registered_files(version: "ModelVersion") -> dict[str, str]:
    """SHA-256 of each file, as it was registered. Raises StepFailed where that was not noted."""
    try:
        files: dict[str, str] = json.loads(version.tags[FILES])
    except (KeyError, ValueError):
        raise StepFailed(
            f"version {version.version} of {version.name} was not registered by this pipeline: "
            "it carries no digests"
        ) from None
    return files
