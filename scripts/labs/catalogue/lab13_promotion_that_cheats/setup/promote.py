"""Promote challengers that beat the champion on held-out rows: python promote.py NAME..."""

import argparse
import io
import json
import os
from collections.abc import Callable
from typing import Any

import boto3
import numpy as np

BUCKET = f"lab-models-{os.environ['ACCOUNT']}"
CONFIDENCE = 0.8
METRICS: dict[str, Callable[[Any, Any], Any]] = {
    "accuracy": lambda truth, answer: truth == answer,
    # Of the rows that are 1, those that were found.
    "recall": lambda truth, answer: (truth == answer)[truth == 1],
}
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


def promote(name: str, metric: str, x: Any, truth: Any) -> None:
    """Compare a challenger with the champion, and replace it if the interval clears zero."""
    champion = json.loads(read("champion.json"))
    challenger = json.loads(read(f"challengers/{name}.json"))
    right = METRICS[metric]
    gain = right(truth, answers(challenger, x)).astype(float) - right(truth, answers(champion, x))
    low = lower_bound(gain, CONFIDENCE)
    verdict = "promote" if low > 0 else "keep"
    print(f"{name}: {metric} {gain.mean():+.4f}, lower bound {low:+.4f}: {verdict}")
    if verdict == "promote":
        body = json.dumps(challenger | {"name": name})
        s3.put_object(Bucket=BUCKET, Key="champion.json", Body=body.encode())


def main() -> None:
    """Try each name in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    parser.add_argument("--metric", choices=METRICS, default="accuracy")
    asked = parser.parse_args()
    rows = np.loadtxt(io.BytesIO(read("holdout/data.csv")), delimiter=",", skiprows=1)
    for name in asked.names:
        promote(name, asked.metric, rows[:, :-1], rows[:, -1].astype(int))


main()
