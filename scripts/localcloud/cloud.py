"""The local cloud as one object: start it, use its endpoint, stop it."""

import contextlib
import json
import logging
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from scripts.aws.credentials import Credentials
from scripts.files import private_folder, write_private
from scripts.iam.account.decision_log import Via
from scripts.iam.engine.evaluation import Decision
from scripts.iam.requests import Need, Reading
from scripts.localcloud import home as state
from scripts.localcloud.access.authorization import Authorizer, RequestInfo
from scripts.localcloud.access.context import Keys
from scripts.localcloud.access.decisions import DecisionLog
from scripts.localcloud.access.errors import Answer
from scripts.localcloud.access.incoming import HOST
from scripts.localcloud.access.principals import Caller, Key, Principals
from scripts.localcloud.authority import Authority
from scripts.localcloud.emulator.account import MotoAccount
from scripts.localcloud.emulator.consistency import Lags
from scripts.localcloud.emulator.emulator import Emulator
from scripts.localcloud.gateway import Check, Gateway
from scripts.localcloud.rules import arrivals, table
from scripts.localcloud.server import Server
from scripts.localcloud.sts.issuer import Issuer
from scripts.localcloud.sts.sts import Sts
from scripts.localcloud.sts.tokens import Provider, TokenVerifier

if TYPE_CHECKING:
    from scripts.localcloud.dataplane import DataPlane

_log = logging.getLogger(__name__)
# Looks like any account, and is the same in every run so that names and examples stay.
ACCOUNT_ID = "471835269042"
REGION = "us-east-1"
# On AWS 30 to 90 s; long enough here that whoever does not wait for it fails.
AGENT_SECONDS = 5.0
# The role that IAM Identity Center makes for a human administrator.
ADMINISTRATOR_ROLE = "AWSReservedSSO_AdministratorAccess_4b1f0c9a7de23568"
_SSO_PATH = "/aws-reserved/sso.amazonaws.com/"


