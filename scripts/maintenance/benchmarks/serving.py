"""The model server beside `mlflow models serve` and bare `predict`, and what a shadow costs.

python -m scripts.maintenance.benchmarks.serving

Each server gets a process of its own and one worker, and is loaded by wrk (apt-get install wrk).
The servers and bare `model.predict` on a frame in memory take turns, one at a time, so that none
competes with another: same model, machine and run. Ratios are medians of the ratios of turns that
were neighbours. Then requests are copied to a challenger in every other turn: to a good one, and
to challengers that are slow, hang or crash. All of it takes half an hour.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psutil

from pipeline.serving.config import Pace
from scripts.maintenance.benchmarks.prediction import _model

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from pipeline.model.champion import Champion
    from scripts.maintenance.benchmarks import shadow

ROOT = Path(__file__).resolve().parents[3]
NAME = "breast-cancer"
FAMILIES = ("histogram_gradient_boosting", "linear")
MODES = ("good", "slow", "hang", "crash")
LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open(os.getenv("BODY"))
wrk.body = file:read("*a")
file:close()
local pause = tonumber(os.getenv("PAUSE_MS"))
if pause > 0 then
  function delay() return -pause * math.log(1 - math.random()) end
end
function done(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
  for place = 1, #latency do
    io.write(string.format("TOOK %d %d\\n", latency(place)))
  end
end
"""


@dataclass(frozen=True)
class Load:
    """Requests of so many rows over so many connections.

    Each connection waits `pause_ms` after an answer, by chance more or less; with 0 it sends the
    next request at once, which fills both cores.
    """

    rows: int
    connections: int
    pause_ms: float = 0

    def __str__(self) -> str:
        paused = f", {self.pause_ms:g} ms between" if self.pause_ms else ""
        return f"{self.rows} rows, {self.connections} connections{paused}"


LOADS = (Load(1, 1), Load(1, 16), Load(1, 64), Load(1000, 1), Load(1000, 4))
# One connection fills one core, sixteen fill both; with pauses half of each core is free.
SHADOW_LOADS = (Load(1, 1), Load(1, 16), Load(1, 16, pause_ms=30))
# As long as the longest pause between two groups of copies: each turn with copies has some.
SHADOW_SECONDS = round(Pace().copies)


@click.command()
@click.option("--family", "families", multiple=True, default=FAMILIES, show_default=True)
@click.option("--seconds", default=5, show_default=True, help="Of each turn of a server.")
@click.option("--repeat", default=3, show_default=True, help="Turns of each server and load.")
@click.option("--shadow-repeat", default=8, show_default=True, help="Pairs of turns of a shadow.")
@click.option("--mode", "modes", multiple=True, default=MODES, help="Of the shadow's challenger.")
@click.option("--only", type=click.Choice(["servers", "shadow"]), help="Leave the other part out.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the numbers here.")
def main(
    families: tuple[str, ...],
    seconds: int,
    repeat: int,
    shadow_repeat: int,
    modes: tuple[str, ...],
    only: str | None,
    file: Path | None,
) -> None:
    """Compare throughput, latency, memory and start, then measure the cost of a shadow."""
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk is not on PATH: apt-get install wrk")
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for family in families:
            folder = Path(temporary) / family
            model = prepare(family, folder)
            if only != "shadow":
                report[family] = compare(model, seconds, repeat, folder)
        if only != "servers":
            # Of the first family: the server's own work is the same for each.
            report["shadow"] = shadows(modes, shadow_repeat, Path(temporary) / families[0])
    text = json.dumps(report, indent=2)
    click.echo(text)
    if file is not None:
        file.write_text(text + "\n")


def compare(model: Any, seconds: int, repeat: int, folder: Path) -> dict[str, Any]:
    """Medians over turns of each way, and medians of the ratios of neighbouring turns."""
    found: dict[str, Any] = {}
    turns: dict[tuple[str, Load], list[dict[str, float]]] = {}
    with ours(folder) as (address, facts):
        found["ours"] = facts
        with theirs(folder) as (other, facts):
            found["mlflow"] = facts
            for _, load in itertools.product(range(repeat), LOADS):
                for way, base in (("ours", address), ("mlflow", other)):
                    before = processor_seconds(found[way]["pid"])
                    taken = wrk(base, load, seconds, folder)
                    spent = processor_seconds(found[way]["pid"]) - before
                    requests = taken["requests_per_second"] * taken["seconds"]
                    taken["processor_ms"] = round(1000 * spent / requests, 2)
                    turns.setdefault((way, load), []).append(taken)
                if load.connections == 1:
                    turns.setdefault(("bare", load), []).append(bare(model, load, seconds))
    for load in LOADS:
        found[str(load)] = _beside(turns, load)
    return found


