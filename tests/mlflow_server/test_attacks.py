"""Ways around the guard: each is refused and changes nothing, and each works where it is off.

A way that MLflow itself does not know does not work there either; it is here so that this stays so.
"""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from tests.mlflow_server.box import (
    API,
    JSON,
    RUN_OF_TRACE,
    SERVER,
    Answer,
    Box,
    World,
    request_bytes,
    start_of_trace,
)

pytestmark = pytest.mark.slow

ALIAS = f"{API}/registered-models/alias"
numbers = itertools.count()


@dataclass(frozen=True)
class Attack:
    """A way to change a record that a set may not; `real` if MLflow alone would let it happen."""

    name: str
    act: Callable[[Box, World, str], Any]
    by: str = "train"
    real: bool = True


def filled(value: Any, world: World) -> Any:
    """Every text with its {places} filled in from the world."""
    if isinstance(value, dict):
        return {key: filled(one, world) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, world) for one in value]
    return value.format(**vars(world)) if isinstance(value, str) else value


def at(path: str, method: str = "POST", /, **fields: Any) -> Callable[[Box, World, str], Any]:
    """A request of the REST API."""

    def act(box: Box, world: World, by: str) -> None:
        box.call(by, path.format(**vars(world)), method, **filled(fields, world))

    return act


def champion(world: World, **more: Any) -> dict[str, Any]:
    return {"name": world.name, "alias": "champion", "version": "2", **more}


def moved(path: str = ALIAS, **given: Any) -> Callable[[Box, World, str], Any]:
    """The champion's alias moved to the challenger, with the bytes of a request changed."""

    def act(box: Box, world: World, by: str) -> None:
        close = [*given.get("headers", ()), "Connection: close"]
        place = path.format(port=box.ports[by])
        box.raw(by, request_bytes(place, champion(world), **{**given, "headers": close}))

    return act


def body(make: Callable[[World], bytes], **headers: str) -> Callable[[Box, World, str], Any]:
    """The same, with the body written in another way."""

    def act(box: Box, world: World, by: str) -> None:
        box.send(by, "POST", ALIAS, make(world), JSON | headers)

    return act


def pipelined(box: Box, world: World, by: str) -> None:
    allowed = request_bytes(f"{API}/experiments/search", {"max_results": 1})
    box.raw(by, allowed + request_bytes(ALIAS, champion(world), headers=["Connection: close"]))


def chunked(box: Box, world: World, by: str) -> None:
    text = json.dumps(champion(world)).encode()
    head = request_bytes(ALIAS, {}, headers=["Transfer-Encoding: chunked", "Connection: close"])
    head = head.replace(b"Content-Length: 2\r\n", b"").removesuffix(b"{}")
    pieces = b"".join(b"%x\r\n%s\r\n" % (1, text[at : at + 1]) for at in range(len(text)))
    box.raw(by, head + pieces + b"0\r\n\r\n")


def smuggled(box: Box, world: World, by: str) -> None:
    """One length says that there is no body, the other that the next request is the body."""
    inner = request_bytes(ALIAS, champion(world))
    outer = request_bytes(f"{API}/experiments/search", {}, headers=["Transfer-Encoding: chunked"])
    box.raw(by, outer.removesuffix(b"{}") + b"0\r\n\r\n" + inner)


def twice(world: World) -> bytes:
    start = json.dumps(champion(world, alias="challenger"))[:-1]
    return f'{start}, "alias": "champion"}}'.encode()


def trace(box: Box, world: World, by: str) -> None:
    """A span of OpenTelemetry that names a finished run in a header."""
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "s", "kind": 1}
    span |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    sent = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    headers = {"X-Mlflow-Experiment-Id": world.experiment, "X-Mlflow-Run-Id": world.finished}
    box.send(by, "POST", "/v1/traces", json.dumps(sent).encode(), JSON | headers)


