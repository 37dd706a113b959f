"""Training: fits a line to the data, and writes its numbers as the candidate."""

import io
import os
from typing import Any

import boto3
import numpy as np

BUCKET = os.environ["BUCKET"]
s3 = boto3.client("s3")


def points() -> Any:
    """The training data: a line of x and y each."""
    body = s3.get_object(Bucket=BUCKET, Key="data/train.csv")["Body"].read()
    return np.loadtxt(io.StringIO(body.decode()), delimiter=",", ndmin=2)


x, y = points().T
file = io.BytesIO()
np.save(file, np.polyfit(x, y, 1), allow_pickle=False)
s3.put_object(Bucket=BUCKET, Key="candidate/model.npy", Body=file.getvalue())
