"""What batch prediction costs beside bare `model.predict`, and how much memory it takes.

python -m scripts.maintenance.benchmarks.prediction

It takes a few minutes; --large 0 leaves the large batch out.

Throughput: the same rows in the same chunks are predicted by `model.predict` alone on frames that
lie in memory (`bare`), by reading a Parquet file and predicting (`read`), and by the pipeline
(`pipeline`), which reads, checks each row, predicts with probabilities and writes a Parquet file.
The three take turns, each in a process of its own; medians count, and of processor time the least,
which other work disturbed least. Memory: the peak of the whole predict step, as a process of its
own, on a small and a large batch.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.model.artifacts import ModelFacts
    from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
WAYS = ("bare", "read", "pipeline")
FAMILIES = ("histogram_gradient_boosting", "random_forest", "linear")
PIECE_ROWS = 50_000
MODULE = ["-m", "scripts.maintenance.benchmarks.prediction", "--as"]


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
    """Median seconds of wall clock, least seconds of processor, and the ratios to `bare`.

    `throughput_ratio` is the pipeline's rows per second divided by bare prediction's.
    """
    source = folder / f"{rows}.parquet"
    if not source.exists():
        _child([*MODULE, "input", str(source), str(rows)])
    with ExitStack() as stack:
        ways = {way: stack.enter_context(_Way(way, family, source)) for way in WAYS}
        for turn in range(repeat):
            for way in WAYS if turn % 2 == 0 else reversed(WAYS):
                ways[way].take_turn()
    wall = {way: statistics.median(ways[way].wall) for way in WAYS}
    processor = {way: min(ways[way].processor) for way in WAYS}
    return {
        "seconds": {way: round(value, 3) for way, value in wall.items()},
        "processor_seconds": {way: round(value, 3) for way, value in processor.items()},
        "throughput_ratio": round(wall["bare"] / wall["pipeline"], 2),
        "throughput_ratio_to_read": round(wall["read"] / wall["pipeline"], 2),
        "rows_per_second": round(rows / wall["pipeline"]),
    }


class _Way:
    """A process that predicts in one way each time it is asked, and says how long that took.

    A process for each, because the pipeline sets threads and memory up for its own sake.
    """

    def __init__(self, way: str, family: str, source: Path) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []
        self._arguments = [way, family, str(source)]

    def __enter__(self) -> _Way:
        self._process = subprocess.Popen(
            [sys.executable, *MODULE, "way", *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._seconds()  # of the turn that warms up
        return self

    def take_turn(self) -> None:
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        wall, processor = self._seconds()
        self.wall.append(wall)
        self.processor.append(processor)

    def _seconds(self) -> tuple[float, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise click.ClickException(f"{' '.join(self._arguments)} ended; see above")
        wall, processor = map(float, line.split())
        return wall, processor

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _take_turns(way: str, family: str, source: Path) -> None:
    """Predict once to warm up, then once for each line that comes; print the seconds of each."""
    from pipeline.model.batch import write_predictions
    from pipeline.reading.files import find
    from pipeline.reading.formats import Format
    from pipeline.reading.reader import read_chunks

    settings, model, facts = _model(family)
    names, size = list(facts.contract.features), settings.predict.chunk_rows
    files = find(source, source.name)
    chunks = []
    if way == "bare":
        chunks = [_frame(chunk.rows, names) for chunk in read_chunks(files, Format(), size)]

    def predict(folder: Path) -> None:
        if way == "pipeline":
            write_predictions(model, facts, files, folder, settings)
        elif way == "read":
            for chunk in read_chunks(files, Format(), size):
                model.predict(_frame(chunk.rows, names))
        else:
            for rows in chunks:
                model.predict(rows)

    for _ in itertools.chain([""], sys.stdin):
        # An empty folder, as in the step: to write over a file costs the end of the old one.
        with tempfile.TemporaryDirectory(dir=source.parent) as folder:
            started = time.perf_counter(), time.process_time()
            predict(Path(folder))
            ended = time.perf_counter(), time.process_time()
        print(ended[0] - started[0], ended[1] - started[1], flush=True)


def _frame(rows: Any, names: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas()
    return frame[names]


def _model(family: str) -> tuple[Settings, Any, ModelFacts]:
    """The family with scikit-learn's defaults, fitted on the sample problem."""
    import numpy as np
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]
    from sklearn.datasets import load_breast_cancer

    from pipeline.data.infer import infer
    from pipeline.model.artifacts import ModelFacts
    from pipeline.model.features import build
    from pipeline.settings import DEFAULT_FILE, load_settings

    settings = load_settings(DEFAULT_FILE)
    bunch = load_breast_cancer(as_frame=True)
    target = pd.Series(np.where(bunch.target == 0, "malignant", "benign"))
    table = pyarrow.Table.from_pandas(bunch.data.assign(**{settings.data.target: target}))
    contract = infer(table, settings).contract
    model = build(contract, settings, {"family": family})
    facts = ModelFacts(contract, settings.task.type, settings.data.positive)
    return settings, model.fit(bunch.data, target), facts


def make_input(path: Path, rows: int) -> None:
    """Rows like those of the sample problem, in flat memory: drawn again, with some noise."""
    import numpy as np
    import pyarrow
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

    if part == "way":
        _take_turns(arguments[0], arguments[1], Path(arguments[2]))
    elif part == "input":
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
