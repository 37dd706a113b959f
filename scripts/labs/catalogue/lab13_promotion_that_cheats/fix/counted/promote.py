"""Promote challengers that beat the champion on held-out rows: python promote.py NAME..."""

import argparse
import io
import json
import os
import uuid
from typing import Any

import boto3
import numpy as np

BUCKET = f"lab-models-{os.environ['ACCOUNT']}"
ERROR = 0.05
"""How likely all decisions on a holdout together may promote a model that is no better."""
s3 = boto3.client("s3")


def read(key: str) -> bytes:
    """An object of the bucket."""
    return bytes(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def answers(model: dict[str, Any], x: Any) -> Any:
    """What a linear model answers, row by row."""
    return (x @ np.array(model["weights"], dtype=float) + model["bias"] > 0).astype(int)


def lower_bound(gain: Any, confidence: float) -> float:
    """The lower bound of the mean's bootstrap interval."""
    generator = np.random.default_rng(0)
    drawn = gain[generator.integers(0, len(gain), (1000, len(gain)))].mean(axis=1)
    return float(np.quantile(drawn, (1 - confidence) / 2))


def attempts() -> int:
    """How many decisions were made on this holdout."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="record/")
    return sum(page["KeyCount"] for page in pages)


def decide(name: str, x: Any, truth: Any) -> None:
    """The decision and what it rests on; it is written down before anything follows from it."""
    champion = json.loads(read("champion.json"))
    challenger = json.loads(read(f"challengers/{name}.json"))
    gain = (truth == answers(challenger, x)).astype(float) - (truth == answers(champion, x))
    number = attempts() + 1
    # Every further look at the same rows has to be surer (Bonferroni).
    low = lower_bound(gain, 1 - ERROR / number)
    told = f"lower bound {low:+.4f}"
    verdict = "promote" if low > 0 else "keep"
    print(f"{name}: attempt {number}, accuracy {gain.mean():+.4f}, {told}: {verdict}")
    record = {"challenger": name, "attempt": number, "verdict": verdict, "told": told}
    key = f"record/{number:05d}-{uuid.uuid4().hex}.json"
    s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(record).encode())
    if verdict == "promote":
        body = json.dumps(challenger | {"name": name})
        s3.put_object(Bucket=BUCKET, Key="champion.json", Body=body.encode())


def main() -> None:
    """Try each name in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    rows = np.loadtxt(io.BytesIO(read("holdout/data.csv")), delimiter=",", skiprows=1)
    for name in parser.parse_args().names:
        decide(name, rows[:, :-1], rows[:, -1].astype(int))


main()
