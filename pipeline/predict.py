"""Batch prediction by the champion of record, in chunks, to a partition that is never doubled."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline import cloudwatch
from pipeline.artifacts import ModelFacts, load_model
from pipeline.champion import Champion
from pipeline.errors import InputError, StepFailed
from pipeline.ingest import SAMPLE_BATCH
from pipeline.schema import as_text, conform
from pipeline.scoring import probabilities
from pipeline.settings import Settings
from pipeline.sources import encoding_of
from pipeline.step import Outcome, Workspace, step

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Counts:
    rows: int = 0
    predicted: int = 0
    rejected: int = 0


@step
@click.option("--input", "source", help="Key, s3:// address or file; else predict.input.")
@click.option("--date", "day", help="Partition, YYYY-MM-DD; else the day the input was stored.")
def main(workspace: Workspace, *, source: str | None, day: str | None) -> Outcome:
    """Predict a batch with the champion of record and store it with a manifest."""
    champion, _ = workspace.records.read()
    if champion is None:
        raise InputError(f"{workspace.model} has no champion yet: run promote first")
    trusted = workspace.settings.serialization.trusted_types
    model, facts = load_model(workspace.store, champion.files, trusted)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        batch = _fetch(workspace, source, folder)
        partition = _partition(day, batch.modified)
        counts = write_predictions(model, facts, batch, folder, workspace.settings)
        limit = workspace.settings.predict.max_rejected_fraction
        if counts.rejected > limit * counts.rows:
            raise StepFailed(
                f"{counts.rejected} of {counts.rows} rows break the input schema, more than "
                f"{limit:.0%}: nothing was stored; {_first_reasons(folder)}"
            )
        manifest = _publish(workspace, champion, batch, partition, counts, folder)
    cloudwatch.publish(
        workspace, {"RowsPredicted": counts.predicted, "RowsRejected": counts.rejected}
    )
    lines = [
        f"predicted {counts.predicted} rows with version {champion.model_version} of "
        f"{champion.model}, {counts.rejected} rejected",
        f"stored as {workspace.store.uri(manifest['predictions'])}",
    ]
    warning = _alias_disagreement(workspace, champion)
    return Outcome(
        lines,
        {"step": "predict", "alias_disagreement": warning, **manifest},
        warnings=[warning] if warning else [],
    )


@dataclass(frozen=True)
class Batch:
    """An input that lies in a local file now; `name` says where it came from."""

    name: str
    path: Path
    sha256: str
    modified: datetime


def _fetch(workspace: Workspace, source: str | None, folder: Path) -> Batch:
    named = source or workspace.settings.predict.input or workspace.key("inputs", SAMPLE_BATCH)
    suffix = Path(named).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"the input {named} must end in .csv or .parquet")
    local = Path(named)
    if local.is_file():
        digest = hashlib.sha256()
        with local.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        modified = datetime.fromtimestamp(local.stat().st_mtime, UTC)
        return Batch(str(named), local, digest.hexdigest(), modified)
    key = workspace.store.key_of(named) or named
    target = folder / f"input{suffix}"
    stored = workspace.store.fetch(key, target)
    return Batch(key, target, stored.sha256, stored.modified or datetime.now(UTC))


def read_chunks(path: Path, rows: int) -> "Iterator[pd.DataFrame]":
    """A CSV or Parquet file in frames of at most `rows` rows."""
    import pandas as pd

    if path.suffix == ".parquet":
        import pyarrow.parquet  # type: ignore[import-untyped]

        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=rows):
            yield batch.to_pandas()
        return
    with path.open("rb") as stream:
        encoding = encoding_of(stream.read(4))
    # As text: a chunk must not decide by itself which type a column has.
    yield from pd.read_csv(path, chunksize=rows, dtype=str, encoding=encoding)


def write_predictions(
    model: Any,
    facts: ModelFacts,
    batch: Batch,
    folder: Path,
    settings: Settings,
) -> Counts:
    """Predict chunk by chunk into predictions.parquet and rejects.parquet below `folder`."""
    counts = Counts()
    with (
        _Writer(folder / "predictions.parquet") as good,
        _Writer(folder / "rejects.parquet") as bad,
    ):
        for frame in read_chunks(batch.path, settings.predict.chunk_rows):
            frame = frame.reset_index(drop=True)
            features, _, wrong = conform(frame, facts.contract, new_categories=True)
            counts.rows += len(frame)
            counts.rejected += int(wrong.sum())
            if wrong.any():
                bad.write(_rejects(frame, facts, wrong, counts.rows - len(frame)))
            if not wrong.all():
                kept = features[~wrong]
                ids = {
                    name: as_text(frame[name][~wrong]) for name in facts.id_columns if name in frame
                }
                good.write(_predictions(model, facts, kept, ids))
                counts.predicted += len(kept)
    if not counts.rows:
        raise InputError(f"the input {batch.name} has no rows")
    return counts


def _predictions(
    model: Any, facts: ModelFacts, features: "pd.DataFrame", ids: "dict[str, pd.Series]"
) -> "pd.DataFrame":
    """Ids, inputs and predictions; monitor reads the inputs from here."""
    table = features.assign(**ids)
    if facts.contract.target_range is not None:
        return table.assign(prediction=model.predict(features).astype(float))
    found = probabilities(model, features, facts.contract.classes)
    import numpy as np

    labels = np.array(facts.contract.classes, dtype=object)[found.argmax(axis=1)]
    scores = {
        f"probability_{name}": found[:, number]
        for number, name in enumerate(facts.contract.classes)
    }
    return table.assign(prediction=labels, **scores)


def _rejects(frame: "pd.DataFrame", facts: ModelFacts, wrong: Any, first: int) -> "pd.DataFrame":
    """The rejected rows as text, with their number in the input and what is wrong with them."""
    import pandas as pd

    reasons = []
    for position in wrong.nonzero()[0]:
        row = frame.iloc[[position]]
        _, found, _ = conform(row, facts.contract, new_categories=True)
        reasons.append("; ".join(f"{entry.column}: {entry.rule}" for entry in found))
    table = pd.DataFrame({str(name): as_text(frame[name][wrong]) for name in frame.columns})
    return table.assign(row=wrong.nonzero()[0] + first, reason=reasons)


class _Writer:
    """A Parquet file that is written frame by frame and exists only if there was one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> "_Writer":
        return self

    def write(self, frame: "pd.DataFrame") -> None:
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table.cast(self._writer.schema))

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def _partition(day: str | None, modified: datetime) -> str:
    if day is None:
        return modified.astimezone(UTC).date().isoformat()
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        raise InputError(f"--date {day!r} is no day: write it as YYYY-MM-DD") from None


