"""RDS's data plane: one PostgreSQL and one TLS front for each database instance of the account."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scripts.iam.requests import Need
from scripts.localcloud.access.context import OF_THE_WAY
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.rds.front import Front
from scripts.localcloud.rds.login_token import Login, TokenRefused, caller_of
from scripts.localcloud.rds.postgres import Postgres, remove

if TYPE_CHECKING:
    from scripts.localcloud.host import Host

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
# IAM authentication "doesn't support all global condition context keys"; AWS does not list which.
# A user found aws:CurrentTime absent and aws:TokenIssueTime there (aws/aws-cli#5271).
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
UNTOLD = (
    *OF_THE_WAY, "aws:CurrentTime", "aws:EpochTime", "aws:Referer", "aws:RequestedRegion",
    "aws:ResourceTag/", "aws:SecureTransport", "aws:UserAgent", "aws:ViaAWSService",
)  # fmt: skip
# A stopped instance keeps its data and takes no connections.
_DOWN = frozenset({"stopped", "stopping", "deleting"})


@dataclass
class _Instance:
    """A database instance that runs: moto's record of it, its server, its front and the address
    that the front's certificate is for."""

    record: Any
    postgres: Postgres
    password: str
    front: Front | None = None
    address: str = ""


class Databases:
    """Follows the account's DB instances: starts a server for a new one, ends that of a deleted."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._directory = host.home / "rds"
        self._running: dict[str, _Instance] = {}
        self._failed: dict[str, str] = {}
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(
            target=self._loop.run_forever, name="rds-fronts", daemon=True
        )
        self._follower = threading.Thread(target=self._follow, name="rds", daemon=True)

    def start(self) -> None:
        """Begin to follow the account. Returns at once."""
        for leftover in self._directory.glob("*"):
            remove(leftover)
        self._loop_thread.start()
        self._follower.start()

    def stop(self) -> None:
        """End every server and front, and remove their data."""
        self._stopping.set()
        if self._follower.is_alive():
            self._follower.join()
        for resource_id in list(self._running):
            self._remove(resource_id)
        if self._loop_thread.is_alive():
            self._await(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop_thread.join()
        self._loop.close()

    def port(self, address: str, port: int) -> int | None:
        """The local port of the instance at this RDS address and port, None while there is none."""
        return self._find(lambda record: (record.address, int(record.port)) == (address, port))

    def port_of_environment(self, environment: str) -> int | None:
        """The local port of the instance with this Environment tag, None while there is none."""
        tag = {"Key": "Environment", "Value": environment}
        return self._find(lambda record: tag in record.tags)

    def wait(self, identifier: str, timeout: float) -> int:
        """Wait until an instance takes connections; return its local port.

        Raises TimeoutError.
        """
        with self._changed:
            found = self._changed.wait_for(
                lambda: self._find(lambda record: record.db_instance_identifier == identifier),
                timeout,
            )
        if not found:
            reason = self._failed.get(identifier, "no such database instance is available")
            raise TimeoutError(f"{identifier}: {reason}")
        return found

    def status(self) -> list[dict[str, Any]]:
        """Each instance's identifier, address, local port and whether its server runs."""
        with self._changed:
            return [
                {
                    "identifier": instance.record.db_instance_identifier,
                    "address": instance.record.address,
                    "port": instance.front.port if instance.front else None,
                    "pid": instance.postgres.pid,
                }
                for instance in self._running.values()
            ]

    def _find(self, wanted: Callable[[Any], bool]) -> int | None:
        with self._changed:
            for instance in self._running.values():
                current = instance.address == instance.record.address  # else it is being renamed
                if instance.front is not None and current and wanted(instance.record):
                    return instance.front.port
        return None

    def _follow(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            records = list(self._host.backend("rds").databases.values())
            wanted = {
                str(record.dbi_resource_id): record for record in records if _postgres(record)
            }
            for resource_id in self._running.keys() - wanted.keys():
                self._remove(resource_id)
            for resource_id, record in wanted.items():
                self._tend(resource_id, record)

    def _tend(self, resource_id: str, record: Any) -> None:
        identifier = record.db_instance_identifier
        try:
            if resource_id not in self._running and identifier not in self._failed:
                self._add(resource_id, record)
            if instance := self._running.get(resource_id):
                self._keep(instance)
        except Exception as failure:
            # One instance that cannot start must not end the service for the others.
            log.exception("database instance %s", identifier)
            self._failed[identifier] = str(failure)

    def _add(self, resource_id: str, record: Any) -> None:
        password = self._master_password(record)
        postgres = Postgres(
            self._directory / str(record.dbi_resource_id),  # the name may change
            home=self._host.home,
            master=record.master_username,
            password=password,
            database=record.db_name,
        )
        postgres.start()
        instance = _Instance(record, postgres, password)
        self._open(instance)
        with self._changed:
            self._running[resource_id] = instance
            self._changed.notify_all()
        log.info("database instance %s is available", record.db_instance_identifier)

    def _keep(self, instance: _Instance) -> None:
        if instance.postgres.ensure_running():
            log.warning("PostgreSQL of %s was restarted", instance.record.db_instance_identifier)
        password = self._master_password(instance.record)
        if password != instance.password:
            instance.postgres.set_master_password(password)
            instance.password = password
        down = instance.record.status in _DOWN
        renamed = instance.address != instance.record.address  # which reboots it on AWS, too
        if (down or renamed) and instance.front is not None:
            self._close(instance)
        if not down and instance.front is None:
            self._open(instance)

    def _open(self, instance: _Instance) -> None:
        address = instance.record.address
        front = Front(
            instance.postgres,
            self._host.issue(address),
            lambda token, user: self._admit(instance.record, token, user),
        )
        self._await(front.start())
        instance.front, instance.address = front, address

    def _close(self, instance: _Instance) -> None:
        front, instance.front = instance.front, None
        if front is not None:
            self._await(front.stop())

    def _remove(self, resource_id: str) -> None:
        with self._changed:
            instance = self._running.pop(resource_id)
        self._close(instance)
        instance.postgres.stop()
        remove(self._directory / resource_id)

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def _admit(self, record: Any, token: str, user: str) -> None:
        """Let a token's signer in as `user`, or raise TokenRefused."""
        if not record.enable_iam_database_authentication:
            raise TokenRefused("IAM authentication is not enabled on the instance")
        login = Login(record.address, int(record.port), self._host.region, user)
        caller = caller_of(token, login, identify=self._host.identify, now=datetime.now(UTC))
        resource = (
            f"arn:aws:rds-db:{self._host.region}:{self._host.account_id}"
            f":dbuser:{record.dbi_resource_id}/{user}"
        )
        need = Need("rds-db:connect", resource, unknown=UNTOLD)
        try:
            decision = self._host.authorize(caller, need, via="rds")
        except AwsError as error:  # the decision is on record
            raise TokenRefused(error.message) from error
        if not decision.allowed:
            raise TokenRefused(f"{caller.principal.arn} may not rds-db:connect to {resource}")

    def _master_password(self, record: Any) -> str:
        managed = getattr(record, "master_user_secret", None)
        if managed is None:
            return str(record._master_user_password)
        secret = self._host.backend("secretsmanager").get_secret_value(
            managed.secret_arn, None, None
        )
        return str(json.loads(secret["SecretString"])["password"])


def _postgres(record: Any) -> bool:
    return str(record.engine) == "postgres"
