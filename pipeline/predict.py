"""Batch prediction by the champion of record, in chunks, to a partition that is never doubled."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from pipeline.errors import InputError, StepFailed
from pipeline.model.artifacts import load_model, overwritten
from pipeline.model.batch import Counts, write_predictions
from pipeline.model.champion import Champion, PinnedFile
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import cloudwatch


@dataclass(frozen=True)
class Chosen:
    """The model that predicts; `sequence` is 0 for one that is not the champion of record."""

    number: str
    run_id: str
    files: Mapping[str, PinnedFile]
    reference: PinnedFile | None = None
    sequence: int = 0


@dataclass(frozen=True)
class Batch:
    """An input that lies in a local file now; `name` says where it came from."""

    name: str
    path: Path
    sha256: str
    modified: datetime


@step
@click.option("--input", "source", help="Key, s3:// address or file; else predict.input.")
@click.option("--date", "day", help="Partition, YYYY-MM-DD; else the day the input was stored.")
@click.option("--model-version", help="A version or alias instead of the champion of record.")
def main(
    workspace: Workspace, *, source: str | None, day: str | None, model_version: str | None
) -> Outcome:
    """Predict a batch with the champion of record and store it with a manifest."""
    chosen = _by_selector(workspace, model_version) if model_version else _champion(workspace)
    settings = workspace.settings
    model, facts = load_model(workspace.store, chosen.files, settings.serialization.trusted_types)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        batch = _fetch(workspace, source, folder)
        partition = _partition(day, batch.modified)
        counts = write_predictions(model, facts, batch.path, folder, settings)
        limit = settings.predict.max_rejected_fraction
        if counts.rejected > limit * counts.rows:
            raise StepFailed(
                f"{counts.rejected} of {counts.rows} rows break the input schema, more than "
                f"{limit:.0%}: nothing was stored; most often {counts.commonest()}"
            )
        manifest = _publish(workspace, chosen, batch, partition, counts, folder)
    cloudwatch.publish(
        workspace, {"RowsPredicted": counts.predicted, "RowsRejected": counts.rejected}
    )
    output = workspace.store.uri(manifest["predictions"] or manifest["manifest"])
    disagreement = _alias_disagreement(workspace, chosen) if chosen.sequence else None
    changed = overwritten(workspace.store, chosen.files)
    warnings = [disagreement] if disagreement else []
    if changed:
        warnings.append(
            f"somebody wrote over {', '.join(changed)} of version {chosen.number} after it was "
            "registered; predictions come from the recorded versions, which are unchanged"
        )
    return Outcome(
        [
            f"predicted {counts.predicted} rows with version {chosen.number} of "
            f"{workspace.model}, {counts.rejected} rejected",
            f"stored as {output}",
        ],
        {
            "step": "predict",
            "alias_disagreement": disagreement,
            "overwritten": changed,
            "output": output,
            **manifest,
        },
        warnings=warnings,
    )


def _champion(workspace: Workspace) -> Chosen:
    champion: Champion | None = workspace.records.read()[0]
    if champion is None:
        raise InputError(f"{workspace.model} has no champion yet: run promote first")
    return Chosen(
        champion.model_version,
        champion.run_id,
        champion.files,
        champion.reference,
        champion.sequence,
    )


def _by_selector(workspace: Workspace, selector: str) -> Chosen:
    """A version or alias of the registry; its files must be those that were registered."""
    from pipeline.evaluation.holdout import candidate, find_version
    from pipeline.tracking import runs

    client = runs.connect(workspace)
    found = candidate(workspace, find_version(workspace, client, selector))
    return Chosen(found.number, found.run_id, found.files)


def _fetch(workspace: Workspace, source: str | None, folder: Path) -> Batch:
    named = source or workspace.settings.predict.input or workspace.sample_batch
    suffix = Path(named).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"the input {named} must end in .csv or .parquet")
    local = Path(named)
    if local.is_file():
        with local.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
        modified = datetime.fromtimestamp(local.stat().st_mtime, UTC)
        return Batch(named, local, digest.hexdigest(), modified)
    key = workspace.store.key_of(named) or named
    target = folder / f"input{suffix}"
    stored = workspace.store.fetch(key, target)
    return Batch(key, target, stored.sha256, stored.modified or datetime.now(UTC))


def _partition(day: str | None, modified: datetime) -> str:
    if day is None:
        return modified.astimezone(UTC).date().isoformat()
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        raise InputError(f"--date {day!r} is no day: write it as YYYY-MM-DD") from None


def _publish(
    workspace: Workspace, chosen: Chosen, batch: Batch, day: str, counts: Counts, folder: Path
) -> dict[str, Any]:
    """Upload rows, then the manifest. The keys follow from input, day and model alone."""
    place = [f"date={day}", f"model_version={chosen.number}"]
    stem = batch.sha256[:16]
    # A leading underscore hides rejects and manifests from readers of the partitioned table.
    keys = {
        "predictions": workspace.key("predictions", *place, f"{stem}.parquet"),
        "rejects": workspace.key("predictions", "_rejects", *place, f"{stem}.parquet"),
    }
    written = {"predictions": counts.predicted, "rejects": counts.rejected}
    for name, rows in written.items():
        if rows:
            workspace.store.send(folder / f"{name}.parquet", keys[name])
    manifest_key = workspace.key("predictions", "_manifests", *place, f"{stem}.json")
    manifest: dict[str, Any] = {
        "schema_version": 1,
        "model": workspace.model,
        "model_version": chosen.number,
        "run_id": chosen.run_id,
        "champion_sequence": chosen.sequence,
        "input": batch.name,
        "input_sha256": batch.sha256,
        "date": day,
        "rows": counts.rows,
        "predicted": counts.predicted,
        "rejected": counts.rejected,
        "unseen_categories": counts.unseen,
        "reference": chosen.reference.model_dump() if chosen.reference else None,
        "manifest": manifest_key,
    } | {name: keys[name] if rows else None for name, rows in written.items()}
    workspace.store.put(manifest_key, json.dumps(manifest, indent=1, sort_keys=True).encode())
    return manifest


def _alias_disagreement(workspace: Workspace, chosen: Chosen) -> str | None:
    """Whether people see another champion; only asked where a tracking server is named."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    from pipeline.tracking import runs

    found = runs.version_by(runs.connect(workspace), workspace.model, "champion")
    if found is None or str(found.version) == chosen.number:
        return None
    return (
        f"the alias champion names version {found.version}; predictions come from version "
        f"{chosen.number}, the champion of record"
    )


if __name__ == "__main__":
    main()