def span_of(run: str = "", **tags: str) -> Callable[[Box, World, str], Any]:
    """A span of the finished run's trace, whose attributes are tags of the trace."""

    def act(box: Box, world: World, by: str) -> None:
        span: dict[str, Any] = {
            "traceId": world.trace.removeprefix("tr-"),
            "spanId": "c" * 16,
            "name": "s",
        }
        span |= {"kind": 1, "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
        span["attributes"] = [
            {"key": f"mlflow.traceTag.{key}", "value": {"stringValue": value}}
            for key, value in tags.items()
        ]
        sent = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
        headers = {"X-Mlflow-Experiment-Id": world.experiment}
        if run:
            headers["X-Mlflow-Run-Id"] = run.format(**vars(world))
        box.send(by, "POST", "/v1/traces", json.dumps(sent).encode(), JSON | headers)

    return act


def started(identity: str = "", run: str = "", **tags: str) -> Callable[[Box, World, str], Any]:
    """A trace that is started, new or once more."""

    def act(box: Box, world: World, by: str) -> None:
        name = (identity or f"tr-{next(numbers):032x}").format(**vars(world))
        metadata = {RUN_OF_TRACE: run.format(**vars(world))} if run else {}
        sent = start_of_trace(world.experiment, name, metadata, tags=tags, response_preview="x")
        box.call(by, "/api/3.0/mlflow/traces", **sent)

    return act


def put(path: str) -> Callable[[Box, World, str], Any]:
    """A file put among the artifacts of what is finished."""

    def act(box: Box, world: World, by: str) -> None:
        box.send(by, "PUT", path.format(**vars(world)), b"forged")

    return act


def text(make: Callable[[str], bytes], kind: str = "application/json") -> Any:
    """The request with its body written in another way."""
    return body(lambda world: make(json.dumps(champion(world))), **{"Content-Type": kind})


def upload(box: Box, world: World, by: str) -> None:
    place = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={world.finished}&path=forged.txt"
    box.send(by, "POST", place, b"forged")


OTHER = {"name": "{name}", "version": "2"}
BEST = [{"key": "holdout_auc", "value": 1, "timestamp": 1}]
MEASURED = {"key": "m", "value": 9, "timestamp": 9}
PARAMETER = [{"key": "p", "value": "1"}]
TAG = {"key": "t", "value": "1"}
RENAMED = {"key": "mlflow.runName", "value": "other"}
DATASET = {"dataset": {"name": "d", "digest": "d", "source_type": "local", "source": "{{}}"}}
OLD_MODEL = (
    '{{"artifact_path": "m", "flavors": {{}}, "utc_time_created": "2026-01-01 00:00:00", '
    '"run_id": "{finished}"}}'
)
FAILED = "LOGGED_MODEL_UPLOAD_FAILED"
FILES = "/2.0/mlflow-artifacts/artifacts"
RUN = "{experiment}/{finished}/artifacts/forged.txt"
ALIASES = [
    Attack("the REST API", moved()),
    Attack("the UI's twin", moved(ALIAS.replace("/api/", "/ajax-api/"))),
    Attack("a letter of the path encoded", moved(ALIAS.replace("alias", "%61lias"))),
    Attack("a slash of the path encoded", moved(ALIAS.replace("/alias", "%2Falias"))),
    Attack("the path encoded twice", moved(ALIAS.replace("alias", "%2561lias")), real=False),
    Attack("another version in the path", moved(ALIAS.replace("2.0", "3.0")), real=False),
    Attack("a slash at the end", moved(f"{ALIAS}/"), real=False),
    Attack("two slashes", moved(ALIAS.replace("/mlflow/", "//mlflow//")), real=False),
    Attack("a step back in the path", moved(f"{API}/x/../registered-models/alias"), real=False),
    Attack("a parameter in the path", moved(f"{ALIAS};x=1"), real=False),
    Attack("capitals in the path", moved(ALIAS.replace("alias", "Alias")), real=False),
    Attack("a query", moved(f"{ALIAS}?alias=challenger&_method=GET")),
    Attack("a whole address", moved("http://localhost:{port}" + ALIAS)),
    Attack("the host of another port", moved(host="localhost:5003")),
    Attack("X-Forwarded-Port", moved(headers=["X-Forwarded-Port: 5003", "X-Forwarded-For: ::1"])),
    Attack("Forwarded", moved(headers=["Forwarded: host=localhost:5003;proto=http"])),
    Attack("X-Original-URL", moved(headers=[f"X-Original-URL: {API}/experiments/search"])),
    Attack("a permission set in a header", moved(headers=["X-Permission-Set: operate"])),
    Attack("a method in a header", moved(headers=["X-HTTP-Method-Override: GET"])),
    Attack("a workspace in a header", moved(headers=["X-MLFLOW-WORKSPACE: other"])),
    Attack("a socket instead", moved(headers=["Upgrade: websocket", "Sec-WebSocket-Version: 13"])),
    Attack("a newer HTTP instead", moved(headers=["Upgrade: h2c", "HTTP2-Settings: AAMAAABk"])),
    Attack("a body that waits to be asked for", moved(headers=["Expect: 100-continue"])),
    Attack(
        "a header over two lines",
        moved(headers=["X-A: 1\r\n X-Permission-Set: operate"]),
        real=False,  # the HTTP parser itself refuses it
    ),
    Attack("a body that is said to be packed", moved(headers=["Content-Encoding: gzip"])),
    Attack("two slashes at the start", moved("/" + ALIAS)),
    Attack("a backslash in the path", moved(ALIAS.replace("/alias", "\\alias")), real=False),
    Attack("a slash in too many bytes", moved(ALIAS.replace("/alias", "%C0%AFalias")), real=False),
    Attack("a path that ends early", moved(f"{ALIAS}%00x"), real=False),
    Attack("a fragment", moved(f"{ALIAS}#x")),
    Attack("PATCH", moved(method="PATCH"), real=False),
    Attack("a method in small letters", moved(method="post"), real=False),
    Attack("a method of nobody's", moved(method="MOVE"), real=False),
    Attack("POST behind GET", moved(method="GET", headers=["X-HTTP-Method: POST"]), real=False),
    Attack("the second request of a connection", pipelined),
    Attack("a body in pieces", chunked),
    Attack("two lengths", smuggled, real=False),  # the HTTP parser itself refuses them
    Attack("the alias twice", body(twice)),
    Attack("a letter escaped", text(lambda own: own.replace("champ", "\\u0063hamp").encode())),
    Attack("JSON in JSON", text(lambda own: json.dumps(own).encode())),
    Attack("UTF-16", text(lambda own: own.encode("utf-16"))),
    Attack("a type with a parameter", text(str.encode, "application/json; charset=utf-8")),
    Attack("multipart", text(str.encode, "multipart/form-data; boundary=x"), real=False),
    Attack("fields that MLflow does not know", at(ALIAS, **OTHER, alias="champion", set="x")),
    Attack("the alias deleted", at(ALIAS, "DELETE", name="{name}", alias="champion")),
    Attack(
        "a stage",
        at("model-versions/transition-stage", name="{name}", version="2", stage="Staging"),
    ),
    Attack("read: an alias", at(ALIAS, **OTHER, alias="best"), by="read"),
    Attack("promote: another alias", at(ALIAS, **OTHER, alias="best"), by="promote"),
]
HISTORY = [
    Attack("a metric", at("runs/log-metric", run_id="{finished}", key="m", value=9, timestamp=9)),
    Attack(
        "a metric, the run by both of its names",
        at(
            "runs/log-metric", run_id="{finished}", run_uuid="{open}", key="m", value=9, timestamp=9
        ),
    ),
    Attack(
        "a metric of a model, through an open run",
        at("runs/log-metric", run_id="{open}", model_id="{model}", key="m", value=9, timestamp=9),
    ),
    Attack(
        "a metric of a model, through an open run's batch",
        at("runs/log-batch", run_id="{open}", metrics=[{"model_id": "{model}", **MEASURED}]),
    ),
    Attack("a parameter", at("runs/log-parameter", run_id="{finished}", key="p", value="1")),
    Attack("a tag", at("runs/set-tag", run_id="{finished}", **TAG)),
    Attack("a batch", at("runs/log-batch", run_id="{finished}", tags=[TAG])),
    Attack("the status", at("runs/update", run_id="{finished}", status="RUNNING")),
    Attack("the name", at("runs/update", run_id="{finished}", run_name="other")),
    Attack("the name of an open run, by a tag", at("runs/set-tag", run_id="{open}", **RENAMED)),
    Attack(
        "the name of an open run, by a batch", at("runs/log-batch", run_id="{open}", tags=[RENAMED])
    ),
    Attack("data", at("runs/log-inputs", run_id="{finished}", datasets=[DATASET])),
    Attack(
        "an output",
        at("runs/outputs", run_id="{finished}", models=[{"model_id": "{model}", "step": 0}]),
    ),
    Attack("a model, the old way", at("runs/log-model", run_id="{finished}", model_json=OLD_MODEL)),
    Attack(
        "a model",
        at("logged-models", experiment_id="{experiment}", source_run_id="{finished}", name="m"),
    ),
    Attack(
        "a model's parameters",
        at("logged-models/{model}/params", model_id="{model}", params=PARAMETER),
    ),
    Attack(
        "a model's status", at("logged-models/{model}", "PATCH", model_id="{model}", status=FAILED)
    ),
    Attack(
        "a model's status, by another path",
        at("logged-models/m-1", "PATCH", model_id="{model}", status=FAILED),
    ),
    Attack(
        "a model's tag",
        at("logged-models/{model}/tags", "PATCH", tags=[{"key": "mlflow.x", "value": "1"}]),
    ),
    Attack(
        "a version's tag",
        at("model-versions/set-tag", name="{name}", version="1", key="keyless.files", value="x"),
    ),
    Attack(
        "a model that passes for a prompt, and so is in no list",
        at("registered-models/set-tag", name="{name}", key="mlflow.prompt.is_prompt", value="true"),
    ),
    Attack(
        "an experiment's tag",
        at(
            "experiments/set-experiment-tag",
            experiment_id="{experiment}",
            key="mlflow.note.content",
            value="x",
        ),
    ),
    Attack("a decision", at("runs/set-tag", run_id="{open}", key="keyless.decision", value="x")),
    Attack("a result on the holdout", at("runs/log-metric", run_id="{open}", **BEST[0])),
    Attack(
        "a result on the holdout, in a batch", at("runs/log-batch", run_id="{open}", metrics=BEST)
    ),
    Attack(
        "a new run with a decision",
        at(
            "runs/create",
            experiment_id="{experiment}",
            tags=[{"key": "keyless.decision", "value": "x"}],
        ),
    ),
    Attack(
        "promote: another metric",
        at("runs/log-metric", run_id="{finished}", key="m", value=9, timestamp=9),
        by="promote",
    ),
    Attack(
        "promote: a parameter",
        at("runs/log-batch", run_id="{open}", params=PARAMETER),
        by="promote",
    ),
    Attack(
        "promote: another tag",
        at("model-versions/set-tag", name="{name}", version="1", key="keyless.files", value="x"),
        by="promote",
    ),
    Attack("promote: a run", at("runs/create", experiment_id="{experiment}"), by="promote"),
    Attack("read: a run", at("runs/create", experiment_id="{experiment}"), by="read"),
    Attack("a file", put(f"/api{FILES}/{RUN}")),
    Attack("a file, by the UI's twin", put(f"/ajax-api{FILES}/{RUN}")),
    Attack("a file, a slash encoded", put(f"/api{FILES}/{RUN.replace('/art', '%2Fart')}")),
    Attack("a file, a slash encoded twice", put(f"/api{FILES}/{RUN.replace('/art', '%252Fart')}")),
    Attack(
        "a file of a model",
        put(f"/api{FILES}/{{experiment}}/models/{{model}}/artifacts/{{finished}}"),
    ),
    Attack("a file, by the UI's upload", upload),
]
PLACE = "mlflow.artifactLocation"
ELSEWHERE = [{"key": PLACE, "value": "http://127.0.0.1:1/"}]
ASSESSED = {"assessment_name": "a", "feedback": {"value": 1}, "trace_id": "{trace}"}
OF_TRACE = "/api/2.0/mlflow/traces/{trace}"
ENDED = {"timestamp_ms": 9, "status": "ERROR"}
TRACED = [
    Attack("a trace of a finished run", started(run="{finished}")),
    Attack("a trace of a finished run, started once more", started("{trace}")),
    Attack(
        "a trace of a finished run, the old way",
        at(
            "traces",
            experiment_id="{experiment}",
            timestamp_ms=1,
            request_metadata=[{"key": RUN_OF_TRACE, "value": "{finished}"}],
        ),
    ),
    Attack("its end", at(OF_TRACE, "PATCH", **ENDED)),
    Attack("its tag", at(f"{OF_TRACE}/tags", "PATCH", **TAG)),
    Attack("its tag, by version 3", at(f"{OF_TRACE.replace('2.0', '3.0')}/tags", "PATCH", **TAG)),
    Attack(
        "what is said of it",
        at(f"{OF_TRACE.replace('2.0', '3.0')}/assessments", assessment=ASSESSED),
    ),
    Attack("its span", span_of()),
    Attack("its span, for an open run", span_of("{open}")),
    Attack("its tags, by a span", span_of(**{"keyless.decision": "x"})),
    *(
        attack
        for by in ("train", "operate")
        for attack in (
            Attack(f"{by}: where it is read, by a span", span_of(**{PLACE: "file:///etc"}), by),
            Attack(
                f"{by}: where it is read, at its end",
                at(OF_TRACE, "PATCH", **ENDED, tags=ELSEWHERE),
                by,
            ),
            Attack(
                f"{by}: where it is read, by a tag",
                at(f"{OF_TRACE}/tags", "PATCH", **ELSEWHERE[0]),
                by,
            ),
        )
    ),
]
DELETIONS = [
    Attack("a run", at("runs/delete", run_id="{finished}")),
    Attack("a run's tag", at("runs/delete-tag", run_id="{open}", key="mlflow.runName")),
    Attack("an experiment", at("experiments/delete", experiment_id="{experiment}")),
    Attack("a version", at("model-versions/delete", "DELETE", name="{name}", version="1")),
    Attack("a registered model", at("registered-models/delete", "DELETE", name="{name}")),
    Attack("a logged model", at("logged-models/{model}", "DELETE")),
    Attack(
        "promote: a version",
        at("model-versions/delete", "DELETE", name="{name}", version="1"),
        by="promote",
    ),
    Attack(
        "promote: the challenger",
        at(ALIAS, "DELETE", name="{name}", alias="challenger"),
        by="promote",
    ),
    Attack(
        "a registered model's name",
        at("registered-models/rename", name="{name}", new_name="{name}-other"),
    ),
    Attack(
        "an experiment's name",
        at("experiments/update", experiment_id="{experiment}", new_name="{name}-other"),
    ),
]
EVERY = [
    pytest.param(attack, id=f"{kind}: {attack.name}")
    for kind, attacks in (
        ("alias", ALIASES),
        ("history", HISTORY),
        ("trace", TRACED),
        ("deletion", DELETIONS),
    )
    for attack in attacks
]


@pytest.fixture(scope="module")
def guarded(box: Box) -> tuple[World, Any]:
    """One world for all attacks, since none may change it, and its state."""
    made = World(box, "guarded")
    return made, made.state()


@pytest.mark.parametrize("attack", EVERY)
def test_an_attack_changes_nothing(box: Box, guarded: tuple[World, Any], attack: Attack) -> None:
    target, before = guarded
    attack.act(box, target, attack.by)
    assert target.state() == before


@pytest.mark.parametrize("attack", EVERY)
def test_where_the_guard_is_off_it_works_if_mlflow_knows_it(unguarded: Box, attack: Attack) -> None:
    target = World(unguarded, f"unguarded-{next(numbers)}")
    before = target.state()
    attack.act(unguarded, target, attack.by)
    assert (target.state() != before) is attack.real


def test_a_trace_is_read_from_no_place_that_its_maker_chose(
    box: Box, unguarded: Box, folder: Path
) -> None:
    """MLflow reads a trace from where its tag says, with the server's own rights."""
    (folder / "traces.json").write_text('"of the server alone"')
    for server, read in ((unguarded, True), (box, False)):
        world = World(server, f"place-{next(numbers)}")
        place = {"key": PLACE, "value": folder.as_uri()}
        at(OF_TRACE, "PATCH", **ENDED, tags=[place])(server, world, "train")
        path = f"/ajax-api/2.0/mlflow/get-trace-artifact?request_id={world.trace}"
        assert (b"of the server alone" in server.send("train", "GET", path).body) is read


def test_a_trace_may_come_a_little_after_its_run(box: Box) -> None:
    """MLflow's client sends traces from a queue, and does not wait for it at the end of a run."""
    world = World(box, f"late-{next(numbers)}")
    path, run = "/api/3.0/mlflow/traces", {RUN_OF_TRACE: world.open}

    def start() -> int:
        name = f"tr-{next(numbers):032x}"
        return box.call("train", path, **start_of_trace(world.experiment, name, run)).status

    def end(ago: float) -> None:
        ended = int((time.time() - ago) * 1000)
        given = {"run_id": world.open, "status": "FINISHED", "end_time": ended}
        box.ok("operate", "runs/update", **given)

    end(1)
    assert start() == 200
    end(501)
    assert start() == 403
    end(-60)
    assert start() == 403


def linked(box: Box, world: World, run: str) -> list[str]:
    """The traces that MLflow shows of a run."""
    named = {"experiment_id": world.experiment}
    where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": named}
    given = {"locations": [where], "filter": f"attributes.run_id = '{run}'"}
    found = box.ok("operate", "/api/3.0/mlflow/traces/search", **given)
    return sorted(one["trace_id"] for one in found.get("traces", []))


def test_a_run_that_is_named_in_two_headers_gets_no_trace_once_it_is_finished(
    box: Box, unguarded: Box
) -> None:
    """FastAPI reads the first of two headers; whoever judges the last one judges another run."""
    for server, real in ((unguarded, True), (box, False)):
        world = World(server, f"twice-{next(numbers)}")
        for first, last in ((world.finished, world.open), (world.open, world.finished)):
            before = linked(server, world, world.finished)
            span = {"traceId": f"{next(numbers):032x}", "spanId": "b" * 16, "name": "s", "kind": 1}
            span |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2"}
            sent = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
            headers = [f"X-Mlflow-Experiment-Id: {world.experiment}", "Connection: close"]
            headers += [f"X-Mlflow-Run-Id: {run}" for run in (first, last)]
            server.raw("train", request_bytes("/v1/traces", sent, headers=headers))
            changed = linked(server, world, world.finished) != before
            assert changed is (real and first == world.finished)


def test_no_end_of_a_run_lies_ahead(box: Box, unguarded: Box) -> None:
    """Its maker would else open the time for late traces at a moment of its own choice."""

    def end(server: Box, run: str, ahead: float, **more: Any) -> int:
        moment = int((time.time() + ahead) * 1000)
        return server.call("train", "runs/update", run_id=run, end_time=moment, **more).status

    for server, status in ((unguarded, 200), (box, 403)):
        world = World(server, f"ahead-{next(numbers)}")
        assert end(server, world.open, 3600) == status
        assert end(server, world.open, 3600, status="FINISHED") == status
    # A client's clock may be ahead as far as AWS lets it be.
    assert end(box, world.open, 200, status="FINISHED") == 200


TRACES_3 = "/api/3.0/mlflow/traces"


def test_an_assessment_stays_with_its_trace(box: Box, unguarded: Box) -> None:
    """MLflow merges the assessments of a trace by ids that the caller chose."""
    for server, real in ((unguarded, True), (box, False)):
        world = World(server, f"assessed-{next(numbers)}")
        place = f"{TRACES_3}/{world.trace}/assessments"
        said = {"assessment_name": "human", "source": {"source_type": "HUMAN", "source_id": "a"}}
        good = {**said, "feedback": {"value": "good"}, "trace_id": world.trace}
        one = server.ok("operate", place, assessment=good)["assessment"]["assessment_id"]
        own = f"tr-{next(numbers):032x}"
        times = dict.fromkeys(("create_time", "last_update_time"), "2026-01-01T00:00:00Z")
        forged = {**said, **times, "feedback": {"value": "bad"}, "trace_id": own}

        def start(identity: str) -> int:
            given = [{**forged, "assessment_id": identity}]  # noqa: B023 - called in this turn
            sent = start_of_trace(world.experiment, own, {}, assessments=given)  # noqa: B023
            return server.call("train", TRACES_3, **sent).status  # noqa: B023

        # Of its own trace a client may send an assessment again.
        mine = f"a-{next(numbers):032x}"
        assert [start(mine), start(mine)] == [200, 200]
        assert start(one) == (200 if real else 403)
        left = server.send("operate", "GET", f"{place}/{one}")
        assert (left.status != 200) is real
        assert real or left.json["assessment"]["feedback"]["value"] == "good"


def test_a_trace_that_was_linked_to_a_run_is_finished_with_it(box: Box, unguarded: Box) -> None:
    """A link is no metadata of the trace."""
    for server, real in ((unguarded, True), (box, False)):
        world = World(server, f"linked-{next(numbers)}")
        one = world.traced("x", "y")
        server.ok("train", "traces/link-to-run", trace_ids=[one], run_id=world.open)
        server.ok("train", f"{TRACES_3}/{one}/tags", "PATCH", key="note", value="open")
        server.ok("operate", "runs/update", run_id=world.open, status="FINISHED", end_time=2)
        named = {"name": "elsewhere-" + world.name}
        other = server.ok("train", "experiments/create", **named)["experiment_id"]
        given = {"assessment_name": "a", "feedback": {"value": 1}, "trace_id": one}
        span = {"traceId": one.removeprefix("tr-"), "spanId": "d" * 16, "name": "s", "kind": 1}
        span |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2"}
        sent = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
        headers = JSON | {"X-Mlflow-Experiment-Id": world.experiment}
        again = start_of_trace(world.experiment, one, {}, response_preview="forged")
        answers = [
            server.call("train", f"{TRACES_3}/{one}/tags", "PATCH", key="note", value="forged"),
            server.call("train", f"{TRACES_3}/{one}/assessments", assessment=given),
            server.send("train", "POST", "/v1/traces", sent, headers),
            server.call("train", TRACES_3, **again),
            server.call("train", TRACES_3, **start_of_trace(other, one, {})),
        ]
        assert {answer.status for answer in answers} == ({200} if real else {403})
        assert (linked(server, world, world.open) == [one]) is not real


def test_a_packed_body_of_traces_is_not_unpacked(box: Box) -> None:
    """MLflow unpacks without a bound: 150 KB held every port for seconds, and took a gigabyte."""
    span = {"traceId": f"{next(numbers):032x}", "spanId": "b" * 16, "name": "s", "kind": 1}
    span |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    sent = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    world = World(box, f"packed-{next(numbers)}")
    headers = JSON | {"X-Mlflow-Experiment-Id": world.experiment}
    packed = headers | {"Content-Encoding": "gzip"}
    answer = box.send("train", "POST", "/v1/traces", gzip.compress(sent), packed)
    assert answer.status == 415
    assert b"Content-Encoding" in answer.body
    assert box.send("train", "POST", "/v1/traces", sent, headers).status == 200


def made_by(box: Box, world: World, identity: str, key: str) -> int:
    """Send a span whose resource has an attribute; the status of the answer."""
    span = {"traceId": identity.removeprefix("tr-"), "spanId": "e" * 16, "name": "s", "kind": 1}
    span |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    resource = {"attributes": [{"key": key, "value": {"stringValue": "x"}}]}
    sent = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    headers = JSON | {"X-Mlflow-Experiment-Id": world.experiment}
    return box.send("train", "POST", "/v1/traces", json.dumps(sent).encode(), headers).status


def test_tags_that_come_with_what_made_a_span_are_judged(box: Box, unguarded: Box) -> None:
    """MLflow stores the attributes of an OTLP resource as tags of the trace."""
    for server, real in ((unguarded, True), (box, False)):
        world = World(server, f"resource-{next(numbers)}")
        whole, new = world.traced("x", "y"), f"tr-{next(numbers):032x}"

        # What says which service it is, as each exporter does, belongs to nobody.
        given = [made_by(server, world, one, "service.name") for one in (whole, new)]
        assert given == [200, 200]
        for one, key in ((new, "keyless.decision"), (whole, "keyless.files"), (whole, "_mlflow.x")):
            assert made_by(server, world, one, key) == (200 if real else 403)


def test_a_trace_that_is_whole_stays_so(box: Box, unguarded: Box) -> None:
    """MLflow keeps the mark of a whole trace among the metadata that its maker sends."""
    mark = {"key": "mlflow.trace.infoFinalized", "value": "false"}
    for server, real in ((unguarded, True), (box, False)):
        world = World(server, f"whole-{next(numbers)}")
        place = f"{API}/traces/{world.traced('x', 'y')}"
        made = server.ok("train", "traces", experiment_id=world.experiment, timestamp_ms=1)
        older = f"{API}/traces/{made['trace_info']['request_id']}"
        server.ok("train", older, "PATCH", **ENDED)
        status = 200 if real else 403
        taken = server.call("train", place, "PATCH", **ENDED, request_metadata=[mark])
        assert taken.status == status
        for one in (place, older):
            tags = [{"key": "keyless.files", "value": "x"}]
            assert server.call("train", one, "PATCH", **ENDED, tags=tags).status == status


def approve(world: World, version: dict[str, str]) -> int:
    """Point the champion's alias at a version as promote; the status of the answer."""
    named = {"name": world.name, "version": version["version"], "alias": "champion"}
    return world.box.call("promote", ALIAS, **named).status


def test_what_is_approved_is_no_longer_made(box: Box, unguarded: Box) -> None:
    """A version of a model that is not finished, or of a run's files, gets other files later."""
    for server, real in ((unguarded, True), (box, False)):
        world = World(server, f"approved-{next(numbers)}")
        model = world.logged_model(world.open, ready=False)
        sources: list[dict[str, str]] = [
            {"source": f"models:/{model}", "model_id": model},
            {"source": f"runs:/{world.open}/model", "run_id": world.open},
        ]
        made = [
            server.ok("train", "model-versions/create", name=world.name, **given)["model_version"]
            for given in sources
        ]

        assert [approve(world, one) for one in made] == ([200, 200] if real else [403, 403])
        assert world.alias("champion") == (made[1]["version"] if real else "1")
        ready = {"model_id": model, "status": "LOGGED_MODEL_READY"}
        server.ok("train", f"logged-models/{model}", "PATCH", **ready)
        server.ok("train", "runs/update", run_id=world.open, status="FINISHED", end_time=2)
        assert [approve(world, one) for one in made] == [200, 200]


def test_what_lies_at_an_experiments_own_location_is_approved_by_the_same_rule(
    box: Box, unguarded: Box
) -> None:
    """The pipeline's experiments have one each, where train writes S3 itself."""
    for server, real in ((unguarded, True), (box, False)):
        world = World(server, f"located-{next(numbers)}")
        # A finished model's name in the place is not whose files they are.
        location = f"{server.root}/own/{world.model}"
        named = {"name": f"own-{world.name}", "artifact_location": location}
        world.experiment = server.ok("train", "experiments/create", **named)["experiment_id"]
        model = world.logged_model(world.run(), ready=False)
        given = {"name": world.name, "source": f"models:/{model}", "model_id": model}
        made = server.ok("operate", "model-versions/create", **given)["model_version"]

        assert approve(world, made) == (200 if real else 403)
        ready = {"model_id": model, "status": "LOGGED_MODEL_READY"}
        server.ok("train", f"logged-models/{model}", "PATCH", **ready)
        assert approve(world, made) == 200


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("kind", ["run", "model"])
def test_a_batch_that_waits_for_others_rows_ends_before_its_run(
    box: Box, unguarded: Box, database: str, guarded: bool, kind: str
) -> None:
    """A batch sees its run open, and then waits for whoever writes the same metric."""
    server = box if guarded else unguarded
    world = World(server, f"waits-{next(numbers)}")
    # A metric of a model comes through a run, and be it another one than the model's.
    through = world.open if kind == "run" else world.run()
    model = world.logged_model(world.open)
    metric = {"key": "m", "value": 1, "timestamp": 1, "model_id": model}
    server.ok("train", "runs/log-batch", run_id=through, metrics=[metric])
    counted: list[int] = []
    address = database.replace("postgresql+psycopg2", "postgresql")

    def count() -> int:
        if kind == "model":
            shown = server.send("read", "GET", f"{API}/logged-models/{model}").json["model"]
            return len(shown["data"]["metrics"])
        path = f"{API}/metrics/get-history?run_id={world.open}&metric_key=m"
        return len(server.send("read", "GET", path).json["metrics"])

    def write() -> None:
        later = {**metric, "timestamp": 2}
        server.call("train", "runs/log-batch", run_id=through, metrics=[later])

    def end() -> None:
        server.ok("operate", "runs/update", run_id=world.open, status="FINISHED", end_time=3)
        counted.append(count())

    held = psycopg2.connect(address)
    try:
        rows = "SELECT 1 FROM latest_metrics WHERE run_uuid = %s FOR UPDATE"
        held.cursor().execute(rows, (through,))
        threads = [threading.Thread(target=one) for one in (write, end)]
        for one in threads:
            one.start()
            time.sleep(1)
    finally:
        held.close()
    for one in threads:
        one.join()
    assert (count() == counted[0]) is guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_a_model_that_waits_is_made_before_the_end_of_its_run(
    box: Box, unguarded: Box, database: str, guarded: bool
) -> None:
    """The run is looked at, and then the model may wait for whoever holds its experiment."""
    server = box if guarded else unguarded
    world = World(server, f"late-{next(numbers)}")
    counted: list[int] = []

    def count() -> int:
        found = server.ok("read", "logged-models/search", experiment_ids=[world.experiment])
        return len(found["models"])

    def make() -> None:
        given = {"experiment_id": world.experiment, "source_run_id": world.open, "name": "late"}
        server.call("train", "logged-models", **given)

    def end() -> None:
        server.ok("operate", "runs/update", run_id=world.open, status="FINISHED", end_time=3)
        counted.append(count())

    held = psycopg2.connect(database.replace("postgresql+psycopg2", "postgresql"))
    try:
        row = "SELECT 1 FROM experiments WHERE experiment_id = %s FOR UPDATE"
        held.cursor().execute(row, (world.experiment,))
        threads = [threading.Thread(target=one) for one in (make, end)]
        for one in threads:
            one.start()
            time.sleep(1)
    finally:
        held.close()
    for one in threads:
        one.join()
    assert (count() == counted[0]) is guarded


def test_a_version_names_the_run_that_made_its_files(box: Box, unguarded: Box) -> None:
    """What promote measures is written to the run that the version names, and the audit tells who
    started it: MLflow takes the finished run of another model."""
    for server, real in ((unguarded, True), (box, False)):
        world = World(server, f"maker-{next(numbers)}")
        own = world.run()
        model = world.logged_model(own)
        of_none = server.ok("train", "logged-models", experiment_id=world.experiment, name="x")

        def create(model: str, run: str) -> int:
            given = {"source": f"models:/{model}", "model_id": model, "run_id": run}
            named = {"name": world.name}  # noqa: B023 - called in this turn
            return server.call("train", "model-versions/create", **named, **given).status  # noqa: B023

        assert create(model, own) == 200
        assert create(model, world.finished) == (200 if real else 403)
        other = of_none["model"]["info"]["model_id"]
        assert create(other, world.finished) == (200 if real else 403)
        # A copy of a version keeps the run of its source.
        copy = {"name": world.name, "source": f"models:/{world.name}/3", "run_id": own}
        assert server.call("train", "model-versions/create", **copy).status == 200


def test_a_version_gets_no_other_run_from_a_model_that_it_names(
    box: Box, database: str, folder: Path
) -> None:
    """MLflow takes a model's run where the request has none; in S3 it asks not whose files they
    are, so `operate`, which has no limits, may."""

    class Bucket(Box):
        def _settings(self, access: str) -> dict[str, Any]:
            return super()._settings(access) | {"artifact_root": "s3://bucket/mlflow"}

    server = Bucket(database, folder / "bucket", access="direct").wait()
    try:
        world = World(server, f"bucket-{next(numbers)}")
        own = world.run()
        place = f"s3://bucket/mlflow/{world.experiment}/{own}/artifacts/model"

        def create(by: str, **given: str) -> Answer:
            named = {"name": world.name, "source": place}
            return server.call(by, "model-versions/create", **named, **given)

        made = create("operate", model_id=world.model)
        assert made.json["model_version"]["run_id"] == world.finished
        assert [
            create("train", model_id=world.model).status,
            create("train", model_id=world.model, run_id="").status,
            create("train", run_id=own).status,
        ] == [403, 403, 200]
    finally:
        server.stop()


def test_the_record_names_a_thing_in_one_way(box: Box) -> None:
    """MLflow takes version "01" and others that Python's int() reads, and the deprecated field
    run_uuid, by which no audit asks."""
    world = World(box, f"spelled-{next(numbers)}")
    tag = {"key": "note", "value": "x"}
    versions = ("1", "01", "１", "+1", " 1\n", "0_1")  # noqa: RUF001 - a digit of full width
    for version in versions:
        box.ok("train", "model-versions/set-tag", name=world.name, version=version, **tag)
    for field in ("run_id", "run_uuid"):
        box.ok("train", "runs/set-tag", **{field: world.open}, **tag)
    found = [one["object"] for one in box.lines("change")[-8:]]
    assert found[:6] == [{"name": world.name, "version": "1", "key": "note"}] * 6
    assert found[6:] == [{"run_id": world.open, "key": "note"}] * 2


def test_whoever_may_read_writes_little_of_the_log_with_one_request(box: Box) -> None:
    """A full disk keeps no record. 200 refusals had 12 MB, and MLflow logs a host as it came."""
    long = "\U0001f600" * 240
    tags = [{"key": f"{long}{number}", "value": ""} for number in range(20)]
    given = {"source": long, "run_id": long, "model_id": long, "tags": tags}
    acts: list[tuple[int, Callable[[], Answer]]] = [
        (4096, lambda: box.call("read", "model-versions/create", name=long, **given)),
        (8300, lambda: box.send("read", "GET", API, headers={"Host": "x" * 60_000})),
    ]
    for bound, act in acts:
        before = box.log.stat().st_size
        assert act().status == 403
        assert 0 < box.log.stat().st_size - before <= bound


def test_a_span_that_stands_twice_is_refused_at_once(box: Box) -> None:
    """OTLP: an id is unique in its trace. MLflow would go 2 to the power of 40 ways to the last."""
    world = World(box, f"twice-{next(numbers)}")
    spans: list[dict[str, Any]] = []
    for depth in range(1, 41):
        span: dict[str, Any] = {"traceId": f"{7:032x}", "spanId": f"{depth:016x}", "name": "s"}
        span |= {"kind": 1, "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
        if depth > 1:
            span["parentSpanId"] = f"{depth - 1:016x}"
        spans += [span, span]
    sent = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    headers = JSON | {"X-Mlflow-Experiment-Id": world.experiment}
    assert box.send("train", "POST", "/v1/traces", sent, headers).refused
    once = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans[::2]}]}]}).encode()
    assert box.send("train", "POST", "/v1/traces", once, headers).status == 200


