"""The HTML page of a rollout: its state, its history, and the curves."""

import html
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.rollouts import guards, view
from pipeline.rollouts.control.controller import Look
from pipeline.rollouts.policy import (
    CHALLENGER,
    CHAMPION,
    AbTest,
    Tally,
    TrafficPolicy,
    Variant,
)
from pipeline.rollouts.stats.sequential import Sums, of_difference

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Series = Sequence[tuple[datetime, Mapping[Variant, Tally]]]
_SHARE_COLOUR = "#5e81ac"
_COLOURS: dict[Variant, str] = {CHAMPION: "#4c566a", CHALLENGER: "#d08770"}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;"
    "vertical-align:top}.broken{color:#b00020}svg{max-width:100%;height:auto}pre{overflow:auto}"
)


def render(
    look: Look,
    history: Sequence[TrafficPolicy],
    series: Series,
    losses: "pd.DataFrame | None" = None,
) -> str:
    """One page without anything from elsewhere. `losses` has a loss for each key, in order."""
    policy = look.policy
    if policy is None:
        return _page("Rollout", f"<p>{html.escape(look.sentence)}</p>")
    mine = [each for each in history if each.experiment == policy.experiment]
    parts = [
        f"<p><b>{html.escape(policy.phase)}</b>: {html.escape(look.sentence)}</p>",
        f"<p>{html.escape(view.traffic(policy))}</p>",
        svg(curves(policy, mine, series, losses)),
        _guards(look, policy),
        f"<pre>{html.escape(chr(10).join(view.table(look.evidence)))}</pre>"
        if look.evidence
        else "",
        "".join(
            f"<p>{html.escape(line)}</p>"
            for line in (view.test_of(policy, look.evidence) if look.evidence else [])
        ),
        _history(mine),
    ]
    return _page(view.title(policy), "".join(parts))


def _page(title: str, body: str) -> str:
    head = f"<meta charset='utf-8'><title>{html.escape(title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang='en'>{head}<h1>{html.escape(title)}</h1>{body}</html>\n"


def _guards(look: Look, policy: TrafficPolicy) -> str:
    if look.evidence is None:
        return ""
    rows = ""
    for check in guards.check(policy, look.evidence):
        word = "broken" if check.broken else "holds"
        rows += f"<tr class='{word}'><td>{word}</td><td>{html.escape(check.sentence)}</td></tr>"
    return f"<h2>Guards</h2><table>{rows}</table>"


def _history(policies: Sequence[TrafficPolicy]) -> str:
    rows = "".join(
        f"<tr><td>{policy.version}</td><td>{view.when(policy.changed_at)}</td>"
        f"<td>{policy.phase}</td><td>{view.share(policy):.0%}</td>"
        f"<td>{html.escape(policy.changed_by)}</td><td>{html.escape(policy.why)}</td></tr>"
        for policy in policies
    )
    names = ("version", "time (UTC)", "phase", "share", "who", "why")
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<h2>History</h2><table><tr>{head}</tr>{rows}</table>"


def curves(
    policy: TrafficPolicy,
    history: Sequence[TrafficPolicy],
    series: Series,
    losses: "pd.DataFrame | None" = None,
) -> "Figure":
    """Traffic, errors and slow answers, scores, and an A/B test's interval, over time."""
    from matplotlib.figure import Figure

    with_test = isinstance(policy.strategy, AbTest) and losses is not None and len(losses) > 0
    count = 4 if with_test else 3
    figure = Figure(figsize=(9, 2.2 * count), layout="constrained")
    axes = figure.subplots(count, 1)
    start = policy.started_at
    ends = [policy.changed_at for policy in history] + [at for at, _ in series]
    end = max(((at - start).total_seconds() for at in ends), default=0.0)
    _traffic(axes[0], history, series, start, end)
    _fractions(axes[1], series, start, policy)
    _scores(axes[2], series, start)
    for axis in axes[:3]:
        axis.set_xlabel("seconds since the start")
        axis.set_xlim(0, max(1.03 * end, 1.0))
    if with_test:
        assert losses is not None
        _interval(axes[3], policy, losses)
    return figure


def _times(series: Series, start: datetime) -> list[float]:
    """Seconds of each point; what was counted from before the start on is drawn at the start."""
    return [max((at - start).total_seconds(), 0) for at, _ in series]


def _values(series: Series, variant: Variant) -> list[Tally]:
    return [tallies.get(variant, Tally()) for _, tallies in series]


