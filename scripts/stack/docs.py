"""Write the inputs and outputs tables of the Terraform READMEs from the code, or check them."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hcl2

PROJECT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- inputs and outputs: begin -->", "<!-- inputs and outputs: end -->"


@dataclass(frozen=True)
class Input:
    """A variable; `default` is None for one that has to be given."""

    name: str
    type: str
    default: str | None
    description: str


@dataclass(frozen=True)
class Output:
    """An output of a module."""

    name: str
    description: str


def documented(project: Path = PROJECT) -> list[Path]:
    """The folders of Terraform code that have a README."""
    return sorted(readme.parent for readme in (project / "terraform").glob("**/README.md"))


def inputs(module: Path) -> list[Input]:
    """The module's variables, in the order of the file."""
    return [
        Input(
            name,
            _one_line(_expression(body["type"])),
            _one_line(_expression(body["default"])) if "default" in body else None,
            _text(body["description"]),
        )
        for name, body in _blocks(module / "variables.tf", "variable")
    ]


def outputs(module: Path) -> list[Output]:
    """The module's outputs, in the order of the file."""
    return [
        Output(name, _text(body["description"]))
        for name, body in _blocks(module / "outputs.tf", "output")
    ]


def tables(module: Path) -> str:
    """Both tables as Markdown."""
    lines = ["### Inputs", "", "| name | type | default | what it is |", "|---|---|---|---|"]
    lines += [
        f"| `{given.name}` | `{_cell(given.type)}` | "
        f"{'required' if given.default is None else f'`{_cell(given.default)}`'} | "
        f"{_cell(given.description)} |"
        for given in inputs(module)
    ]
    lines += ["", "### Outputs", "", "| name | what it is |", "|---|---|"]
    lines += [f"| `{made.name}` | {_cell(made.description)} |" for made in outputs(module)]
    return "\n".join(lines)


def rendered(module: Path) -> str:
    """The README with its tables brought up to date. Raises ValueError without the two marks."""
    text = (module / "README.md").read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{module / 'README.md'} needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{tables(module)}\n{END}{after}"


def _blocks(file: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not file.exists():
        return
    with file.open() as stream:
        content = hcl2.load(stream)
    for block in content.get(kind, []):
        for name, body in block.items():
            yield name.strip('"'), body


def _text(value: str) -> str:
    return value.strip('"').replace('\\"', '"')


def _expression(value: Any) -> str:
    """HCL of a parsed value: what a reader would write."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case dict():
            held = {k.strip('"'): v for k, v in value.items() if not k.startswith("__")}
            return "{ " + ", ".join(f"{k} = {_expression(v)}" for k, v in held.items()) + " }"
        case list():
            return "[" + ", ".join(_expression(item) for item in value) + "]"
    text = str(value)
    return text[2:-1] if text.startswith("${") and text.endswith("}") else text


def _one_line(text: str) -> str:
    return re.sub(r"\{ *\}", "{}", re.sub(r"\s+", " ", text)).strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """Write the tables; with --check change nothing and answer 1 when one is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which README is stale")
    checking = parser.parse_args(arguments).check
    stale = [
        module for module in documented() if rendered(module) != (module / "README.md").read_text()
    ]
    for module in stale:
        readme = module / "README.md"
        if checking:
            print(
                f"{readme.relative_to(PROJECT)} is stale: run python -m scripts.stack.docs",
                file=sys.stderr,
            )
        else:
            readme.write_text(rendered(module))
    return 1 if checking and stale else 0


if __name__ == "__main__":
    sys.exit(main())
