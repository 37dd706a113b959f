"""Answers to requests by one model, many at a time, by the same checks as batch prediction."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.data.contract import Conformed, NumberColumn, conform
from pipeline.errors import InputError
from pipeline.model.artifacts import ModelFacts
from pipeline.model.batch import predictions
from pipeline.reading.dialect import first_record
from pipeline.reading.documents import json_column
from pipeline.reading.files import TextInMemory
from pipeline.reading.formats import Format
from pipeline.reading.reader import read_table
from pipeline.serving.worker.direct import Direct, direct_or_same
from pipeline.serving.worker.rows import (
    BadRequest,
    Rows,
    check_length,
    check_plain,
    check_text,
    check_values,
    listed,
    parse,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

_EXAMPLES = 20
_MOST_COLUMNS = 10_000


@dataclass(frozen=True)
class Request:
    """One request as the server passes it on; `kind` is json, csv or row."""

    prediction_id: str
    kind: str
    body: bytes


@dataclass(frozen=True)
class Answer:
    """The response's status and body, and the rows that were predicted with their scores."""

    status: int
    body: bytes
    rows: int = 0
    score_total: float = 0.0
    score_squares: float = 0.0


@dataclass(frozen=True)
class Part:
    """A table of what was predicted; `owners` has the request's place and row of each of its rows.

    `seen` counts values that training never saw, by column.
    """

    table: "pyarrow.Table"
    owners: "NDArray[np.intp]"
    seen: dict[str, int]


@dataclass
class Answers:
    """Answers by the place of their request, and what was predicted for them.

    `parsed` only keeps the requests' values until the answers are sent: to free them takes time.
    """

    answers: dict[int, Answer] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    parsed: dict[int, Rows] = field(default_factory=dict)

    def in_order(self) -> list[Answer]:
        """The answers as their requests came."""
        return [self.answers[place] for place in sorted(self.answers)]

    def refuse(self, place: int, error: BadRequest) -> None:
        """Answer a request with what is wrong with it."""
        self.answers[place] = Answer(error.status, error.body())


@dataclass(frozen=True)
class _Batch:
    """Rows of requests: whose they are, and which of its rows each is."""

    rows: "pyarrow.RecordBatch"
    owner: "NDArray[np.intp]"
    number: "NDArray[np.intp]"


class _Apart(Exception):
    """Requests that cannot be answered together: one of them is odd."""


def _without_advice(message: str) -> str:
    """What the reader says is wrong, without advice on settings, which a client has none of."""
    said = [part for part in re.split(r"; |: (?=write )", message) if "[data]" not in part]
    return "; ".join(said) or message


def _unreadable(error: Exception) -> BadRequest:
    return BadRequest(422, f"the request cannot be read: {type(error).__name__}: {error}"[:500])


