"""What the MLflow server gives beside `mlflow server`, and what its guard costs: one PostgreSQL.

`python -m tests.mlflow_server.benchmark` needs wrk on PATH (apt-get install wrk). The servers take
turns, so that whatever else the machine does meets all of them; processor time per request is the
figure that other work disturbs least.
"""

from __future__ import annotations

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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
import psycopg2
import sqlalchemy

from scripts.localcloud.rds.postgres import SUPERUSER, Postgres
from scripts.server.database import add_indexes, bring_up_to_date
from tests.mlflow_server.box import API, JSON, Box

CLIENTS = 16
WORKERS = 2  # what the platform starts unless its settings say otherwise; stock starts four
RUNS = 64
# What a training job sends: two writes for each read. The runs are open and made beforehand.
LUA = """
local runs = {}
for line in io.lines(os.getenv("RUNS")) do runs[#runs + 1] = line end
local n = 0
local headers = { ["Content-Type"] = "application/json" }
local function post(path, body)
  return wrk.format("POST", "/api/2.0/mlflow/" .. path, headers, body)
end
function request()
  n = n + 1
  local run = runs[n % #runs + 1]
  local kind = n % 6
  if kind == 0 then
    return post("runs/search", '{"experiment_ids": ["' .. os.getenv("EXPERIMENT") .. '"], "max_results": 5}')
  elseif kind == 1 then
    return wrk.format("GET", "/api/2.0/mlflow/runs/get?run_id=" .. run)
  elseif kind == 2 then
    return post("runs/set-tag", '{"run_id": "' .. run .. '", "key": "t", "value": "' .. n .. '"}')
  elseif kind == 3 then
    return post("runs/log-metric", '{"run_id": "' .. run .. '", "key": "m", "value": 1, "timestamp": 1, "step": ' .. n .. '}')
  end
  local metrics = {}
  for i = 1, 10 do
    metrics[i] = '{"key": "m' .. i .. '", "value": ' .. n .. ', "timestamp": ' .. n .. ', "step": ' .. n .. '}'
  end
  return post("runs/log-batch", '{"run_id": "' .. run .. '", "metrics": [' .. table.concat(metrics, ",") .. ']}')
end
function done(summary, latency)
  local wrong = summary.errors.status + summary.errors.connect + summary.errors.read
    + summary.errors.write + summary.errors.timeout
  print(string.format("RESULT %d %d %d %d", summary.requests, summary.duration,
    latency:percentile(99), wrong))
end
"""  # noqa: E501


