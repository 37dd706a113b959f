"""Versions side by side and champions over time, as lines of text and as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.pages.frame import grid, page, text

_LINE = 100
# Two versions with the same numbers may differ in these; they are told where they do.
_TOLD = ("decision", "class_weight", "calibration", "target_transform")


@dataclass(frozen=True)
class History:
    """What `models` found: champions oldest first, versions newest first."""

    model: str
    champions: Sequence[Mapping[str, Any]]
    versions: Sequence[Mapping[str, Any]]


def lines(found: History) -> list[str]:
    """For the terminal: one line a version, then one a change of champion."""
    shown = [f"{found.model}: {len(found.versions)} version{'s' * (len(found.versions) != 1)}"]
    differing = [
        name for name in _TOLD if len({str(_parameter(one, name)) for one in found.versions}) > 1
    ]
    for version in found.versions:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in _chosen(version).items())
        family = version["parameters"].get("family", "unknown family")
        state = version["state"]
        state = state if len(state) <= _LINE else f"{state[: _LINE - 1]}…"
        shown.append(
            f"  {version['model_version']:>3}  {_day(version['registered'])}  {family}"
            f"{'  ' + metrics if metrics else ''}  {state}"
        )
        shown += [
            f"       {name}: {_parameter(version, name) or 'not recorded'}" for name in differing
        ]
    shown.append("champions" if found.champions else "no champion yet")
    return shown + [
        f"  {champion['sequence']:>3}  {_minute(champion)}  {champion['kind']}  version "
        f"{champion['model_version']}  {champion['metric']} {_value(champion)}"
        for champion in found.champions
    ]


def _parameter(version: Mapping[str, Any], name: str) -> Any:
    """A parameter that is known for versions that have one; None for others."""
    return version["parameters"].get(name)


def _chosen(version: Mapping[str, Any]) -> dict[str, float]:
    """The cross-validated metric, and the same on the holdout."""
    metrics = version["metrics"]
    name = next((key.removeprefix("cv_") for key in metrics if key.startswith("cv_")), None)
    return {key: metrics[key] for key in (f"cv_{name}", f"holdout_{name}") if key in metrics}


def render(found: History) -> str:
    """The page."""
    champions = [
        [
            str(champion["sequence"]),
            text(_minute(champion)),
            text(champion["kind"]),
            text(champion["model_version"]),
            text(f"{champion['metric']} {_value(champion)}"),
            text(champion["sentence"]),
            f"<code>{text(champion['by'] or 'someone without a token')}</code>",
        ]
        for champion in reversed(found.champions)
    ]
    names = list(dict.fromkeys(name for version in found.versions for name in version["metrics"]))
    keys = list(dict.fromkeys(name for version in found.versions for name in version["parameters"]))
    rows: list[list[str]] = [
        ["state", *(text(version["state"]) for version in found.versions)],
        ["registered", *(_day(version["registered"]) for version in found.versions)],
        *(_row(name, "metrics", found.versions) for name in names),
        *(_row(name, "parameters", found.versions) for name in keys),
        ["run", *(f"<code>{text(version['run_id'])}</code>" for version in found.versions)],
    ]
    differs = [len(set(row[1:])) > 1 for row in rows]
    return page(
        f"Versions of {found.model}",
        "<h2>Champions</h2>",
        grid(["no.", "when", "what", "version", "on the holdout", "why", "by"], champions)
        if champions
        else "<p>No version was promoted yet.</p>",
        "<h2>Versions side by side</h2>",
        "<p>Rows in which versions differ are marked. Numbers on the holdout are of the day a "
        "version was judged; on later data only champion and challenger are compared.</p>",
        grid(
            ["", *(f"version {version['model_version']}" for version in found.versions)],
            rows,
            differs,
        ),
    )


def _row(name: str, area: str, versions: Sequence[Mapping[str, Any]]) -> list[str]:
    """One metric or parameter of every version."""
    values = [version[area].get(name) for version in versions]
    return [text(name), *(_cell(value) for value in values)]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else text(value)


def _value(champion: Mapping[str, Any]) -> str:
    shown = f"{champion['value']:.4f}"
    if champion["low"] is None or champion["high"] is None:
        return shown
    return f"{shown} ({champion['low']:.4f} to {champion['high']:.4f})"


def _minute(champion: Mapping[str, Any]) -> str:
    return str(champion["at"])[:16].replace("T", " ")


def _day(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"