class Predictor:
    """One loaded model. Not for several threads at once."""

    def __init__(self, model: Any, facts: ModelFacts, version: str, max_rows: int) -> None:
        self._model, self._facts, self._version = model, facts, version
        self.max_rows = max_rows
        self._contract = facts.contract
        self._features = list(facts.contract.features)
        if "n_jobs" in model[-1].get_params():
            model[-1].set_params(n_jobs=1)
        self._direct: Direct | None = None

    @property
    def is_direct(self) -> bool:
        """Whether answers come the short way."""
        return self._direct is not None

    def shorten(self, rows: Sequence[dict[str, Any]]) -> None:
        """Answer the short way from now on, if these rows get the same answers by it."""
        request = Request("", "json", orjson.dumps({"instances": list(rows)}))
        conformed = conform(self._table_of(request), self._contract)
        self._direct = direct_or_same(self._model, conformed.columns)

    def answer(self, requests: Sequence[Request]) -> Answers:
        """Answer requests together; what is wrong with one of them touches no other."""
        found = Answers()
        self._parse_all(requests, found)
        # A request with true or false in it is read by the reader's own rules, which take longer.
        together = {place: rows for place, rows in found.parsed.items() if not rows.truths}
        try:
            if together:
                self._predict(requests, self._together(together), found)
        except (_Apart, InputError):
            together = {}
        for place, request in enumerate(requests):
            if place not in together and place not in found.answers:
                self._alone(requests, place, request, found)
        return found

    def _parse_all(self, requests: Sequence[Request], found: Answers) -> None:
        for place, request in enumerate(requests):
            try:
                if request.kind != "csv":
                    found.parsed[place] = self._parse(request)
            except BadRequest as error:
                found.refuse(place, error)
            except Exception as error:  # noqa: BLE001 - the process must outlive any request
                found.refuse(place, _unreadable(error))

    def _parse(self, request: Request, *, spelled: bool = False) -> Rows:
        ids = self._contract.ids
        return parse(
            request.kind,
            request.body,
            self._features,
            ids,
            spelled=spelled,
            most_rows=self.max_rows,
        )

    def _alone(
        self, requests: Sequence[Request], place: int, request: Request, found: Answers
    ) -> None:
        """Answer one request by the reader's rules, with a reason for what it breaks."""
        import numpy as np

        try:
            rows = self._table_of(request)
            number = np.arange(rows.num_rows)
            batch = _Batch(rows, np.full(rows.num_rows, place), number)
            self._predict(requests, batch, found)
        except BadRequest as error:
            found.refuse(place, error)
        except InputError as error:
            found.refuse(place, BadRequest(422, _without_advice(str(error))))
        except _Apart as failure:
            kind = type(failure.__cause__).__name__
            found.refuse(place, BadRequest(503, f"the model failed on this request: {kind}"))
        except Exception as error:  # noqa: BLE001 - the process must outlive any request
            found.refuse(place, _unreadable(error))

    def _together(self, good: dict[int, Rows]) -> _Batch:
        """The rows of requests as one batch, if each value is of its column's own type."""
        import numpy as np
        import pyarrow

        all_rows = list(good.values())
        ids = [
            name for name in self._contract.ids if all(name in rows.columns for rows in all_rows)
        ]
        columns = {}
        for name in [*self._features, *ids]:
            values: Sequence[Any] = (
                all_rows[0].columns[name]
                if len(all_rows) == 1
                else [value for rows in all_rows for value in rows.columns[name]]
            )
            spec = self._contract.features.get(name)
            kind = pyarrow.float64() if isinstance(spec, NumberColumn) else pyarrow.string()
            try:
                columns[name] = pyarrow.array(values, type=kind)
            except (pyarrow.ArrowException, OverflowError, TypeError, ValueError):
                raise _Apart from None
        counts = [rows.count for rows in all_rows]
        return _Batch(
            pyarrow.RecordBatch.from_pydict(columns),
            np.repeat(list(good), counts),
            np.concatenate([np.arange(count) for count in counts]),
        )

    def _table_of(self, request: Request) -> "pyarrow.RecordBatch":
        """The rows of one request as the reader of files would read them. Raises InputError."""
        import pyarrow

        if request.kind == "csv":
            table = read_table([self._csv(request.body)], self._csv_format(), self._features)
            check_length(table.num_rows, self.max_rows)
            (batch,) = table.combine_chunks().to_batches()
            return batch
        rows = self._parse(request, spelled=True)
        check_plain(rows)
        return pyarrow.RecordBatch.from_pydict(
            {name: json_column(values, name, "the body") for name, values in rows.columns.items()}
        )

    def _csv(self, body: bytes) -> TextInMemory:
        """A body as a file of the reader's. Raises BadRequest for what its advice would not fit."""
        check_text(body)
        form = self._csv_format()
        text = TextInMemory(Path("body"), "the body", "csv", content=body)
        names = first_record(text, form)
        # Each column takes memory: of eight million, which a body has room for, more than 10 GB.
        most = max(_MOST_COLUMNS, 2 * len(self._features))
        if len(names) > most:
            raise BadRequest(413, f"the body has {len(names)} columns, more than {most}")
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise BadRequest(422, f"the body has columns twice: {listed(twice)}")
        # Lines count, too: one that is no row is looked for one by one.
        own = form.separator or ","
        signs = {",", "\n", "\r"} | ({own} if len(own) == 1 else set())
        wanted = len(self._features) + len(self._contract.ids)
        quote, escape = form.quote, form.escape or ""
        check_values(body, self.max_rows, wanted, signs, quote=quote, escape=escape)
        return text

    def _csv_format(self) -> Format:
        """As training data was written, but with a header; a request names its columns."""
        return self._contract.format.model_copy(
            update={"header": True, "names": [], "skip_lines": 0}
        )

    def _predict(self, requests: Sequence[Request], batch: _Batch, found: Answers) -> None:
        """Raises _Apart where the model fails, InputError for what no contract could read."""
        import numpy as np

        ids = [name for name in self._contract.ids if name in batch.rows.schema.names]
        conformed = conform(batch.rows, self._contract, ids)
        kept = self._refuse(conformed, batch, found)
        if not kept.any():
            return
        try:
            table = self._answers(conformed, ids, kept)
        except Exception as error:
            raise _Apart from error
        owners = np.column_stack([batch.owner[kept], batch.number[kept]])
        found.parts.append(Part(table, owners, dict(conformed.unseen)))
        self._write(requests, table, batch.owner[kept], found)

    def _refuse(self, conformed: Conformed, batch: _Batch, found: Answers) -> "NDArray[np.bool_]":
        """Answer requests with a row that breaks the contract; which rows remain."""
        import numpy as np

        kept = np.ones(len(batch.owner), dtype=bool)
        details: dict[int, list[dict[str, Any]]] = {}
        for (column, rule), rows in conformed.broken.items():
            for line in rows.nonzero()[0]:
                listed = details.setdefault(int(batch.owner[line]), [])
                listed.append({"row": int(batch.number[line]), "column": column, "rule": rule})
        for place, listed in details.items():
            kept &= batch.owner != place
            first = listed[0]
            message = (
                f"{len(listed)} values break the contract, the first: row {first['row']}, "
                f"column {first['column']}: {first['rule']}"
            )
            found.refuse(place, BadRequest(422, message, listed[:_EXAMPLES]))
        return kept

    def _answers(
        self, conformed: Conformed, names: list[str], kept: "NDArray[np.bool_]"
    ) -> "pyarrow.Table":
        import pyarrow

        columns, ids = conformed.columns, {name: conformed.others[name] for name in names}
        if not kept.all():
            mask = pyarrow.array(kept)
            columns = {name: array.filter(mask) for name, array in columns.items()}
            ids = {name: array.filter(mask) for name, array in ids.items()}
        for name in set(self._contract.ids) - set(names) - set(columns):
            # A file of predictions has the same columns whether a client names its rows or not.
            kind = self._contract.others[name].kind
            text = pyarrow.string() if kind in ("id", "category", "text") else pyarrow.float64()
            ids[name] = pyarrow.nulls(int(kept.sum()), text)
        if self._direct is not None:
            return predictions(self._direct, self._facts, columns, ids, (), columns)
        return predictions(self._model, self._facts, columns, ids, ())

    def _write(
        self,
        requests: Sequence[Request],
        table: "pyarrow.Table",
        owner: "NDArray[np.intp]",
        found: Answers,
    ) -> None:
        """Bodies of the responses, each with its part of the predictions."""
        import numpy as np

        labels = table[self._contract.output("prediction")].to_pylist()
        scores = self._scores(table)
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        ends = [*starts[1:].tolist(), len(owner)]
        for start, end in zip(starts.tolist(), ends, strict=True):
            place = int(owner[start])
            mine = scores[start:end]
            found.answers[place] = Answer(
                200,
                self._body(requests[place], labels[start:end], table, start),
                end - start,
                float(mine.sum()),
                float((mine**2).sum()),
            )

    def _body(
        self, request: Request, labels: list[Any], table: "pyarrow.Table", start: int
    ) -> bytes:
        said = {"prediction_id": request.prediction_id, "model_version": self._version}
        if request.kind != "row":
            return orjson.dumps({"predictions": labels, **said})
        chances = {
            name: table[self._contract.output(f"probability_{name}")][start].as_py()
            for name in self._contract.classes
        }
        shown = {"probabilities": chances} if chances else {}
        return orjson.dumps({"prediction": labels[0], **shown, **said})

    def _scores(self, table: "pyarrow.Table") -> "NDArray[np.float64]":
        """One number for each row: the chance of the class to find, or the predicted number.

        Of several classes without one to find, the chance of the one that was chosen.
        """
        import numpy as np

        classes, positive = self._contract.classes, self._facts.positive
        names = ["prediction"]
        if classes:
            names = [f"probability_{name}" for name in ([positive] if positive else classes)]
        columns = [table[self._contract.output(name)].to_numpy() for name in names]
        found: NDArray[np.float64] = np.max(columns, axis=0)
        return found