def _publish(
    workspace: Workspace,
    champion: Champion,
    batch: Batch,
    day: str,
    counts: Counts,
    folder: Path,
) -> dict[str, Any]:
    """Upload rows, then the manifest. The keys follow from input, day and model alone."""
    place = [f"date={day}", f"model_version={champion.model_version}"]
    stem = batch.sha256[:16]
    key = workspace.key("predictions", *place, f"{stem}.parquet")
    manifest: dict[str, Any] = {
        "schema_version": 1,
        "model": champion.model,
        "model_version": champion.model_version,
        "run_id": champion.run_id,
        "champion_sequence": champion.sequence,
        "input": batch.name,
        "input_sha256": batch.sha256,
        "date": day,
        "rows": counts.rows,
        "predicted": counts.predicted,
        "rejected": counts.rejected,
        "predictions": key,
        "rejects": None,
        "reference": champion.reference.model_dump() if champion.reference else None,
    }
    workspace.store.send(folder / "predictions.parquet", key)
    if counts.rejected:
        # A leading underscore hides it from readers of the partitioned table.
        manifest["rejects"] = workspace.key("predictions", "_rejects", *place, f"{stem}.parquet")
        workspace.store.send(folder / "rejects.parquet", manifest["rejects"])
    manifest_key = workspace.key("predictions", "_manifests", *place, f"{stem}.json")
    manifest["manifest"] = manifest_key
    workspace.store.put(manifest_key, json.dumps(manifest, indent=1, sort_keys=True).encode())
    return manifest


def _first_reasons(folder: Path) -> str:
    import pandas as pd

    rejects = pd.read_parquet(folder / "rejects.parquet")
    shown = rejects["reason"].value_counts().head(3)
    return "most often " + ", ".join(f"{reason} ({count})" for reason, count in shown.items())


def _alias_disagreement(workspace: Workspace, champion: Champion) -> str | None:
    """Whether people see another champion; only asked where a tracking server is named."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    from pipeline import tracking

    found = tracking.version_by(tracking.connect(workspace), champion.model, "champion")
    if found is None or str(found.version) == champion.model_version:
        return None
    return (
        f"the alias champion names version {found.version}; predictions come from version "
        f"{champion.model_version}, the champion of record"
    )


if __name__ == "__main__":
    main()
