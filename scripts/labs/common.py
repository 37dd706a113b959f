"""What the checks of several labs do: a flag in a bucket, reading and writing beside it."""

from __future__ import annotations

import json
from datetime import datetime

from scripts.aws.credentials import Credentials
from scripts.console import UserError
from scripts.labs.running import LabRun


def output(run: LabRun, name: str) -> str:
    """An output that the student was asked to keep. Raises UserError."""
    found = run.outputs.get(name)
    if not isinstance(found, str) or not found:
        raise UserError(
            f"main.tf has no output {name!r}",
            why="the check finds by it what you made",
            fix=f'output "{name}" {{ value = ... }}',
        )
    return found


def role(run: LabRun) -> str:
    """The name of the role, also where the output has its ARN."""
    return output(run, "role").rpartition("/")[2]


def put_flag(run: LabRun, key: str, text: str) -> None:
    """Put an object with a new flag, in place of `{flag}`, into the bucket."""
    body = text.format(flag=run.new_flag()).encode()
    run.administrator("s3").put_object(Bucket=output(run, "bucket"), Key=key, Body=body)


def read(run: LabRun, credentials: Credentials, key: str) -> str:
    """Read an object of the bucket with somebody's credentials."""
    s3 = run.client(credentials, "s3")
    body = s3.get_object(Bucket=output(run, "bucket"), Key=key)["Body"].read()
    return str(body.decode())


def write(run: LabRun, credentials: Credentials, key: str) -> None:
    """Write an object of the bucket with somebody's credentials."""
    run.client(credentials, "s3").put_object(
        Bucket=output(run, "bucket"), Key=key, Body=b"written by the pipeline\n"
    )


def deny_sessions(run: LabRun, role_name: str, policy: str, until: datetime) -> None:
    """End every session of a role that was issued before `until`, as IAM's console revokes them.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html
    """
    old = {"DateLessThan": {"aws:TokenIssueTime": f"{until:%Y-%m-%dT%H:%M:%SZ}"}}
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": old}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    run.administrator("iam").put_role_policy(
        RoleName=role_name, PolicyName=policy, PolicyDocument=document
    )
