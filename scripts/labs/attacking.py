"""What the labs' attack.py stand on: they run as the student does, with env.sh's variables."""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from scripts.aws.credentials import Credentials
from scripts.aws.web_identity import assume_role_with_web_identity
from scripts.labs.lab import find
from scripts.labs.operations import ATTACK_REFUSED, Labs
from scripts.labs.pull_requests import PullRequest, run_workflows
from scripts.labs.running import Record
from scripts.labs.trial import Refused, refusal_of

Result = TypeVar("Result")
PATIENCE_SECONDS = 2
"""A policy's new version takes some seconds to count on AWS, and hardly any here."""


def attack(function: Callable[[], str]) -> Callable[[], None]:
    """Print what an attack found; exit code 3 if a control stopped it."""

    def main() -> None:
        try:
            print(function())
        except Exception as failure:
            refusal = refusal_of(failure)
            if refusal is None:
                raise
            print(refusal, file=sys.stderr)
            sys.exit(ATTACK_REFUSED)

    return main


def token(repository: str, **job: Any) -> str:
    """The token of a job that the student may start."""
    home = Path(os.environ["KEYLESS_HOME"])
    lab = find(Record.load(home).lab)
    return Labs(home).running(lab).github.token_for_student(repository, **job)


def pull_request(base: str, fork: str, files: Mapping[str, bytes]) -> str:
    """Open a pull request from the student's fork; the logs of its jobs, one after the other.

    Raises Refused if no job ended well: nothing of the log is worth anything then.
    """
    home = Path(os.environ["KEYLESS_HOME"])
    jobs = run_workflows(
        Labs(home).running(find(Record.load(home).lab)), PullRequest(base, files, fork)
    )
    log = "\n".join(f"{job.name}: {job.status}\n{job.log}" for job in jobs)
    if not any(job.status == "success" for job in jobs):
        raise Refused(" ".join(log.split()) or "the pull request started no job")
    return log


def assume(role: str, web_identity: str) -> Credentials:
    """Become a role of the lab's account with a token."""
    return assume_role_with_web_identity(
        os.environ["AWS_ENDPOINT_URL"],
        Path(os.environ["AWS_CA_BUNDLE"]),
        f"arn:aws:iam::{os.environ['ACCOUNT']}:role/{role}",
        web_identity,
        "attack",
    )


def read_models(credentials: Credentials) -> str:
    """Read models/secret.txt of the lab's bucket."""
    import boto3

    s3 = boto3.client(
        "s3",
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
    )
    bucket = f"lab-models-{os.environ['ACCOUNT']}"
    return str(s3.get_object(Bucket=bucket, Key="models/secret.txt")["Body"].read().decode())


def fetch(address: str, ca_bundle: Path | None = None) -> str:
    """Read an address without any credentials but those in it. Raises Refused for a 403."""
    context = ssl.create_default_context(cafile=str(ca_bundle)) if ca_bundle else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(address, timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as failure:
        with failure:
            said = failure.read(2000).decode(errors="replace")
        if failure.code == 403:
            raise Refused(f"403: {' '.join(said.split())}") from None
        raise


def everything() -> str:
    """The policy that allows everything."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def until_it_works(ask: Callable[[], Result]) -> Result:
    """Ask again while the answer is a refusal, for a moment; raises the last one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except Exception as failure:
            if refusal_of(failure) is None or time.monotonic() > deadline:
                raise
        time.sleep(0.2)
