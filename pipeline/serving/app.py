"""The HTTP side: routes, bodies within limits, and errors that say what is wrong."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pipeline.rollouts.observed.counters import counters_of
from pipeline.serving import feedback, openapi, upload
from pipeline.serving.config import Config
from pipeline.serving.feedback import Feedback, NotStored
from pipeline.serving.follower import Follower
from pipeline.serving.gauges import Gauges, Tallies
from pipeline.serving.process import Busy, ModelFailed
from pipeline.serving.worker.rows import BadRequest

log = logging.getLogger(__name__)
_JSON = "application/json"
_RETRY = {"Retry-After": "1"}


class Server:
    """Everything behind the routes of one server."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.gauges, self._tallies = Gauges(), Tallies()
        self.follower = Follower(config, self.gauges, self._tallies)
        self.feedback = Feedback(config.place, config.server, config.pace.feedback)
        self._counters = counters_of(config.place)
        self._tasks: list[asyncio.Task[None]] = []
        self._held = 0  # bytes of bodies
        # Of threads: one that uploads goes on after the task that waits for it is cancelled.
        self._uploading = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether the champion answers."""
        return self.follower.traffic.champion.ready

    async def start(self) -> None:
        """Begin to load; readiness comes later."""
        pace = self.config.pace
        self._tasks = [
            asyncio.create_task(self.follower.start()),
            asyncio.create_task(self.feedback.run()),
            asyncio.create_task(_again(pace.log, self.send_log)),
            asyncio.create_task(_again(pace.metrics, self.send_counts)),
        ]

    async def close(self) -> None:
        """End after everything that was answered is stored."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.feedback.flush()
        await self.follower.close()
        await self._upload()
        await self.send_counts()

    async def send_log(self) -> None:
        """Have what was predicted made ready, and upload it; what is late goes the next time."""
        traffic = self.follower.traffic
        traffic.champion.rotate()
        traffic.challenger.rotate()
        await asyncio.sleep(self.config.pace.ready)
        await self._upload()

    async def send_counts(self) -> None:
        """Add what was counted to the counters that all servers share."""
        for experiment, tallies in self._tallies.take().items():
            try:
                await asyncio.to_thread(self._counters.add, experiment, tallies)
            except Exception as error:  # noqa: BLE001 - whatever keeps them; the next time may do
                log.warning("the counts of %s are not sent: %r", experiment, error)
                self._tallies.give_back(experiment, tallies)

    async def _upload(self) -> None:
        self.gauges.unsent.set(await asyncio.to_thread(self._send_all))

    def _send_all(self) -> int:
        with self._uploading:
            return upload.send_all(self.config.place, self.config.state / "journal")

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body, while it is needed. Raises BadRequest where it is too large or slow."""
        held: list[bytes] = []
        try:
            await self._receive(request, held)
            held[:] = [b"".join(held)]
            yield held[0]
        finally:
            self._held -= sum(map(len, held))

    async def _receive(self, request: Request, held: list[bytes]) -> None:
        limits = self.config.limits
        length = request.headers.get("content-length", "0")
        if int(length) > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        size = 0
        try:
            async with asyncio.timeout(limits.body_seconds):
                async for part in request.stream():
                    held.append(part)
                    size += len(part)
                    self._held += len(part)
                    if size > limits.body_bytes:
                        raise _too_large(limits.body_bytes)
                    if self._held > limits.bodies_bytes and size > limits.small_bytes:
                        raise BadRequest(503, "too many large requests: send it again later")
        except TimeoutError:
            raise BadRequest(
                408, f"the body did not come within {limits.body_seconds:g} s"
            ) from None

    async def predict(self, request: Request, kind: str) -> Response:
        """Answer a request to /predict or /invocations."""
        async with self.body(request) as body:
            return await self._predict(request, kind, body)

    async def _predict(self, request: Request, kind: str, body: bytes) -> Response:
        started = time.perf_counter()
        traffic = self.follower.traffic
        policy = traffic.policy
        key = None
        if policy is not None and policy.sticky_header:
            key = request.headers.get(policy.sticky_header)
        try:
            found = await traffic.answer(kind, body, key, started)
        except Busy:
            return _error(503, "too many requests wait: send it again later", retry=True)
        except ModelFailed as failure:
            return _error(503, f"no model can answer: {failure}", retry=True)
        headers = {"X-Prediction-Id": found.prediction_id, "X-Variant": found.variant}
        self._count(request, found.reply.status, found.variant)
        return Response(found.reply.body, found.reply.status, headers, _JSON)

    def _count(self, request: Request, status: int, variant: str) -> None:
        self.gauges.requests.labels(request.url.path, str(status), variant).inc()


def create(config: Config) -> FastAPI:
    """The application; its lifespan starts and ends the models."""
    server = Server(config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await server.start()
        yield
        await server.close()

    # A redirect to the path without its last slash would lead from the front's https to http.
    title = f"{config.place.model}: predictions"
    app = FastAPI(title=title, lifespan=lifespan, redirect_slashes=False)
    app.state.server = server
    _add_predictions(app, server)
    _add_feedback(app, server)
    _add_health(app, server)
    _add_errors(app)

    def described() -> dict[str, Any]:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        contract = server.follower.traffic.champion.facts.get("contract")
        return openapi.complete(schema, contract)

    app.openapi = described  # type: ignore[method-assign]
    return app


def _add_predictions(app: FastAPI, server: Server) -> None:
    @app.post("/invocations", summary="Predict rows, by MLflow's scoring protocol or as CSV")
    async def invocations(request: Request) -> Response:
        return await server.predict(request, _kind(request, csv=True))

    @app.post("/predict", summary="Predict one row")
    async def predict(request: Request) -> Response:
        _kind(request, csv=False)
        return await server.predict(request, "row")


def _add_feedback(app: FastAPI, server: Server) -> None:
    body = {"schema": {"anyOf": [schema_of(feedback.Outcome), schema_of(feedback.Outcomes)]}}

    @app.post(
        "/feedback",
        summary="Say what became of predictions",
        status_code=202,
        responses={
            **{int(code): said for code, said in openapi.faults().items()},
            202: {"description": "Stored for good."},
        },
        openapi_extra={"requestBody": {"required": True, "content": {_JSON: body}}},
    )
    async def outcomes(request: Request) -> Response:
        _kind(request, csv=False)
        async with server.body(request) as body:
            # Beside the loop, which answers predictions meanwhile.
            found = await asyncio.to_thread(feedback.parse, body)
        try:
            await server.feedback.add(found)
        except NotStored:
            return _error(503, "the outcomes are not stored: send them again", retry=True)
        server.gauges.feedback.inc(len(found))
        return Response(orjson.dumps({"stored": len(found)}), 202, media_type=_JSON)


def _add_health(app: FastAPI, server: Server) -> None:
    not_ready: dict[int | str, dict[str, Any]] = {503: {"description": "No model is loaded yet."}}

    @app.get("/health", summary="Whether the process runs")
    async def health() -> Response:
        return Response(b'{"status":"running"}', media_type=_JSON)

    @app.get("/ready", summary="Whether a model answers", responses=not_ready)
    async def ready() -> Response:
        traffic = server.follower.traffic
        found = {
            slot.name: slot.wanted.version
            for slot in (traffic.champion, traffic.challenger)
            if slot.wanted is not None and slot.ready
        }
        said = {
            "ready": server.ready,
            "models": found,
            "set": server.config.set_name,
            "policy_version": traffic.policy.version if traffic.policy else None,
        }
        return Response(orjson.dumps(said), 200 if server.ready else 503, media_type=_JSON)

    shown: dict[int | str, dict[str, Any]] = {
        200: {"description": "Metrics.", "content": {CONTENT_TYPE_LATEST: {}}}
    }

    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses=shown,
    )
    async def metrics() -> Response:
        return Response(generate_latest(server.gauges.registry), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(BadRequest)
    async def bad_request(_: Request, error: BadRequest) -> Response:
        headers = _RETRY if error.status == 503 else {}
        return Response(error.body(), error.status, headers, _JSON)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=400)

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail), headers=dict(error.headers or {}))


def schema_of(model: Any) -> dict[str, Any]:
    """A model's JSON Schema with its parts in it, not beside it."""
    schema: dict[str, Any] = model.model_json_schema()
    parts = schema.pop("$defs", {})
    if "Outcome" in parts:
        schema["properties"]["outcomes"]["items"] = parts["Outcome"]
    return schema


