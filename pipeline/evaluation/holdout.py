"""Score champion and challenger on the same held-out rows with the same code."""

import dataclasses
import hashlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.data.dataset import Dataset
from pipeline.data.splits import identities
from pipeline.errors import InputError, StepFailed
from pipeline.evaluation import compare
from pipeline.evaluation.compare import Comparison
from pipeline.evaluation.explain import permutation_importance, shap_importance
from pipeline.evaluation.groups import subgroups
from pipeline.evaluation.metrics import Scored, baseline, compute_all
from pipeline.evaluation.plots import save_plots
from pipeline.model.artifacts import ModelFacts, load_model, trained_rows
from pipeline.model.champion import Champion, PinnedFile
from pipeline.model.features import parts_of, unwrapped
from pipeline.model.scoring import score
from pipeline.model.threads import limited
from pipeline.pages import card
from pipeline.step import Workspace
from pipeline.storage import KeyExistsError
from pipeline.tracking import lineage, progress, runs
from pipeline.tracking.register import VERSION_TAGS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow  # type: ignore[import-untyped]
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from numpy.typing import NDArray

_WAYS_OUT = (
    "train on the data of now and promote with --floors-only, which compares with no champion"
)


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
    rows: int
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
            "rows": self.rows,
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
    key = None
    if workspace.platform is not None:
        # From MLflow, which knows whose files they are, and not from a tag that train writes.
        location = runs.connect(workspace).get_model_version_download_uri(
            version.name, version.version
        )
        key = workspace.store.key_of(location)
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
    """Compare on held-out rows that neither model was trained on, which the rows themselves tell.

    Raises InputError when too few such rows are left.
    """
    models = [_load(workspace, f"version {challenger.number}", challenger.files)]
    if champion is not None:
        name = f"the champion, version {champion.model_version},"
        models.append(_load(workspace, name, champion.files))
    unseen = _unseen_by_all(workspace, models, rows)
    warnings = []
    if unseen.num_rows < rows.raw.num_rows:
        warnings.append(
            f"{rows.raw.num_rows - unseen.num_rows} of {rows.raw.num_rows} held-out rows were "
            "among the training rows of one of the models: they are left out of the comparison"
        )
        rows = dataclasses.replace(rows, raw=unseen)
    with limited(len(rows.table)):
        return _compare(workspace, challenger, champion, models, rows, warnings)


@dataclass(frozen=True)
class _Loaded:
    """A model from pinned bytes, and which rows it was trained on."""

    name: str
    model: Any
    facts: ModelFacts
    trained: "NDArray[np.uint64]"


def _load(workspace: Workspace, name: str, files: Mapping[str, PinnedFile]) -> _Loaded:
    trusted = workspace.settings.serialization.trusted_types
    model, facts = load_model(workspace.store, files, trusted)
    return _Loaded(name, model, facts, trained_rows(workspace.store, files))


def _unseen_by_all(
    workspace: Workspace, models: Sequence[_Loaded], rows: Dataset
) -> "pyarrow.Table":
    """The held-out rows that no model was trained on, by the key that each one knew rows by."""
    import numpy as np
    import pyarrow

    seen = np.zeros(rows.raw.num_rows, dtype=bool)
    for loaded in models:
        known = loaded.facts.holdout
        try:
            if known is None:
                raise InputError("it says nothing about its rows")
            identity = (
                rows.identity
                if known.key == rows.definition.key
                else identities(rows.raw, known.key)
            )
        except InputError as error:
            raise InputError(
                f"it is unknown which held-out rows {loaded.name} was trained on ({error}): "
                f"{_WAYS_OUT}"
            ) from None
        seen |= np.isin(identity, loaded.trained)
    left = int((~seen).sum())
    least = min(workspace.settings.promotion.min_rows, rows.raw.num_rows)
    if left < least:
        raise InputError(
            f"of {rows.raw.num_rows} held-out rows {', '.join(entry.name for entry in models)} "
            f"left {left} unseen, fewer than promotion.min_rows = {least}: {_WAYS_OUT}"
        )
    return rows.raw.filter(pyarrow.array(~seen))


def _compare(
    workspace: Workspace,
    challenger: Candidate,
    champion: Champion | None,
    models: Sequence[_Loaded],
    rows: Dataset,
    warnings: list[str],
) -> Evaluation:
    settings = workspace.settings
    progress.note(f"comparing on {rows.raw.num_rows} held-out rows")
    new = _score(models[0], rows)
    old = _score(models[1], rows) if champion else None
    groups = subgroups(
        settings.metric.name,
        new,
        old,
        {name: rows.table[name].to_numpy() for name in settings.data.subgroups},
        settings.promotion.min_subgroup_rows,
    )
    layout = compare.Layout(rows.groups, rows.times)
    numbers = compare.compare(settings.metric.name, new, old, settings.promotion, layout, groups)
    values = compute_all(settings.task.type, new, settings.task.metric)
    return Evaluation(
        candidate=challenger,
        champion=champion,
        comparison=numbers,
        values=values,
        rows=rows.raw.num_rows,
        holdout_sha256=rows.sha256,
        reference=_store_reference(workspace, rows, new),
        card=_store_card(workspace, challenger, rows, models[0], new, numbers, values),
        warnings=warnings,
    )


