"""Turns a pipeline step's result into the job's summary and outputs."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHOWN = 6  # decimal places that a reader needs at most


def main() -> None:
    """Read STEP's RESULT, append to the summary file and to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step")
    parser.add_argument("result", type=Path)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    result = json.loads(given.result.read_text())
    with given.summary.open("a") as summary:
        summary.write(render(given.step, result))
    with given.output.open("a") as output:
        for name, value in outputs(given.step, result).items():
            output.write(f"{name}={'true' if value else 'false'}\n")


def outputs(step: str, result: dict[str, Any]) -> dict[str, bool]:
    """What later jobs decide by."""
    if step == "promote":
        return {"promoted": result["verdict"] == "promote"}
    if step == "monitor":
        return {"drift": bool(result["drift"])}
    return {}


def render(step: str, result: dict[str, Any]) -> str:
    """The summary in Markdown: the sentence, if the step has one, then a table of its numbers."""
    lines = [f"## {step.capitalize()}", ""]
    if "sentence" in result:
        lines += [f"**{plain(result['sentence'])}**", ""]
    lines += ["| what | value |", "| --- | --- |"]
    for name, value in leaves(result):
        if name not in ("step", "sentence"):
            lines.append(f"| {plain(name)} | {plain(number(value))} |")
    return "\n".join(lines) + "\n\n"


def leaves(value: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Name every value by its dotted path; what lies deeper than three levels is left out."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            if depth < 2:
                yield from leaves(inner, f"{prefix}{name}.", depth + 1)
        elif isinstance(inner, list):
            yield f"{prefix}{name}", ", ".join(map(str, inner[:10]))
        else:
            yield f"{prefix}{name}", inner


def number(value: Any) -> str:
    """Write a value for people."""
    if isinstance(value, float):
        return f"{value:.{SHOWN}g}"
    return "" if value is None else str(value)


def plain(text: str) -> str:
    """Keep data from becoming markup: it may come from a data set's own column names."""
    for character in "\\`*_{}[]<>#|@":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


if __name__ == "__main__":
    main()
