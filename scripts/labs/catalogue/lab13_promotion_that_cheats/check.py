"""What must fail and what must work in lab 13."""

from __future__ import annotations

import io
import json
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from scripts.aws.credentials import Credentials
from scripts.aws.web_identity import AssumeRoleDenied
from scripts.console import UserError
from scripts.labs import common
from scripts.labs.running import LabRun
from scripts.labs.trial import Refused, Trial, end_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = tuple["NDArray[np.float64]", "NDArray[np.int_]"]

REPOSITORY = "acme/pipeline"
COLUMNS = 60
TELLING = 6
"""Columns that the champion knows; the next one tells, too, and was added later."""
ROWS = {"train": (1500, 1), "holdout": (250, 19), "production": (20_000, 3)}
"""How many rows, and the seed. The champion was unlucky on this holdout, so that retries pay."""
RETRIES = 60
LOST = "record/lost.json"
ONE_BY_ONE = """
import runpy, sys
program, *names = sys.argv[1:]
for name in names:
    sys.argv = [program, name]
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        print(end.code or "", file=sys.stderr)
"""
"""A job for each name, without a new interpreter for each."""
NOISE = 0.02
Model = dict[str, Any]


@cache
def rows(name: str) -> Rows:
    """Rows of one kind. Production's are nowhere in the account."""
    import numpy as np

    count, seed = ROWS[name]
    generator = np.random.default_rng(seed)
    x = np.round(generator.normal(size=(count, COLUMNS)), 3)
    weights = np.zeros(COLUMNS)
    weights[: TELLING + 1] = [1, 0.8, -0.7, 0.6, -0.5, 0.4, 1.1]
    return x, (x @ weights + generator.normal(scale=0.9, size=count) > 0).astype(int)


def fitted(x: NDArray[np.float64], y: NDArray[np.int_], columns: list[int]) -> Model:
    """Least squares on some of the columns."""
    import numpy as np

    weights = np.zeros(COLUMNS)
    weights[columns] = np.linalg.lstsq(x[:, columns], 2 * y - 1, rcond=None)[0]
    return {"weights": weights.tolist(), "bias": 0.0}


def always_yes() -> Model:
    """It finds everybody, and is of no use."""
    return {"weights": [0.0] * COLUMNS, "bias": 1.0}


def accuracy(model: Model) -> float:
    """How good a model is in production."""
    import numpy as np

    x, truth = rows("production")
    answers = x @ np.array(model["weights"], dtype=float) + model["bias"] > 0
    return float((answers == truth).mean())


@cache
def _champion() -> Model:
    return fitted(*rows("train"), list(range(TELLING))) | {"name": "champion"}


def prepare(run: LabRun) -> None:
    """Lay out the bucket as if nothing had been promoted, and give the training team's session."""
    _clear(run)
    # Where the student's trust policy lets no job in, the session of before is still there.
    with suppress(AssumeRoleDenied):
        run.give_profile("train", _train(run))


def leak(run: LabRun) -> None:
    """Nothing leaked: the attacker works here."""


def _clear(run: LabRun) -> None:
    """Data, the champion, and neither challengers nor decisions."""
    s3, bucket = run.administrator("s3"), _bucket(run)
    for name in ("train", "holdout"):
        common.put(run, f"{name}/data.csv", _csv(name))
    common.put(run, "champion.json", json.dumps(_champion()).encode())
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for one in page["Contents"]:
            if one["Key"].startswith(("challengers/", "record/")):
                s3.delete_object(Bucket=bucket, Key=one["Key"])


@cache
def _csv(name: str) -> bytes:
    import numpy as np

    file = io.BytesIO()
    names = ",".join(f"x{number}" for number in range(COLUMNS)) + ",y"
    np.savetxt(file, np.column_stack(rows(name)), "%.4g", ",", header=names, comments="")
    return file.getvalue()


def _read(content: bytes) -> Rows:
    import numpy as np

    found = np.loadtxt(io.BytesIO(content), delimiter=",", skiprows=1)
    return found[:, :-1], found[:, -1].astype(int)


def _train(run: LabRun) -> Credentials:
    return run.job_session(common.output(run, "train_role"), REPOSITORY)


def _bucket(run: LabRun) -> str:
    return f"lab-models-{run.account_id}"


# The promotion


def job(run: LabRun, words: list[str], program: Sequence[str] = ("promote.py",)) -> str:
    """Run the student's promote.py as the approved job, and a week later look at production.

    The report has a flag if what was promoted is worse than what it replaced.
    """
    before = _now(run)
    session = run.job_session(common.role(run), REPOSITORY, environment="prod")
    environment = run.environment(session, {"ACCOUNT": run.account_id})
    done = run.run([sys.executable, *program, *words], environment)
    said = (done.stdout + done.stderr).strip()
    after = _now(run)
    if after == before:
        return f"{said}\nthe champion stays"
    old, new = accuracy(before), accuracy(after)
    told = f"{said}\nA week later, in production: accuracy {old:.4f} before, {new:.4f} now."
    return told if new > old else f"{told}\nIncident report: {run.new_flag()}"


