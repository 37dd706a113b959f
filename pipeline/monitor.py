"""Monitor predictions: drift against the reference, and the metric where labels exist."""

import hashlib
import io
import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.data.contract import SchemaContract, written_by
from pipeline.data.prepare import read_all
from pipeline.errors import InputError
from pipeline.evaluation.drift import DriftReport, compare, spread
from pipeline.evaluation.metrics import Scored, compute
from pipeline.model.champion import PinnedFile, read_pinned
from pipeline.pages.drift import Day, DriftPage, render
from pipeline.pages.frame import Shares
from pipeline.reading import sources
from pipeline.reading.reader import read_table
from pipeline.settings import of_day, without_secrets
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

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        return (
            f"{self.metric} {self.value:.4f} on {self.labelled} labelled rows (reference "
            f"{self.reference:.4f})"
        )


@step
@click.option("--date", "day", help="The partition to watch; else the latest.")
@click.option("--labels", help="File with ids and target; else monitor.labels; {date} is the day.")
@click.option(
    "--exit-code", is_flag=True, help=f"End with {DRIFT_EXIT_CODE} when the model should retrain."
)
def main(workspace: Workspace, *, day: str | None, labels: str | None, exit_code: bool) -> Outcome:
    """Compare predictions with the reference, store a report, publish metrics."""
    manifests = _manifests(workspace, day)
    newest = manifests[-1]
    batch, warnings = _read(workspace, manifests)
    warnings += [
        f"{name}: {count} times are far from all that training saw"
        for name, count in _counted(manifests, "far_times").items()
    ]
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
    columns = _columns(contract, reference)
    report = compare(batch, reference, *columns, settings)
    performance = None
    labels = labels or settings.labels
    if labels:
        judged = _labelled(workspace, batch, of_day(labels, newest["date"]), contract)
        warnings += judged.warnings
        performance = _performance(workspace, judged.rows, reference, newest)
    reasons = _reasons(report, performance)
    retrain = bool(reasons)
    values = _values(workspace, newest, report, performance, retrain=retrain)
    page = DriftPage(
        model=workspace.model,
        version=str(newest["model_version"]),
        date=newest["date"],
        report=report,
        settings=settings,
        reasons=reasons,
        shares=_shares(batch, reference, columns),
        unseen=_counted(manifests, "unseen_categories"),
        rejected=sum(manifest["rejected"] for manifest in manifests),
        performance=performance.sentence if performance else None,
        days=_days(workspace, newest, reference, columns),
        notes=warnings,
    )
    values |= _store(workspace, newest, values, render(page))
    cloudwatch.publish(workspace, _metrics(report, performance, retrain=retrain))
    disagreement = alias.disagreement(workspace, str(newest["model_version"]))
    return Outcome(
        _lines(workspace, report, performance, values, retrain=retrain),
        values | {"alias_disagreement": disagreement},
        exit_code=DRIFT_EXIT_CODE if exit_code and retrain else 0,
        warnings=[*warnings, *([disagreement] if disagreement else [])],
    )


def _columns(contract: SchemaContract, reference: "pd.DataFrame") -> tuple[list[str], list[str]]:
    """The inputs, and the outputs that are watched: probabilities, or the number."""
    scores = [contract.output(f"probability_{name}") for name in contract.classes]
    prediction = contract.output("prediction")
    outputs = {*scores, prediction, contract.output("truth")}
    return [str(name) for name in reference if name not in outputs], scores or [prediction]


def _reasons(report: DriftReport, performance: Performance | None) -> list[str]:
    """Why the model should retrain."""
    found = []
    if report.inputs_drifted:
        found.append(f"{report.drifted_fraction:.0%} of the inputs drifted")
    if report.predictions_drifted:
        found.append("the predictions drifted")
    if performance is not None and performance.degraded:
        found.append(performance.sentence)
    return found


def _shares(
    batch: "pd.DataFrame", reference: "pd.DataFrame", columns: tuple[list[str], list[str]]
) -> dict[str, Shares]:
    names = [*columns[0], *columns[1]]
    return {name: Shares(*spread(batch[name], reference[name])) for name in names}


def _counted(manifests: list[dict[str, Any]], what: str) -> dict[str, int]:
    """What predict counted by column, over all batches of the day."""
    found = Counter[str]()
    for manifest in manifests:
        found.update(manifest.get(what, {}))
    return dict(found)


