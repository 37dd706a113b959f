"""What a check tries: attacks that must be refused, and needs of the pipeline that must work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scripts.aws.web_identity import AssumeRoleDenied
from scripts.console import UserError

if TYPE_CHECKING:
    from scripts.labs.running import LabRun

# What AWS's services answer to whoever is not let in.
REFUSALS = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)

# A check shows that an attack works; the flag itself is the student's to find.
_FLAG = re.compile(r"FLAG\{[^}]*\}")


class Refused(Exception):
    """A control stopped it; the message says which and how."""


@dataclass(frozen=True)
class Trial:
    """Something to try. `do` returns what proves that it worked, or raises."""

    what: str
    do: Callable[[LabRun], str | None]


@dataclass(frozen=True)
class Outcome:
    """How a trial went. `unclear`: it failed for another reason than a control."""

    kind: Literal["attack", "need"]
    what: str
    result: Literal["works", "refused", "unclear"]
    detail: str = ""

    @property
    def good(self) -> bool:
        """An attack must be refused, a need must work."""
        return self.result == ("refused" if self.kind == "attack" else "works")


def attack(trial: Trial, run: LabRun) -> Outcome:
    """Try an attack."""
    return _outcome("attack", trial, run)


def first_that_works(ways: Iterable[Callable[[], str]]) -> str:
    """What the first of several ways says that no control stops. Raises the first refusal."""
    refused: Exception | None = None
    for way in ways:
        try:
            return way()
        except Exception as failure:
            if refusal_of(failure) is None:
                raise
            refused = refused or failure
    raise refused or Refused("there is no way to try")


def need(trial: Trial, run: LabRun) -> Outcome:
    """Try what the pipeline needs."""
    return _outcome("need", trial, run)


def _outcome(kind: Literal["attack", "need"], trial: Trial, run: LabRun) -> Outcome:
    try:
        return Outcome(kind, trial.what, "works", _FLAG.sub("FLAG{...}", trial.do(run) or ""))
    except Exception as failure:  # noqa: BLE001 - whatever fails is the outcome
        refusal = refusal_of(failure)
        if refusal is not None:
            return Outcome(kind, trial.what, "refused", refusal)
        return Outcome(kind, trial.what, "unclear", _reason(failure))


def end_of(text: str, most: int = 300) -> str:
    """The last words of what a job printed, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"... {line[-most:].partition(' ')[2]}"


def refusal_of(failure: BaseException) -> str | None:
    """How a control refused, None if the failure is something else."""
    from botocore.exceptions import ClientError

    if isinstance(failure, Refused):
        return str(failure)
    if isinstance(failure, AssumeRoleDenied):
        code, message, request = failure.code, failure.message, failure.request_id
    elif isinstance(failure, ClientError):
        error = failure.response.get("Error", {})
        code, message = error.get("Code", ""), error.get("Message", "")
        request = failure.response.get("ResponseMetadata", {}).get("RequestId", "")
    else:
        return None
    if code not in REFUSALS:
        return None
    return f"{code}: {message}" + (f" [{request}]" if request else "")


def _reason(failure: BaseException) -> str:
    if isinstance(failure, UserError):
        return str(failure)
    return f"{type(failure).__name__}: {failure}"
