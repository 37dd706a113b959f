"""The model card: one HTML page about one version."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.evaluation.compare import Comparison, Interval
from pipeline.evaluation.explain import Importance
from pipeline.pages.frame import bar, grid, page, pairs, text

_SHOWN_FEATURES = 20


@dataclass(frozen=True)
class Card:
    """Content of a model card.

    `facts` say where it comes from, `made` how: family, parameters, rows, decision. `balance` is
    how many held-out rows each class has, `baseline` the metrics of the best constant answer.
    """

    title: str
    facts: Mapping[str, str]
    made: Mapping[str, str]
    comparison: Comparison
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    balance: Mapping[str, int] = field(default_factory=dict)
    plots: Sequence[Path] = ()
    importance: Mapping[str, Sequence[Importance]] = field(default_factory=dict)


def render(card: Card) -> str:
    """The page."""
    return page(
        card.title,
        "<h2>The model</h2>",
        pairs({name: text(value) for name, value in card.made.items()}),
        "<h2>On the holdout</h2>",
        "<p>These rows were kept from training; intervals are of the bootstrap "
        f"({text(card.comparison.drawn)}).</p>",
        pairs(_intervals(card.comparison)),
        *_balance(card.balance),
        "<p>The baseline gives every row the same answer, without a look at it: the shares of the "
        "classes and the most frequent one, or the mean.</p>",
        grid(
            ["metric", "this version", "baseline"],
            [
                [text(name), f"{value:.4f}", _number(card.baseline.get(name))]
                for name, value in card.metrics.items()
            ],
        ),
        *_subgroups(card.comparison),
        *(_image(plot) for plot in card.plots),
        *(_bars(name, entries) for name, entries in card.importance.items()),
        "<h2>Where it comes from</h2>",
        pairs({name: f"<code>{text(value)}</code>" for name, value in card.facts.items()}),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _intervals(comparison: Comparison) -> dict[str, str]:
    rows: dict[str, Interval | None] = {
        f"{comparison.metric}, this version": comparison.challenger,
        f"{comparison.metric}, champion": comparison.champion,
        "improvement": comparison.improvement,
    }
    shown = {name: text(found) for name, found in rows.items() if found is not None}
    if comparison.undefined:
        shown[comparison.metric] = f"no value: {text(comparison.undefined)}"
    if comparison.absent:
        shown["not judged"] = f"{text(', '.join(comparison.absent))}: no held-out row has it"
    return shown


def _balance(balance: Mapping[str, int]) -> list[str]:
    total = sum(balance.values())
    if not total:
        return []
    rows = [
        [text(name), str(count), f"{count / total:.1%}", bar(count / total)]
        for name, count in balance.items()
    ]
    return [grid(["class", "held-out rows", "share", ""], rows)]


def _subgroups(comparison: Comparison) -> list[str]:
    if not comparison.subgroups:
        return []
    rates = list(dict.fromkeys(name for group in comparison.subgroups for name in group.rates))
    head = ["group", "rows", comparison.metric, "champion", "loss", *rates, ""]
    rows = [
        [
            text(f"{group.column} = {group.value}"),
            str(group.rows),
            *(_number(value) for value in (group.challenger, group.champion, group.loss)),
            *(_number(group.rates.get(name)) for name in rates),
            text(group.why or ""),
        ]
        for group in comparison.subgroups
    ]
    return ["<h2>Groups against each other</h2>", grid(head, rows), *_gaps(comparison, rates)]


def _gaps(comparison: Comparison, rates: Sequence[str]) -> list[str]:
    """The largest difference between two groups of one column, for the metric and each rate."""
    rows = []
    for column in dict.fromkeys(group.column for group in comparison.subgroups):
        groups = [group for group in comparison.subgroups if group.column == column]
        shown = [_gap([group.challenger for group in groups])]
        shown += [_gap([group.rates.get(name) for group in groups]) for name in rates]
        if any(cell != "-" for cell in shown):
            rows.append([text(column), *shown])
    if not rows:
        return []
    return ["<p>Largest differences:</p>", grid(["column", comparison.metric, *rates], rows)]


def _gap(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{max(known) - min(known):.4f}" if len(known) > 1 else "-"


def _image(plot: Path) -> str:
    data = base64.b64encode(plot.read_bytes()).decode()
    return f'<img alt="{text(plot.stem)}" src="data:image/png;base64,{data}">'


def _bars(name: str, entries: Sequence[Importance]) -> str:
    widest = max((abs(entry.loss) for entry in entries), default=0) or 1
    rows = [
        [text(entry.feature), f"{entry.loss:.4f}", bar(entry.loss / widest)]
        for entry in entries[:_SHOWN_FEATURES]
    ]
    more = sum(entry.features for entry in entries[_SHOWN_FEATURES:])
    note = f"<p>and {more} more</p>" if more > 0 else ""
    return f"<h2>{text(name)}</h2>{grid(['feature', 'loss', ''], rows)}{note}"
