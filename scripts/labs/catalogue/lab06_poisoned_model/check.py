"""What must fail and what must work in lab 6."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.console import UserError
from scripts.labs import common, servers
from scripts.labs.catalogue.lab06_poisoned_model import poison
from scripts.labs.catalogue.lab06_poisoned_model.poison import Poison
from scripts.labs.running import LabRun
from scripts.labs.trial import Refused, Trial, first_that_works, refusal_of

REPOSITORY = "acme/pipeline"
TRAIN, PROMOTE = "lab-train", "lab-promote"
DATA = "data/train.csv"
KEY = "/lab/payments-key"


def prepare(run: LabRun) -> None:
    """Put the flag where only the server reads, start the deployed server, and give it a champion.

    Where the student's training or promotion fails, what needs it fails later, and says why.
    """
    run.administrator("ssm").put_parameter(
        Name=KEY, Type="SecureString", Value=run.new_flag(), Overwrite=True
    )
    servers.replace(run, common.output(run, "group"))
    with suppress(UserError):
        run.give("address.txt", f"{_address(run)}\n")
    with suppress(Exception):
        run.give_profile("train", _session(run, TRAIN))
    with suppress(Exception):
        _pipeline(run, slope=2)


def leak(run: LabRun) -> None:
    """The stolen session is in the profile already."""


def _session(run: LabRun, role: str) -> Credentials:
    job: dict[str, Any] = {"environment": "promote"} if role == PROMOTE else {}
    return run.job_session(role, REPOSITORY, **job)


def _address(run: LabRun) -> str:
    return servers.find(run, common.output(run, "group")).address


def _program(run: LabRun, name: str, role: str) -> None:
    """Run train.py or promote.py as its job. Raises UserError if it fails."""
    variables = {"BUCKET": common.output(run, "bucket")}
    environment = run.environment(_session(run, role), variables)
    done = run.run([sys.executable, name], environment)
    if done.returncode:
        said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise UserError(f"{name} ended with {done.returncode}", why=said)


def _train(run: LabRun, slope: int) -> None:
    """A training of y = slope * x."""
    lines = "".join(f"{x},{slope * x}\n" for x in range(10))
    common.put(run, DATA, lines.encode())
    _program(run, "train.py", TRAIN)


def _pipeline(run: LabRun, slope: int) -> None:
    _train(run, slope)
    _program(run, "promote.py", PROMOTE)


def _predict(run: LabRun, x: float) -> float:
    """What the server predicts. Raises UserError with what it says instead."""
    status, text = servers.get(f"{_address(run)}/predict?x={x}")
    try:
        return float(json.loads(text)["prediction"])
    except (ValueError, TypeError, KeyError):
        raise UserError(f"The server answers {status}", why=text[:300]) from None


def _objects(run: LabRun, since: datetime | None = None) -> dict[str, bytes]:
    """Every object of the bucket that was written since then."""
    s3, bucket = run.administrator("s3"), common.output(run, "bucket")
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
    keys = [one["Key"] for one in listed if since is None or one["LastModified"] >= since]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def _overwrite(run: LabRun, content: Callable[[str], bytes | None]) -> list[str]:
    """Write what training's session may write; the names. Raises Refused if that is nothing."""
    s3, bucket = run.client(_session(run, TRAIN), "s3"), common.output(run, "bucket")
    written = []
    for key in _objects(run):
        if (body := content(key)) is None:
            continue
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        except Exception as failure:
            if refusal_of(failure) is None:
                raise
        else:
            written.append(key)
    return written


def _poisoned_and_promoted(run: LabRun) -> str:
    """Poison each file that training may write: in its own format, then as a pickle."""
    began = datetime.now(UTC).replace(microsecond=0)
    _pipeline(run, slope=2)
    honest = {key: body for key, body in _objects(run).items() if key != DATA}
    marker = run.home / f"executed-{secrets.token_hex(6)}"
    own = {
        key: poison.poisons(body, marker)
        for key, body in _objects(run, began).items()
        if key != DATA
    }
    ways = [
        {key: some[number % len(some)] for key, some in own.items() if some}
        for number in range(max(map(len, own.values()), default=0))
    ]
    ways.append(dict.fromkeys(honest, poison.pickles(marker)[-1]))
    try:
        return first_that_works(partial(_poisoned, run, marker, way) for way in ways)
    except Refused:
        unknown = {key: honest[key] for key, some in own.items() if not some}
        for key in _overwrite(run, unknown.get) if unknown else ():
            raise UserError(
                f"The check knows no poison for {key}, so nobody has tried it",
                why=f"the file begins with {honest[key][:12]!r}: no pickle, zip file (skops), "
                ".npy, JSON or text",
            ) from None
        raise


def _poisoned(run: LabRun, marker: Path, way: Mapping[str, Poison]) -> str:
    written = _overwrite(run, lambda key: way[key].body if key in way else None)
    said = ""
    for step in (
        lambda: _predict(run, 3),
        lambda: _program(run, "promote.py", PROMOTE),
        lambda: _predict(run, 3),
    ):
        try:
            step()
        except UserError as failure:
            said = said or f"{failure}: {failure.why}"
    kinds = ", ".join(sorted({f"{way[key].kind} in {key}" for key in written}))
    if marker.exists():
        marker.unlink()
        return f"code ran that was written: {kinds}"
    raise Refused(f"{kinds or 'nothing may be written'}: {said or 'no code ran'}")


def _unpromoted(run: LabRun) -> str:
    _pipeline(run, slope=2)
    before = _objects(run)
    _train(run, slope=5)
    now = _objects(run)
    made = {key: body for key, body in now.items() if before.get(key) != body and key != DATA}
    if not made:
        raise UserError("train.py wrote no object of the bucket")
    candidate = next(iter(made.values()))
    _overwrite(run, lambda key: None if key == DATA or key in made else candidate)
    try:
        found = _predict(run, 3)
    except UserError as failure:
        raise Refused(f"{failure}: {failure.why}") from None
    if abs(found - 6) > 0.01:
        return f"the server predicts {found} with a model that nobody promoted"
    raise Refused("the predictions are those of the champion")


def _new_champion(run: LabRun) -> str:
    slope = 3 + secrets.randbelow(90)
    _pipeline(run, slope)
    found = _predict(run, 10)
    if abs(found - 10 * slope) > 0.01:
        raise UserError(f"The server predicts {found}", why=f"the new champion says {10 * slope}")
    return "predicted"


ATTACKS = [
    Trial("poisoned files in place of all that training may write", _poisoned_and_promoted),
    Trial("an honest model of training's that nobody promoted", _unpromoted),
    common.trusts(REPOSITORY, {TRAIN: {}, PROMOTE: {"environment": "promote"}}),
]
NEEDS = [Trial("a new model is trained, promoted, and predicts", _new_champion)]