def _score(loaded: _Loaded, rows: Dataset) -> Scored:
    """Score a model on the held-out rows, which it reads by the contract it was trained under."""
    contract = loaded.facts.contract
    try:
        features = rows.features_by(contract)
        if unknown := set(contract.classes) - set(rows.contract.classes):
            raise InputError(f"the classes {', '.join(sorted(unknown))} are none of the new data")
    except InputError as error:
        raise StepFailed(
            f"{loaded.name} cannot be scored on the new data: {error}; promote with --floors-only "
            "to replace a champion without a comparison"
        ) from None
    facts = loaded.facts
    return score(loaded.model, features, rows.target, rows.contract, facts.positive, facts.decision)


def _store_reference(workspace: Workspace, rows: Dataset, scored: Scored) -> PinnedFile:
    """Held-out inputs with this model's predictions: what monitor compares new batches with."""
    table, output = rows.features.copy(), rows.contract.output
    if scored.score is None:
        table[output("prediction")] = scored.label
    else:
        table[output("prediction")] = [scored.classes[number] for number in scored.label]
        for number, name in enumerate(scored.classes):
            table[output(f"probability_{name}")] = scored.score[:, number]
    table[output("truth")] = rows.target.to_numpy()
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
    loaded: _Loaded,
    scored: Scored,
    numbers: Comparison,
    values: Mapping[str, float],
) -> str:
    """Store the model card of the challenger; the answer is its key."""
    settings, features = workspace.settings, rows.features_by(loaded.facts.contract)
    shown = {
        "Permutation importance": permutation_importance(
            loaded.model, features, rows.target, rows.contract, loaded.facts, settings
        )
    }
    if settings.evaluation.shap:
        shown |= shap_importance(loaded.model, features)
    with tempfile.TemporaryDirectory() as temporary:
        plots = (
            save_plots(Path(temporary), settings.task.type, scored)
            if settings.evaluation.plots
            else []
        )
        page = card.render(
            card.Card(
                title=f"{workspace.model}, version {challenger.number}",
                facts=_origin(challenger, rows),
                made=_made(workspace, loaded, rows),
                comparison=numbers,
                metrics=values,
                baseline=compute_all(settings.task.type, baseline(scored), settings.task.metric),
                balance={
                    name: int((scored.truth == place).sum())
                    for place, name in enumerate(scored.classes)
                },
                plots=plots,
                importance=shown,
            )
        )
    key = workspace.key("decisions", "cards", f"v{challenger.number}.html")
    workspace.store.put(key, page.encode())
    return key


def _origin(challenger: Candidate, rows: Dataset) -> dict[str, str]:
    """Which run, data, code and settings a version comes from."""
    return {
        "run": challenger.run_id,
        "held-out data": rows.sha256,
        **{
            name.removeprefix("keyless.").replace("_", " "): value
            for name, value in challenger.tags.items()
            if name in VERSION_TAGS
        },
    }


def _made(workspace: Workspace, loaded: _Loaded, rows: Dataset) -> dict[str, str]:
    """What a model is, as it stands in its own files."""
    task, contract = workspace.settings.task, loaded.facts.contract
    parts = parts_of(loaded.model)
    estimators = [unwrapped(part) for _, part in parts]
    names = [type(estimator).__name__ for estimator in estimators]
    if len(parts) == 1:
        model, parameters = names[0], _changed(estimators[0])
    else:
        model = "average of " + ", ".join(
            f"{share:.1%} {name}" for (share, _), name in zip(parts, names, strict=True)
        )
        parameters = "; ".join(
            f"{name}: {_changed(estimator)}"
            for name, estimator in zip(names, estimators, strict=True)
        )
    rule = loaded.facts.decision
    return {
        "task": f"{loaded.facts.task}, target {contract.target}",
        "metric that decides": task.metric,
        "model": model,
        "parameters": parameters,
        "features": str(len(contract.inputs)),
        "training rows": str(len(loaded.trained)),
        "held-out rows": f"{rows.raw.num_rows}, by {workspace.settings.holdout.rule}",
        **({} if loaded.facts.task == "regression" else {"decision": rule.said(contract.classes)}),
    }


def _changed(estimator: Any) -> str:
    """The parameters of an estimator that are not its library's own."""
    try:
        usual = type(estimator)().get_params()
    except TypeError:
        usual = {}  # a class of one's own, which cannot be made without parameters
    changed = {
        name: value
        for name, value in estimator.get_params().items()
        if repr(value) != repr(usual.get(name))
    }
    listed = ", ".join(f"{name} = {value!r}" for name, value in sorted(changed.items()))
    return listed or "its library's own defaults"


def log_metrics(client: "MlflowClient", evaluation: Evaluation) -> None:
    """holdout_NAME for every metric, and the bounds of the one that decides."""
    import time

    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    numbers = evaluation.comparison
    values = {f"holdout_{name}": value for name, value in evaluation.values.items()}
    own = numbers.challenger
    if own is not None and own.low is not None and own.high is not None:
        values |= {
            f"holdout_{numbers.metric}_low": own.low,
            f"holdout_{numbers.metric}_high": own.high,
        }
    client.log_batch(
        evaluation.candidate.run_id,
        metrics=[Metric(name, value, now, 0) for name, value in values.items()],
    )
