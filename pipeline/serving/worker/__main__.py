"""The process of one model: loads it from the bytes that the server verified, answers, keeps a log.

It is handed no credentials, and speaks on one socket to the server. (On an instance it could still
ask the metadata service, like any process there: what it loads is pinned, verified and typed.)
`python -m pipeline.serving.worker FD` is started by the server, never by hand.
"""

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline.serving.worker import wire
from pipeline.serving.worker.wire import Frame

if TYPE_CHECKING:
    from pipeline.serving.worker.predictor import Answers, Predictor, Request

_PR_SET_PDEATHSIG = 1
# A tenth of the weight of whoever answers: https://man7.org/linux/man-pages/man7/sched.7.html
_LOADING_NICENESS = 10


class Worker:
    """Answers frames from the server, one after the other."""

    def __init__(
        self, incoming: IO[bytes], outgoing: IO[bytes], *, background: bool = False
    ) -> None:
        self._incoming, self._outgoing, self._background = incoming, outgoing, background
        self._predictor: Predictor | None = None

    def serve(self) -> None:
        """Answer until the server ends the connection."""
        while (frame := wire.read(self._incoming)) is not None:
            kind = frame.header["kind"]
            if kind == "load":
                self._send(self._load(frame))
                # Not before: on a busy machine the idle class would never have loaded it.
                if self._background:
                    _give_way()
            elif kind == "predict":
                self._predict(frame)
            elif kind == "rotate":
                self._journal.rotate()
        if self._predictor is not None:
            self._journal.close()

    def _load(self, frame: Frame) -> Frame:
        from pipeline.model.threads import keep_freed_memory
        from pipeline.serving.worker.journal import Journal, recover
        from pipeline.serving.worker.loading import Refused, load

        header = frame.header
        try:
            self._predictor, facts = load(header, *frame.parts)
        except Refused as error:
            return Frame({"kind": "refused", "why": str(error)})
        # What is loaded stays: the garbage collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        keep_freed_memory()
        folder = Path(header["journal"])
        # Who watches the predictions may not read the contract; labels are read by it.
        contract = facts.contract.model_copy(update={"features": {}}).model_dump(mode="json")
        note = {**header["note"], "contract": contract, "positive": facts.positive}
        self._journal = Journal(folder, note, header["journal_rows"])
        recover(folder)
        return Frame(
            {
                "kind": "ready",
                "contract": facts.contract.model_dump(mode="json"),
                "positive": facts.positive,
                "classes": facts.contract.classes,
            }
        )

    def _predict(self, frame: Frame) -> None:
        from pipeline.serving.worker.predictor import Request

        assert self._predictor is not None
        items = frame.header["items"]
        requests = [
            Request(item["id"], item["kind"], body)
            for item, body in zip(items, frame.parts, strict=True)
        ]
        found = self._predictor.answer(requests)
        answers = found.in_order()
        header = {
            "kind": "answers",
            "items": [
                (answer.status, answer.rows, answer.score_total, answer.score_squares)
                for answer in answers
            ],
        }
        self._send(Frame(header, [answer.body for answer in answers]))
        # After the answer has gone, so that nobody waits for the log.
        self._keep(requests, items, found)

    def _keep(
        self, requests: "list[Request]", items: list[Mapping[str, Any]], found: "Answers"
    ) -> None:
        import pyarrow  # type: ignore[import-untyped]

        ids = [request.prediction_id for request in requests]
        named: dict[str, list[Any]] = {"prediction_id": ids} | {
            name: [item[name] for item in items]
            for name in ("experiment", "assigned", "unit", "received_at")
        }
        for place, request in enumerate(requests):
            if found.answers[place].status == 200:
                self._journal.sample(request.kind, request.body)
        known = {
            name: pyarrow.array(values, type=pyarrow.string()) for name, values in named.items()
        }
        for part in found.parts:
            table, places = part.table, pyarrow.array(part.owners[:, 0])
            columns = dict(zip(table.column_names, table.columns, strict=True))
            for name, values in known.items():
                columns[f"keyless_{name}"] = values.take(places)
            columns["keyless_row"] = pyarrow.array(part.owners[:, 1])
            self._journal.add(pyarrow.table(columns), part.seen)

    def _send(self, frame: Frame) -> None:
        self._outgoing.write(wire.encode(frame))
        self._outgoing.flush()


def _end_with_server() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _give_way() -> None:
    """Take only processor time that nobody wants."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):  # not Linux, or a sandbox that forbids it
        with contextlib.suppress(OSError):
            os.nice(19)


def main() -> None:
    """Serve on the inherited socket."""
    # Ctrl-C goes to the whole group; the server decides when its models end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_server()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        background = "--background" in sys.argv
        if background:  # it loads for seconds of processor time
            os.nice(_LOADING_NICENESS)
        if "--idle" in sys.argv:  # after a crash nobody waits for it
            _give_way()
        incoming, outgoing = connection.makefile("rb"), connection.makefile("wb")
        Worker(incoming, outgoing, background=background).serve()


if __name__ == "__main__":
    main()
