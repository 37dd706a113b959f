"""The model card: one HTML page about one version, that needs nothing else to be read."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.evaluation.compare import Comparison, Interval
from pipeline.evaluation.explain import Importance

_STYLE = (
    "body{font:15px system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}"
    "img{max-width:28rem}code{overflow-wrap:anywhere}.bar{background:#69c;height:.8rem}"
)
_SHOWN_FEATURES = 20


def render(
    title: str,
    facts: Mapping[str, str],
    comparison: Comparison,
    metrics: Mapping[str, float],
    plots: Sequence[Path],
    importance: Mapping[str, Sequence[Importance]],
) -> str:
    """All that a reader wants to know before trusting a version. `facts` comes first, as it is."""
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}',
            f"</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>",
            _table({name: f"<code>{html.escape(value)}</code>" for name, value in facts.items()}),
            "<h2>On the holdout</h2>",
            "<p>These rows were kept from training; intervals are bootstrap percentiles.</p>",
            _table(_intervals(comparison)),
            _table({name: f"{value:.4f}" for name, value in metrics.items()}),
            *(_subgroups(comparison) if comparison.subgroups else []),
            *(_image(plot) for plot in plots),
            *(_bars(name, entries) for name, entries in importance.items()),
            "</html>",
        ]
    )


def _intervals(comparison: Comparison) -> dict[str, str]:
    rows: dict[str, Interval | None] = {
        f"{comparison.metric}, this version": comparison.challenger,
        f"{comparison.metric}, champion": comparison.champion,
        "improvement": comparison.improvement,
    }
    return {name: str(found) for name, found in rows.items() if found is not None}


def _subgroups(comparison: Comparison) -> list[str]:
    rows = {
        f"{group.column} = {group.value}, {group.rows} rows": group.why
        or f"{group.challenger:.4f}"
        + (f", champion {group.champion:.4f}" if group.champion is not None else "")
        for group in comparison.subgroups
    }
    return ["<h2>Subgroups</h2>", _table(rows)]


def _table(rows: Mapping[str, str]) -> str:
    cells = "".join(f"<tr><th>{html.escape(name)}<td>{value}" for name, value in rows.items())
    return f"<table>{cells}</table>"


def _image(plot: Path) -> str:
    data = base64.b64encode(plot.read_bytes()).decode()
    return f'<img alt="{html.escape(plot.stem)}" src="data:image/png;base64,{data}">'


def _bars(name: str, entries: Sequence[Importance]) -> str:
    widest = max((abs(entry.loss) for entry in entries), default=0) or 1
    rows = {
        entry.feature: (
            f"{entry.loss:.4f}<td style='width:16rem'>"
            f"<div class='bar' style='width:{max(entry.loss, 0) / widest:.0%}'></div>"
        )
        for entry in entries[:_SHOWN_FEATURES]
    }
    return f"<h2>{html.escape(name)}</h2>{_table(rows)}"
