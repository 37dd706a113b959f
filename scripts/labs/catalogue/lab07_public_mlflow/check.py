"""What must fail and what must work in lab 7."""

from __future__ import annotations

import base64
import json
import re
import secrets
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.aws.data_channel import open_data_channel
from scripts.console import UserError
from scripts.labs import common, servers
from scripts.labs.running import LabRun
from scripts.labs.trial import Refused, Trial, first_that_works
from scripts.local_run.cloud import PROJECT

REPOSITORY = "acme/pipeline"
JOBS: dict[str, dict[str, Any]] = {"train": {}, "reader": {"environment": "reader"}}
DEFAULT = ("admin", "password1234")
APIS = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
"""The same API twice: programs use the first one, MLflow's own page the second."""
EXPERIMENT = "credit"
CONNECT_SECONDS = 30
STILL_OPEN = "; Terraform keeps the rules of a block `ingress` taken out: write `ingress = []`"
OPERATIONS = PROJECT / "terraform/modules/mlflow_server/files/server/permissions.toml"
ROUTES = """
import json
from mlflow.server import app
rules = app.url_map.iter_rules()
print(json.dumps([(one.endpoint, one.rule, sorted(one.methods or ())) for one in rules]))
"""
LARGEST_NETWORK = 8
"""Bits of the prefix: nobody's own network is larger than a /8."""


def before(run: LabRun) -> None:
    """What another team has: a password for each role."""
    for who in JOBS:
        run.administrator("ssm").put_parameter(
            Name=f"/lab/mlflow/{who}", Type="SecureString", Value=secrets.token_urlsafe(24)
        )


def prepare(run: LabRun) -> None:
    """Start the deployed server, tell its public address, and log a run with the flag.

    Where training does not reach the server, what needs it fails later, and says why.
    """
    servers.replace(run, common.output(run, "group"))
    flag = run.new_flag()
    address = "no port of the server is open to the internet"
    with suppress(UserError, Refused):
        address = _public(run)
    run.give("address.txt", f"{address}\n")
    with suppress(Exception):
        _log(_way(run, "train"), flag)


def leak(run: LabRun) -> None:
    """Nothing leaked: the login is in MLflow's documentation."""


@dataclass(frozen=True)
class _Way:
    """A way to the server, and the login that it asks for."""

    address: str
    login: tuple[str, str] | None
    api: str = APIS[0]


def _server(run: LabRun) -> servers.Server:
    return servers.find(run, common.output(run, "group"))


def _public(run: LabRun) -> str:
    """The server's public address. Raises Refused if no security group lets everybody in."""
    template = servers.template(run, common.output(run, "group"))
    groups = [*template.get("SecurityGroupIds", ())]
    for interface in template.get("NetworkInterfaces", ()):
        groups += interface.get("Groups", ())
    found = run.administrator("ec2").describe_security_groups(GroupIds=groups) if groups else {}
    rules = [rule for one in found.get("SecurityGroups", ()) for rule in one["IpPermissions"]]
    for port, local in servers.box_ports(run, _server(run)).items():
        if any(_open(rule, port) for rule in rules):
            return f"http://127.0.0.1:{local}"
    raise Refused("no security group of the server lets anybody in from the internet")


def _open(rule: dict[str, Any], port: int) -> bool:
    """Whether a rule lets the internet, or more of it than anybody owns, reach a port."""
    ranges = [one["CidrIp"] for one in rule.get("IpRanges", ())]
    ranges += [one["CidrIpv6"] for one in rule.get("Ipv6Ranges", ())]
    everybody = any(int(one.rpartition("/")[2]) < LARGEST_NETWORK for one in ranges)
    inside = rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535)
    return everybody and (rule["IpProtocol"] == "-1" or inside)


def _session(run: LabRun, who: str) -> Credentials:
    return run.job_session(f"lab-{who}", REPOSITORY, **JOBS[who])


def _way(run: LabRun, who: str, like: str | None = None) -> _Way:
    """How a role reaches the server: by its session document, else as everybody does.

    It may try the document and the login of another one, as who it is `like`.
    """
    documents, like = run.outputs.get("documents"), like or who
    if documents is None:
        return _Way(_public(run), DEFAULT)
    if not isinstance(documents, dict) or like not in documents:
        raise UserError(f"The output `documents` names none for {like}")
    ssm = run.client(_session(run, who), "ssm")
    started = _connected(ssm, _server(run).instance_id, documents[like])
    _, port = open_data_channel(ssm, started)
    address = f"http://127.0.0.1:{port}"
    if _ask(_Way(address, None), "GET", "/experiments/get?experiment_id=0")[0] != 401:
        return _Way(address, None)
    found = ssm.get_parameter(Name=f"/lab/mlflow/{like}", WithDecryption=True)
    return _Way(address, (like, found["Parameter"]["Value"]))


