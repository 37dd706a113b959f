"""The server on its four ports: MLflow's own client, the record, the database, its own pages."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.server.access import probes
from tests.mlflow_server.box import API, JSON, SERVER, SETS, Box, World

pytestmark = pytest.mark.slow

# What a training script does with MLflow's client and its defaults, in a process of its own.
TRAINING = """
import sys
import mlflow, numpy
from sklearn.linear_model import LinearRegression

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment(sys.argv[2])
mlflow.sklearn.autolog(log_models=False)
rows, target = numpy.eye(3), numpy.array([1.0, 2.0, 3.0])
with mlflow.start_run(run_name="parent", tags={"keyless.git_commit": "abc"}) as run:
    model = LinearRegression().fit(rows, target)
    mlflow.log_params({"a": 1})
    mlflow.log_metric("accuracy", 0.9, step=1)
    mlflow.log_metrics({"loss": 0.1})
    mlflow.set_tags({"mlflow.note.content": "a note", "team": "x"})
    mlflow.log_text("hello", "hello.txt")
    mlflow.log_table({"a": [1]}, "table.json")
    mlflow.log_input(mlflow.data.from_numpy(rows, targets=target), context="training")
    with mlflow.start_run(nested=True):
        mlflow.log_param("x", 1)
    mlflow.sklearn.log_model(model, name="model", registered_model_name=sys.argv[2],
                             pip_requirements=[], skops_trusted_types=[],
                             serialization_format="skops")
client = mlflow.MlflowClient()
client.set_registered_model_alias(sys.argv[2], "challenger", 1)
client.set_model_version_tag(sys.argv[2], "1", "note", "first")
assert client.get_run(run.info.run_id).info.status == "FINISHED"
assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/hello.txt") == "hello"

@mlflow.trace
def traced(value):
    return value

traced(1)
mlflow.flush_trace_async_logging()
assert len(client.search_traces([run.info.experiment_id])) == 1
print(run.info.run_id)
"""
PROMOTION = """
import sys, time
import mlflow
from mlflow.entities import Metric

client = mlflow.MlflowClient(sys.argv[1], sys.argv[1])
version = client.get_model_version_by_alias(sys.argv[2], "challenger")
client.log_batch(version.run_id, metrics=[Metric("holdout_auc", 0.9, int(time.time() * 1000), 0)])
client.set_model_version_tag(sys.argv[2], version.version, "keyless.decision", "promote")
for alias in ("champion", "previous", "challenger"):
    client.set_registered_model_alias(sys.argv[2], alias, version.version)
print(version.version)
"""
REFUSED = """
import sys
import mlflow
client = mlflow.MlflowClient(sys.argv[1], sys.argv[1])
try:
    client.set_registered_model_alias(sys.argv[2], "champion", "1")
except mlflow.MlflowException as error:
    print(error.error_code, error)
