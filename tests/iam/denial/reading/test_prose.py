"""A call of S3's in a tool's own words, and in names that are no action's."""

from __future__ import annotations

import pytest

from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.s3 import operation_of_s3

DENIED = "AccessDenied: Access Denied status code: 403, request id: 7"


@pytest.mark.parametrize(
    ("words", "action", "arn"),
    [
        (f"Error: reading S3 Bucket (site-7) versioning: {DENIED}",
         "s3:GetBucketVersioning", "arn:aws:s3:::site-7"),
        (f"error getting S3 Bucket Lifecycle (site-7): {DENIED}",
         "s3:GetLifecycleConfiguration", "arn:aws:s3:::site-7"),
        (f"error putting S3 bucket server-side encryption configuration: {DENIED}",
         "s3:PutEncryptionConfiguration", None),
        (f"could not list objects of bucket site-7: {DENIED}",
         "s3:ListBucket", "arn:aws:s3:::site-7"),
        ("unable to open config file: Stat: Access Denied. s3:s3.amazonaws.com/site-7",
         "s3:GetObject", "arn:aws:s3:::site-7/*"),
        (f"list_multipart_uploads of bucket site-7: {DENIED}",
         "s3:ListBucketMultipartUploads", "arn:aws:s3:::site-7"),
        (f"get_object_acl on s3://site-7/a.csv: {DENIED}",
         "s3:GetObjectAcl", "arn:aws:s3:::site-7/a.csv"),
        (f"create_multipart_upload: {DENIED}", "s3:PutObject", None),
        (f"rpc error: error getting object snapshots/b/c.json: {DENIED}", "s3:GetObject", None),
        ("Error while downloading from S3 for bucket: site-7, key: a.jar.Access Denied "
         "(Service: Amazon S3; Status Code: 403)", "s3:GetObject", "arn:aws:s3:::site-7/a.jar"),
        ("could not save it to S3: Access Denied (Service: Amazon S3; Status Code: 403)",
         "s3:PutObject", None),
        ("[output:s3:s3.0] PutObject API responded with error='AccessDenied'",
         "s3:PutObject", None),
    ],
)  # fmt: skip
def test_the_call_is_told(words: str, action: str, arn: str | None) -> None:
    found = operation_of_s3(words)
    assert found and (found.action, found.arn) == (action, arn)


@pytest.mark.parametrize(
    "words",
    [
        f"Error: reading report (7): {DENIED}",
        f"getting tags: {DENIED}",
        "Error: uploading file: AccessDenied: (Service: AmazonSQS; Status Code: 403)",
    ],
)
def test_words_that_are_no_calls_tell_none(words: str) -> None:
    assert operation_of_s3(words) is None


def test_a_thing_of_the_tools_own_tells_what_its_verb_fits() -> None:
    told = str(
        cause(f"level=error msg=Error listing snapshots in the archive: {DENIED} host id: x")
    )
    assert '"listing snapshots"' in told and "s3:ListBucket on the bucket itself" in told
    assert "neither its caller nor an action is named" in told


def test_a_copy_has_two_ends() -> None:
    words = (
        "copy failed: s3://from-7/a.csv to s3://to-7/b.csv An error occurred (AccessDenied) when "
        "calling the CopyObject operation: Access Denied"
    )
    told = str(operation_of_s3(words))
    assert "s3:PutObject on the new object, arn:aws:s3:::to-7/b.csv" in told
    assert "s3:GetObject on the one that is copied, arn:aws:s3:::from-7/a.csv" in told
