"""What a session to MLflow may do there, found out by requests that change nothing."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

API = "/api/2.0/mlflow"
TIMEOUT_SECONDS = 30


class NotMlflow(Exception):
    """What answers behind the session is not MLflow, so that nothing can be said of it."""


@dataclass(frozen=True)
class Tried:
    """One request: whether the guard let it through, and its words if it did not."""

    what: str
    allowed: bool
    refusal: str = ""


def probes(address: str) -> Iterator[Tried]:
    """Try what the permission sets differ in.

    What is named does not exist, so that an allowed request fails behind the guard; a finished run
    gets an empty batch. Raises OSError without an answer, NotMlflow for one of something else.
    """
    nobody = f"keyless-whoami-{secrets.token_hex(8)}"
    version = {"name": nobody, "version": "1"}
    run = {"run_id": secrets.token_hex(16)}
    metric = {"key": "m", "value": 1, "timestamp": 1}
    alias = "registered-models/alias"
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("search runs", "runs/search", {"experiment_ids": ["0"], "max_results": 1}),
        ("create an experiment", "experiments/create", {"name": ""}),
        ("log a metric", "runs/log-metric", run | metric),
        ("log a metric of the holdout", "runs/log-metric", run | metric | {"key": "holdout_m"}),
        ("register a version", "model-versions/create", {"name": "", "source": ""}),
        ("set the alias challenger", alias, version | {"alias": "challenger"}),
        ("set the alias champion", alias, version | {"alias": "champion"}),
        ("set any other alias", alias, version | {"alias": "other"}),
        (
            "tag a version with a decision",
            "model-versions/set-tag",
            version | {"key": "keyless.decision", "value": "x"},
        ),
        (
            "rename a registered model",
            "registered-models/rename",
            {"name": nobody, "new_name": "x"},
        ),
        ("delete a run", "runs/delete", run),
        ("restore a run", "runs/restore", run),
    ]
    for what, path, fields in requests:
        yield _tried(what, address, path, fields)
    fields = {"name": nobody}
    yield _tried("delete a model", address, "registered-models/delete", fields, "DELETE")
    finished = _finished_run(address)
    if finished is not None:
        fields = {"run_id": finished}
        yield _tried("change a finished run", address, "runs/log-batch", fields)


def _tried(
    what: str, address: str, path: str, fields: Mapping[str, Any], method: str = "POST"
) -> Tried:
    status, answer = _send(address, path, fields, method)
    refused = status == 403 and answer.get("error_code") == "PERMISSION_DENIED"
    return Tried(what, not refused, str(answer.get("message", "")) if refused else "")


def _finished_run(address: str) -> str | None:
    found = _send(address, "experiments/search", {"max_results": 100}, "POST")[1]
    experiments = [one["experiment_id"] for one in found.get("experiments", ())]
    asked = {
        "experiment_ids": experiments,
        "filter": "attributes.status = 'FINISHED'",
        "max_results": 1,
    }
    runs = _send(address, "runs/search", asked, "POST")[1].get("runs", ())
    return str(runs[0]["info"]["run_id"]) if runs else None


def _send(
    address: str, path: str, fields: Mapping[str, Any], method: str
) -> tuple[int, dict[str, Any]]:
    """Send JSON; an answer of an error is an answer, too. Raises OSError without one, NotMlflow."""
    request = urllib.request.Request(
        f"{address}{API}/{path}",
        json.dumps(fields).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            parsed = _object(answer.read())
            if parsed is None:
                raise NotMlflow(f"{path} was answered {answer.status} without a JSON object")
            return answer.status, parsed
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _object(error.read()) or {}


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