def _beside(turns: dict[tuple[str, Load], list[dict[str, float]]], load: Load) -> dict[str, Any]:
    ways = [way for way, its in turns if its == load]

    def ratio(name: str, one: str, other: str) -> float:
        pairs = zip(turns[one, load], turns[other, load], strict=True)
        return round(statistics.median(first[name] / second[name] for first, second in pairs), 2)

    found: dict[str, Any] = {
        way: {
            name: statistics.median(turn[name] for turn in turns[way, load])
            for name in turns[way, load][0]
        }
        for way in ways
    }
    found["throughput_ratio"] = ratio("requests_per_second", "ours", "mlflow")
    found["p99_ratio"] = ratio("p99_ms", "ours", "mlflow")
    # Other work on the machine disturbs this one least.
    found["processor_ratio"] = ratio("processor_ms", "mlflow", "ours")
    if "bare" in ways:
        found["throughput_of_bare"] = ratio("requests_per_second", "ours", "bare")
        found["processor_of_bare"] = ratio("processor_ms", "ours", "bare")
    return found


def bare(model: Any, load: Load, seconds: int) -> dict[str, float]:
    """`model.predict` on a frame in memory, again and again, on one thread as in a server."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rows = _rows(load)
    with threadpool_limits(limits=1):
        model.predict(rows)
        took, began, spent = [], time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds:
            before = time.perf_counter()
            model.predict(rows)
            took.append(time.perf_counter() - before)
        spent = time.process_time() - spent
    lasted = time.perf_counter() - began
    return {
        "seconds": lasted,
        "requests_per_second": round(len(took) / lasted, 1),
        "p50_ms": round(1000 * statistics.median(took), 2),
        "p99_ms": round(1000 * statistics.quantiles(took, n=100)[98], 2),
        "processor_ms": round(1000 * spent / len(took), 2),
    }


def shadows(modes: Sequence[str], repeat: int, folder: Path) -> dict[str, Any]:
    """What copies to each kind of challenger cost, over one and over many connections."""
    from scripts.maintenance.benchmarks import shadow
    from scripts.maintenance.benchmarks.misbehaving import Misbehaving

    trusted = ("--trusted-type", f"{Misbehaving.__module__}.{Misbehaving.__name__}")
    found: dict[str, Any] = {}
    of_all: dict[Load, list[shadow.Pair]] = {load: [] for load in SHADOW_LOADS}
    with ours(folder, 8603, *trusted) as (address, facts):
        trial = shadow.Trial(folder / "work", NAME, address)
        for mode in modes:
            trial.begin(mode)
            for load in SHADOW_LOADS:
                turn = partial(_champions_turn, address, facts["pid"], load, folder)
                before = trial.copies()
                pairs = shadow.take_turns(trial, turn, repeat)
                copies = {name: n - before.get(name, 0) for name, n in trial.copies().items()}
                found[f"{mode}, {load}"] = shadow.cost(pairs) | {"copies": copies}
                of_all[load] += pairs
            trial.end()
    return found | {f"all, {load}": shadow.cost(pairs) for load, pairs in of_all.items()}


def _champions_turn(address: str, pid: int, load: Load, folder: Path) -> shadow.Turn:
    """One turn, with the processor time of a request in the process that speaks HTTP alone."""
    from scripts.maintenance.benchmarks import shadow

    server = psutil.Process(pid)
    before = sum(server.cpu_times()[:2])
    told = _wrk(address, load, SHADOW_SECONDS, folder)
    requests, seconds = told.requests, told.seconds
    spent = sum(server.cpu_times()[:2]) - before
    return shadow.Turn(told.took, requests / seconds, 1000 * spent / requests)


def prepare(family: str, folder: Path) -> Any:
    """Save the model once, as MLflow's directory and as a champion of record; write the bodies."""
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    from pipeline.model.artifacts import save_model

    folder.mkdir(parents=True)
    settings, model, facts = _model(family)
    data = load_breast_cancer(as_frame=True).data
    types = settings.serialization.trusted_types
    rows = np.arange(len(data), dtype=np.uint64)
    save_model(folder / "model", model, facts, data.head(3), rows, ["scikit-learn"], types, {})
    publish(folder, folder / "model")
    for load in LOADS:
        body = {"dataframe_split": json.loads(_rows(load).to_json(orient="split"))}
        (folder / f"{load.rows}.json").write_text(json.dumps(body))
    (folder / "post.lua").write_text(LUA)
    return model


