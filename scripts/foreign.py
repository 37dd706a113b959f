"""Failures of the libraries underneath, in one sentence with a way out.

Classes are recognised by the name of their package: most verbs never import it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from scripts.console import UserError

LONGEST = 400


def as_user_error(failure: BaseException) -> UserError | None:
    """What a person can do about a library's failure; None for one that is not foreseen."""
    for kind in type(failure).__mro__:
        package = kind.__module__.partition(".")[0]
        if tell := _KNOWN.get(package):
            return tell(failure)
    return _credentials(failure) if _passed(failure, "botocore.credentials") else None


def _passed(failure: BaseException, module: str) -> bool:
    """Whether a failure came through a module."""
    frames = traceback.walk_tb(failure.__traceback__)
    return any(frame.f_globals.get("__name__") == module for frame, _ in frames)


def _credentials(failure: BaseException) -> UserError:
    """What a profile's credentials come from failed with a class of its own, not of botocore's."""
    if isinstance(failure, EOFError):
        return UserError(
            "the AWS profile asks for an MFA code, and nobody could type one",
            fix="aws configure export-credentials --profile NAME --format env prints, in a "
            "terminal, variables that need none",
        )
    return UserError(
        "the AWS profile's credentials could not be read",
        why=first_line(failure),
        fix="aws sts get-caller-identity must work first: correct the profile, or the program that "
        "its credential_process names",
    )


def first_line(failure: BaseException) -> str:
    """The first line of what a failure says, without the text that libraries add for themselves."""
    text = str(failure).strip().partition("\n")[0].strip()
    return text[:LONGEST] or type(failure).__name__


_CLOCK = "set this machine's clock (timedatectl shows whether it is set by the network)"
# What AWS's codes and messages hold, in lower case, and the way out.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
_SIGNS = (
    ("requesttimetooskewed", _CLOCK),
    ("signature expired", _CLOCK),
    ("signature not yet current", _CLOCK),
    ("requestexpired", f"{_CLOCK}, or sign in again"),
    ("denied", "keyless explain-denial"),
    ("unauthorized", "keyless explain-denial"),
    ("notauthorized", "keyless explain-denial"),
    ("authorizationerror", "keyless explain-denial"),
    ("expired", "sign in again, then the same command"),
    ("requestlimitexceeded", "wait a minute, then the same command again"),
    ("throttl", "wait a minute, then the same command again"),
    ("toomanyrequests", "wait a minute, then the same command again"),
    ("limitexceeded", "ask AWS for a higher quota, or remove what is not needed"),
)


def _botocore(failure: BaseException) -> UserError | None:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    if isinstance(failure, ClientError):
        error = failure.response.get("Error", {})
        code = str(error.get("Code"))
        if code.startswith("LocalCloud"):
            return UserError(
                f"The local cloud, not AWS, does not do {failure.operation_name}",
                why=str(error.get("Message")),
                fix="docs/local-cloud.md says what it leaves out",
            )
        said = code.lower(), str(error.get("Message")).lower()
        fixes = (
            fix for sign, fix in _SIGNS if sign in said[0] or (" " in sign and sign in said[1])
        )
        return UserError(
            f"AWS refused {failure.operation_name}",
            why=f"{code}: {error.get('Message')}",
            fix=next(fixes, "keyless doctor"),
        )
    if isinstance(failure, NoCredentialsError):
        return UserError("AWS was not asked", why=str(failure), fix="keyless doctor --aws")
    if isinstance(failure, BotoCoreError):
        return UserError("AWS could not be asked", why=str(failure), fix="keyless doctor")
    return None


def _database(failure: BaseException) -> UserError:
    """psycopg2's own failures, and those that SQLAlchemy wraps."""
    return UserError(
        "the database refused or did not answer",
        why=first_line(getattr(failure, "orig", None) or failure),
        fix="keyless doctor",
    )


def _alembic(failure: BaseException) -> UserError:
    return UserError(
        "MLflow's tables could not be migrated", why=first_line(failure), fix="keyless database"
    )


def _mlflow(failure: BaseException) -> UserError:
    return UserError("MLflow refused", why=first_line(failure), fix="keyless doctor")


def _http(failure: BaseException) -> UserError:
    return UserError("a server could not be reached", why=first_line(failure), fix="keyless doctor")


_KNOWN: dict[str, Callable[[BaseException], UserError | None]] = {
    "alembic": _alembic,
    "botocore": _botocore,
    "mlflow": _mlflow,
    "psycopg2": _database,
    "requests": _http,
    "sqlalchemy": _database,
    "urllib3": _http,
}
