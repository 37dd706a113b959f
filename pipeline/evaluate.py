"""Score champion and challenger on the same held-out rows with the same code."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pipeline import comparison, lineage, tracking
from pipeline import dataset as data
from pipeline.artifacts import load_model
from pipeline.champion import Champion, PinnedFile
from pipeline.comparison import Comparison
from pipeline.dataset import Dataset
from pipeline.errors import InputError, StepFailed
from pipeline.metrics import Scored, compute_all
from pipeline.register import CHALLENGER
from pipeline.scoring import score
from pipeline.step import Outcome, Workspace, step
from pipeline.storage import KeyExistsError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Candidate:
    """A registered version whose files were read, compared with their digests, and pinned."""

    number: str
    run_id: str
    files: Mapping[str, PinnedFile]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Evaluation:
    """The numbers of one comparison, and what exactly was compared."""

    candidate: Candidate
    champion: Champion | None
    comparison: Comparison
    values: Mapping[str, float]
    holdout_sha256: str
    reference: PinnedFile
    warnings: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The same as plain values, for the decision and the evaluation file."""
        return {
            "model_version": self.candidate.number,
            "run_id": self.candidate.run_id,
            "champion_version": self.champion.model_version if self.champion else None,
            "champion_sequence": self.champion.sequence if self.champion else 0,
            "holdout_sha256": self.holdout_sha256,
            "code_sha256": lineage.code_sha256(),
            "comparison": asdict(self.comparison),
            "metrics": dict(self.values),
            "files": {name: pin.model_dump() for name, pin in self.candidate.files.items()},
            "reference": self.reference.model_dump(),
        }


def candidate(workspace: Workspace, client: "MlflowClient", selector: str) -> Candidate:
    """Find a registered version, read its files, and pin the bytes that were read.

    Raises StepFailed when they are not what was registered.
    """
    version = tracking.version_by(client, workspace.model, selector)
    if version is None:
        raise InputError(f"{workspace.model} has no version or alias {selector!r}: run train first")
    registered = tracking.registered_files(version)
    location = version.tags.get("keyless.artifacts", "")
    key = workspace.store.key_of(location)
    files = {}
    for name, sha256 in registered.items():
        pin = (
            _pin_in_place(workspace, f"{key}/{name}")
            if key is not None and workspace.platform is not None
            else _pin_copy(workspace, version, name)
        )
        if pin.sha256 != sha256:
            raise StepFailed(
                f"{name} of version {version.version} is not what was registered (SHA-256 "
                f"{pin.sha256[:12]}… instead of {sha256[:12]}…): it is not evaluated; train again"
            )
        files[name] = pin
    return Candidate(str(version.version), str(version.run_id), files, version.tags)


def _pin_in_place(workspace: Workspace, key: str) -> PinnedFile:
    """Pin an object of the bucket by the version that was read."""
    _, stored = workspace.store.read(key)
    if stored.version in (None, "null"):
        raise StepFailed(f"{workspace.store.uri(key)} has no version id: the bucket keeps none")
    return PinnedFile(key=key, version=stored.version, sha256=stored.sha256)


def _pin_copy(workspace: Workspace, version: "ModelVersion", name: str) -> PinnedFile:
    """Where artifacts have no versions of ours, pin a copy under its digest."""
    from pathlib import Path

    import mlflow.artifacts

    source = f"models:/{version.name}/{version.version}/{name}"
    content = Path(mlflow.artifacts.download_artifacts(source)).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    key = workspace.key("decisions", "files", sha256)
    _put_once(workspace, key, content)
    return PinnedFile(key=key, version=None, sha256=sha256)


def _put_once(workspace: Workspace, key: str, content: bytes) -> None:
    try:
        workspace.store.put(key, content, if_absent=True)
    except KeyExistsError:
        return