@dataclass(frozen=True)
class Server:
    """One of the servers: its name, where it answers, and its first processes."""

    name: str
    address: str
    processes: tuple[psutil.Process, ...]

    def seconds(self) -> float:
        """Processor time of the whole tree so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._tree())

    def mib(self) -> int:
        """Memory of the whole tree; what processes share is counted once."""
        return round(sum(one.memory_full_info().pss for one in self._tree()) / (1 << 20))

    def _tree(self) -> list[psutil.Process]:
        below = [child for one in self.processes for child in one.children(recursive=True)]
        return [*self.processes, *below]


@click.command()
@click.option("--seconds", default=4, show_default=True, help="Of each turn.")
@click.option("--turns", default=5, show_default=True)
@click.option("--search-turns", default=15, show_default=True)
@click.option("--stock/--no-stock", "with_stock", default=True, help="Whether to compare with it.")
def main(seconds: int, turns: int, search_turns: int, with_stock: bool) -> None:
    """Print the comparison of 16 clients, and of search over many runs and few, as JSON."""
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk is not on PATH: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        database = stack.enter_context(_database(home))
        ours, facts = stack.enter_context(_box(database, home, guarded=True))
        off, _ = stack.enter_context(_box(database, home, guarded=False))
        report: dict[str, Any] = {"ours": facts}
        servers = [ours, off]
        if with_stock:
            stock, report["stock"] = stack.enter_context(_stock(database, home))
            servers.append(stock)
        report["16 clients"] = compare(servers, _work(ours, home), seconds, turns, home)
        for server, name in ((ours, "ours"), *((one, "stock") for one in servers[2:])):
            report[name]["mib"] = server.mib()
        report["search"] = searches(ours, database, search_turns)
    click.echo(json.dumps(report, indent=2))


@contextmanager
def _database(home: Path) -> Iterator[str]:
    server = Postgres(home / "postgres", home=home, master="master", password="not-used")
    server.start()
    address = f"postgresql+psycopg2://{SUPERUSER}@/postgres?host={server.socket_directory}"
    try:
        prepare(address)
        yield address
    finally:
        server.stop()


def prepare(address: str) -> None:
    """Make the tables as `keyless database` does: two servers that start at once cannot."""
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels import models

    assert models.SqlRun is not None  # the tables are known once this is imported
    engine = sqlalchemy.create_engine(address)
    bring_up_to_date(utils, engine, lambda _: None)
    add_indexes(engine)
    engine.dispose()


@contextmanager
def _box(database: str, home: Path, *, guarded: bool) -> Iterator[tuple[Server, dict[str, Any]]]:
    name, started = "guarded" if guarded else "guard off", time.perf_counter()
    box = Box(database, home / name, guarded=guarded, workers=WORKERS).wait()
    taken = round(time.perf_counter() - started, 1)
    try:
        processes = tuple(psutil.Process(one.pid) for one in box.processes)
        yield Server(name, box.uri("operate"), processes), {"seconds_to_health": taken}
    finally:
        box.stop()


@contextmanager
def _stock(database: str, home: Path) -> Iterator[tuple[Server, dict[str, Any]]]:
    """`mlflow server` with its defaults, on the same database."""
    port, started = 8705, time.perf_counter()
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--port", str(port)]
    command += ["--backend-store-uri", database, "--default-artifact-root", str(home / "files")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (home / "stock.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=os.environ | {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"},
            cwd=home,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        while not _answers(address):
            if process.poll() is not None:
                raise click.ClickException((home / "stock.log").read_text()[-2000:])
            time.sleep(0.1)
        taken = round(time.perf_counter() - started, 1)
        yield Server("stock", address, (psutil.Process(process.pid),)), {"seconds_to_health": taken}
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _call(server: Server, path: str, **fields: Any) -> Any:
    content = json.dumps(fields).encode()
    request = urllib.request.Request(f"{server.address}{API}/{path}", content, JSON)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def _work(server: Server, home: Path) -> dict[str, str]:
    """An experiment with open runs, as the variables that the load reads."""
    made: str = _call(server, "experiments/create", name="load")["experiment_id"]
    runs = [
        _call(server, "runs/create", experiment_id=made)["run"]["info"]["run_id"]
        for _ in range(RUNS)
    ]
    (home / "runs").write_text("\n".join(runs))
    (home / "load.lua").write_text(LUA)
    return {"EXPERIMENT": made, "RUNS": str(home / "runs")}


def compare(
    servers: list[Server], work: dict[str, str], seconds: int, turns: int, home: Path
) -> dict[str, Any]:
    """Medians of each server's turns, and the medians of the ratios of neighbouring turns."""
    for server in servers:
        _turn(server, work, 2 * seconds, home)
    taken: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
    for number in range(turns):
        # Every other time backwards: whoever comes second may find the database busy.
        for server in servers if number % 2 else servers[::-1]:
            taken[server.name].append(_turn(server, work, seconds, home))
    found: dict[str, Any] = {
        name: {key: round(statistics.median(one[key] for one in all_), 2) for key in all_[0]}
        for name, all_ in taken.items()
    }

    def ratio(key: str, first: str, second: str) -> float:
        pairs = zip(taken[first], taken[second], strict=True)
        return round(statistics.median(one[key] / other[key] for one, other in pairs), 3)

    for key in ("requests_per_second", "processor_ms"):
        found[f"{key}: guarded to guard off"] = ratio(key, "guarded", "guard off")
        if "stock" in taken:
            found[f"{key}: guarded to stock"] = ratio(key, "guarded", "stock")
    return found