def test_a_large_body_of_traces_holds_no_other_port(box: Box) -> None:
    """MLflow reads it in the loop that it is served in: 4 MB were 2.5 seconds without an answer."""
    world = World(box, f"large-{next(numbers)}")
    span = {"traceId": f"{8:032x}", "name": "s" * 2000, "kind": 1}
    span |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    spans = [{**span, "spanId": f"{one + 1:016x}"} for one in range(4000)]
    spans += [{"spanId": ""} for _ in range(250_000)]  # what MLflow reads, and then refuses
    sent = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    headers = JSON | {"X-Mlflow-Experiment-Id": world.experiment}
    sending = threading.Thread(target=box.send, args=("train", "POST", "/v1/traces", sent, headers))
    sending.start()
    waits = []
    while sending.is_alive():
        begun = time.monotonic()
        assert box.send("operate", "GET", "/health").status == 200
        waits.append(time.monotonic() - begun)
        time.sleep(0.01)
    assert len(waits) > 10
    assert max(waits) < 2


def test_a_search_of_many_conditions_is_refused_at_once(box: Box) -> None:
    """MLflow joins a table for each: 300 conditions took 17 to 33 seconds of the processor."""
    world = World(box, f"searched-{next(numbers)}")
    named = {"experiment_ids": [world.experiment]}

    def status(conditions: int, **more: Any) -> int:
        text = " AND ".join(["tags.a = 'b'"] * conditions)
        return box.call("read", "runs/search", filter=text, **named, **more).status

    assert status(20, order_by=["metrics.m DESC", "params.p"]) == 200
    assert status(300) == 400
    assert status(20, order_by=[f"metrics.m{one}" for one in range(100)]) == 400

    def lists(count: int) -> list[int]:
        """The same by lists: orders and datasets of logged models, percentiles of traces."""
        orders = [{"field_name": f"metrics.m{one}"} for one in range(count)]
        datasets = [{"dataset_name": f"d{one}"} for one in range(count)]
        percentiles = [
            {"aggregation_type": "PERCENTILE", "percentile_value": one / 100}
            for one in range(count)
        ]
        asked = {**named, "view_type": "TRACES", "metric_name": "latency"}
        return [
            box.call("read", "logged-models/search", order_by=orders, **named).status,
            box.call("read", "logged-models/search", datasets=datasets, **named).status,
            box.call(
                "read", "/api/3.0/mlflow/traces/metrics", aggregations=percentiles, **asked
            ).status,
        ]

    assert lists(10) == [200, 200, 200]
    assert lists(400) == [403, 403, 403]
    # GraphQL takes 50 seconds to read 2 MB before it counts what is selected.
    fields = "runId " * 20_000
    asked = f'{{mlflowGetRun(input:{{runId:"x"}}){{run{{info{{{fields}}}}}}}}}'
    assert box.call("read", "/graphql", query=asked).refused
    text = " and ".join(["tags.a='b'"] * 300)
    given = f'{{experimentIds:["{world.experiment}"],filter:"{text}"}}'
    asked = f"{{mlflowSearchRuns(input:{given}){{runs{{info{{runId}}}}}}}}"
    begun = time.monotonic()
    box.call("read", "/graphql", query=asked)
    assert time.monotonic() - begun < 5