def evaluate(
    workspace: Workspace, challenger: Candidate, champion: Champion | None, rows: Dataset
) -> Evaluation:
    """Compare on the holdout. Raises InputError when the challenger may have seen its rows."""
    settings = workspace.settings
    if challenger.tags.get("keyless.contract_sha256") != rows.contract_sha256:
        raise InputError(
            f"version {challenger.number} was trained under another contract, so it may have seen "
            "held-out rows: run train again"
        )
    trusted = settings.serialization.trusted_types
    new = _score(workspace, challenger.files, rows, trusted)
    old = _score(workspace, champion.files, rows, trusted) if champion else None
    groups = _groups(rows, settings.holdout.column) if settings.holdout.rule == "group" else None
    first, second, gain = comparison.intervals(
        settings.metric.name, new, old, settings.promotion, groups
    )
    subgroups = (
        comparison.subgroup_losses(
            settings.metric.name,
            new,
            old,
            {name: rows.table[name].to_numpy() for name in settings.data.subgroups},
            settings.promotion.min_subgroup_rows,
        )
        if old is not None
        else ()
    )
    return Evaluation(
        candidate=challenger,
        champion=champion,
        comparison=Comparison(
            settings.metric.name, first, second, gain, settings.promotion.floors, subgroups
        ),
        values=compute_all(settings.task.type, new),
        holdout_sha256=rows.sha256,
        reference=_store_reference(workspace, rows, new),
    )


def _score(
    workspace: Workspace, files: Mapping[str, PinnedFile], rows: Dataset, trusted: list[str]
) -> Scored:
    model, _ = load_model(workspace.store, files, trusted)
    positive = workspace.settings.data.positive
    return score(model, rows.features, rows.target, rows.contract, positive)


def _groups(rows: Dataset, column: str | None) -> Any:
    import pandas as pd

    return pd.factorize(rows.table[column])[0]


def _store_reference(workspace: Workspace, rows: Dataset, scored: Scored) -> PinnedFile:
    """Held-out inputs with this model's predictions: what monitor compares new batches with."""
    table = rows.features.copy()
    if scored.score is None:
        table["prediction"] = scored.label
    else:
        table["prediction"] = [scored.classes[number] for number in scored.label]
        for number, name in enumerate(scored.classes):
            table[f"probability_{name}"] = scored.score[:, number]
    table["truth"] = rows.target.to_numpy()
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    content = buffer.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    key = workspace.key("references", f"{sha256[:16]}.parquet")
    _put_once(workspace, key, content)
    return PinnedFile(key=key, version=None, sha256=sha256)


@step
@click.option("--challenger", default=CHALLENGER, show_default=True, help="Version or alias.")
def main(workspace: Workspace, *, challenger: str) -> Outcome:
    """Score champion and challenger on the holdout, and store the evaluation."""
    client = tracking.connect(workspace)
    found = candidate(workspace, client, challenger)
    current, _ = workspace.records.read()
    evaluation = evaluate(workspace, found, current, data.load(workspace, "holdout"))
    document = evaluation.document() | {"evaluated_at": datetime.now(UTC).isoformat()}
    key = workspace.key("decisions", "evaluations", f"v{found.number}-{_stamp()}.json")
    workspace.store.put(key, json.dumps(document, indent=1).encode())
    log_metrics(client, evaluation)
    numbers = evaluation.comparison
    return Outcome(
        lines=[
            f"version {found.number} of {workspace.model} on {len(numbers.floors)} floors and the "
            f"holdout: {numbers.metric} {numbers.challenger.value:.4f} "
            f"({numbers.challenger.low:.4f} to {numbers.challenger.high:.4f})",
            f"stored as {workspace.store.uri(key)}",
        ],
        values={"step": "evaluate", "model": workspace.model, "evaluation_key": key} | document,
        warnings=evaluation.warnings,
    )


def log_metrics(client: "MlflowClient", evaluation: Evaluation) -> None:
    """holdout_NAME for every metric, and the bounds of the one that decides."""
    import time

    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    numbers = evaluation.comparison
    values = {f"holdout_{name}": value for name, value in evaluation.values.items()} | {
        f"holdout_{numbers.metric}_low": numbers.challenger.low,
        f"holdout_{numbers.metric}_high": numbers.challenger.high,
    }
    client.log_batch(
        evaluation.candidate.run_id,
        metrics=[Metric(name, value, now, 0) for name, value in values.items()],
    )


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


if __name__ == "__main__":
    main()