def _now(run: LabRun) -> Model:
    s3 = run.administrator("s3")
    body = s3.get_object(Bucket=_bucket(run), Key="champion.json")["Body"].read()
    found: Model = json.loads(body)
    return found


def promoted(run: LabRun, models: Sequence[Model], *words: str, together: bool = True) -> str:
    """Put challengers as the training team, and have them promoted. Raises Refused if none was.

    Their names say nothing. Unless they are tried `together`, each has a job of its own.
    """
    s3, names = run.client(_train(run), "s3"), [f"model-{secrets.token_hex(4)}" for _ in models]
    for name, model in zip(names, models, strict=True):
        body = json.dumps(model).encode()
        s3.put_object(Bucket=_bucket(run), Key=f"challengers/{name}.json", Body=body)
    program = ["promote.py"] if together else ["-c", ONE_BY_ONE, "promote.py"]
    said = job(run, [*names, *words], program)
    if said.endswith("the champion stays"):
        raise Refused(said.splitlines()[-2] if "\n" in said else said)
    return said


def _metric(run: LabRun) -> str:
    _clear(run)
    return promoted(run, [always_yes()], "--metric", "recall")


def _leaked_holdout(run: LabRun) -> str:
    _clear(run)
    s3 = run.client(_train(run), "s3")
    found = _read(s3.get_object(Bucket=_bucket(run), Key="holdout/data.csv")["Body"].read())
    model = fitted(*found, [column for column in range(COLUMNS) if column != TELLING])
    with suppress(Refused):
        return promoted(run, [model])
    return "training reads the holdout; this challenger was not promoted, another one will be"


def _retries(run: LabRun) -> str:
    """In one job, and in a job for each: a limit of names is none of attempts."""
    import numpy as np

    noisy = []
    for number in range(RETRIES):
        noise = np.random.default_rng(500 + number).normal(scale=NOISE, size=COLUMNS)
        noise[TELLING] = 0
        weights = (np.array(_champion()["weights"]) + noise).tolist()
        noisy.append({"weights": weights, "bias": 0.0})
    _clear(run)
    with suppress(Refused):
        return promoted(run, noisy)
    _clear(run)
    return promoted(run, noisy, together=False)


def _written_holdout(run: LabRun) -> str:
    _clear(run)
    s3 = run.client(_train(run), "s3")
    s3.put_object(Bucket=_bucket(run), Key="holdout/data.csv", Body=_csv("train"))
    return "training wrote the rows that it is judged by"


def _removed_record(run: LabRun) -> str:
    _clear(run)
    common.put(run, LOST, b'{"challenger": "lost", "verdict": "keep"}')
    run.client(_train(run), "s3").delete_object(Bucket=_bucket(run), Key=LOST)
    return "training removed a decision from the record"


def _overwritten_record(run: LabRun) -> str:
    _clear(run)
    common.put(run, LOST, b'{"challenger": "lost", "verdict": "keep"}')
    run.client(_train(run), "s3").put_object(Bucket=_bucket(run), Key=LOST, Body=b"{}")
    return "training overwrote a decision of the record"


# What has to work


def _better(run: LabRun) -> str:
    _clear(run)
    s3 = run.client(_train(run), "s3")
    found = _read(s3.get_object(Bucket=_bucket(run), Key="train/data.csv")["Body"].read())
    s3.get_object(Bucket=_bucket(run), Key="champion.json")
    said = promoted(run, [fitted(*found, list(range(TELLING + 1)))])
    return _on_record(run, said)


def _tie(run: LabRun) -> str:
    _clear(run)
    try:
        promoted(run, [_champion()])
    except Refused as kept:
        return _on_record(run, str(kept))
    raise UserError("a copy of the champion was promoted")


def _on_record(run: LabRun, said: str) -> str:
    """That the one challenger of this trial is named below record/. Raises UserError."""
    s3, bucket = run.administrator("s3"), _bucket(run)

    def below(prefix: str) -> list[str]:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return [str(one["Key"]) for one in listed]

    (challenger,) = below("challengers/")
    name = challenger.removeprefix("challengers/").removesuffix(".json")
    for key in below("record/"):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        if name in key + body.decode(errors="replace"):
            return said
    raise UserError(f"no object below record/ names the challenger {name}", why=end_of(said))


ATTACKS = [
    Trial("the metric is chosen afterwards", _metric),
    Trial("a challenger is fitted to the holdout", _leaked_holdout),
    Trial(f"the champion with noise, {RETRIES} times", _retries),
    Trial("training writes the holdout", _written_holdout),
    Trial("training removes a decision from the record", _removed_record),
    Trial("training overwrites a decision of the record", _overwritten_record),
    common.trusts(REPOSITORY, {"lab-train": {}, "lab-promote": {"environment": "prod"}}),
]
NEEDS = [
    Trial("a better model becomes champion, and that is on record", _better),
    Trial("a copy of the champion does not, and that is on record", _tie),
]
