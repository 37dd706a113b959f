"""Consumers of lab 10, a leak of what one of them uses, and how long it takes to recover."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.console import UserError
from scripts.labs import common
from scripts.labs.lab import find
from scripts.labs.operations import Labs
from scripts.labs.running import LabRun, Record
from scripts.labs.trial import Refused, refusal_of

CONSUMERS = ("pipeline", "reports", "dashboard")
LEAKY = "reports"
KEY = "exports/customers.csv"
REVOKED = "revoked-sessions"
"""The policy by which sessions of a role are revoked, as IAM's console does it:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html"""
OFF = "keys that a revocation ended"
RECOVERY_SECONDS = 30
DRILL_SECONDS = 900
POLL_SECONDS = 0.3
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def settings(run: LabRun, name: str) -> dict[str, str]:
    """What a consumer's file gives it: a role, or a key. Raises UserError (exit code 2)."""
    path = run.folder / "consumers" / f"{name}.env"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read", why=str(error), exit_code=2) from None
    pairs = (line.partition("=") for line in lines if line.strip() and line.strip()[0] != "#")
    found = {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
    if not (found.get("ROLE") or all(found.get(key) for key in _KEYS)):
        raise UserError(
            f"{path} names no role and no key",
            fix=f"write one line, ROLE=the role's name, or the two lines of {' and '.join(_KEYS)}",
            exit_code=2,
        )
    return found


def credentials(run: LabRun, name: str) -> Credentials:
    """What a job of the consumer works with. Raises AssumeRoleDenied and UserError."""
    found = settings(run, name)
    if found.get("ROLE"):
        return run.job_session(found["ROLE"].rpartition("/")[2], f"acme/{name}")
    return Credentials(found[_KEYS[0]], found[_KEYS[1]])


def work(run: LabRun, name: str) -> str:
    """A consumer's job: write its own export, read the customers'."""
    session = credentials(run, name)
    common.write(run, session, f"exports/{name}.csv")
    return common.read(run, session, KEY)


def revoke(run: LabRun, leaked: Credentials) -> None:
    """Do what an administrator does on the day of the leak: end the key, or the sessions."""
    iam = run.administrator("iam")
    if leaked.session_token is None:
        user, key = _owner(iam, leaked), leaked.access_key_id
        iam.update_access_key(UserName=user, AccessKeyId=key, Status="Inactive")
        run.record.kept[OFF] = [*run.record.kept.get(OFF, ()), key]
        run.save()
        return
    arn = run.client(leaked, "sts").get_caller_identity()["Arn"]
    # Issue times count whole seconds: the present second's sessions must be older, too.
    until = datetime.fromtimestamp(math.floor(time.time()) + 1, UTC)
    common.deny_sessions(run, arn.split("/")[1], REVOKED, until)


def _owner(iam: Any, leaked: Credentials) -> str:
    """The user whose key it is. Raises Refused if it is nobody's any more."""
    for user in iam.list_users()["Users"]:
        for key in iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]:
            if key["AccessKeyId"] == leaked.access_key_id:
                return str(user["UserName"])
    raise Refused(f"the key of consumers/{LEAKY}.env was deleted before")


def tidy(run: LabRun) -> None:
    """Take back what earlier revocations did to keys and roles, and nothing else did."""
    iam, ours = run.administrator("iam"), run.record.kept.pop(OFF, ())
    run.save()
    for user in iam.list_users()["Users"] if ours else ():
        for key in iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]:
            if key["AccessKeyId"] in ours:
                which = {"UserName": user["UserName"], "AccessKeyId": key["AccessKeyId"]}
                iam.update_access_key(**which, Status="Active")
    for role in iam.list_roles()["Roles"]:
        if REVOKED in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            iam.delete_role_policy(RoleName=role["RoleName"], PolicyName=REVOKED)


def recover(
    run: LabRun, seconds: float, *, by_hand: bool = False, tell: Callable[[str], Any] = str
) -> float:
    """Wait until every consumer works; returns the seconds. Raises Refused.

    Unless somebody helps (`by_hand`), a consumer with a key that is refused is given up at once:
    no job brings it another one.
    """
    started, missing = time.monotonic(), list(CONSUMERS)
    while True:
        for name in list(missing):
            try:
                work(run, name)
            except Exception as failure:
                if not by_hand and (
                    refusal_of(failure) is None or "ROLE" not in settings(run, name)
                ):
                    raise
                reason = refusal_of(failure) or str(failure)
                continue
            missing.remove(name)
            tell(f"{time.monotonic() - started:6.1f} s  {name} works")
        if not missing:
            return time.monotonic() - started
        if time.monotonic() - started > seconds:
            raise Refused(
                f"after {seconds:.0f} s these do not work: {', '.join(missing)}; {reason}"
            )
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Run the drill from the student's shell."""
    try:
        home = Path(os.environ["KEYLESS_HOME"])
        run = Labs(home).running(find(Record.load(home).lab))
        _drill(run)
    except (KeyError, FileNotFoundError):
        sys.exit("error: this shell does not know the lab; fix: . ./env.sh in the lab's folder")
    except UserError as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(failure.exit_code)
    except Refused as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)


def _drill(run: LabRun) -> None:
    """Leak, revoke, wait."""
    run.outputs = run.applied_outputs()
    tidy(run)
    leaked = credentials(run, LEAKY)
    revoke(run, leaked)
    print(f"   0.0 s  what {LEAKY} used is revoked", flush=True)
    if leaked.session_token is None:
        new = _new_key(run, leaked)
        where = run.give("new-key.txt", new)
        print(f"          the new key is in {where}: bring it to consumers/*.env", flush=True)
    took = recover(run, DRILL_SECONDS, by_hand=True, tell=lambda text: print(text, flush=True))
    print(f"every consumer works again after {took:.1f} s")


def _new_key(run: LabRun, leaked: Credentials) -> str:
    """A second key of the same user. AWS allows two; a third needs the oldest one deleted."""
    iam = run.administrator("iam")
    user = _owner(iam, leaked)
    for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        if key["AccessKeyId"] != leaked.access_key_id:
            iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return f"{_KEYS[0]}={made['AccessKeyId']}\n{_KEYS[1]}={made['SecretAccessKey']}\n"