"""


def script(box: Box, by: str, text: str, name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text, box.uri(by), name],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


def test_mlflows_client_trains_promotes_and_is_told_what_it_may_not(box: Box) -> None:
    run = script(box, "train", TRAINING, "wine")
    assert script(box, "promote", PROMOTION, "wine") == "1"
    found = box.send("read", "GET", f"{API}/runs/get?run_id={run}").json["run"]["data"]
    assert {"accuracy", "holdout_auc"} <= {metric["key"] for metric in found["metrics"]}
    told = script(box, "train", REFUSED, "wine")
    assert told.startswith("PERMISSION_DENIED")
    assert "Permission set 'promote' or 'operate' allows it" in told
    assert "keyless-dev-promote" in told


def test_each_change_is_recorded_with_operation_object_and_set(box: Box) -> None:
    world = World(box, "recorded")
    (experiment,) = [
        line
        for line in box.lines("change")
        if line["change"] == "create_experiment" and line["object"]["name"] == "recorded"
    ]
    assert experiment["object"]["experiment_id"] == world.experiment
    box.ok("promote", "registered-models/alias", name=world.name, alias="champion", version="2")
    assert box.lines("change")[-1] == {
        "change": "set_registered_model_alias",
        "set": "promote",
        "object": {"name": world.name, "alias": "champion", "version": "2"},
        "status": 200,
    }
    batch = {"tags": [{"key": "t", "value": "SECRET"}], "params": [{"key": "p", "value": "SECRET"}]}
    box.ok("train", "runs/log-batch", run_id=world.open, **batch)
    assert box.lines("change")[-1]["object"] == {"run_id": world.open, "params": 1, "tags": ["t"]}
    assert "SECRET" not in box.log.read_text()
    source = {"source": f"models:/{world.model}", "model_id": world.model}
    versions = box.ok("train", "model-versions/create", name=world.name, **source)
    assert (
        box.lines("change")[-1]["object"]["version"] == versions["model_version"]["version"] == "3"
    )


def test_a_refusal_is_recorded_and_what_failed_or_read_is_not(box: Box) -> None:
    world = World(box, "not-recorded")
    before = box.lines("change")
    assert box.call("train", "registered-models/delete", "DELETE", name=world.name).refused
    assert box.lines("refused")[-1]["refused"] == "delete_registered_model"
    assert box.lines("refused")[-1]["object"] == {"name": world.name}
    assert box.call("operate", "runs/delete", run_id="0" * 32).status == 404
    box.ok("train", "runs/search", experiment_ids=[world.experiment])
    assert box.lines("change") == before


def test_what_failed_in_its_middle_is_recorded(box: Box) -> None:
    """MLflow commits a batch's metrics before its tags, and PostgreSQL takes no zero in a text."""
    world = World(box, "middle")
    metrics = [{"key": "holdout_auc", "value": 1, "timestamp": 1}]
    tags = [{"key": "keyless.decision", "value": "\0"}]
    given = {"run_id": world.finished, "metrics": metrics, "tags": tags}
    status = box.call("promote", "runs/log-batch", **given).status
    assert status >= 400
    shown = box.send("read", "GET", f"{API}/runs/get?run_id={world.finished}").json["run"]
    assert "holdout_auc" in [one["key"] for one in shown["data"]["metrics"]]
    line = box.lines("change")[-1]
    assert (line["change"], line["set"], line["status"]) == ("log_batch", "promote", status)
    assert line["object"]["run_id"] == world.finished


@pytest.mark.parametrize("by", SETS)
def test_every_set_may_look_at_everything(box: Box, by: str) -> None:
    for path in ("/", "/version", f"{API}/experiments/search?max_results=1", "/health"):
        assert box.send(by, "GET", path).status == 200
    page = box.send(by, "GET", "/").body.decode()
    script_path = page.partition('src="')[2].partition('"')[0]
    answer = box.send(by, "GET", f"/{script_path.removeprefix('./')}")
    assert answer.status == 200
    assert len(answer.body) > 100_000
    query = {"query": '{ test(inputString: "a") { output } }'}
    assert box.call(by, "/graphql", **query).json["data"] == {"test": {"output": "a"}}


@pytest.mark.parametrize("by", SETS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
        ("PUT", "/ajax-api/3.0/mlflow/assistant/config"),
        ("POST", "/ajax-api/3.0/jobs/"),
        ("POST", "/gateway/any/mlflow/invocations"),
        ("POST", "/gateway/proxy/any/path/of/it"),
        ("POST", "/api/3.0/mlflow/mcp-servers"),
        ("DELETE", "/api/3.0/mlflow/mcp-servers/a/aliases/b"),
        ("POST", "/api/2.0/mlflow/webhooks"),
        ("POST", "/api/3.0/mlflow/gateway/secrets/create"),
        ("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url"),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/a"),
        ("POST", "/ajax-api/3.0/mlflow/scorer/invoke"),
    ],
)
def test_what_would_work_for_others_than_mlflow_is_off(
    box: Box, by: str, method: str, path: str
) -> None:
    answer = box.send(by, method, path, b"{}", JSON)
    assert answer.refused
    assert "is off on every port" in answer.json["message"]


@pytest.mark.parametrize("path", ["/nothing", f"{API}/runs/get/x", "/api/9.9/mlflow/runs/create"])
def test_what_does_not_exist_is_mlflows_own_404(box: Box, path: str) -> None:
    assert box.send("operate", "POST", path, b"{}", JSON).status == 404


