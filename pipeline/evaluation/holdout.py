"""Score champion and challenger on the same held-out rows with the same code."""

import hashlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.data.dataset import Dataset
from pipeline.errors import InputError, StepFailed
from pipeline.evaluation import card, compare
from pipeline.evaluation.compare import Comparison
from pipeline.evaluation.explain import permutation_importance, shap_importance
from pipeline.evaluation.metrics import Scored, compute_all
from pipeline.evaluation.plots import save_plots
from pipeline.model.artifacts import load_model
from pipeline.model.champion import Champion, PinnedFile
from pipeline.model.scoring import score
from pipeline.model.threads import limited
from pipeline.step import Workspace
from pipeline.storage import KeyExistsError
from pipeline.tracking import lineage, runs
from pipeline.tracking.register import VERSION_TAGS

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
    card: str
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
            "card": self.card,
        }


def find_version(workspace: Workspace, client: "MlflowClient", selector: str) -> "ModelVersion":
    """A registered version by number or alias. Raises InputError when there is none."""
    version = runs.version_by(client, workspace.model, selector)
    if version is None:
        raise InputError(f"{workspace.model} has no version or alias {selector!r}: run train first")
    return version


def candidate(workspace: Workspace, version: "ModelVersion") -> Candidate:
    """Read a registered version's files, and pin the bytes that were read.

    Raises StepFailed when they are not what was registered.
    """
    registered = runs.registered_files(version)
    location = version.tags.get("keyless.artifacts", "")
    key = workspace.store.key_of(location) if workspace.platform is not None else None
    files = (
        {name: _pin_in_place(workspace, f"{key}/{name}") for name in registered}
        if key is not None
        else _pin_copies(workspace, version, list(registered))
    )
    for name, sha256 in registered.items():
        if files[name].sha256 != sha256:
            raise StepFailed(
                f"{name} of version {version.version} is not what was registered (SHA-256 "
                f"{files[name].sha256[:12]}… instead of {sha256[:12]}…): it is not evaluated; "
                "train again"
            )
    return Candidate(str(version.version), str(version.run_id), files, version.tags)


def _pin_in_place(workspace: Workspace, key: str) -> PinnedFile:
    """Pin an object of the bucket by the version that was read."""
    _, stored = workspace.store.read(key)
    if stored.version in (None, "null"):
        raise StepFailed(f"{workspace.store.uri(key)} has no version id: the bucket keeps none")
    return PinnedFile(key=key, version=stored.version, sha256=stored.sha256)


def _pin_copies(
    workspace: Workspace, version: "ModelVersion", names: list[str]
) -> dict[str, PinnedFile]:
    """Where artifacts have no versions of ours, pin copies under their digests."""
    import mlflow.artifacts

    pins = {}
    with tempfile.TemporaryDirectory() as temporary:
        source = f"models:/{version.name}/{version.version}"
        folder = Path(mlflow.artifacts.download_artifacts(source, dst_path=temporary))
        for name in names:
            content = (folder / name).read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            key = workspace.key("decisions", "files", sha256)
            _put_once(workspace, key, content)
            pins[name] = PinnedFile(key=key, version=None, sha256=sha256)
    return pins


def _put_once(workspace: Workspace, key: str, content: bytes) -> None:
    try:
        workspace.store.put(key, content, if_absent=True)
    except KeyExistsError:
        return


def evaluate(
    workspace: Workspace, challenger: Candidate, champion: Champion | None, rows: Dataset
) -> Evaluation:
    """Compare on the holdout. Raises InputError when the challenger may have seen its rows."""
    if challenger.tags.get("keyless.contract_sha256") != rows.contract_sha256:
        raise InputError(
            f"version {challenger.number} was trained under another contract, so it may have seen "
            "held-out rows: run train again"
        )
    with limited(len(rows.table)):
        return _compare(workspace, challenger, champion, rows)


def _compare(
    workspace: Workspace, challenger: Candidate, champion: Champion | None, rows: Dataset
) -> Evaluation:
    settings = workspace.settings
    model, new = _score(workspace, challenger.files, rows)
    old = _score(workspace, champion.files, rows)[1] if champion else None
    groups = _groups(rows, settings.holdout.column) if settings.holdout.rule == "group" else None
    first, second, gain = compare.intervals(
        settings.metric.name, new, old, settings.promotion, groups
    )
    subgroups = (
        compare.subgroup_losses(
            settings.metric.name,
            new,
            old,
            {name: rows.table[name].to_numpy() for name in settings.data.subgroups},
            settings.promotion.min_subgroup_rows,
        )
        if old is not None
        else ()
    )
    numbers = Comparison(
        settings.metric.name, first, second, gain, settings.promotion.floors, subgroups
    )
    values = compute_all(settings.task.type, new)
    return Evaluation(
        candidate=challenger,
        champion=champion,
        comparison=numbers,
        values=values,
        holdout_sha256=rows.sha256,
        reference=_store_reference(workspace, rows, new),
        card=_store_card(workspace, challenger, rows, model, new, numbers, values),
    )


def _score(
    workspace: Workspace, files: Mapping[str, PinnedFile], rows: Dataset
) -> tuple[Any, Scored]:
    """Load a model from pinned bytes and score it on the features that it was trained with."""
    settings = workspace.settings
    model, facts = load_model(workspace.store, files, settings.serialization.trusted_types)
    lost = set(facts.contract.features) - set(rows.table)
    if lost or set(facts.contract.classes) - set(rows.contract.classes):
        raise StepFailed(
            "the champion cannot be scored on the new data, which lacks columns or classes that "
            f"it knows ({', '.join(sorted(lost)) or 'classes'}): promote with --floors-only to "
            "replace it without a comparison"
        )
    features = rows.table[list(facts.contract.features)]
    return model, score(model, features, rows.target, rows.contract, settings.data.positive)


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


def _store_card(
    workspace: Workspace,
    challenger: Candidate,
    rows: Dataset,
    model: Any,
    scored: Scored,
    numbers: Comparison,
    values: Mapping[str, float],
) -> str:
    """Store the model card of the challenger; the answer is its key."""
    settings = workspace.settings
    shown = {
        "Permutation importance": permutation_importance(
            model, rows.features, rows.target, rows.contract, settings
        )
    }
    if settings.evaluation.shap and (found := shap_importance(model, rows.features)):
        shown["SHAP, mean absolute value"] = found
    facts = {
        "run": challenger.run_id,
        "task": f"{settings.task.type}, target {settings.data.target}",
        "held-out rows": str(len(rows.table)),
        "data": rows.sha256,
        **{
            name.removeprefix("keyless.").replace("_", " "): value
            for name, value in challenger.tags.items()
            if name in VERSION_TAGS
        },
    }
    with tempfile.TemporaryDirectory() as temporary:
        plots = (
            save_plots(Path(temporary), settings.task.type, scored)
            if settings.evaluation.plots
            else []
        )
        title = f"{workspace.model}, version {challenger.number}"
        page = card.render(title, facts, numbers, values, plots, shown)
    key = workspace.key("decisions", "cards", f"v{challenger.number}.html")
    workspace.store.put(key, page.encode())
    return key


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
