"""Watch predictions: drift against the champion's reference, and performance where labels came."""

import html
import io
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pipeline.data.contract import as_number, as_text
from pipeline.data.sources import load_raw, read_frame
from pipeline.errors import InputError
from pipeline.evaluation.drift import ColumnDrift, DriftReport, compare
from pipeline.evaluation.metrics import Scored, compute
from pipeline.model.champion import PinnedFile, read_pinned
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import cloudwatch

if TYPE_CHECKING:
    import pandas as pd

DRIFT_EXIT_CODE = 3
_OUTPUTS = ("prediction", "truth")


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
    batch = _read(workspace, [manifest["predictions"] for manifest in manifests])
    reference = _reference(workspace, newest)
    settings = workspace.settings.monitor
    if len(batch) < settings.min_rows:
        line = f"{len(batch)} rows are too few to judge; monitor.min_rows is {settings.min_rows}"
        return Outcome([line], _values(workspace, newest, None, None, retrain=False))
    columns = [str(name) for name in reference]
    scores = [name for name in columns if name.startswith("probability_")]
    inputs = [name for name in columns if name not in {*scores, *_OUTPUTS}]
    report = compare(batch, reference, inputs, scores or ["prediction"], settings)
    performance = _performance(workspace, batch, reference, labels) if labels else None
    degraded = performance is not None and performance.degraded
    retrain = report.inputs_drifted or report.predictions_drifted or degraded
    values = _values(workspace, newest, report, performance, retrain=retrain)
    values |= _store(workspace, newest, values, report, performance)
    cloudwatch.publish(workspace, _metrics(report, performance, retrain=retrain))
    return Outcome(
        _lines(workspace, report, performance, values, retrain=retrain),
        values,
        exit_code=DRIFT_EXIT_CODE if exit_code and retrain else 0,
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


def _read(workspace: Workspace, keys: list[str]) -> "pd.DataFrame":
    import pandas as pd

    frames = [pd.read_parquet(io.BytesIO(workspace.store.read(key)[0])) for key in keys]
    return pd.concat(frames, ignore_index=True)


def _reference(workspace: Workspace, manifest: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    if manifest["reference"] is None:
        raise InputError(f"the champion of {workspace.model} has no reference: promote it anew")
    pin = PinnedFile.model_validate(manifest["reference"])
    return pd.read_parquet(io.BytesIO(read_pinned(workspace.store, pin)))


def _performance(
    workspace: Workspace, batch: "pd.DataFrame", reference: "pd.DataFrame", source: str
) -> Performance:
    """Join labels by id. Raises InputError when there is no id to join by, or no match."""
    settings = workspace.settings
    ids, target = settings.data.id_columns, settings.data.target
    if not ids:
        raise InputError("labels are joined by id: name id_columns under [data]")
    labels = read_frame(load_raw(workspace, source), source=source)
    if absent := [name for name in [*ids, target] if name not in labels]:
        raise InputError(f"{source} lacks the columns {', '.join(absent)}")
    keyed = labels[[*ids, target]].assign(**{name: as_text(labels[name]) for name in ids})
    joined = batch.merge(keyed.rename(columns={target: "truth"}), on=ids, how="inner")
    joined = joined[joined["truth"].notna()]
    if joined.empty:
        raise InputError(f"no label in {source} has the id of a predicted row")
    metric = settings.metric
    try:
        new = compute(metric.name, _scored(workspace, joined))
        old = compute(metric.name, _scored(workspace, reference))
    except ValueError as error:
        raise InputError(f"{metric.name} is not defined on the labelled rows: {error}") from None
    loss = metric.sign * (old - new)
    return Performance(metric.name, len(joined), new, old, loss > settings.monitor.max_metric_loss)


def _scored(workspace: Workspace, table: "pd.DataFrame") -> Scored:
    """Truth and predictions of a table that holds both."""
    import pandas as pd

    scores = [str(name) for name in table if str(name).startswith("probability_")]
    if not scores:
        return Scored(as_number(table["truth"]).to_numpy(), table["prediction"].to_numpy(float))
    classes = [name.removeprefix("probability_") for name in scores]
    index, positive = pd.Index(classes), workspace.settings.data.positive
    return Scored(
        index.get_indexer(pd.Index(as_text(table["truth"]))),
        index.get_indexer(pd.Index(as_text(table["prediction"]))),
        table[scores].to_numpy(float),
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
