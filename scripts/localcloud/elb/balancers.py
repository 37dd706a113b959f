"""Follows the account's load balancers: a forwarder for each listener, targets from the account."""

from __future__ import annotations

import json
import logging
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.files import write_private
from scripts.localcloud.elb.forwarder import LONGEST_INTERVAL, Forwarder, Group

if TYPE_CHECKING:
    from scripts.localcloud.ec2.instances import Instances
    from scripts.localcloud.host import Host

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
FILE = "balancers.json"
"""In the state directory: the local port of each load balancer's name, by listener port."""
CERTIFICATE = "certificate/00000000-0000-0000-0000-000000000000"
"""The end of the ARN of the one certificate that the account's ACM has, for HTTPS listeners."""


@dataclass
class _Listener:
    name: str
    port: int
    forwarder: Forwarder


class Balancers:
    """Listeners of the account's Application Load Balancers, each on a free port."""

    def __init__(self, host: Host, instances: Instances) -> None:
        self._host, self._instances = host, instances
        self._open: dict[str, _Listener] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="balancers", daemon=True)

    def start(self) -> None:
        """Begin to follow the account. Returns at once."""
        (self._host.home / FILE).unlink(missing_ok=True)
        self._put_certificate()
        self._thread.start()

    def stop(self) -> None:
        """End every listener."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for listener in self._open.values():
            listener.forwarder.stop()
        self._open.clear()

    def _put_certificate(self) -> None:
        """A listener with TLS needs a certificate, and no owner of a domain is here to ask for one.

        No client sees it: each load balancer shows one for its own name.
        """
        from moto.acm.models import CertBundle

        account, region = self._host.account_id, self._host.region
        arn = f"arn:aws:acm:{region}:{account}:{CERTIFICATE}"
        certificate, key = (path.read_bytes() for path in self._host.issue("localhost"))
        bundle = CertBundle(account, certificate, key, region=region, arn=arn)
        self._host.backend("acm")._certificates[arn] = bundle

    def _follow(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            try:
                self._look()
            except Exception:
                # What moto is about to change must not end the service for good.
                log.exception("load balancers")

    def _look(self) -> None:
        with self._host.lock:
            wanted = {
                str(listener.arn): (str(balancer.dns_name), listener)
                for balancer in list(self._host.backend("elbv2").load_balancers.values())
                for listener in list(balancer.listeners.values())
            }
        gone, new = self._open.keys() - wanted.keys(), wanted.keys() - self._open.keys()
        for arn in gone:
            self._open.pop(arn).forwarder.stop()
        for arn in new:
            name, record = wanted[arn]
            self._open[arn] = self._listen(arn, name, record)
        if gone or new:
            self._publish()

    def _listen(self, arn: str, name: str, record: Any) -> _Listener:
        tls = self._tls(name) if str(record.protocol) == "HTTPS" else None
        forwarder = Forwarder(lambda: self._groups(arn), tls)
        forwarder.start()
        log.info("%s:%s answers on port %s", name, record.port, forwarder.port)
        return _Listener(name, int(record.port), forwarder)

    def _tls(self, name: str) -> ssl.SSLContext:
        """Under the load balancer's own name: AWS would show the certificate of the listener."""
        certificate, key = self._host.issue(name, "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def _groups(self, listener_arn: str) -> Sequence[Group]:
        """The groups of the listener's default action, with the ports of running instances."""
        backend = self._host.backend("elbv2")
        record = next(
            (
                listener
                for balancer in list(backend.load_balancers.values())
                for listener in list(balancer.listeners.values())
                if str(listener.arn) == listener_arn
            ),
            None,
        )
        if record is None:
            return []
        found = []
        for arn, weight in _weights(record):
            group = backend.target_groups.get(arn)
            if group is not None:
                found.append(self._group(group, weight))
        return found

    def _group(self, group: Any, weight: int) -> Group:
        ports = [
            self._port(str(target["Id"]), int(target.get("Port") or group.port))
            for target in list(group.targets.values())
        ]
        return Group(
            arn=str(group.arn),
            weight=weight,
            ports=tuple(port for port in ports if port is not None),
            health_path=str(group.health_check_path or "/"),
            interval=min(float(group.health_check_interval_seconds or 30), LONGEST_INTERVAL),
            unhealthy_after=int(group.unhealthy_threshold_count or 2),
        )

    def _port(self, instance_id: str, port: int) -> int | None:
        instance = self._instances.find(instance_id)
        return instance.local_port(port) if instance is not None else None

    def _publish(self) -> None:
        ports: dict[str, dict[str, int]] = {}
        for listener in self._open.values():
            ports.setdefault(listener.name, {})[str(listener.port)] = listener.forwarder.port
        write_private(self._host.home / FILE, json.dumps(ports, indent=1).encode())


def _weights(listener: Any) -> list[tuple[str, int]]:
    """Target groups of the default action, each with its weight."""
    for action in listener.default_actions:
        data = action.data if hasattr(action, "data") else action
        forward = data.get("ForwardConfig") or {}
        groups = forward.get("TargetGroups") or []
        if groups:
            return [(str(group["TargetGroupArn"]), int(group.get("Weight", 1))) for group in groups]
        if data.get("TargetGroupArn"):
            return [(str(data["TargetGroupArn"]), 1)]
    return []