def _connected(ssm: Any, instance: str, document: str) -> Any:
    """Begin a session; the agent of a new instance takes some seconds to register."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return ssm.start_session(Target=instance, DocumentName=document)
        except ssm.exceptions.TargetNotConnected:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.3)


def _ask(
    way: _Way, method: str, path: str, body: Any = None, host: str | None = None
) -> tuple[int, str]:
    """Status and text of the API's answer."""
    request = urllib.request.Request(f"{way.address}{way.api}{path}", method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if way.login is not None:
        login = base64.b64encode(":".join(way.login).encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    if host is not None:
        request.add_header("Host", host)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as failure:
        with failure:
            return failure.code, failure.read().decode(errors="replace")


def _allowed(answer: tuple[int, str]) -> Any:
    """What was answered. Raises Refused for 401 and 403, UserError for other failures."""
    status, text = answer
    if status in (401, 403):
        raise Refused(f"MLflow's server answers {status}: {text.strip()[:200]}")
    if status != 200:
        raise UserError(f"MLflow's server answers {status}", why=text[:300])
    return json.loads(text)


def _experiments(way: _Way) -> dict[str, str]:
    """Ids of the experiments by name."""
    found = _allowed(_ask(way, "POST", "/experiments/search", {"max_results": 100}))
    return {one["name"]: one["experiment_id"] for one in found.get("experiments", ())}


def _log(way: _Way, value: str) -> str:
    """Log a run with a parameter; returns the parameter."""
    known = _experiments(way)
    if EXPERIMENT not in known:
        _allowed(_ask(way, "POST", "/experiments/create", {"name": EXPERIMENT}))
        known = _experiments(way)
    described = {"experiment_id": known[EXPERIMENT], "start_time": int(time.time() * 1000)}
    made = _allowed(_ask(way, "POST", "/runs/create", described))
    logged = {"run_id": made["run"]["info"]["run_id"], "key": "card", "value": value}
    _allowed(_ask(way, "POST", "/runs/log-parameter", logged))
    return value


def _delete(way: _Way) -> str:
    known = _experiments(way)
    if EXPERIMENT not in known:
        raise UserError(f"There is no experiment {EXPERIMENT!r} to delete")
    _allowed(_ask(way, "POST", "/experiments/delete", {"experiment_id": known[EXPERIMENT]}))
    _ask(way, "POST", "/experiments/restore", {"experiment_id": known[EXPERIMENT]})
    return "the experiment was deleted"


def _from_the_internet(run: LabRun) -> str:
    for login in (DEFAULT, None):
        status, _ = _ask(
            _Way(_public(run), login), "POST", "/experiments/search", {"max_results": 1}
        )
        if status != 401:
            return f"the server answers everybody with {status}{STILL_OPEN}"
    return (
        f"the server is open to the internet, and asks for a login that can be guessed{STILL_OPEN}"
    )


def _foreign_host(run: LabRun) -> str:
    def ask(run: LabRun, who: str) -> str:
        asked = {"max_results": 1}
        found = _ask(_way(run, who), "POST", "/experiments/search", asked, "mallory.example")
        return f"answers a page of mallory.example: {_allowed(found)}"

    return first_that_works([partial(ask, run, who) for who in JOBS])


def _with_any_way(
    who: str, do: Callable[[_Way], str], apis: Sequence[str] = APIS
) -> Callable[[LabRun], str]:
    """A role that tries its own way to the server, and then those of the other."""

    def attempt(run: LabRun, like: str, api: str) -> str:
        return do(replace(_way(run, who, like), api=api))

    def trial(run: LabRun) -> str:
        likes = sorted(JOBS, key=lambda like: like != who)
        return first_that_works(
            [partial(attempt, run, like, api) for like in likes for api in apis]
        )

    return trial


@cache
def _changes() -> tuple[tuple[str, str], ...]:
    """Method and path of all that MLflow's own table of routes has, but for what only reads.

    What reads is listed with MLflow's operations in the module of the locked server.
    """
    program = [sys.executable, "-W", "ignore", "-c", ROUTES]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError("MLflow's routes cannot be read", why=done.stderr[-300:])
    reads = set(tomllib.loads(OPERATIONS.read_text())["operations"]["read"].split())
    return tuple(
        (method, re.sub("<[^>]*>", "1", path))
        for operation, path, methods in json.loads(done.stdout)
        for method in methods
        if operation.lstrip("_") not in reads and method not in ("GET", "HEAD", "OPTIONS")
    )


def _change(way: _Way) -> str:
    """Call all of it with nothing said: whoever is answered by MLflow itself is let through."""
    answers = []
    for method, path in _changes():
        status, text = _ask(way, method, path, {})
        by_mlflow = status in (404, 405) and "error_code" in text
        if status not in (401, 403, 404, 405) or by_mlflow:
            return f"MLflow itself answers {method} {path}: {status} {text.strip()[:100]}"
        answers.append(f"MLflow's server answers {status} to {method} {path}")
    raise Refused(f"{answers[0]}, and refuses {len(answers) - 1} others that change something")


def _forge(way: _Way) -> str:
    return _log(way, "forged")


def _shell(run: LabRun) -> str:
    if run.outputs.get("documents") is None:
        raise Refused("the roles may start no session at all")

    def start(who: str) -> str:
        ssm = run.client(_session(run, who), "ssm")
        # Allowed is enough: the local cloud has no shell to give.
        with suppress(ssm.exceptions.InvalidDocument):
            ssm.start_session(Target=_server(run).instance_id)
        return f"{who} may start a shell on the server"

    return first_that_works([partial(start, who) for who in JOBS])


def _logged_and_read(run: LabRun) -> str:
    value = _log(_way(run, "train"), f"depth-{secrets.token_hex(6)}")
    way = _way(run, "reader")
    ids = {"experiment_ids": [_experiments(way)[EXPERIMENT]]}
    if value not in json.dumps(_allowed(_ask(way, "POST", "/runs/search", ids))):
        raise UserError("The reader does not find the run that training logged")
    return value


ATTACKS = [
    Trial("the server asked from the internet", _from_the_internet),
    Trial("a page of a foreign website, by its own name", _foreign_host),
    Trial("the reader logs a run, its own way or training's", _with_any_way("reader", _forge)),
    Trial(
        "the reader calls whatever MLflow has that changes something",
        _with_any_way("reader", _change, apis=("",)),
    ),
    Trial("training deletes the experiment", _with_any_way("train", _delete)),
    Trial("a session without a document", _shell),
    common.trusts(REPOSITORY, {f"lab-{who}": job for who, job in JOBS.items()}),
]
NEEDS = [Trial("training logs a run, and the reader finds it", _logged_and_read)]
