"""What the data plane needs of a cloud, over moto's real backends, for tests in process."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from moto.backends import get_backend

from scripts.aws.credentials import Credentials
from scripts.files import private_folder
from scripts.iam.engine.evaluation import Decision, Reason
from scripts.iam.requests import Need
from scripts.localcloud.access.context import Keys
from scripts.localcloud.access.principals import Caller, Key, Principals
from scripts.localcloud.authority import Authority

REGION = "us-east-1"
TRUST = '{"Version": "2012-10-17", "Statement": []}'


class FakeHost:
    """Real keys, sessions, certificates and moto; who may do what is a list of the test's."""

    def __init__(self, home: Path) -> None:
        self.home = private_folder(home)
        self.region = REGION
        self.agent_seconds = 0.0
        self.lock = threading.RLock()
        self.account_id = str(random.randint(10**11, 10**12 - 1))
        self.endpoint = "https://127.0.0.1:9"
        self.authority = Authority(self.home)
        self.ca_bundle = self.authority.bundle
        self.principals = Principals(self.account_id, lambda: self.backend("iam"))
        self.allowed: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, Need]] = []

    def backend(self, service: str) -> Any:
        backends: Any = get_backend(service)  # type: ignore[call-overload]
        return backends[self.account_id]["aws" if service == "iam" else self.region]

    def issue(self, *names: str) -> tuple[Path, Path]:
        return self.authority.issue(*names)

    def identify(self, access_key_id: str, token: str | None) -> Key:
        return self.principals.find(access_key_id, token, datetime.now(UTC))

    def authorize(self, caller: Caller, need: Need, *, via: str) -> Decision:
        self.asked.append((caller.principal.arn, need))
        allowed = (caller.role_name or "", need.resource) in self.allowed
        reason = Reason.ALLOWED if allowed else Reason.NO_IDENTITY_ALLOW
        return Decision(allowed, reason, None, None, None)

    def credentials_for_role(
        self, role_arn: str, session_name: str, keys: Keys | None = None
    ) -> Credentials:
        return self.session(role_arn.rpartition("/")[2], session_name)

    def role(self, name: str) -> Any:
        iam = self.backend("iam")
        found = [role for role in iam.roles.values() if role.name == name]
        return found[0] if found else iam.create_role(name, TRUST, "/", None, "", [], 3600)

    def session(
        self, role: str, name: str = "test", lifetime: timedelta = timedelta(hours=1)
    ) -> Credentials:
        """A new session of a role, which is made where it does not exist."""
        caller = self.principals.open_session(self.role(role), name, lifetime)
        assert caller.session is not None
        return caller.session.credentials
