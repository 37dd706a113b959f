"""Watch predictions: drift against the champion's reference, and performance where labels came."""

import hashlib
import html
import io
import json
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.data.contract import SchemaContract
from pipeline.data.prepare import read_all
from pipeline.errors import InputError
from pipeline.evaluation.drift import ColumnDrift, DriftReport, compare
from pipeline.evaluation.metrics import Scored, compute
from pipeline.model.champion import PinnedFile, read_pinned
from pipeline.reading import sources
from pipeline.reading.reader import read_table
from pipeline.settings import without_secrets
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import alias, cloudwatch

if TYPE_CHECKING:
    import pandas as pd

DRIFT_EXIT_CODE = 3


@dataclass(frozen=True)
class Performance:
    """A metric on rows whose labels came back, beside the same on the reference."""

    metric: str
    labelled: int
    value: float
    reference: float
    degraded: bool


@step
@click.option("--date", "day", help="The partition to watch; else the latest.")
@click.option("--labels", help="CSV or Parquet with the id columns and the target.")
@click.option(
    "--exit-code", is_flag=True, help=f"End with {DRIFT_EXIT_CODE} when the model should retrain."
)
def main(workspace: Workspace, *, day: str | None, labels: str | None, exit_code: bool) -> Outcome:
    """Compare predictions with the reference, store a report, publish metrics."""
    manifests = _manifests(workspace, day)
    newest = manifests[-1]
    batch, warnings = _read(workspace, manifests)
    settings = workspace.settings.monitor
    if len(batch) < settings.min_rows:
        rejected = sum(manifest["rejected"] for manifest in manifests)
        line = (
            f"{len(batch)} rows ({rejected} rejected) are too few to judge; monitor.min_rows is "
            f"{settings.min_rows}"
        )
        values = _values(workspace, newest, None, None, retrain=False)
        return Outcome([line], values, warnings=warnings)
    reference = _reference(workspace, newest)
    contract = SchemaContract.model_validate(newest["contract"])
    scores = [contract.output(f"probability_{name}") for name in contract.classes]
    outputs = {*scores, contract.output("prediction"), contract.output("truth")}
    inputs = [str(name) for name in reference if name not in outputs]
    report = compare(batch, reference, inputs, scores or [contract.output("prediction")], settings)
    performance = None
    if labels:
        judged = _labelled(workspace, batch, labels, contract)
        warnings += judged.warnings
        performance = _performance(workspace, judged.rows, reference, newest)
    degraded = performance is not None and performance.degraded
    retrain = report.inputs_drifted or report.predictions_drifted or degraded
    values = _values(workspace, newest, report, performance, retrain=retrain)
    values |= _store(workspace, newest, values, report, performance)
    cloudwatch.publish(workspace, _metrics(report, performance, retrain=retrain))
    disagreement = alias.disagreement(workspace, str(newest["model_version"]))
    return Outcome(
        _lines(workspace, report, performance, values, retrain=retrain),
        values | {"alias_disagreement": disagreement},
        exit_code=DRIFT_EXIT_CODE if exit_code and retrain else 0,
        warnings=[*warnings, *([disagreement] if disagreement else [])],
    )


def _manifests(workspace: Workspace, day: str | None) -> list[dict[str, Any]]:
    """The manifests of one day by the newest champion, oldest change first."""
    prefix = workspace.key("predictions", "_manifests", "date=")
    keys = workspace.store.keys(prefix)
    days = sorted({key.removeprefix(prefix).partition("/")[0] for key in keys})
    if not days:
        raise InputError(f"{workspace.model} has no predictions yet: run predict first")
    chosen = day or days[-1]
    if chosen not in days:
        raise InputError(f"no predictions of {chosen}; there are {', '.join(days[-5:])}")
    found = [
        json.loads(workspace.store.read(key)[0])
        for key in keys
        if key.startswith(f"{prefix}{chosen}/")
    ]
    newest = max(manifest["champion_sequence"] for manifest in found)
    return [manifest for manifest in found if manifest["champion_sequence"] == newest]