def _kind(request: Request, *, csv: bool) -> str:
    """How to read the body, by its media type. Raises BadRequest for one that is not read here."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise BadRequest(
            415, f"the content encoding {coding!r} is not read here: send the body as it is"
        )
    kind = request.headers.get("content-type", "")
    name, _, parameters = kind.partition(";")
    name = name.strip().lower()
    charset = parameters.lower().replace(" ", "").replace('"', "")
    if charset and charset not in ("charset=utf-8", "charset=utf8"):
        raise BadRequest(415, f"the media type {kind!r} has parameters that are not read here")
    if name == _JSON:
        return "json"
    if csv and name == "text/csv":
        return "csv"
    wanted = f"{_JSON} or text/csv" if csv else _JSON
    raise BadRequest(415, f"the media type is {name or 'missing'!r}: send {wanted}")


def _too_large(limit: int) -> BadRequest:
    return BadRequest(413, f"the body is larger than {limit} bytes: send fewer rows")


def _error(
    status: int, message: str, *, retry: bool = False, headers: dict[str, str] | None = None
) -> Response:
    body = BadRequest(status, message).body()
    return Response(body, status, {**(headers or {}), **(_RETRY if retry else {})}, _JSON)


async def _again(pause: float, work: Any) -> None:
    while True:
        await asyncio.sleep(pause)
        with suppress(ModelFailed):
            await work()
