"""The drift page: differences between the reference and the day's predictions, and the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.evaluation.drift import ColumnDrift, DriftReport
from pipeline.pages.frame import Shares, bar, grid, page, pairs, picture, text
from pipeline.settings import Monitor


@dataclass(frozen=True)
class Day:
    """One day's numbers, for the history."""

    date: str
    report: DriftReport


@dataclass(frozen=True)
class DriftPage:
    """What the page shows. `reasons` say why the model should retrain; none if it should not."""

    model: str
    version: str
    date: str
    report: DriftReport
    settings: Monitor
    reasons: Sequence[str]
    shares: Mapping[str, Shares] = field(default_factory=dict)
    unseen: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    performance: str | None = None
    days: Sequence[Day] = ()
    notes: Sequence[str] = ()


def render(found: DriftPage) -> str:
    """The page."""
    report = found.report
    columns = sorted(
        [*report.predictions, *report.inputs],
        key=lambda column: (-column.drifted, -column.distance),
    )
    return page(
        f"Drift of {found.model}, version {found.version}, {found.date}",
        _verdict(found.reasons),
        *(f'<p class="note">{text(note)}</p>' for note in found.notes),
        pairs(_facts(found)),
        "<h2>Columns</h2>",
        "<p>Grey is the reference, the held-out rows of the promotion; blue is the day.</p>",
        grid(
            ["column", "kind", "measure", "distance", "", "p (corrected)", "distribution"],
            [_row(column, found.shares.get(column.column)) for column in columns],
            [column.drifted for column in columns],
        ),
        *_unseen(found.unseen, report.rows),
        *_history(found.days),
        "<h2>Thresholds</h2>",
        pairs(_thresholds(found.settings)),
    )


def _verdict(reasons: Sequence[str]) -> str:
    if not reasons:
        return '<p class="good">No retraining is due.</p>'
    return f'<p class="bad">Retraining is due: {text("; ".join(reasons))}.</p>'


def _facts(found: DriftPage) -> dict[str, str]:
    report = found.report
    moved = sum(column.drifted for column in report.inputs)
    facts = {
        "rows": f"{report.rows} predicted, {found.rejected} rejected, against "
        f"{report.reference_rows} of the reference",
        "inputs that drifted": f"{moved} of {len(report.inputs)} ({report.drifted_fraction:.0%})",
        "predictions": "drifted" if report.predictions_drifted else "did not drift",
    }
    if found.performance:
        facts["labels"] = text(found.performance)
    return facts


def _row(column: ColumnDrift, shares: Shares | None) -> list[str]:
    return [
        text(column.column),
        column.kind,
        column.measure,
        f"{column.distance:.3f}",
        bar(column.distance),
        f"{column.p_value:.2g}",
        picture(shares) if shares else "",
    ]


def _unseen(unseen: Mapping[str, int], rows: int) -> list[str]:
    if not unseen:
        return ["<p>Training knew every category of the day.</p>"]
    listed = [
        [text(name), str(count), f"{count / rows:.1%}" if rows else "-"]
        for name, count in sorted(unseen.items(), key=lambda entry: -entry[1])
    ]
    return [
        "<h2>Values that training never saw</h2>",
        "<p>New categories, and numbers without the sign or unit that each had in training.</p>",
        grid(["column", "rows", "share"], listed),
    ]


def _history(days: Sequence[Day]) -> list[str]:
    if not days:
        return []
    rows = [
        [
            text(day.date),
            str(day.report.rows),
            f"{day.report.drifted_fraction:.0%}",
            bar(day.report.drifted_fraction),
            f"{_moved(day.report):.3f}",
            bar(_moved(day.report)),
        ]
        for day in days
    ]
    alarmed = [day.report.inputs_drifted or day.report.predictions_drifted for day in days]
    head = ["date", "rows", "inputs drifted", "", "predictions' distance", ""]
    return ["<h2>The days before, by the same champion</h2>", grid(head, rows, alarmed)]


def _moved(report: DriftReport) -> float:
    return max((column.distance for column in report.predictions), default=0.0)


def _thresholds(settings: Monitor) -> dict[str, str]:
    loss = (
        f"{settings.max_metric_loss:g}"
        if settings.max_metric_loss is not None
        else "0.05 (without bounds, such as RMSE: 5 % of its value)"
    )
    return {
        "a column drifted": f"distance above {settings.column_threshold:g} and p below "
        f"{settings.significance:g}",
        "inputs drifted": f"more than {settings.max_drifted_fraction:.0%} of the columns did",
        "predictions drifted": f"distance above {settings.prediction_threshold:g} and p below "
        f"{settings.significance:g}",
        "the metric fell": f"by more than {loss} on labelled rows",
        "too few rows to judge": f"fewer than {settings.min_rows}",
    }
