"""Outcomes of predictions: stored for good before they are acknowledged, many at a time."""

import asyncio
import json
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    ValidationError,
)

from pipeline.model.place import Place
from pipeline.rollouts.observed.outcomes import LARGEST
from pipeline.serving.worker.rows import BadRequest, odd_beginning, unique

log = logging.getLogger(__name__)
MOST_OUTCOMES = 10_000
_SHOWN = _MOST_KEYS = 20
FOLDER = "_feedback"

_Id = Annotated[str, StringConstraints(pattern=r"^[0-9]{8}-[0-9a-f]{32}$")]
# In JSON Schema 3.0 is an integer.
_Row = Annotated[int, BeforeValidator(lambda row: int(row) if _is_whole(row) else row)]
_Outcome = (
    Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    | bool
    | Annotated[int, Field(ge=-(2**63), lt=2**63)]
    | Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
)
_RULE = f"a text of 1 to 1,000 characters, true, false, or a number up to {LARGEST:g} is needed"


class Outcome(BaseModel):
    """What became of one predicted row: the true label or number, or a value such as revenue."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prediction_id: _Id
    row: _Row = Field(default=0, ge=0, le=1_000_000)
    outcome: _Outcome


class Outcomes(BaseModel):
    """The body of /feedback."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    outcomes: Annotated[list[Outcome], FailFast()] = Field(min_length=1, max_length=MOST_OUTCOMES)


class NotStored(Exception):
    """The outcomes are not stored: the sender keeps them and sends them again."""


def parse(body: bytes) -> list[Outcome]:
    """The outcomes of a body: one, or a list of them. Raises BadRequest."""
    raw = _json(body)
    try:
        if isinstance(raw, dict) and "outcomes" not in raw:
            return [Outcome.model_validate(raw)]
        return Outcomes.model_validate(raw).outcomes
    except ValidationError as error:
        details = list({fault["where"]: fault for fault in map(_told, _faults(error))}.values())
        message = f"{details[0]['where'] or 'the body'}: {details[0]['rule']}"
        raise BadRequest(422, message, details[:_SHOWN]) from None


def _json(body: bytes) -> Any:
    try:
        # Not bytes: json would guess at UTF-16 and UTF-32.
        return json.loads(body.decode(), parse_constant=_refuse, object_pairs_hook=_few)
    except RecursionError:
        raise BadRequest(400, "the body is nested too deeply") from None
    except ValueError as error:
        said = "a number has too many digits" if "int_max_str" in str(error) else str(error)
        raise BadRequest(400, f"the body is not JSON: {said}{odd_beginning(body)}") from None


def _faults(error: ValidationError) -> list[Any]:
    return list(error.errors(include_url=False, include_context=False, include_input=False))


def _told(fault: Any) -> dict[str, str]:
    """A fault as it is told: an outcome fits one of four types, and each says why it does not."""
    place = list(fault["loc"])
    if "outcome" in place[:-1]:
        place = place[: place.index("outcome") + 1]
        return {"where": ".".join(map(str, place)), "rule": _RULE}
    return {"where": ".".join(map(str, place)), "rule": fault["msg"]}


def _is_whole(row: Any) -> bool:
    return isinstance(row, float) and row.is_integer()


def _few(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Each key that an outcome does not have is a fault of its own: hundreds of thousands take long.
    if len(pairs) > _MOST_KEYS:
        raise BadRequest(422, f"an object has {len(pairs)} keys, more than {_MOST_KEYS}")
    return unique(pairs)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


class Feedback:
    """Collects outcomes for a moment, stores them in one object, then lets their senders go."""

    def __init__(self, place: Place, server: str, pause: float) -> None:
        self._place, self._server, self._pause = place, server, pause
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()

    async def add(self, outcomes: list[Outcome]) -> None:
        """Return once the outcomes are stored. Raises NotStored."""
        received = datetime.now(UTC).isoformat()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for outcome in outcomes:
            self._waiting.append(({**outcome.model_dump(), "received_at": received}, done))
        self._arrived.set()
        await done

    async def run(self) -> None:
        """Store what arrives, again and again."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._pause)
            self._arrived.clear()
            await self.flush()

    async def flush(self) -> None:
        """Store what waits now."""
        taken, self._waiting = self._waiting, []
        if not taken:
            return
        day = datetime.now(UTC).date().isoformat()
        name = f"{datetime.now(UTC):%H%M%S}-{self._server}-{uuid.uuid4().hex[:12]}.json"
        key = self._place.key("predictions", FOLDER, f"date={day}", name)
        document = json.dumps([outcome for outcome, _ in taken]).encode()
        try:
            await asyncio.to_thread(self._place.store.put, key, document)
        except Exception:  # whatever keeps the store from answering
            log.exception("feedback is not stored")
            self._settle(taken, lambda done: done.set_exception(NotStored()))
            return
        self._settle(taken, lambda done: done.set_result(None))

    @staticmethod
    def _settle(
        taken: list[tuple[dict[str, Any], "asyncio.Future[None]"]],
        settle: Callable[["asyncio.Future[None]"], None],
    ) -> None:
        for done in {id(done): done for _, done in taken}.values():
            if not done.done():
                settle(done)
