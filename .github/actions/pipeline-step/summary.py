"""Turns a pipeline step's result into the job's summary and outputs."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.tracking.results import (
    AnyResult,
    MonitorResult,
    PredictResult,
    PromoteResult,
    RollbackResult,
    TrainResult,
    read_result,
)

MOST_COLUMNS = 20


def main() -> None:
    """Read RESULT, append to the summary file and to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--plots", default="", help="Address of the kept plots, if there are any.")
    given = parser.parse_args()
    result = read_result(given.result)
    with given.summary.open("a", encoding="utf-8") as summary:
        summary.write(render(result, given.plots))
    with given.output.open("a", encoding="utf-8") as output:
        for name, value in outputs(result).items():
            output.write(f"{name}={'true' if value else 'false'}\n")


def outputs(result: AnyResult) -> dict[str, bool]:
    """What later jobs decide by."""
    match result:
        case PromoteResult():
            return {"promoted": result.verdict == "promote"}
        case TrainResult():
            # A training that found nothing changed names the challenger that it kept, no score.
            return {"registered": result.cv_value is not None}
        case MonitorResult():
            return {"retrain": result.retrain}
        case _:
            return {}


def render(result: AnyResult, plots: str = "") -> str:
    """The summary in Markdown: what was decided, the numbers behind it, then all plain values."""
    parts = [f"## {plain(result.step.capitalize())} {plain(result.model)}".rstrip()]
    said = sentence(result)
    if said:
        parts.append(f"**{plain(said)}**")
    if plots:
        parts.append(f"[Plots of the cross-validation]({plots})")
    if isinstance(result, PromoteResult) and result.evaluation:
        parts.append(scores(result.evaluation["comparison"]))
    if isinstance(result, MonitorResult) and result.drift:
        parts.append(drift(result.drift))
    hidden = ("step", "sentence")
    values = [(name, value) for name, value in leaves(result.values()) if name not in hidden]
    parts.append(folded("All values", table(["what", "value"], values)))
    return "\n\n".join(parts) + "\n\n"


def sentence(result: AnyResult) -> str:
    """What came of a step, in a line."""
    match result:
        case PromoteResult():
            return result.sentence
        case TrainResult():
            version = f"Version {result.model_version} is the challenger"
            if result.cv_value is None:
                return f"{version}: nothing has changed since it was trained"
            return f"{version}: {result.metric} {text(result.cv_value)} in cross-validation"
        case MonitorResult():
            return "Training is due" if result.retrain else "No training is due"
        case PredictResult():
            version, rejected = result.model_version, result.rejected
            return f"{result.predicted} rows predicted by version {version}, {rejected} rejected"
        case RollbackResult():
            return f"Version {result.champion_version} is champion again: {result.reason}"
        case _:
            return ""


def folded(title: str, content: str) -> str:
    """Markdown that opens on a click."""
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def scores(comparison: Mapping[str, Any]) -> str:
    """Champion, challenger and their difference on the holdout, each with its interval."""
    rows = [
        (name, interval["value"], interval["low"], interval["high"])
        for name in ("challenger", "champion", "improvement")
        if (interval := comparison.get(name))
    ]
    return table([str(comparison["metric"]), "value", "from", "to"], rows)


def drift(report: Mapping[str, Any]) -> str:
    """The columns that moved most, drifted ones first."""
    columns = sorted(
        (*report["predictions"], *report["inputs"]),
        key=lambda column: (not column["drifted"], -column["distance"]),
    )
    rows = [
        (column["column"], column["distance"], column["measure"], column["drifted"])
        for column in columns[:MOST_COLUMNS]
    ]
    return table(["column", "distance", "measure", "drifted"], rows)


def table(head: list[str], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([text(cell) for cell in row] for row in rows)]
    written = [[plain(cell) if n != 1 else cell for cell in row] for n, row in enumerate(lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in written)


def leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name every value by its dotted path, two levels deep; longer lists have been shown."""
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            if not prefix:
                yield from leaves(inner, f"{name}.")
        elif not isinstance(inner, list | tuple):
            yield f"{prefix}{name}", inner


def text(value: Any) -> str:
    """Write a value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def plain(said: str) -> str:
    """Keep data from becoming markup: it may come from a data set's own column names."""
    for character in "\\`*_{}[]<>#|@":
        said = said.replace(character, f"\\{character}")
    return " ".join(said.split())


if __name__ == "__main__":
    main()