def _read(
    workspace: Workspace, manifests: list[dict[str, Any]]
) -> tuple["pd.DataFrame", list[str]]:
    """The predicted rows of all inputs; the same rows in another kind of file count once."""
    import pandas as pd

    frames: dict[str, pd.DataFrame] = {}
    warnings = []
    for manifest in manifests:
        if manifest["predictions"] is None:
            continue
        content = workspace.store.read(manifest["predictions"])[0]
        found = pd.read_parquet(io.BytesIO(content))
        rows = pd.util.hash_pandas_object(found[sorted(map(str, found))], index=False)
        mark = hashlib.sha256(rows.sort_values().to_numpy().tobytes()).hexdigest()
        if mark in frames:
            warnings.append(f"{manifest['input']} holds rows that were predicted already: left out")
        frames.setdefault(mark, found)
    if not frames:
        return pd.DataFrame(), warnings
    return pd.concat(list(frames.values()), ignore_index=True), warnings


def _reference(workspace: Workspace, manifest: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    if manifest["reference"] is None:
        raise InputError(f"the champion of {workspace.model} has no reference: promote it anew")
    pin = PinnedFile.model_validate(manifest["reference"])
    return pd.read_parquet(io.BytesIO(read_pinned(workspace.store, pin)))


@dataclass(frozen=True)
class _Labelled:
    """Predictions beside the truth that came back, and what is to be said of it."""

    rows: "pd.DataFrame"
    warnings: list[str]


def _labelled(
    workspace: Workspace, batch: "pd.DataFrame", source: str, contract: SchemaContract
) -> _Labelled:
    """Join labels by id, read by the contract as the training data was.

    Raises InputError when there is no id to join by, no match, or two labels for one id.
    """
    import pandas as pd

    ids, shown = contract.ids, without_secrets(source)
    if not ids:
        raise InputError("labels are joined by id: name id_columns under [data], then train again")
    if lost := [name for name in ids if name not in batch]:
        raise InputError(
            f"the predictions carry no {', '.join(lost)}, by which labels are joined: the batch "
            "that was predicted lacks this column"
        )
    wanted = [*ids, contract.target]
    with tempfile.TemporaryDirectory() as temporary:
        found = sources.fetch(workspace, source, Path(temporary))
        # A file of labels has few of the columns, so it has a header of its own.
        form = contract.format.model_copy(update={"header": True, "names": [], "skip_lines": 0})
        table = read_table(found, form, wanted)
    read = read_all(table, contract, wanted, features=False)
    truth = contract.output("truth")
    labels = pd.DataFrame({name: read.others[name].to_pandas() for name in ids})
    labels[truth] = read.others[contract.target].to_pandas()
    unusable = read.wrong(len(labels))
    warnings = [
        f"{shown}: {name}: {rule}: {int(mask.sum())} labels, left out"
        for (name, rule), mask in read.broken.items()
    ]
    usable = labels[~unusable & labels.notna().all(axis=1)].drop_duplicates()
    if (twice := usable.duplicated(ids, keep=False)).any():
        example = ", ".join(map(str, usable.loc[twice, ids].iloc[0]))
        raise InputError(
            f"{shown} has two different labels for {usable[twice][ids].drop_duplicates().shape[0]} "
            f"ids, such as {example}: which one is true?"
        )
    joined = batch.merge(usable, on=ids, how="inner")
    if joined.empty:
        raise InputError(
            f"no label in {shown} has the id of a predicted row: it has ids such as "
            f"{', '.join(map(str, labels[ids].iloc[0]))}, the predictions such as "
            f"{', '.join(map(str, batch[ids].iloc[0]))}"
        )
    return _Labelled(joined, warnings)


def _performance(
    workspace: Workspace,
    joined: "pd.DataFrame",
    reference: "pd.DataFrame",
    manifest: dict[str, Any],
) -> Performance:
    """The metric on labelled rows and on the reference."""
    settings, metric = workspace.settings, workspace.settings.metric
    try:
        new = compute(metric.name, _scored(joined, manifest))
        old = compute(metric.name, _scored(reference, manifest))
    except ValueError as error:
        raise InputError(f"{metric.name} is not defined on the labelled rows: {error}") from None
    loss = metric.sign * (old - new)
    return Performance(metric.name, len(joined), new, old, loss > settings.monitor.max_metric_loss)


def _scored(table: "pd.DataFrame", manifest: dict[str, Any]) -> Scored:
    """Truth and predictions of a table that holds both."""
    import pandas as pd

    contract = SchemaContract.model_validate(manifest["contract"])
    truth, label = table[contract.output("truth")], table[contract.output("prediction")]
    classes = contract.classes
    if not classes:
        return Scored(truth.to_numpy(float), label.to_numpy(float))
    index, positive = pd.Index(classes), manifest["positive"]
    return Scored(
        index.get_indexer(pd.Index(truth)),
        index.get_indexer(pd.Index(label)),
        table[[contract.output(f"probability_{name}") for name in classes]].to_numpy(float),
        tuple(classes),
        classes.index(positive) if positive else 1,
    )


def _values(
    workspace: Workspace,
    manifest: dict[str, Any],
    report: DriftReport | None,
    performance: Performance | None,
    *,
    retrain: bool,
) -> dict[str, Any]:
    return {
        "step": "monitor",
        "model": workspace.model,
        "model_version": manifest["model_version"],
        "date": manifest["date"],
        "retrain": retrain,
        "drift": asdict(report) if report else None,
        "performance": asdict(performance) if performance else None,
    }


def _metrics(
    report: DriftReport, performance: Performance | None, *, retrain: bool
) -> dict[str, float]:
    values = {
        "DriftedFraction": report.drifted_fraction,
        "PredictionDistance": max(column.distance for column in report.predictions),
        "RetrainNeeded": float(retrain),
    }
    return values | ({"LabelledMetric": performance.value} if performance else {})


def _store(
    workspace: Workspace,
    manifest: dict[str, Any],
    values: dict[str, Any],
    report: DriftReport,
    performance: Performance | None,
) -> dict[str, str]:
    """Write report.html and report.json under the day and model version; the answer is the keys."""
    place = [f"date={manifest['date']}", f"model_version={manifest['model_version']}"]
    keys = {kind: workspace.key("reports", *place, f"report.{kind}") for kind in ("html", "json")}
    page = render(workspace.model, manifest, report, performance)
    workspace.store.put(keys["html"], page.encode())
    workspace.store.put(keys["json"], json.dumps(values, indent=1).encode())
    return {"report": keys["html"], "report_json": keys["json"]}


def _lines(
    workspace: Workspace,
    report: DriftReport,
    performance: Performance | None,
    values: dict[str, Any],
    *,
    retrain: bool,
) -> list[str]:
    moved = [column.column for column in report.inputs if column.drifted]
    lines = [
        f"{report.rows} predictions against {report.reference_rows} reference rows: "
        f"{len(moved)} of {len(report.inputs)} inputs drifted, predictions "
        f"{'drifted' if report.predictions_drifted else 'did not'}"
    ]
    if performance is not None:
        lines.append(
            f"{performance.metric} {performance.value:.4f} on {performance.labelled} labelled rows "
            f"(reference {performance.reference:.4f})"
        )
    lines.append("retraining is due" if retrain else "no retraining is due")
    lines.append(f"report {workspace.store.uri(values['report'])}")
    return lines


def render(
    model: str, manifest: dict[str, Any], report: DriftReport, performance: Performance | None
) -> str:
    """The report as one HTML page that needs nothing else."""
    version, day = manifest["model_version"], manifest["date"]
    title = html.escape(f"Drift of {model}, version {version}, {day}")
    rows = "".join(
        _row(column)
        for column in sorted(
            [*report.predictions, *report.inputs], key=lambda column: -column.distance
        )
    )
    labelled = (
        f"<p>{performance.metric} {performance.value:.4f} on {performance.labelled} labelled rows, "
        f"{performance.reference:.4f} on the reference.</p>"
        if performance
        else ""
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:15px system-ui;margin:2rem;max-width:60rem}td,th{padding:.2rem .8rem;"
        "text-align:left}.bar{background:#69c;height:.8rem}.drifted .bar{background:#c64}</style>"
        f"<h1>{title}</h1><p>{report.rows} rows against {report.reference_rows} of the reference; "
        f"{report.drifted_fraction:.0%} of the inputs drifted.</p>{labelled}"
        "<table><tr><th>column<th>measure<th>distance<th><th>p (corrected)</tr>"
        f"{rows}</table><p>Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.</p></html>\n"
    )


def _row(column: ColumnDrift) -> str:
    style = ' class="drifted"' if column.drifted else ""
    return (
        f"<tr{style}><td>{html.escape(column.column)}<td>{column.measure}"
        f"<td>{column.distance:.3f}<td style='width:12rem'>"
        f"<div class='bar' style='width:{column.distance:.0%}'></div><td>{column.p_value:.2g}</tr>"
    )


if __name__ == "__main__":
    main()