class LocalCloud:
    """A local AWS account behind one HTTPS endpoint on a free port of the loopback address.

    `data_plane` also runs databases, instances and sessions; an instance's SSM agent registers
    `agent_seconds` after its boot. With `lags` changes count late. As a context manager it starts
    and stops itself; without a `home` it keeps its files in a temporary directory.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        region: str = REGION,
        data_plane: bool = False,
        agent_seconds: float = AGENT_SECONDS,
        lags: Lags | None = None,
    ) -> None:
        self._temporary = None if home else tempfile.TemporaryDirectory(prefix="keyless-")
        self.home = private_folder(home or Path(self._temporary.name))  # type: ignore[union-attr]
        self.region = region
        self.agent_seconds = agent_seconds
        self._lags = lags
        self.account_id = ACCOUNT_ID
        self._with_data_plane = data_plane
        self._stack = contextlib.ExitStack()

    def start(self) -> Self:
        """Start everything; the attributes documented below exist from then on."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything and forget the account."""
        self._stack.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        self._authority = Authority(self.home)
        self.ca_bundle = self._authority.bundle
        certificate = self._authority.issue(HOST, "localhost")
        # Both servers are bound, and answer only once the gateway exists.
        secure = Server(lambda incoming: self.gateway.handle(incoming), certificate)
        self._stack.callback(secure.stop)
        plain = Server(lambda incoming: self.gateway.handle(incoming))
        self._stack.callback(plain.stop)
        self.endpoint = f"https://{HOST}:{secure.port}"
        self.plain_endpoint = f"http://{HOST}:{plain.port}"
        host = f"{HOST}:{secure.port}"
        self.emulator = Emulator(self.account_id, self.region, host, self._lags)
        self.emulator.start()
        self._stack.callback(self.emulator.stop)
        self.decisions = DecisionLog(self.home / state.DECISIONS_FILE)
        self._stack.callback(self.decisions.stop)
        self._build_gateway()
        self.administrator = self._make_administrator()
        self.data_plane = self._start_data_plane() if self._with_data_plane else None
        secure.start()
        plain.start()

    def _build_gateway(self) -> None:
        backends = self.emulator.backend
        view = self.emulator.consistency.view
        lock = self.emulator.lock
        self._account = MotoAccount(self.account_id, self.region, backends, lock, view)
        self._principals = Principals(self.account_id, lambda: backends("iam"))
        self._authorizer = Authorizer(self.account_id, backends, self.decisions, view)
        self.issuer = Issuer(self.endpoint)
        self.sts = Sts(
            self.account_id,
            backends,
            self._principals,
            self._authorizer,
            TokenVerifier(self._providers, self.issuer.signing_keys),
        )
        self.gateway = Gateway(
            self.emulator,
            self._account,
            self._principals,
            self._authorizer,
            self.sts,
            self.issuer,
        )
        self.gateway.checks.update(table.checks(backends))
        for place, early in arrivals.checks(self.emulator.consistency, backends).items():
            usual = self.gateway.checks.get(place)
            self.gateway.checks[place] = both(usual, early) if usual else early

    def _providers(self) -> dict[str, Provider]:
        return {
            provider.url: Provider(provider.arn, provider.url, tuple(provider.client_id_list))
            for provider in list(self.emulator.backend("iam").open_id_providers.values())
        }

    def _make_administrator(self) -> Credentials:
        """Sign in a human administrator as IAM Identity Center would: a session of a role."""
        iam = self.emulator.backend("iam")
        trust = {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{self.account_id}:saml-provider/SSO"},
                "Action": ["sts:AssumeRoleWithSAML", "sts:TagSession"],
            },
        }
        role = iam.create_role(
            ADMINISTRATOR_ROLE, json.dumps(trust), _SSO_PATH, None, "", [], "43200"
        )
        everything = {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"},
        }
        role.put_policy("AdministratorAccess", json.dumps(everything))
        session = self._principals.open_session(role, "administrator", None).session
        assert session is not None
        return session.credentials

    def _start_data_plane(self) -> "DataPlane":
        from scripts.localcloud.dataplane import DataPlane

        plane = DataPlane(self)
        self._stack.callback(plane.stop)
        self._account.session_tags = plane.sessions.tags
        plane.start()
        handlers = self.gateway.handlers
        handlers["ssm", "StartSession"] = _json_handler(plane.start_session)
        handlers["ssm", "TerminateSession"] = _json_handler(plane.terminate_session)
        handlers["ssm", "GetConnectionStatus"] = _json_handler(plane.connection_status)
        handlers["ssmmessages", "OpenDataChannel"] = lambda reading, caller: _json_answer(
            plane.open_data_channel(reading.request, caller)
        )
        return plane

    @property
    def lock(self) -> threading.RLock:
        """Held while moto works."""
        return self.emulator.lock

    def backend(self, service: str, region: str | None = None) -> Any:
        """Moto's state of one service in this account; change it under `lock` only."""
        return self.emulator.backend(service, region)

    def issue(self, *names: str) -> tuple[Path, Path]:
        """A server certificate for `names` under the project's CA: paths of chain and key."""
        return self._authority.issue(*names)

    def identify(self, access_key_id: str, token: str | None) -> Key:
        """The owner and secret of an access key; raises Refusal (see `Principals.find`)."""
        return self._principals.find(access_key_id, token, datetime.now(UTC))

    def authorize(self, caller: Caller, need: Need, *, via: Via = "gateway") -> Decision:
        """Decide and record one permission that no request to the endpoint stands for, so no key
        of a request is set. Raises AwsError where the answer hangs on what nobody knows here."""
        service = need.action.partition(":")[0]
        info = RequestInfo(str(uuid.uuid4()), service, need.action.partition(":")[2], via)
        return self._authorizer.decide(caller, need, {}, info)

    def credentials_for_role(
        self, role_arn: str, session_name: str, keys: Keys | None = None
    ) -> Credentials:
        """A session of a role as EC2 gets it for an instance; raises AwsError if untrusted."""
        return self.sts.for_service(role_arn, session_name, "ec2.amazonaws.com", keys)

    def announce(self, pid: int, started: float) -> None:
        """Write the files by which other processes find this cloud; the last one says ready."""
        write_private(
            self.home / state.ADMINISTRATOR_FILE,
            json.dumps(
                {
                    "access_key_id": self.administrator.access_key_id,
                    "secret_access_key": self.administrator.secret_access_key,
                    "session_token": self.administrator.session_token,
                }
            ).encode(),
        )
        cloud = {
            "endpoint": self.endpoint,
            "plain_endpoint": self.plain_endpoint,
            "ca_bundle": str(self.ca_bundle),
            "region": self.region,
            "account_id": self.account_id,
            "pid": pid,
            "started": started,
            "issuer_key": self.issuer.key,
            "ready": time.time(),
        }
        write_private(self.home / state.CLOUD_FILE, json.dumps(cloud, indent=2).encode())


def both(one: Check, other: Check) -> Check:
    """Two checks in one."""

    def check(reading: Reading) -> None:
        one(reading)
        other(reading)

    return check


def _json_handler(call: Any) -> Any:
    """Serve an operation of a JSON service by a function of its parameters and the caller."""

    def handle(reading: Reading, caller: Caller) -> Answer:
        return _json_answer(call(reading.parameters, caller))

    return handle


def _json_answer(content: Mapping[str, Any]) -> Answer:
    body = json.dumps(content).encode()
    return Answer(200, {"Content-Type": "application/x-amz-json-1.1"}, body)
