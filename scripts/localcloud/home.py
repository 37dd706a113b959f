"""The state directory of a local cloud, and how other processes find the cloud that runs there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from scripts.aws.credentials import Credentials

CLOUD_FILE = "cloud.json"
ADMINISTRATOR_FILE = "administrator.json"
DECISIONS_FILE = "decisions.jsonl"
# Every process that the cloud starts carries this variable with the absolute home directory.
HOME_VARIABLE = "KEYLESS_PROCESS_OF"


class CloudDown(Exception):
    """No local cloud runs in the given home directory. `fix` is the command for it."""

    def __init__(self, why: str, *, fix: str) -> None:
        super().__init__(why)
        self.fix = fix


@dataclass(frozen=True)
class Cloud:
    """A running local cloud, as another process sees it. `started` is in epoch seconds."""

    home: Path
    endpoint: str
    plain_endpoint: str
    ca_bundle: Path
    region: str
    account_id: str
    pid: int
    started: float
    issuer_key: str

    @property
    def decisions(self) -> Path:
        """The decision log, one JSON object a line."""
        return self.home / DECISIONS_FILE


def load(home: Path) -> Cloud:
    """Find the local cloud that runs in `home`.

    Raises CloudDown if none does: no file, a process that is gone, or a process that merely
    inherited the number of one that is gone.
    """
    home = home.absolute()
    try:
        recorded = json.loads((home / CLOUD_FILE).read_bytes())
        cloud = _cloud(home, recorded)
    except FileNotFoundError:
        raise CloudDown(f"no local cloud runs in {home}", fix="keyless up") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CloudDown(f"{home / CLOUD_FILE} is not readable", fix="keyless down") from error
    if not alive(cloud.pid, cloud.started, home):
        raise CloudDown(
            f"the local cloud in {home} ended without cleaning up",
            fix="keyless up, which rebuilds it; keyless down removes what is left",
        )
    return cloud


def _cloud(home: Path, recorded: dict[str, Any]) -> Cloud:
    return Cloud(
        home=home,
        endpoint=recorded["endpoint"],
        plain_endpoint=recorded["plain_endpoint"],
        ca_bundle=Path(recorded["ca_bundle"]),
        region=recorded["region"],
        account_id=recorded["account_id"],
        pid=int(recorded["pid"]),
        started=float(recorded["started"]),
        issuer_key=recorded["issuer_key"],
    )


def administrator(home: Path) -> Credentials:
    """The credentials of the human administrator of the local account.

    Raises CloudDown where no cloud has written them.
    """
    try:
        recorded = json.loads((home / ADMINISTRATOR_FILE).read_bytes())
    except FileNotFoundError:
        raise CloudDown(f"no local cloud runs in {home}", fix="keyless up") from None
    return Credentials(
        access_key_id=recorded["access_key_id"],
        secret_access_key=recorded["secret_access_key"],
        session_token=recorded["session_token"],
        expiration=None,
    )


def alive(pid: int, started: float, home: Path | None = None) -> bool:
    """Whether the process that had `pid` at `started` (epoch seconds) still runs.

    A clock that was set meanwhile moves every start; the mark of `home` tells the process then.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # psutil derives the start from clock ticks, so it may differ in the last digits.
        if abs(process.create_time() - started) < 1:
            return True
        marked = process.environ().get(HOME_VARIABLE) if home else None
        return marked is not None and marked == str(home)
    except (psutil.Error, OSError):
        return False
