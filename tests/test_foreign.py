"""Failures of libraries: one sentence with a way out, the whole text kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from scripts import cli, foreign
from scripts.commands import aws_option
from tests import ROOT

pytestmark = pytest.mark.slow


def failures() -> list[tuple[BaseException, str]]:
    import psycopg2
    import requests
    import sqlalchemy.exc
    from alembic.util.exc import CommandError
    from botocore.exceptions import ClientError, EndpointConnectionError
    from mlflow.exceptions import MlflowException

    refused = psycopg2.OperationalError("connection to server failed: FATAL\n\nthe second line")
    return [
        (refused, "connection to server failed: FATAL"),
        (sqlalchemy.exc.OperationalError("SELECT 1", {}, refused), "connection to server failed"),
        (CommandError("Can't locate revision identified by 'x'"), "Can't locate revision"),
        (MlflowException("no such run\nTraceback"), "no such run"),
        (requests.ConnectionError("refused"), "refused"),
        (EndpointConnectionError(endpoint_url="https://a"), "https://a"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject"), "no"),
    ]


@pytest.mark.parametrize("at", range(7))
def test_a_librarys_failure_is_one_sentence_with_a_way_out(at: int) -> None:
    failure, said = failures()[at]
    told = foreign.as_user_error(failure)
    assert told is not None
    assert said in told.why
    assert "\n" not in told.why
    assert "Background on this error" not in told.why
    assert told.fix


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("AccessDeniedException", "keyless explain-denial"),
        # EC2's, SNS's and Cognito's words for it.
        ("UnauthorizedOperation", "keyless explain-denial"),
        ("AuthorizationError", "keyless explain-denial"),
        ("NotAuthorizedException", "keyless explain-denial"),
        ("ExpiredToken", "sign in again, then the same command"),
        ("ThrottlingException", "wait a minute, then the same command again"),
        ("RequestLimitExceeded", "wait a minute, then the same command again"),
        ("LimitExceededException", "ask AWS for a higher quota, or remove what is not needed"),
        ("NoSuchBucket", "keyless doctor"),
        ("RequestTimeTooSkewed", foreign._CLOCK),
    ],
)
def test_every_refusal_of_aws_comes_with_a_way_out(code: str, fix: str) -> None:
    from botocore.exceptions import ClientError

    told = foreign.as_user_error(ClientError({"Error": {"Code": code, "Message": "no"}}, "Get"))
    assert told is not None
    assert told.fix == fix


def test_a_signature_that_came_too_late_names_the_clock() -> None:
    from botocore.exceptions import ClientError

    # STS's words.
    said = "Signature expired: 20261201T010000Z is now earlier than 20261201T013000Z (20261201T0..."
    refused = ClientError(
        {"Error": {"Code": "SignatureDoesNotMatch", "Message": said}}, "GetCallerIdentity"
    )
    told = foreign.as_user_error(refused)
    assert told is not None
    assert "clock" in told.fix


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("credential_process = /bin/echo hello", "credential_process"),
        (
            "role_arn = arn:aws:iam::123456789012:role/a\nsource_profile = keys\nmfa_serial = m",
            "nobody could",
        ),
    ],
)
def test_a_profile_that_gives_no_credentials_is_one_sentence(
    profile: str, said: str, tmp_path: Path
) -> None:
    keys = "[profile keys]\naws_access_key_id = A\naws_secret_access_key = B\n"
    (tmp_path / "config").write_text(f"[profile p]\n{profile}\n{keys}")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "p",
        "AWS_REGION": "us-east-1",
    }
    for words in (["outputs", "--aws", "-e", "dev"], ["doctor", "--aws", "-e", "dev"]):
        done = subprocess.run(
            [sys.executable, "-m", "scripts.cli", "--home", str(tmp_path / "home"), *words],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            start_new_session=True,
        )
        text = done.stdout + done.stderr
        assert done.returncode == 1, text
        assert "Traceback" not in text, text
        assert said in text, text


@pytest.mark.parametrize("aws", [True, False])
def test_the_way_out_is_for_the_account_that_it_happened_in(
    aws: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command("outputs")
    @aws_option
    def failing(**_: Any) -> None:
        raise failures()[6][0]

    monkeypatch.setattr(cli.Verbs, "get_command", lambda *_: failing)
    given = ["--aws"] if aws else []
    done = CliRunner().invoke(cli.keyless, ["--home", str(tmp_path), "outputs", *given])
    assert done.exit_code == 1
    assert ("explain-denial --aws" in done.stderr) == aws


def test_what_is_not_foreseen_is_not_hidden() -> None:
    assert foreign.as_user_error(ZeroDivisionError()) is None


def test_the_whole_text_is_kept_and_shown_with_debug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command("doctor")
    def failing(**_: Any) -> None:
        raise failures()[0][0]

    monkeypatch.setattr(cli.Verbs, "get_command", lambda *_: failing)
    done = CliRunner().invoke(cli.keyless, ["--home", str(tmp_path), "doctor"])
    assert done.exit_code == 1
    assert "the second line" not in done.stderr
    assert "the second line" in (tmp_path / "last-failure.txt").read_text()
    assert str(tmp_path / "last-failure.txt") in done.stderr
    loud = CliRunner().invoke(cli.keyless, ["--home", str(tmp_path), "--debug", "doctor"])
    assert type(loud.exception).__name__ == "OperationalError"


def test_what_the_local_cloud_does_not_do_is_not_laid_at_the_door_of_aws() -> None:
    from botocore.exceptions import ClientError

    said = "The local cloud refuses it"
    told = foreign.as_user_error(
        ClientError({"Error": {"Code": "LocalCloudUnmapped", "Message": said}}, "CreateFleet")
    )
    assert told is not None
    assert told.what == "The local cloud, not AWS, does not do CreateFleet"
    assert told.why == said
    assert "docs/local-cloud.md" in told.fix
