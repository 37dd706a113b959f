"""Where the time of `keyless up` goes: phases on one time line, and what waits for what.

python -m scripts.maintenance.benchmarks.up                 # a fresh run in a temporary home
python -m scripts.maintenance.benchmarks.up --home .keyless # what the last run in a home measured
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

WIDTH = 60
TARGETS = {"after_apply_seconds": (30.0, 45.0), "ratio": (1.15, 1.25)}


@click.command()
@click.option("--home", type=click.Path(path_type=Path, exists=True), help="Read this home's run.")
def main(home: Path | None) -> None:
    """Print the time line of one `keyless up`."""
    if home is not None:
        report(json.loads((home / "timings.json").read_text()))
        return
    with tempfile.TemporaryDirectory(prefix="keyless-benchmark-") as folder:
        fresh = Path(folder) / "home"
        keyless = [sys.executable, "-m", "scripts.cli", "--home", str(fresh)]
        done = subprocess.run([*keyless, "up", "--json"], stdout=subprocess.PIPE, check=False)
        try:
            if done.returncode != 0:
                raise SystemExit(done.returncode)
            report(json.loads(done.stdout))
        finally:
            subprocess.run([*keyless, "down", "--now"], stdout=subprocess.DEVNULL, check=False)


def report(result: dict[str, Any]) -> None:
    """Print the time line and the two figures that the project holds itself to."""
    total = result["seconds"]
    for phase in result["phases"]:
        start = round(phase["start_seconds"] / total * WIDTH)
        length = max(1, round(phase["seconds"] / total * WIDTH))
        bar = " " * start + "#" * length
        print(f"{phase['name']:<22}{phase['seconds']:7.1f} s  |{bar:<{WIDTH}}|")
    ratio = total / result["applies_seconds"]
    print(f"{'whole run':<22}{total:7.1f} s")
    print(f"{'the two applies':<22}{result['applies_seconds']:7.1f} s")
    _figure("after the last apply", result["after_apply_seconds"], "s", "after_apply_seconds")
    _figure("whole run / applies", ratio, "x", "ratio")


def _figure(label: str, value: float, unit: str, name: str) -> None:
    aim, limit = TARGETS[name]
    print(f"{label:<22}{value:7.2f} {unit}  (aim {aim:g}, at most {limit:g})")


if __name__ == "__main__":
    main()