def _turn(server: Server, work: dict[str, str], seconds: int, home: Path) -> dict[str, float]:
    before = server.seconds()
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--timeout", "60s"),
            *("-s", str(home / "load.lua"), server.address),
        ],
        env=os.environ | work,
        capture_output=True,
        text=True,
        check=True,
    )
    match = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if match is None or match[4] != "0":
        raise click.ClickException(f"{server.name}: {done.stdout}")
    requests, duration, p99 = (int(one) for one in match.groups()[:3])
    if not requests:
        raise click.ClickException(f"{server.name} answered nothing in {seconds} s: more --seconds")
    return {
        "requests_per_second": requests / (duration / 1e6),
        "p99_ms": p99 / 1000,
        "processor_ms": (server.seconds() - before) / requests * 1000,
    }


# --- search ----------------------------------------------------------------------------------

SIZES = (1_000, 100_000)
# One metric, parameter and tag of each run, by SQL: through the API it would take half an hour.
FILL = """
INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,
                  start_time, end_time, source_version, lifecycle_stage, artifact_uri,
                  experiment_id)
SELECT md5('{experiment}-' || n), 'run ' || n, 'LOCAL', '', '', 'u', 'FINISHED',
       1700000000000 + n, 1700000000000 + n + 5, '', 'active', 'file:///none', {experiment}
FROM generate_series(1, {size}) AS n;
INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
SELECT 'auc', (n * 7919 % 10007) / 10007.0, 1, 0, false, md5('{experiment}-' || n)
FROM generate_series(1, {size}) AS n;
INSERT INTO params (key, value, run_uuid)
SELECT 'depth', (n % 20)::text, md5('{experiment}-' || n) FROM generate_series(1, {size}) AS n;
INSERT INTO tags (key, value, run_uuid)
SELECT 'keyless.data', (n % 100)::text, md5('{experiment}-' || n)
FROM generate_series(1, {size}) AS n;
"""
SEARCHES: dict[str, dict[str, Any]] = {
    "the newest 50": {"max_results": 50},
    "by a tag": {"filter": "tags.`keyless.data` = '7'", "max_results": 50},
    "by a metric": {"filter": "metrics.auc > 0.99", "max_results": 50},
    "the best by a metric": {"order_by": ["metrics.auc DESC"], "max_results": 50},
}


def searches(server: Server, database: str, turns: int) -> dict[str, Any]:
    """Median time of each search over 100,000 runs and over 1,000, in turns, and their ratio."""
    experiments = {size: _filled(server, database, size) for size in SIZES}
    found: dict[str, Any] = {}
    for name, asked in SEARCHES.items():
        taken: dict[int, list[float]] = {size: [] for size in SIZES}
        for turn in range(turns + 2):
            for size, experiment in experiments.items():
                started = time.perf_counter()
                answered = _call(server, "runs/search", experiment_ids=[experiment], **asked)
                if turn > 1:
                    taken[size].append(1000 * (time.perf_counter() - started))
                assert answered["runs"], "a search that finds nothing measures nothing"
        few, many = (statistics.median(taken[size]) for size in SIZES)
        pairs = zip(taken[SIZES[1]], taken[SIZES[0]], strict=True)
        found[name] = {
            "ms, 1,000 runs": round(few, 1),
            "ms, 100,000 runs": round(many, 1),
            "ratio": round(statistics.median(one / other for one, other in pairs), 2),
        }
    return found


def _filled(server: Server, database: str, size: int) -> str:
    made: str = _call(server, "experiments/create", name=f"{size} runs")["experiment_id"]
    host = database.partition("host=")[2]
    connection = psycopg2.connect(dbname="postgres", user=SUPERUSER, host=host)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(experiment=int(made), size=size))
        cursor.execute("ANALYZE")
    connection.close()
    return made


if __name__ == "__main__":
    main()
