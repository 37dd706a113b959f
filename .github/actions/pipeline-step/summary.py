"""Turns a pipeline step's result into the job's summary and outputs."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_COLUMNS = 20


def main() -> None:
    """Read STEP's RESULT, append to the summary file and to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step")
    parser.add_argument("result", type=Path)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--plots", default="", help="Address of the kept plots, if there are any.")
    given = parser.parse_args()
    result = json.loads(given.result.read_text(encoding="utf-8"))
    with given.summary.open("a", encoding="utf-8") as summary:
        summary.write(render(given.step, result, given.plots))
    with given.output.open("a", encoding="utf-8") as output:
        for name, value in outputs(given.step, result).items():
            output.write(f"{name}={'true' if value else 'false'}\n")


def outputs(step: str, result: dict[str, Any]) -> dict[str, bool]:
    """What later jobs decide by."""
    if step == "promote":
        return {"promoted": result["verdict"] == "promote"}
    if step == "train":
        # A training that found nothing changed names the challenger that it kept, and no score.
        return {"registered": "cv_value" in result}
    return {"retrain": result["retrain"]} if step == "monitor" else {}


def render(step: str, result: dict[str, Any], plots: str = "") -> str:
    """The summary in Markdown: what was decided, the numbers behind it, then all plain values."""
    parts = [f"## {plain(step.capitalize())} {plain(str(result.get('model', '')))}".rstrip()]
    said = result.get("sentence") or sentence(step, result)
    if said:
        parts.append(f"**{plain(said)}**")
    if plots:
        parts.append(f"[Plots of the cross-validation]({plots})")
    comparison = (result.get("evaluation") or {}).get("comparison")
    if comparison:
        parts.append(scores(comparison))
    if result.get("drift"):
        parts.append(drift(result["drift"]))
    values = [(name, value) for name, value in leaves(result) if name not in ("step", "sentence")]
    parts.append(folded("All values", table(["what", "value"], values)))
    return "\n\n".join(parts) + "\n\n"


def sentence(step: str, result: dict[str, Any]) -> str:
    """What came of a step that has no decision to tell, in a line."""
    if step == "train":
        version = f"Version {result['model_version']} is the challenger"
        if "cv_value" not in result:
            return f"{version}: nothing has changed since it was trained"
        return f"{version}: {result['metric']} {text(result['cv_value'])} in cross-validation"
    if step == "monitor":
        return "Training is due" if result["retrain"] else "No training is due"
    if step == "predict":
        version, rejected = result["model_version"], result["rejected"]
        return f"{result['predicted']} rows predicted by version {version}, {rejected} rejected"
    if step == "rollback":
        return f"Version {result['champion_version']} is champion again: {result['reason']}"
    return ""


def folded(title: str, content: str) -> str:
    """Markdown that opens on a click."""
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def scores(comparison: dict[str, Any]) -> str:
    """Champion, challenger and their difference on the holdout, each with its interval."""
    rows = [
        (name, interval["value"], interval["low"], interval["high"])
        for name in ("challenger", "champion", "improvement")
        if (interval := comparison.get(name))
    ]
    return table([str(comparison["metric"]), "value", "from", "to"], rows)


def drift(report: dict[str, Any]) -> str:
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


def leaves(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name every value by its dotted path, two levels deep; longer lists have been shown."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            if not prefix:
                yield from leaves(inner, f"{name}.")
        elif not isinstance(inner, list):
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
