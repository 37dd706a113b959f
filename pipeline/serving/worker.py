"""The process of one model: loads it from the bytes that the server verified, answers, keeps a log.

It has no credentials and no way to the network of its own; it speaks on one socket to the server.
`python -m pipeline.serving.worker FD` is started by the server, never by hand.
"""

import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import IO, TYPE_CHECKING, Any

import orjson

from pipeline.data.cells import EPOCHS, ISO
from pipeline.serving import wire
from pipeline.serving.wire import Frame

if TYPE_CHECKING:
    from pipeline.model.artifacts import ModelFacts
    from pipeline.serving.predictor import Answers, Predictor, Request

_PR_SET_PDEATHSIG = 1


class Refused(Exception):
    """The model is not one that may answer; the message says why."""


class Worker:
    """Answers frames from the server, one after the other."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._predictor: Predictor | None = None

    def serve(self) -> None:
        """Answer until the server ends the connection."""
        while (frame := wire.read(self._incoming)) is not None:
            kind = frame.header["kind"]
            if kind == "load":
                self._send(self._load(frame))
            elif kind == "predict":
                self._predict(frame)
            elif kind == "rotate":
                self._journal.rotate()
        if self._predictor is not None:
            self._journal.close()

    def _load(self, frame: Frame) -> Frame:
        from pipeline.model.threads import keep_freed_memory
        from pipeline.serving.journal import Journal, recover

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
        from pipeline.serving.predictor import Request

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
        for part in found.parts:
            table, places = part.table, pyarrow.array(part.owners[:, 0])
            for name, values in named.items():
                column = pyarrow.array(values, type=pyarrow.string()).take(places)
                table = table.append_column(f"keyless_{name}", column)
            table = table.append_column("keyless_row", pyarrow.array(part.owners[:, 1]))
            self._journal.add(table, part.seen)

    def _send(self, frame: Frame) -> None:
        self._outgoing.write(wire.encode(frame))
        self._outgoing.flush()


def load(header: Mapping[str, Any], card: bytes, model: bytes) -> "tuple[Predictor, ModelFacts]":
    """Make a predictor of verified bytes, and try it. Raises Refused for a model that is unfit."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from pipeline.model.artifacts import ModelFacts
    from pipeline.serving.predictor import Predictor

    try:
        facts = ModelFacts.parse(card)
        loaded = skops.io.loads(model, trusted=header["trusted"])
    except UntrustedTypesFoundException as error:
        raise Refused(f"it holds types that are not trusted: {error}") from None
    except Exception as error:  # noqa: BLE001 - whatever a file can do wrong
        raise Refused(f"it cannot be read: {type(error).__name__}: {error}") from None
    try:
        _check_signature(loaded, facts)
        predictor = Predictor(loaded, facts, header["version"], header["max_rows"])
        _try(predictor, facts)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a model can do wrong
        raise Refused(f"it does not answer: {type(error).__name__}: {error}") from None
    return predictor, facts


def _check_signature(model: Any, facts: "ModelFacts") -> None:
    """The model was fitted on the columns that its contract names, and knows no other classes."""
    fitted = [str(name) for name in getattr(model, "feature_names_in_", [])]
    wanted = list(facts.contract.inputs)
    if fitted != wanted:
        raise Refused(
            f"it was fitted on {len(fitted)} columns that are not those of its contract, "
            f"such as {', '.join(sorted(set(fitted) ^ set(wanted))[:3]) or 'in another order'}"
        )
    known = {str(name) for name in getattr(model, "classes_", [])}
    if known - set(facts.contract.classes):
        raise Refused("it knows classes that its contract does not name")


def _try(predictor: "Predictor", facts: "ModelFacts") -> None:
    """Rows of the contract, with and without gaps, must get an answer; then shorten the way."""
    from pipeline.serving.predictor import Request

    rows = examples(facts, min(200, predictor.max_rows))
    requests = [Request("", "row", orjson.dumps(row)) for row in rows[:2]]
    for answer in predictor.answer(requests).in_order():
        if answer.status != 200:
            raise Refused(f"it does not answer a row of its contract: {answer.body.decode()}")
    predictor.shorten(rows)


def examples(facts: "ModelFacts", count: int) -> list[dict[str, float | str | None]]:
    """Rows that the contract allows: one without a gap, an empty one, then any."""
    random = Random(0)
    features = facts.contract.features
    rows: list[dict[str, float | str | None]] = [
        {name: _draw(random, column) for name, column in features.items()},
        dict.fromkeys(features),
    ]
    while len(rows) < count:
        rows.append(
            {
                name: _draw(random, column) if random.random() > 0.1 else None
                for name, column in features.items()
            }
        )
    return rows


def _draw(random: Random, column: Any) -> float | str:
    if column.kind == "number":
        return random.uniform(float(column.minimum), float(column.maximum))
    if column.kind == "category":
        categories: list[str] = column.categories
        return random.choice([*categories, "never seen before"])
    if column.kind == "date":
        return _moment(random, str(column.format))
    return random.choice(["some words", "others", "07", "3.5"])


def _moment(random: Random, form: str) -> float | str:
    seconds = random.uniform(0, 2e9)
    if form in EPOCHS:
        return float(seconds * 1000 ** ("s", "ms", "us", "ns").index(EPOCHS[form]))
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat() if form == ISO else moment.strftime(form)


def _sealed(background: bool) -> None:
    """End with the server, and in the background take only processor time that nobody wants."""
    if sys.platform != "linux":
        if background:
            os.nice(19)
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if background:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main() -> None:
    """Serve on the inherited socket."""
    # Ctrl-C goes to the whole group; the server decides when its models end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _sealed("--background" in sys.argv)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        Worker(connection.makefile("rb"), connection.makefile("wb")).serve()


if __name__ == "__main__":
    main()