def _days(
    workspace: Workspace,
    newest: dict[str, Any],
    reference: "pd.DataFrame",
    columns: tuple[list[str], list[str]],
) -> list[Day]:
    """Earlier days of the same champion, oldest first, measured again.

    Monitor may not read its own reports back, and an old one may have had other thresholds.
    """
    settings, found = workspace.settings.monitor, []
    earlier = [day for day in _dates(workspace)[1] if day < newest["date"]]
    for day in earlier[len(earlier) - min(len(earlier), settings.history_days) :]:
        manifests = _manifests(workspace, day)
        if manifests[0]["champion_sequence"] != newest["champion_sequence"]:
            continue
        batch, _ = _read(workspace, manifests)
        if len(batch) >= settings.min_rows:
            found.append(Day(day, compare(batch, reference, *columns, settings)))
    return found


def _dates(workspace: Workspace) -> tuple[list[str], list[str]]:
    """The keys of all manifests, and the days that they are of."""
    prefix = workspace.key("predictions", "_manifests", "date=")
    keys = workspace.store.keys(prefix)
    return keys, sorted({key.removeprefix(prefix).partition("/")[0] for key in keys})


def _manifests(workspace: Workspace, day: str | None) -> list[dict[str, Any]]:
    """The manifests of one day by the newest champion, oldest change first."""
    prefix = workspace.key("predictions", "_manifests", "date=")
    keys, days = _dates(workspace)
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
        raise InputError(f"the champion of {workspace.model} has no reference: promote it again")
    pin = PinnedFile.model_validate(manifest["reference"])
    return pd.read_parquet(io.BytesIO(read_pinned(workspace.store, pin)))


@dataclass(frozen=True)
class _Labelled:
    """Predictions joined with their labels, and warnings about the join."""

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
        found, _ = sources.fetch_or_stored(workspace, source, Path(temporary))
        # A file of labels has few of the columns, so it has a header of its own.
        usual = contract.format.model_copy(update={"header": True, "names": [], "skip_lines": 0})
        form = workspace.settings.monitor.format(usual)
        try:
            table = read_table(found, form, wanted)
        except InputError as error:
            raise InputError(str(error).replace("under [data]", "under [monitor]")) from None
    read = read_all(table, written_by(contract, form), wanted, features=False)
    truth = contract.output("truth")
    labels = pd.DataFrame({name: read.others[name].to_pandas() for name in ids})
    labels[truth] = read.others[contract.target].to_pandas()
    unusable = read.wrong(len(labels))
    warnings = [
        f"{shown}: {name}: {rule}: {int(mask.sum())} labels, left out"
        for (name, rule), mask in read.broken.items()
    ]
    usable = labels[~unusable & labels.notna().all(axis=1)].drop_duplicates()
    if usable.empty:
        why = "; ".join(warnings) or f"{shown}: each row lacks its label or its id"
        raise InputError(f"no label can be used: {why}")
    if (twice := usable.duplicated(ids, keep=False)).any():
        example = ", ".join(map(str, usable.loc[twice, ids].iloc[0]))
        raise InputError(
            f"{shown} has two different labels for {usable[twice][ids].drop_duplicates().shape[0]} "
            f"ids, such as {example}: which one is true?"
        )
    again = batch.duplicated(ids, keep="last")
    if again.any():
        warnings.append(
            f"{int(again.sum())} predicted rows have the id of a later one: only the last of each "
            "id is judged by its label"
        )
    joined = batch[~again].merge(usable, on=ids, how="inner")
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
    most = metric.tolerance(settings.monitor.max_metric_loss, old)
    return Performance(metric.name, len(joined), new, old, loss > most)


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
    page: str,
) -> dict[str, str]:
    """Write report.html and report.json under the day and model version; the answer is the keys."""
    place = [f"date={manifest['date']}", f"model_version={manifest['model_version']}"]
    keys = {kind: workspace.key("reports", *place, f"report.{kind}") for kind in ("html", "json")}
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
        lines.append(performance.sentence)
    lines.append("retraining is due" if retrain else "no retraining is due")
    lines.append(f"report {workspace.store.uri(values['report'])}")
    return lines


if __name__ == "__main__":
    main()
