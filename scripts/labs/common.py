"""What the checks of several labs do: a flag in a bucket, reading and writing beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.aws.sealed import unsigned_client
from scripts.console import UserError
from scripts.labs.lab import Repository
from scripts.labs.running import LabRun
from scripts.labs.trial import Refused, Trial, first_that_works, refusal_of

PULL_REQUEST = {"event_name": "pull_request", "ref": "refs/pull/7/merge"}


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
    put(run, key, text.format(flag=run.new_flag()).encode())


def put(run: LabRun, key: str, body: bytes) -> None:
    """Lay out an object, also where the student's bucket policy refuses it to everybody else.

    Raises ClientError if the administrator may not even change that policy.
    """
    s3, bucket = run.administrator("s3"), output(run, "bucket")
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    except ClientError as failure:
        if refusal_of(failure) is None:
            raise
        policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        s3.delete_bucket_policy(Bucket=bucket)
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        finally:
            s3.put_bucket_policy(Bucket=bucket, Policy=policy)


def others(run: LabRun, repository: str, **job: Any) -> Iterator[tuple[str, str]]:
    """Jobs that look like a job of the repository and are none: what each is, and its token.

    Names and ids begin or end like the right ones, so that a star at any place meets one. None
    has the right claims under another subject, for a trust policy may compare either: a job on
    `main` in some environment is a job on `main`, and could leave the environment out.
    """
    found = run.github.repository(repository)
    assert found is not None
    owner, _, name = repository.partition("/")
    for alike in (
        Repository(f"{owner}/site", "2099", found.owner_id),
        Repository(f"{owner}/{name}-docs", f"{found.id}7", found.owner_id),
        Repository(f"{owner}-x/{name}", "9101", f"{found.owner_id}7"),
        run.github.stranger(repository),
    ):
        yield f"a job of {alike.name} ({alike.id})", run.github.mint_for(alike, **job)
    yield "a pull request", run.github.mint_for(found, **PULL_REQUEST)
    if environment := job.get("environment"):
        ways = [{"environment": f"pre{environment}"}, {"environment": f"{environment}-2"}]
        ways += [{"ref": ref} for ref in (f"refs/heads/{environment}", "refs/heads/main")]
    else:
        ways = [{"ref": ref} for ref in ("refs/heads/main-2", "refs/heads/not-main")]
        ways += [{"ref": "refs/tags/main"}, {"ref": "refs/heads/main-2", "environment": "main"}]
    for way in ways:
        yield f"a job with {way}", run.github.mint_for(found, **way)


def taken(run: LabRun, role_name: str, repository: str, **job: Any) -> str:
    """Have every other job that looks like the right one try the role. Raises AssumeRoleDenied."""

    def attempt(what: str, token: str) -> str:
        run.assume(role_name, token)
        return f"{what} became {role_name}"

    return first_that_works(partial(attempt, *other) for other in others(run, repository, **job))


def trusts(repository: str, roles: Mapping[str, Mapping[str, Any]]) -> Trial:
    """Every role is its own job's alone: a fix that widens a trust policy is none.

    `roles`: the job of each role's name.
    """

    def trial(run: LabRun) -> str:
        return first_that_works(
            partial(taken, run, name, repository, **job) for name, job in roles.items()
        )

    return Trial("a job takes a role that is not its own", trial)


def _anybody(run: LabRun) -> str:
    """Read, list and write the bucket as somebody whom AWS does not know."""
    bucket = run.outputs.get("bucket")
    if bucket is None:
        raise Refused("this lab has no bucket")
    s3 = unsigned_client("s3", endpoint=run.cloud.endpoint, ca_bundle=run.cloud.ca_bundle)
    listed = run.administrator("s3").list_objects_v2(Bucket=bucket).get("Contents", ())
    keys = {one["Key"].partition("/")[0]: one["Key"] for one in listed}.values()

    def reads(key: str) -> str:
        s3.get_object(Bucket=bucket, Key=key)
        return f"it reads {key}"

    def lists() -> str:
        return f"it sees {s3.list_objects_v2(Bucket=bucket)['KeyCount']} names"

    return first_that_works([lists, *(partial(reads, key) for key in keys)])


ANYBODY = Trial("anybody without credentials lists or reads the bucket", _anybody)


def beyond(run: LabRun, session: Credentials) -> str:
    """Do with a session what exports and models never need. Raises the first refusal."""
    iam, s3 = run.client(session, "iam"), run.client(session, "s3")

    def reads() -> str:
        put(run, "private/board.txt", b"for the board\n")
        s3.get_object(Bucket=output(run, "bucket"), Key="private/board.txt")
        return "it reads private/board.txt"

    def users() -> str:
        return f"it sees {len(iam.list_users()['Users'])} users of the account"

    return first_that_works((reads, users))


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
