"""Batch prediction by the champion of record, in chunks; a repeated run replaces its partition."""

import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.data.contract import NumberColumn, SchemaContract
from pipeline.errors import InputError, StepFailed
from pipeline.model.artifacts import ModelFacts, load_model, overwritten
from pipeline.model.batch import Counts, write_predictions
from pipeline.model.champion import Champion, PinnedFile
from pipeline.reading import files, sources
from pipeline.reading.files import DataFile
from pipeline.settings import of_day, without_secrets
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import alias, cloudwatch

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]


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
    """An input as local files; `name` says where it came from."""

    name: str
    files: list[DataFile]
    sha256: str
    modified: datetime


@step
@click.option(
    "--input", "source", help="Key, s3:// address or file; else predict.input; {date} is the day."
)
@click.option("--date", "day", help="Partition, YYYY-MM-DD; else the input's own day.")
@click.option("--model-version", help="A version or alias instead of the champion of record.")
def main(
    workspace: Workspace, *, source: str | None, day: str | None, model_version: str | None
) -> Outcome:
    """Predict a batch with the champion of record and store it with a manifest."""
    chosen = _by_selector(workspace, model_version) if model_version else _champion(workspace)
    settings = workspace.settings
    if not (source or settings.predict.input or settings.data.batch_fraction):
        raise InputError(
            "nothing to predict: name a batch by --input, or as input under [predict]; ingest "
            "keeps one of its own only with batch_fraction under [data]"
        )
    model, facts = load_model(workspace.store, chosen.files, settings.serialization.trusted_types)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        named = source or settings.predict.input or workspace.sample_batch
        if "{date}" in named:
            # A file that is named by its day is of that day, whenever it was stored.
            day = _day(day) if day else datetime.now(UTC).date().isoformat()
            named = of_day(named, day)
        batch = _fetch(workspace, named, folder)
        partition = _day(day) if day else batch.modified.astimezone(UTC).date().isoformat()
        try:
            counts = write_predictions(
                model, facts, batch.files, folder, settings, lambda: _history(workspace)
            )
        except InputError as error:
            # [data] describes all files; [predict] overrides it for batches.
            raise InputError(str(error).replace("under [data]", "under [predict]")) from None
        limit = settings.predict.max_rejected_fraction
        if counts.rejected > limit * counts.rows:
            raise StepFailed(
                f"{counts.rejected} of {counts.rows} rows break the input schema, more than "
                f"{limit:.0%}: nothing was stored; most often {counts.commonest()}"
            )
        manifest = _publish(workspace, chosen, facts, batch, partition, counts, folder)
    cloudwatch.publish(
        workspace, {"RowsPredicted": counts.predicted, "RowsRejected": counts.rejected}
    )
    output = workspace.store.uri(manifest["predictions"] or manifest["manifest"])
    disagreement = alias.disagreement(workspace, chosen.number) if chosen.sequence else None
    changed = overwritten(workspace.store, chosen.files)
    warnings = [disagreement] if disagreement else []
    warnings += [
        *_warnings(counts, facts.contract),
        *_emptier(counts, facts, settings.contract.null_rate_slack),
    ]
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


def _fetch(workspace: Workspace, named: str, folder: Path) -> Batch:
    """The batch, from a file, folder or glob here, from a source, or from the store."""
    found, stored = sources.fetch_or_stored(workspace, named, folder)
    if stored is not None:
        return Batch(stored.key, found, stored.sha256, stored.modified or datetime.now(UTC))
    newest = max(file.path.stat().st_mtime for file in found)
    shown = without_secrets(named)
    return Batch(shown, found, files.digest(found), datetime.fromtimestamp(newest, UTC))


def _history(workspace: Workspace) -> "pyarrow.Table":
    """The rows before the batch, as the last ingest stored them."""
    import pyarrow.parquet  # type: ignore[import-untyped]

    return pyarrow.parquet.read_table(io.BytesIO(workspace.store.read(workspace.history)[0]))


def _warnings(counts: Counts, contract: SchemaContract) -> list[str]:
    """Warnings about a batch that was predicted."""
    warnings = []
    numbers = {
        name: " or ".join(column.marks.remove)
        for name, column in contract.features.items()
        if isinstance(column, NumberColumn)
    }
    if counts.lost_ids:
        warnings.append(
            f"the batch lacks the id columns {', '.join(counts.lost_ids)}: predictions carry no "
            "such id, and labels cannot be joined to them"
        )
    if counts.rejected:
        warnings.append(f"{counts.rejected} rows were rejected; most often {counts.commonest()}")
    warnings += [
        f"{name}: {count} of {counts.rows} rows have no earlier value, neither in the batch nor in "
        "what ingest left"
        for name, count in counts.no_past.items()
    ]
    warnings += [
        f"{column}: {count} of {counts.rows} values "
        + (
            f"are without {numbers[column]}, which all had in training: do they mean the same?"
            if column in numbers
            else "that training never saw"
        )
        for column, count in counts.unseen.most_common()
    ]
    warnings += [
        f"{column}: {count} of {counts.rows} times are far from all that training saw"
        for column, count in counts.far.items()
    ]
    return warnings


def _emptier(counts: Counts, facts: ModelFacts, slack: float) -> list[str]:
    """Columns with more missing values than the model was trained for, as ingest would refuse."""
    lags = facts.contract.lags.names if facts.contract.lags else []
    found = []
    for name, count in counts.missing.items():
        usual = facts.contract.features[name].null_rate
        if name not in lags and count > (usual + slack) * counts.rows:
            found.append(
                f"{name}: {count} of {counts.rows} values are missing, at first {usual:.0%}"
            )
    return found


def _day(day: str) -> str:
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        raise InputError(f"--date {day!r} is no day: write it as YYYY-MM-DD") from None


def _publish(
    workspace: Workspace,
    chosen: Chosen,
    facts: ModelFacts,
    batch: Batch,
    day: str,
    counts: Counts,
    folder: Path,
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
        "far_times": counts.far,
        # Who watches the predictions may not read the contract; labels are read by it.
        "contract": facts.contract.model_copy(update={"features": {}}).model_dump(mode="json"),
        "positive": facts.positive,
        "reference": chosen.reference.model_dump() if chosen.reference else None,
        "manifest": manifest_key,
    } | {name: keys[name] if rows else None for name, rows in written.items()}
    workspace.store.put(manifest_key, json.dumps(manifest, indent=1, sort_keys=True).encode())
    return manifest


if __name__ == "__main__":
    main()