@pytest.mark.parametrize("origin", ["http://localhost:8888", "http://127.0.0.1:1", "null"])
def test_a_page_from_another_port_of_this_machine_changes_nothing(
    box: Box, unguarded: Box, origin: str
) -> None:
    """MLflow trusts every page of localhost: one from the read tunnel could use the operate one."""

    def create(server: Box, given: str) -> int:
        body = json.dumps({"name": f"by-{origin}-{given}"}).encode()
        headers = {**JSON, "Origin": given}
        return server.send("operate", "POST", f"{API}/experiments/create", body, headers).status

    assert create(box, origin) == 403
    assert create(box, f"http://127.0.0.1:{box.ports['operate']}") == 200
    if origin != "null":  # a page of a file, which MLflow itself refuses
        assert create(unguarded, origin) == 200


def test_another_host_is_refused_by_mlflow_behind_the_guard(box: Box) -> None:
    headers = {"Host": "attacker.example"}
    assert (
        box.send("read", "GET", f"{API}/experiments/search?max_results=1", None, headers).status
        == 403
    )
    assert (
        box.send("read", "GET", "/api/2.0/mlflow-artifacts/artifacts/1/a", None, headers).status
        == 403
    )


def test_a_body_beyond_any_request_of_mlflow_is_refused(box: Box) -> None:
    body = b"x" * (33 * 1024 * 1024)
    assert box.send("train", "POST", f"{API}/runs/log-batch", body, JSON).status == 413


def test_a_large_file_goes_through_in_both_directions(box: Box, folder: Path) -> None:
    world = World(box, "large")
    content = bytes(range(256)) * 4096 * 40  # 40 MiB, more than a judged body may have
    place = (
        f"/api/2.0/mlflow-artifacts/artifacts/{world.experiment}/{world.open}/artifacts/large.bin"
    )
    assert box.send("train", "PUT", place, content).status == 200
    assert box.send("read", "GET", place).body == content
    assert (
        box.send("read", "GET", f"/get-artifact?run_id={world.open}&path=large.bin").body == content
    )


def test_a_model_gets_metrics_while_its_run_is_open(box: Box) -> None:
    """Other models' are in `test_attacks.py`."""
    world = World(box, "measured")
    model = world.logged_model(world.open)
    given = {"run_id": world.open, "model_id": model, "timestamp": 1}
    box.ok("train", "runs/log-metric", **given, key="one", value=1)
    metric = {"model_id": model, "key": "two", "value": 2, "timestamp": 1}
    box.ok("train", "runs/log-batch", run_id=world.open, metrics=[metric])
    found = box.ok("read", f"logged-models/{model}", "GET")["model"]["data"]["metrics"]
    assert {one["key"] for one in found} == {"one", "two"}
    box.ok("train", "runs/update", run_id=world.open, status="FINISHED", end_time=2)
    other = world.run()
    metric = {"model_id": model, "key": "three", "value": 3, "timestamp": 1}
    assert box.call("train", "runs/log-batch", run_id=other, metrics=[metric]).refused
    assert box.call("train", "runs/log-metric", run_id=other, **metric).refused
    box.ok("operate", "runs/log-metric", run_id=other, **metric)


SPAN = {"traceId": "c" * 32, "spanId": "d" * 16, "name": "s", "kind": 1}
SPAN |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2"}
SPANS = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}).encode()


