"""What must fail and what must work in lab 6."""

from __future__ import annotations

import cProfile
import json
import pickle
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.console import UserError
from scripts.labs import common, servers
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


def _objects(run: LabRun) -> dict[str, bytes]:
    """Every object of the bucket."""
    s3, bucket = run.administrator("s3"), common.output(run, "bucket")
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
    keys = [one["Key"] for one in listed]
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


class _Marker:
    """A pickle that leaves a file, so that it is seen wherever it is loaded."""

    def __init__(self, path: Path, by: Callable[..., Any], *more: Any) -> None:
        text = f"open({str(path)!r}, 'w').close() or (lambda x: 0)"
        self._call = by, (text, *more)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


def _poisons(run: LabRun) -> list[tuple[Any, ...]]:
    """Functions that run a text, and what else they are given.

    Where the student's files unpickle at all there are some that a list of bad names forgets, and
    one in a package that models need.
    """
    texts = [path.read_text(errors="replace") for path in run.folder.glob("*.py")]
    if not any("pickle" in text.replace("allow_pickle=False", "") for text in texts):
        return [(eval,)]
    from numpy.testing._private.utils import runstring

    return [(eval,), (cProfile.run,), (runstring, {})]


def _poisoned_and_promoted(run: LabRun) -> str:
    return first_that_works(partial(_poisoned, run, *by) for by in _poisons(run))


def _poisoned(run: LabRun, *by: Any) -> str:
    _pipeline(run, slope=2)
    marker = run.home / f"executed-{secrets.token_hex(6)}"
    poison = pickle.dumps(_Marker(marker, *by))
    written = _overwrite(run, lambda key: None if key == DATA else poison)
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
    if marker.exists():
        marker.unlink()
        return f"code of a pickle ran that was written to one of {', '.join(written)}"
    raise Refused(said or "no code ran, and the predictions are those of before")


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
    Trial("poisoned pickles in place of all that training may write", _poisoned_and_promoted),
    Trial("an honest model of training's that nobody promoted", _unpromoted),
]
NEEDS = [Trial("a new model is trained, promoted, and predicts", _new_champion)]
