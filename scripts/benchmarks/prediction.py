"""What batch prediction costs beside bare `model.predict`, and how much memory it takes.

python -m scripts.benchmarks.prediction      a few minutes; --large 0 leaves the large batch out

Throughput: the same rows in the same chunks are predicted by `model.predict` alone on frames that
lie in memory (`bare`), by reading a Parquet file and predicting (`read`), and by the pipeline
(`pipeline`), which reads, checks each row, predicts with probabilities and writes a Parquet file.
The three take turns; medians count. Memory: the peak of the whole predict step, as a process of
its own, on a small and a large batch.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.artifacts import ModelFacts
    from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ("histogram_gradient_boosting", "random_forest", "linear")
PIECE_ROWS = 50_000
MODULE = ["-m", "scripts.benchmarks.prediction", "--as"]


@click.command()
@click.option("--rows", default=500_000, show_default=True, help="Rows of the small batch.")
@click.option("--large", default=5_000_000, show_default=True, help="Rows of the large batch.")
@click.option("--repeat", default=9, show_default=True, help="Turns of each way.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the numbers here.")
def main(rows: int, large: int, repeat: int, file: Path | None) -> None:
    """Compare the pipeline with bare prediction, then measure its memory."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        report: dict[str, Any] = {
            "rows": rows,
            "throughput": {family: throughput(family, rows, repeat, folder) for family in FAMILIES},
        }
        if large:
            peaks = memory([rows, large], folder)
            report["peak_mib"] = {str(size): round(peak) for size, peak in peaks.items()}
            report["memory_ratio"] = round(peaks[large] / peaks[rows], 2)
    text = json.dumps(report, indent=2)
    click.echo(text)
    if file is not None:
        file.write_text(text + "\n")


def throughput(family: str, rows: int, repeat: int, folder: Path) -> dict[str, Any]:
    """Median seconds of wall clock and of processor, and the ratios to `bare`.

    `throughput_ratio` is the pipeline's rows per second divided by bare prediction's.
    """
    from pipeline.batch import write_predictions
    from pipeline.chunks import read_chunks

    settings, model, facts = _model(family)
    source = folder / f"{rows}.parquet"
    if not source.exists():
        make_input(source, rows)
    names, size = list(facts.contract.features), settings.predict.chunk_rows
    chunks = [_frame(chunk.rows, names) for chunk in read_chunks(source, size)]

    def read() -> None:
        for chunk in read_chunks(source, size):
            model.predict(_frame(chunk.rows, names))

    ways: dict[str, Callable[[Path], object]] = {
        "bare": lambda _: [model.predict(chunk) for chunk in chunks],
        "read": lambda _: read(),
        "pipeline": lambda target: write_predictions(model, facts, source, target, settings),
    }
    wall, processor = _take_turns(ways, repeat, folder)
    return {
        "seconds": {way: round(value, 3) for way, value in wall.items()},
        "processor_seconds": {way: round(value, 3) for way, value in processor.items()},
        "throughput_ratio": round(wall["bare"] / wall["pipeline"], 2),
        "throughput_ratio_to_read": round(wall["read"] / wall["pipeline"], 2),
        "rows_per_second": round(rows / wall["pipeline"]),
    }


def _take_turns(
    ways: dict[str, Callable[[Path], object]], repeat: int, folder: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """Medians of wall clock and processor time. Every other turn runs in reverse order.

    Each run writes below an empty folder, as the step does: to write over a file has a cost of its
    own, that of ending the old one.
    """
    wall: dict[str, list[float]] = {way: [] for way in ways}
    processor: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(-1, repeat):
        for way in list(ways) if turn % 2 == 0 else list(reversed(ways)):
            with tempfile.TemporaryDirectory(dir=folder) as target:
                started = time.perf_counter(), time.process_time()
                ways[way](Path(target))
                ended = time.perf_counter(), time.process_time()
            # The first turn, -1, warms up.
            if turn >= 0:
                wall[way].append(ended[0] - started[0])
                processor[way].append(ended[1] - started[1])
    return (
        {way: statistics.median(values) for way, values in wall.items()},
        {way: statistics.median(values) for way, values in processor.items()},
    )


def _frame(rows: Any, names: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas()
    return frame[names]


def _model(family: str) -> tuple[Settings, Any, ModelFacts]:
    """The family with scikit-learn's defaults, fitted on the sample problem."""
    import numpy as np
    import pandas as pd
    from sklearn.datasets import load_breast_cancer

    from pipeline.artifacts import ModelFacts
    from pipeline.features import build
    from pipeline.schema import infer
    from pipeline.settings import DEFAULT_FILE, load_settings

    settings = load_settings(DEFAULT_FILE)
    bunch = load_breast_cancer(as_frame=True)
    target = pd.Series(np.where(bunch.target == 0, "malignant", "benign"))
    contract = infer(bunch.data.assign(**{settings.data.target: target}), settings)
    model = build(contract, settings.task.type, {"family": family}, seed=0)
    facts = ModelFacts(contract, settings.task.type, settings.data.positive, [])
    return settings, model.fit(bunch.data, target), facts


def make_input(path: Path, rows: int) -> None:
    """Rows like those of the sample problem, in flat memory: drawn again, with some noise."""
    import numpy as np
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True).data
    random = np.random.default_rng(0)
    schema = pyarrow.schema([(str(name), pyarrow.float64()) for name in data])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, PIECE_ROWS):
            count = min(PIECE_ROWS, rows - start)
            drawn = data.iloc[random.integers(0, len(data), count)].reset_index(drop=True)
            noisy = drawn * (1 + random.normal(0, 0.01, drawn.shape))
            writer.write_table(
                pyarrow.Table.from_pandas(noisy, schema=schema, preserve_index=False)
            )


def memory(sizes: list[int], folder: Path) -> dict[int, float]:
    """Peak memory in MiB of the predict step at each size."""
    work, settings = folder / "work", folder / "pipeline.toml"
    text = (ROOT / "pipeline" / "pipeline.toml").read_text()
    # The family that leaves the least time to clean up between chunks.
    settings.write_text(text.replace("families = [", 'families = ["linear"]  # ['))
    options = ["--local", str(work), "--settings", str(settings)]
    _child([*MODULE, "champion", *options])
    peaks = {}
    for size in sizes:
        source = folder / f"{size}.parquet"
        if not source.exists():
            _child([*MODULE, "input", str(source), str(size)])
        arguments = [*options, "--input", str(source)]
        lines = _child([*MODULE, "step", *arguments])
        peaks[size] = float(lines.splitlines()[-1])
    return peaks


def _child(arguments: list[str]) -> str:
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(done.stderr[-2000:])
    return done.stdout


def _peak_mib() -> float:
    """The most memory that this process ever had.

    Linux: getrusage also counts what the parent had when it started this process; VmHWM does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def _as(part: str, arguments: list[str]) -> None:
    """One part of the measurement, in this process."""
    from pipeline import ingest, predict, promote, train

    if part == "input":
        make_input(Path(arguments[0]), int(arguments[1]))
    elif part == "champion":
        for step in (ingest, train, promote):
            step.main(arguments, standalone_mode=False)
    else:
        predict.main(arguments, standalone_mode=False)
        print(_peak_mib())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        _as(sys.argv[2], sys.argv[3:])
    else:
        main()