def test_a_search_that_takes_postgresql_years_holds_up_no_other_set(box: Box) -> None:
    """A regular expression with references back: three held every port until they were killed."""
    world = World(box, f"years-{next(numbers)}")
    tagged = start_of_trace(
        world.experiment, f"tr-{next(numbers):032x}", {}, tags={"x": "a" * 3999}
    )
    box.ok("train", TRACES_3, **tagged)
    where = {"experiment_id": world.experiment}
    asked: dict[str, Any] = {
        "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": where}],
        "filter": r"tags.x RLIKE '^(a+)(a+)(a+)(a+)\1\2\3\4$'",
    }
    ended: list[int] = []

    def search() -> None:
        ended.append(box.call("read", f"{TRACES_3}/search", **asked).status)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for one in threads:
        one.start()
    time.sleep(2)
    assert not ended
    begun = time.monotonic()
    assert box.call("operate", "experiments/search", max_results=1).status == 200
    assert time.monotonic() - begun < 10
    for one in threads:
        one.join()
    assert ended == [503, 503, 503]


def test_connections_to_one_port_leave_room_for_the_others(box: Box) -> None:
    """systemd gives a service 1,024 open files (systemd-system.conf, DefaultLimitNOFILE)."""
    process = psutil.Process(box.processes[0].pid)
    soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (1024, hard))
    held = [socket.create_connection(("127.0.0.1", box.ports["read"])) for _ in range(1100)]
    try:
        assert box.call("operate", "experiments/search", max_results=1).status == 200
        time.sleep(2)
        assert process.num_fds() < 512
    finally:
        for one in held:
            one.close()
        process.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
    time.sleep(1)
    assert box.send("read", "GET", "/health").status == 200


