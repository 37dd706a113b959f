"""Search, fit one Pipeline on the training rows, log it, register it as the challenger."""

import hashlib
import json
import platform as machine
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.data import dataset as data
from pipeline.data.dataset import Dataset
from pipeline.evaluation.plots import save_plots
from pipeline.model.artifacts import ModelFacts, save_model
from pipeline.model.average import Chosen, Finalists, choose_models, fitted
from pipeline.model.decision import DecisionRule, choose
from pipeline.model.scoring import positive_class
from pipeline.model.search import Trial, cross_validate, make_folds, merge, search
from pipeline.settings import DecisionSettings, Settings, without_secrets
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import cloudwatch, lineage, progress, runs
from pipeline.tracking.register import CHALLENGER, upload_and_register

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

_EXAMPLE_ROWS = 5


def fingerprint(tags: Mapping[str, str]) -> str:
    """A digest of all that decides the model: data, settings, code, lock file, libraries.

    Training that would only repeat itself is recognised by it, and so is one to take up again.
    """
    names = (
        "data_sha256",
        "contract_sha256",
        "training_sha256",
        "code_sha256",
        "own_code_sha256",
        "lock_sha256",
        "libraries",
    )
    known = {name: tags.get(f"keyless.{name}") for name in names}
    known["machine"] = machine.machine()
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


@step
def main(workspace: Workspace) -> Outcome:
    """Search parameters, fit on all training rows, log the run and register a challenger."""
    rows = data.load(workspace, "train")
    tags = lineage.lineage_tags(workspace) | {
        "keyless.data_sha256": rows.sha256,
        "keyless.raw_sha256": rows.raw_sha256,
        "keyless.contract_sha256": rows.contract_sha256,
        "keyless.source": rows.source,
    }
    run = runs.open_run(workspace, fingerprint(tags), tags)
    with run.lease or nullcontext():
        outcome = _train(workspace, run, rows, tags)
    # Also if nothing was retrained: the alarm counts trainings that ended well.
    if failure := cloudwatch.publish_or_say(workspace, {"TrainingsDone": 1}):
        outcome.warnings.append(failure)
    return outcome


def _train(
    workspace: Workspace, run: runs.Tracking, rows: Dataset, tags: Mapping[str, str]
) -> Outcome:
    settings = workspace.settings
    if run.finished and run.registered is not None:
        return _outcome(workspace, run.run_id, run.registered, None, reused=True)

    folds = make_folds(rows, settings)
    recalled = len(run.trials)

    def log(trials: list[Trial]) -> None:
        run.check()
        runs.log_trials(run, trials, settings.metric.name)

    finalists = Finalists(settings)
    for trial in search(rows, folds, settings, run.trials, log):
        finalists.add(trial)
    chosen = choose_models(finalists, rows, folds, settings)
    version = run.registered
    if version is None:
        run.check()
        version = _fit_and_register(workspace, run, rows, folds, chosen, tags)
    run.client.set_registered_model_alias(workspace.model, CHALLENGER, version.version)
    run.finish()
    outcome = _outcome(workspace, run.run_id, version, chosen, reused=False)
    outcome.values |= {"trials": len(finalists.trials), "trials_recalled": recalled}
    return outcome


def _fit_and_register(
    workspace: Workspace,
    run: runs.Tracking,
    rows: Dataset,
    folds: Any,
    chosen: Chosen,
    tags: Mapping[str, str],
) -> "ModelVersion":
    settings = workspace.settings
    progress.note("fitting on all training rows")
    model = fitted(chosen, rows, folds, settings)
    rule = DecisionRule()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if settings.evaluation.plots or settings.decision != DecisionSettings():
            held = chosen.held or cross_validate(rows, folds, chosen.result.parameters, settings)
            out_of_fold = merge(held)
            rule = choose(settings, out_of_fold)
            if settings.evaluation.plots:
                decided = rule.applied(out_of_fold)
                save_plots(folder / "cross_validation", settings.task.type, decided)
        (folder / "settings.toml").write_text(shown_settings(workspace), encoding="utf-8")
        uri = workspace.store.uri(rows.key)
        parameters = {**chosen.parameters, **_made_by(settings), "rows": len(rows.table)}
        if rows.contract.classes:
            parameters["decision"] = rule.said(rows.contract.classes)
        runs.log_training(run, rows, uri, chosen.result, parameters, folder)
    facts = ModelFacts(
        rows.contract,
        settings.task.type,
        positive_class(rows.contract, settings.data.positive),
        rows.definition,
        rule,
    )

    def save(folder: Path, identity: Mapping[str, str]) -> dict[str, str]:
        return save_model(
            folder,
            model,
            facts,
            rows.features.head(_EXAMPLE_ROWS),
            rows.identity,
            lineage.pip_requirements(),
            settings.serialization.trusted_types,
            identity,
        )

    progress.note("registering the model")
    return upload_and_register(run, workspace.model, tags, save)


def _made_by(settings: Settings) -> dict[str, Any]:
    """What the settings of the task add to a model, as far as they name it."""
    said = settings.task.model_dump(exclude_none=True)
    return {
        name: said[name]
        for name in ("class_weight", "calibration", "target_transform")
        if name in said
    }


def shown_settings(workspace: Workspace) -> str:
    """The settings file as it is written, without secrets in addresses."""
    text = workspace.settings_file.read_text(encoding="utf-8-sig")
    settings = workspace.settings
    for address in (settings.data.source, settings.predict.input, settings.monitor.labels):
        if address is not None:
            text = text.replace(address, without_secrets(address))
    return text


def _outcome(
    workspace: Workspace,
    run_id: str,
    version: "ModelVersion",
    chosen: Chosen | None,
    *,
    reused: bool,
) -> Outcome:
    number = str(version.version)
    values: dict[str, Any] = {
        "step": "train",
        "model": workspace.model,
        "model_version": number,
        "run_id": run_id,
        "reused": reused,
    }
    if chosen is None:
        line = f"version {number} of {workspace.model} is this model already: nothing was trained"
        return Outcome([line], values)
    metric = workspace.settings.metric.name
    value = chosen.result.value(metric)
    values |= {"metric": metric, "cv_value": value, "parameters": chosen.parameters}
    return Outcome(
        [
            f"trained {chosen}: cross-validated {metric} {value:.4f}",
            f"registered version {number} of {workspace.model} as the challenger (run {run_id})",
        ],
        values,
    )


if __name__ == "__main__":
    main()
