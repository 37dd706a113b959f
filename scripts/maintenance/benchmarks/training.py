"""What tracking costs: bare scikit-learn, the train step, and the same job written the obvious way.

python -m scripts.maintenance.benchmarks.training

It runs against an MLflow server of its own on this machine.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 180


@click.command()
@click.option("--repeat", default=3, show_default=True, help="Runs of each; the best counts.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the numbers here.")
def main(repeat: int, file: Path | None) -> None:
    """Time the three, each in a process that has made its imports."""
    with tempfile.TemporaryDirectory() as temporary, mlflow_server(Path(temporary)) as address:
        folder = Path(temporary)
        seconds = {
            way: min(_measure(way, folder, address) for _ in range(repeat))
            for way in ("bare", "pipeline", "obvious")
        }
    report = {
        "seconds": {way: round(value, 2) for way, value in seconds.items()},
        "pipeline_to_obvious": round(seconds["pipeline"] / seconds["obvious"], 3),
        "overhead_seconds": round(seconds["pipeline"] - seconds["bare"], 2),
    }
    click.echo(json.dumps(report, indent=2))
    if file is not None:
        file.write_text(json.dumps(report, indent=2) + "\n")


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A plain `mlflow server` with its database and artifacts in a folder; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    store += ["--artifacts-destination", str(folder / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", *store, "--workers", "1"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _await(address, process)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise click.ClickException("the MLflow server did not start")


def _measure(way: str, folder: Path, address: str) -> float:
    work = Path(tempfile.mkdtemp(prefix="b", dir=folder))
    environment = os.environ | {"MLFLOW_TRACKING_URI": address, "OMP_WAIT_POLICY": "PASSIVE"}
    command = [
        sys.executable,
        "-m",
        "scripts.maintenance.benchmarks.training",
        "--as",
        way,
        str(work),
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise click.ClickException(done.stderr[-2000:])
    return float(done.stdout.splitlines()[-1])


def _run(way: str, work: Path) -> None:
    """One of the ways, in this process; prints its seconds without imports."""
    import pipeline.model.preload  # noqa: F401 - every way has its imports made
    from pipeline import ingest, train
    from pipeline.data import dataset
    from pipeline.settings import DEFAULT_FILE
    from pipeline.step import Workspace, open_workspace

    settings = work / "pipeline.toml"
    # A name of its own: training that would only repeat itself is not done again.
    name = work.name.replace("_", "-").lower()
    text = DEFAULT_FILE.read_text().replace('model = "', f'model = "{name}-')
    settings.write_text(text)
    options = ["--local", str(work / "data"), "--settings", str(settings)]
    ingest.main(options, standalone_mode=False)
    started = time.perf_counter()
    if way == "pipeline":
        train.main(options, standalone_mode=False)
    else:
        workspace: Workspace = open_workspace(None, work / "data", settings, os.environ)
        _obvious(workspace, dataset.load(workspace, "train"), tracked=way == "obvious")
    print(time.perf_counter() - started)


def _obvious(workspace: Any, rows: Any, *, tracked: bool) -> None:
    """The same search and fit, tracked as MLflow's tutorials do it, or not at all."""
    import mlflow

    from pipeline.model.features import build
    from pipeline.model.search import best, make_folds, search
    from pipeline.model.threads import limited

    settings = workspace.settings
    folds = make_folds(rows, settings)
    trials = list(search(rows, folds, settings, {}, lambda _: None))
    chosen = best(trials, settings)
    model = build(rows.contract, settings, chosen.parameters)
    with limited(len(rows.table)):
        model.fit(rows.features, rows.target)
    if not tracked:
        return
    mlflow.set_experiment(f"obvious-{settings.model}")
    with mlflow.start_run():
        for trial in trials:
            with mlflow.start_run(nested=True):
                mlflow.log_params(dict(trial.parameters))
                for name in trial.folds:
                    mlflow.log_metric(f"cv_{name}", trial.value(name) or 0.0)
        mlflow.log_params(dict(chosen.parameters))
        mlflow.log_metric("cv", chosen.value(settings.metric.name) or 0.0)
        mlflow.sklearn.log_model(
            model,
            name="model",
            input_example=rows.features.head(),
            registered_model_name=f"obvious-{settings.model}",
            skops_trusted_types=settings.serialization.trusted_types,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        _run(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