def test_a_head_without_end_is_not_kept(box: Box) -> None:
    """The parser keeps a header as long as it comes."""
    with socket.create_connection(("127.0.0.1", box.ports["read"]), timeout=20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        with pytest.raises(ConnectionError):
            for _ in range(64):
                connection.sendall(b"x" * (1 << 20))
    assert box.send("read", "GET", "/health", None, {"X-Long": "x" * 20_000}).status == 200


def test_a_line_of_the_record_is_one_write() -> None:
    """Of a long line in parts another worker's line would be the middle, and both be lost."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a write is a packet
    with ours, theirs:
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import front; front.log(x='y' * 20_000)"
        )
        command = [sys.executable, "-c", code, str(SERVER)]
        subprocess.run(command, stdout=theirs.fileno(), check=True)
        assert ours.recv(1 << 20) == b'guard: {"x": "' + b"y" * 20_000 + b'"}\n'


def test_a_client_writes_no_line_of_the_record(box: Box) -> None:
    """MLflow logs what it refuses as it came: a host, an id with a line's end in it."""
    world = World(box, f"forged-{next(numbers)}")
    line = json.dumps({"change": "forged", "set": "operate", "object": {"name": world.name}})
    host = f"GET {API}/experiments/search HTTP/1.1\r\nHost: guard: {line}\r\n"
    box.raw("read", f"{host}Connection: close\r\n\r\n".encode())
    tags = {"mlflow.trace.spansLocation": "ARTIFACT_REPO"}
    forged = start_of_trace(world.experiment, 'x\nguard: {"change":"forged"}', {}, tags=tags)
    assert [box.call("train", TRACES_3, **forged).status for _ in range(2)] == [200, 500]
    text = box.log.read_text(errors="replace")
    assert text.count("forged") >= 2
    for one in text.splitlines():
        assert "guard: " not in one or one.startswith("guard: ")
    assert not [one for one in box.lines("change") if one["change"] == "forged"]