def _traffic(
    axis: "Axes",
    history: Sequence[TrafficPolicy],
    series: Series,
    start: datetime,
    end: float,
) -> None:
    """Each count from its time until the next one."""
    times = [*_times(series, start), end]
    for variant, colour in _COLOURS.items():
        counts = [tally.requests for tally in _values(series, variant)]
        counts += counts[-1:] or [0]
        axis.step(times, counts, "o-", where="post", color=colour, label=variant, markersize=3)
    for policy in history:
        at = (policy.changed_at - start).total_seconds()
        axis.axvline(at, color="#a3be8c" if policy.live else "#bf616a", linewidth=0.8)
    axis.set_ylabel("requests")
    # From zero, with room for the legend.
    axis.set_ylim(0, max(1.0, 1.5 * axis.get_ylim()[1]))
    axis.legend(loc="upper left", frameon=False)
    _shares(axis.twinx(), history, start)


def _shares(axis: "Axes", history: Sequence[TrafficPolicy], start: datetime) -> None:
    """What part of the answers is the challenger's, by the policy: known to the second."""
    times = [(policy.changed_at - start).total_seconds() for policy in history]
    shares = [100 * view.share(policy) for policy in history]
    axis.step(times, shares, "--", where="post", color=_SHARE_COLOUR, label="share")
    axis.set_ylim(-5, 105)
    axis.set_ylabel("% to the challenger")
    axis.legend(loc="upper right", frameon=False)


def _fractions(axis: "Axes", series: Series, start: datetime, policy: TrafficPolicy) -> None:
    times = _times(series, start)
    for variant, colour in _COLOURS.items():
        for name, style in (("errors", "-"), ("slow", ":")):
            shares = [
                100 * getattr(tally, name) / tally.requests if tally.requests else float("nan")
                for tally in _values(series, variant)
            ]
            axis.plot(times, shares, f"o{style}", color=colour, label=f"{variant}, {name}", ms=3)
    axis.set_ylabel(f"% errors, over {policy.guards.slow_ms:g} ms")
    # From zero, with room for the legend above curves that stay there.
    axis.set_ylim(0, max(2.0, 1.5 * axis.get_ylim()[1]))
    axis.legend(loc="upper left", frameon=False, ncols=2)


def _scores(axis: "Axes", series: Series, start: datetime) -> None:
    times = _times(series, start)
    for variant, colour in _COLOURS.items():
        means = [tally.scores.mean for tally in _values(series, variant)]
        axis.plot(times, means, "o-", color=colour, label=variant, markersize=3)
    axis.set_ylabel("mean score")
    axis.margins(y=0.3)
    axis.legend(loc="upper left", frameon=False, ncols=2)


def _interval(axis: "Axes", policy: TrafficPolicy, losses: "pd.DataFrame") -> None:
    """The confidence sequence of the effect after each key, up to 400 points of it."""
    plan = policy.strategy
    assert isinstance(plan, AbTest)
    sums = {CHAMPION: Sums(), CHALLENGER: Sums()}
    counts, middle, low, high = [], [], [], []
    every = max(1, len(losses) // 400)
    rows = zip(losses["keyless_assigned"], losses["loss"], strict=True)
    for number, (variant, loss) in enumerate(rows, start=1):
        sums[variant] += Sums.of([loss])
        found = of_difference(sums[CHALLENGER], sums[CHAMPION], plan.alpha, plan.planned)
        if number % every == 0 and found.low > -1e9:
            counts.append(number)
            middle.append(found.value)
            low.append(found.low)
            high.append(found.high)
    axis.fill_between(counts, low, high, color="#d0877055", label=f"{1 - plan.alpha:.0%} interval")
    axis.plot(counts, middle, color=_COLOURS[CHALLENGER], label="effect on the loss")
    axis.axhline(0, color="#4c566a", linewidth=0.8)
    axis.axvline(plan.planned, color="#5e81ac", linewidth=0.8, label="planned")
    axis.set_xlabel("keys with an outcome")
    axis.set_ylabel("challenger - champion")
    axis.legend(loc="best", frameon=False)


def svg(figure: "Figure") -> str:
    """A figure as SVG to stand in a page: small, the same at each run, text as text."""
    import matplotlib as mpl

    buffer = io.StringIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "keyless", "font.size": 9}):
        figure.savefig(buffer, format="svg", metadata=metadata)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