def _rows(load: Load) -> pd.DataFrame:
    """Rows of the sample problem, as many as a request has, drawn anew but always the same."""
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    data: pd.DataFrame = load_breast_cancer(as_frame=True).data
    drawn = np.random.default_rng(0).integers(0, len(data), load.rows)
    return data.iloc[drawn].reset_index(drop=True)


def publish(folder: Path, model: Path, version: str = "1") -> Champion:
    """Make a saved model the champion of record of a local folder."""
    import hashlib

    from pipeline.model.champion import Champion, FileRecords, MetricValue, PinnedFile
    from pipeline.storage import FolderStore

    store, files = FolderStore(folder / "work"), {}
    for path in model.rglob("*"):
        if path.is_file():
            name, data = path.relative_to(model).as_posix(), path.read_bytes()
            key = f"decisions/{NAME}/files/{hashlib.sha256(data).hexdigest()}"
            pin = store.put(key, data)
            files[name] = PinnedFile(key=key, version=None, sha256=pin.sha256)
    champion = Champion(
        model=NAME,
        sequence=int(version),
        model_version=version,
        run_id="benchmark",
        metric=MetricValue(name="roc_auc", value=1, low=1, high=1),
        files=files,
        changed_at="2026-11-28T00:00:00+00:00",
    )
    FileRecords(folder / "work" / "champion" / NAME).write(champion)
    return champion


@contextmanager
def ours(folder: Path, port: int = 8601, *options: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The model server; yields its address, and what its start took."""
    command = [sys.executable, "-m", "pipeline.serving", "--model", NAME]
    places = ["--local", str(folder / "work"), "--state", str(folder / f"state-{port}")]
    with _server([*command, *places, "--port", str(port), *options], port, "/ready") as found:
        yield found


@contextmanager
def theirs(folder: Path, port: int = 8602) -> Iterator[tuple[str, dict[str, Any]]]:
    """`mlflow models serve` with its defaults, in this environment."""
    command = [str(Path(sys.executable).with_name("mlflow")), "models", "serve"]
    options = ["--model-uri", str(folder / "model"), "--env-manager", "local"]
    with _server([*command, *options, "--port", str(port)], port, "/ping") as found:
        yield found


@contextmanager
def _server(command: list[str], port: int, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    address, started = f"http://127.0.0.1:{port}", time.perf_counter()
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PATH": binaries},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while not _answers(address + path):
                if process.poll() is not None or time.perf_counter() - started > 120:
                    log.seek(0)
                    raise click.ClickException(log.read().decode()[-2000:])
                time.sleep(0.02)
            ready = round(time.perf_counter() - started, 2)
            facts = {"seconds_to_ready": ready, "mib": memory_mib(process.pid)}
            yield address, facts | {"pid": process.pid}
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def memory_mib(pid: int) -> int:
    """Memory of a process and its children; what they share is counted once."""
    root = psutil.Process(pid)
    tree = [root, *root.children(recursive=True)]
    return round(sum(process.memory_full_info().pss for process in tree) / (1 << 20))


def processor_seconds(pid: int) -> float:
    """Processor time so far of a process and its children that live."""
    root = psutil.Process(pid)
    tree = [root, *root.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in tree)


@dataclass(frozen=True, eq=False)
class _Measured:
    """What wrk told of a turn; `took` has the milliseconds of each request."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    took: NDArray[np.float64]


def wrk(address: str, load: Load, seconds: int, folder: Path) -> dict[str, float]:
    """One turn of load."""
    told = _wrk(address, load, seconds, folder)
    return {
        "seconds": told.seconds,
        "requests_per_second": round(told.requests / told.seconds, 1),
        "p50_ms": round(told.p50_ms, 2),
        "p99_ms": round(told.p99_ms, 2),
    }


def _wrk(address: str, load: Load, seconds: int, folder: Path) -> _Measured:
    import numpy as np

    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "30s"),
            *("-s", str(folder / "post.lua"), f"{address}/invocations"),
        ],
        env=os.environ
        | {"BODY": str(folder / f"{load.rows}.json"), "PAUSE_MS": str(load.pause_ms)},
        capture_output=True,
        text=True,
        check=True,
    )
    match = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if match is None or match[5] != "0":
        raise click.ClickException(f"wrk met errors: {done.stdout[:2000]}")
    requests, duration, p50, p99 = map(int, match.groups()[:4])
    counted = np.array(re.findall(r"TOOK (\d+) (\d+)", done.stdout), dtype=int)
    took = np.repeat(counted[:, 0] / 1000, counted[:, 1])
    return _Measured(requests, duration / 1e6, p50 / 1000, p99 / 1000, took)


if __name__ == "__main__":
    main()