@pytest.mark.parametrize("kind", ["file", "trace"])
def test_what_is_finished_while_a_body_arrives_stays_as_it_is(box: Box, kind: str) -> None:
    """A client began to send while its run was open, and sends the end once it is judged."""
    world = World(box, f"held-{kind}")
    if kind == "file":
        body = b"forged"
        place = f"/api/2.0/mlflow-artifacts/artifacts/{world.experiment}/{world.open}/artifacts/f"
        head = f"PUT {place} HTTP/1.1\r\n"
    else:
        body = SPANS
        head = (
            "POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\n"
            f"X-Mlflow-Experiment-Id: {world.experiment}\r\nX-Mlflow-Run-Id: {world.open}\r\n"
        )
    head += f"Host: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", box.ports["train"]), timeout=60) as held:
        held.sendall(head.encode() + body[:-1])
        time.sleep(0.3)  # the request is judged when its head is there
        box.ok("train", "runs/update", run_id=world.open, status="FINISHED", end_time=2)
        held.sendall(body[-1:])
        answer = b"".join(iter(lambda: held.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 403"), answer
    assert f"run {world.open} is FINISHED".encode() in answer
    assert not [one for one in box.root.rglob("*") if world.open in str(one) and one.is_file()]
    where = {"experiment_id": world.experiment}
    places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": where}]
    traces = box.ok("read", "/api/3.0/mlflow/traces/search", locations=places)
    assert [one["trace_id"] for one in traces["traces"]] == [world.trace]


OUTSIDE = (
    "../../../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%252e%252e%252f%252e%252e%252f%252e%252e%252fetc%252fpasswd",
    "/etc/passwd",
    "file:///etc/passwd",
    "x%23/../../../../../../../../etc/passwd",
)


def test_no_file_outside_of_the_artifacts_is_read(box: Box) -> None:
    """Reports about MLflow's file routes, most of them of 2023 and 2024, on each such route."""
    world = World(box, "files")
    for place, path in itertools.product(
        (
            f"/get-artifact?run_id={world.finished}&path=",
            f"/ajax-api/2.0/mlflow/get-artifact?run_uuid={world.finished}&path=",
            f"/model-versions/get-artifact?name={world.name}&version=1&path=",
            f"/ajax-api/2.0/mlflow/logged-models/{world.model}/artifacts/files?artifact_file_path=",
            "/ajax-api/3.0/mlflow/get-trace-artifact?request_id=tr-1&path=",
            "/api/2.0/mlflow-artifacts/artifacts/",
            "/ajax-api/2.0/mlflow-artifacts/artifacts/",
        ),
        OUTSIDE,
    ):
        answer = box.send("read", "GET", place + path)
        assert b"root:" not in answer.body, (place, path)
        assert 300 <= answer.status < 500, (place, path, answer)


def test_artifacts_of_what_is_no_run_are_not_written(box: Box) -> None:
    world = World(box, "elsewhere")
    for place in (
        "a.txt",
        "0/a.txt",
        f"{world.experiment}/{world.open}/a.txt",
        f"../{world.open}/artifacts/a",
    ):
        path = f"/api/2.0/mlflow-artifacts/artifacts/{place}"
        assert box.send("train", "PUT", path, b"x").status in (400, 403), place


READ_ONLY = """
import sys
sys.path.insert(0, sys.argv[1])
import sqlalchemy
from front import Database
from guard import PermissionSet, serving

Database(None).follow()
engine = sqlalchemy.create_engine(sys.argv[2], pool_pre_ping=True)
count = sqlalchemy.text("UPDATE experiments SET last_update_time = 1 WHERE name = 'nobody'")

def tried(changes):
    with serving(PermissionSet("operate")) as call, engine.connect() as connection:
        call.operation, call.changes = "any", changes
    with serving(PermissionSet("operate")) as call:
        call.operation, call.changes = "any", changes
        try:
            with engine.begin() as connection:
                connection.execute(count)
            return "written"
        except sqlalchemy.exc.InternalError as error:
            return type(error.orig).__name__

print(tried(True), tried(False), tried(True), tried(False))
"""


def test_postgresql_refuses_a_write_of_an_operation_that_is_listed_as_reading(
    box: Box, database: str
) -> None:
    """The list may be wrong about an operation of MLflow; then it fails, and changes nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_ONLY, str(SERVER), database],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["written", "ReadOnlySqlTransaction"] * 2, done.stderr[-2000:]


ASKED = {
    "search runs": SETS,
    "create an experiment": ("train", "operate"),
    "log a metric": ("train", "operate"),
    "log a metric of the holdout": ("promote", "operate"),
    "register a version": ("train", "operate"),
    "set the alias challenger": ("train", "promote", "operate"),
    "set the alias champion": ("promote", "operate"),
    "set any other alias": ("operate",),
    "tag a version with a decision": ("promote", "operate"),
    "rename a registered model": ("operate",),
    "delete a run": ("operate",),
    "restore a run": ("operate",),
    "delete a model": ("operate",),
    "change a finished run": ("promote", "operate"),
}


@pytest.mark.parametrize("by", SETS)
def test_whoami_measures_what_a_set_may_do_and_changes_nothing(box: Box, by: str) -> None:
    world = World(box, f"asked-by-{by}")
    before, written = world.state(), len(box.lines("change"))
    found = {one.what: one.allowed for one in probes(box.uri(by))}
    assert found == {what: by in sets for what, sets in ASKED.items()}
    assert world.state() == before
    # Only the empty batch got as far as an answer without an error.
    assert {line["change"] for line in box.lines("change")[written:]} <= {"log_batch"}
