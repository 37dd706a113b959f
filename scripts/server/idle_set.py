"""A port of this machine that leads to the model servers that get no traffic."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import StepFailed
from pipeline.rollouts.control.front import ListenerFront
from pipeline.rollouts.strategies import other
from scripts.console import UserError
from scripts.localcloud.ec2.forward import Forward
from scripts.server.sessions import Session, open_session

if TYPE_CHECKING:
    from pipeline.outputs import Serving
    from scripts.server.sessions import Clients

log = logging.getLogger(__name__)


@contextmanager
def way_to_idle_set(
    clients: Clients, serving: Serving, aws_cli: Mapping[str, str] | None = None
) -> Iterator[str]:
    """An address that leads to a server of the idle set, while there is one.

    A rollout starts the servers of the idle set, so there are none yet when its controller begins:
    each connection opens a session if none is open, and is closed at once where there is no server.
    """
    with contextlib.ExitStack() as sessions:
        way = _Way(clients, serving, aws_cli, sessions)
        forward = Forward(way.port)
        sessions.callback(forward.stop)
        yield f"http://127.0.0.1:{forward.port}"


class _Way:
    def __init__(
        self,
        clients: Clients,
        serving: Serving,
        aws_cli: Mapping[str, str] | None,
        sessions: contextlib.ExitStack,
    ) -> None:
        self._clients, self._serving, self._aws_cli = clients, serving, aws_cli
        self._sessions = sessions
        self._lock = threading.Lock()
        self._open: tuple[str, Session] | None = None

    def port(self) -> int | None:
        """The near end of a session to the set that is idle now; None where no server runs."""
        with self._lock:
            try:
                return self._session().port
            except (UserError, StepFailed) as reason:
                log.debug("no way to the idle set: %s", reason)
                return None

    def _session(self) -> Session:
        front = ListenerFront(self._clients("elbv2"), self._clients("autoscaling"), self._serving)
        idle = other(front.active())
        if self._open is not None and self._open[0] == idle and not self._open[1].ended:
            return self._open[1]
        tags = {**self._serving.instance_tags, "Set": idle}
        session = self._sessions.enter_context(
            open_session(self._clients, self._serving.session_document, tags, aws_cli=self._aws_cli)
        )
        self._open = idle, session
        return session
