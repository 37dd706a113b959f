"""MLflow behind the guard: one ASGI application for each port, all in one process.

MLflow's Flask routes are served without the FastAPI application around them, as under gunicorn.
Only the routes that need it, trace export and streamed artifacts, go through FastAPI. Whatever
reaches Flask without a permission set is refused there.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import time
from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial, wraps
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from bridge import Body, Bridge, Share, answer, read
from guard import CALL, LONGEST, Call, Permissions, PermissionSet, Refused, serving

if TYPE_CHECKING:
    from bridge import Application, Message, Receive, Scope, Send
    from flask import Flask, Response
    from mlflow.exceptions import MlflowException

READS = ("GET", "HEAD", "OPTIONS")

# FastAPI's routes that are served; Flask has the others, or none has them.
STREAMED = ("download_artifact", "export_traces", "upload_artifact")
# What an operation writes to, as it loads it from the database before it writes.
LOADED = {
    **dict.fromkeys(
        ["log_batch", "log_inputs", "log_metric", "log_model", "log_outputs", "log_param"], "run"
    ),
    **dict.fromkeys(["set_tag", "update_run"], "run"),
    **dict.fromkeys(["finalize_logged_model", "log_logged_model_params"], "model"),
}
# Those that load nothing: the field that names the run.
NAMED = {"create_logged_model": "source_run_id", "link_traces_to_run": "run_id"}
UNFINISHED = {"run": ("RUNNING", "SCHEDULED"), "model": ("PENDING",)}
# Those that set a status: two at once would each wait for the other to give up its share.
ENDS = ("finalize_logged_model", "update_run")
OWNER = r"(?:(?P<run>[0-9a-f]{32})|models/(?P<model>m-[0-9a-f]{32}))/"
ARTIFACT = re.compile(rf"\d+/{OWNER}artifacts/.")

# Who a version's files are of, also below an experiment's own location.
MAKER = re.compile(r"/(?:(?P<run>[0-9a-f]{32})|(?P<model>m-[0-9a-f]{32}))(?=/|$)")

AND, MOST_SEARCHED = re.compile(r"\band\b", re.IGNORECASE), 64
# What a search joins or computes beside its filters and orders in words.
LISTS = {
    "query_trace_metrics": ("aggregations", "dimensions"),
    "search_logged_models": ("datasets", "order_by"),
}
LARGEST_READ = 64 * 1024  # bytes of a request that changes nothing: GraphQL takes seconds for it

LONGEST_TAG, LONGEST_WHY = 60, 800  # of the record, in bytes

# What MLflow's answer says of a new object.
GIVEN = ("experiment_id", "model_id", "run_id", "version")


class Front:
    """Judges what Flask has routed and what FastAPI is to serve; writes the record of changes."""

    def __init__(self, flask: Flask, permissions: Permissions, fastapi: Any, requests: int) -> None:
        from mlflow.server import handlers

        self.fastapi, self.permissions = fastapi, permissions
        self.bridge = Bridge(flask.wsgi_app, requests)
        self.shares = {name: Share(requests) for name in permissions.sets}
        # One request after the other, and beside the loop in which every port is served.
        self.spans = ThreadPoolExecutor(1, "spans")
        self.messages = {function.__name__: kind for kind, function in handlers.HANDLERS.items()}
        self.native = list(native_routes(fastapi))
        self.said: set[str] = set()
        flask.before_request(self.before)
        flask.after_request(self.after)
        Database(permissions).follow()
        Traces(self).follow()
        bound_searches()

    # --- Flask, when it has routed a request -----------------------------------------------------

    def before(self) -> Response | None:
        """Judge the route that Flask is about to run. None lets it."""
        from flask import request
        from mlflow.exceptions import MlflowException

        call, rule = CALL.get(), request.url_rule
        if call is None:
            return error(Refused("The request came in through no port of a permission set."))
        if rule is None:
            return None  # no such path or method: nothing runs but MLflow's 404, 405 or redirect
        if request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
            return None
        try:
            headers = cast("Mapping[str, str]", request.headers)
            self.begin(call, rule.endpoint.lstrip("_"), request.method, headers)
            if not call.changes and (request.content_length or 0) > LARGEST_READ:
                raise refused(
                    call, Refused(f"{call.operation} takes at most {LARGEST_READ} bytes.")
                )
            self.judge(call, self.message(call, rule.endpoint), request.view_args or {})
        except (Refused, MlflowException) as reason:
            return error(reason)
        return None

    def message(self, call: Call, handler: str) -> Any:
        """The request as the handler is going to parse it, by the same function of MLflow."""
        from mlflow.server import handlers

        read = call.changes or call.operation in LISTS
        if not read or handler not in self.messages:
            return None
        return handlers._get_request_message(self.messages[handler]())

    def begin(self, call: Call, operation: str, method: str, headers: Mapping[str, str]) -> None:
        """Name the operation. Raises Refused for a page that is not this port's own."""
        call.operation = operation
        call.changes = operation not in self.permissions.reads
        origin = headers.get("Origin")
        if origin and method not in READS and origin != f"http://{headers.get('Host')}":
            # MLflow trusts every page of this machine, so also one from another port's tunnel.
            reason = Refused(f"{operation} was sent by a page of {origin[:LONGEST]}.")
            raise refused(call, reason)

    def judge(self, call: Call, message: Any, arguments: Mapping[str, Any]) -> None:
        """Raise Refused, or leave in the call what the database has still to show."""
        call.described = described(message, arguments, self.permissions.names["identity"])
        try:
            self.permissions.judge(call.set, call.operation, message)
        except Refused as reason:
            # The UI asks for what is off on each of its pages: one line for each is enough.
            if call.operation in self.said:
                raise
            self.said |= {call.operation} & self.permissions.off.keys()
            raise refused(call, reason) from None
        bound(call, sum(len(getattr(message, name)) for name in LISTS.get(call.operation, ())))
        if call.operation == "set_registered_model_alias" and call.set.names == "decision":
            self.require_complete(call, message.name, message.version)
        if call.set.runs == "any" or not call.changes:
            return
        for model in measured(call.operation, message):
            self.require_open(call, model)
        call.unfinished = LOADED.get(call.operation, "")
        if call.operation in NAMED and getattr(message, NAMED[call.operation]):
            self.require(call, "run", getattr(message, NAMED[call.operation]))

    def require(self, call: Call, kind: str, identity: str) -> None:
        """Look a run or model up. Raises Refused if it is finished."""
        check(self.permissions, call, kind, identity, status_of(kind, identity))

    def require_complete(self, call: Call, name: str, version: str) -> None:
        """Look a version up that is to be approved. Raises Refused while its files may change."""
        from mlflow.server.handlers import _get_model_registry_store

        place = _get_model_registry_store().get_model_version_download_uri(name, version)
        for kind, identity in makers(place):
            status = existing(partial(status_of, kind), identity)
            if status in UNFINISHED[kind]:
                what = f"the files of version {version} are {kind} {identity}'s, which is {status}"
                raise refused(call, self.permissions.finished(call, what))

    def require_open(self, call: Call, model_id: str) -> None:
        """Look up a model that a metric of an open run is also written to. Raises Refused unless
        it is still made, or made by a run that is not finished."""
        from mlflow.server.handlers import _get_tracking_store

        model = _get_tracking_store().get_logged_model(model_id)
        if model.status.value in UNFINISHED["model"]:
            return
        if model.source_run_id:
            self.require(call, "run", model.source_run_id)
        else:
            check(self.permissions, call, "model", model_id, model.status.value)

    def after(self, response: Response) -> Response:
        """Record what was changed."""
        call = CALL.get()
        # What failed in its middle has changed something, too.
        if call is not None and call.changes and (response.status_code < 400 or call.written):
            if call.operation.startswith("create_"):
                call.described |= created(response.get_json(silent=True))
            record(call, response.status_code)
        return response

    # --- ASGI ------------------------------------------------------------------------------------

    def application(self, permission_set: PermissionSet) -> Application:
        """The ASGI application of one port."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/health" and scope["method"] in READS:
                await answer(send, 200, b"text/plain", b"OK")
                return
            for methods, pattern, operation in self.native:
                found = scope["method"] in methods and pattern.match(scope["path"])
                if found:
                    with serving(permission_set) as call:
                        arguments = found.groupdict()
                        await self.stream(call, operation, arguments, scope, receive, send)
                    return
            share = self.shares[permission_set.name]
            await self.bridge.serve(lambda: serving(permission_set), share, scope, receive, send)

        return serve

    async def stream(
        self,
        call: Call,
        operation: str,
        arguments: Mapping[str, str],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Judge a route of FastAPI, and let FastAPI serve it."""
        from mlflow.exceptions import MlflowException

        headers = {name.decode().title(): text.decode("latin-1") for name, text in scope["headers"]}
        try:
            self.begin(call, operation, scope["method"], headers)
            self.judge(call, None, arguments)
            await self.bridge.run(self.judge_target, call, arguments, headers)
        except (Refused, MlflowException) as reason:
            status, body = failure(reason)
            await answer(send, status, b"application/json", body)
            return

        late: list[Refused | MlflowException] = []

        async def judged() -> Message:
            """The body. At its end the run may be finished by now: a client may take its time."""
            message = await receive()
            if call.changes and message["type"] == "http.request" and not message.get("more_body"):
                try:
                    await self.bridge.run(self.judge_target, call, arguments, headers)
                except (Refused, MlflowException) as reason:
                    late.append(reason)
                    return {"type": "http.disconnect"}
            return message

        async def recorded(message: Message) -> None:
            if late:
                return
            if message.get("status", 400) < 400 and call.changes:
                record(call, message["status"])
            await send(message)

        try:
            await self.hand_on(call, scope, judged, recorded)
        except Exception:
            if not late:
                raise
        if late:
            status, body = failure(late[0])
            await answer(send, status, b"application/json", body)

    async def hand_on(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        """Let FastAPI serve a route; what exports traces gets its body as a whole."""
        if call.operation != "export_traces":
            await self.fastapi(scope, receive, send)
            return
        if any(name == b"content-encoding" for name, _ in scope["headers"]):
            # MLflow unpacks a body without a bound. Its own client sends traces unpacked.
            await answer(send, 415, b"text/plain", b"Send traces without a Content-Encoding.")
            return
        with Body(self.shares[call.set.name]) as held:
            sent = await read(receive, send, held)
            if sent is None:
                return

            async def whole() -> Message:
                return {"type": "http.request", "body": sent, "more_body": False}

            def served() -> list[Message]:
                told: list[Message] = []

                async def tell(message: Message) -> None:
                    told.append(message)

                asyncio.run(self.fastapi(scope, whole, tell))
                return told

            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self.spans, copy_context().run, served)
        for message in found:
            await send(message)

    def judge_target(
        self, call: Call, arguments: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        """Raise Refused if what is streamed would go to a finished run or model."""
        from mlflow.utils.uri import validate_path_is_safe

        if call.operation not in STREAMED:
            raise refused(call, Refused(f"{call.operation} is not served."))
        if not call.changes or call.set.runs == "any":
            return
        if call.operation == "export_traces":
            if "X-Mlflow-Run-Id" in headers:
                self.require(call, "run", headers["X-Mlflow-Run-Id"])
            return
        # MLflow decodes the path once more before it uses it.
        found = ARTIFACT.match(validate_path_is_safe(arguments["artifact_path"]))
        if not found:
            raise refused(call, Refused("The path is of no run and of no model of this server."))
        kind = "run" if found["run"] else "model"
        self.require(call, kind, found[kind])


def makers(place: str) -> list[tuple[str, str]]:
    """Kind and id of each run and model in a place. There are several where its maker chose names
    that look like one: all of them are judged."""
    found = (one.groupdict().items() for one in MAKER.finditer(place))
    return [(kind, identity) for pairs in found for kind, identity in pairs if identity]


def status_of(kind: str, identity: str) -> str:
    """The status of a run or model. Raises MlflowException if there is none."""
    from mlflow.server.handlers import _get_tracking_store

    store = _get_tracking_store()
    if kind == "run":
        return str(store.get_run(identity).info.status)
    return str(store.get_logged_model(identity).status.value)


def measured(operation: str, message: Any) -> set[str]:
    """The logged models that get metrics of a request, beside its run."""
    metrics = {"log_metric": lambda: [message], "log_batch": lambda: message.metrics}
    given = metrics.get(operation, list)()
    return {metric.model_id for metric in given if metric.model_id}


def native_routes(fastapi: Any) -> Iterator[tuple[set[str], re.Pattern[str], str]]:
    """Methods, pattern and operation of each route of FastAPI that Flask does not have as well."""
    from starlette.routing import compile_path

    for route in fastapi.routes:
        for one in getattr(route, "effective_route_contexts", list)():
            if one.endpoint.__name__ not in ("health", "get_server_info"):
                yield one.methods, compile_path(one.path)[0], one.endpoint.__name__


class Database:
    """Judges what MLflow loads and commits: finished runs, and writes of what only reads."""

    def __init__(self, permissions: Permissions) -> None:
        self.permissions = permissions

    def follow(self) -> None:
        """Listen to every session and connection of this process."""
        from mlflow.store.tracking.dbmodels.models import SqlLoggedModel, SqlRun
        from sqlalchemy import event
        from sqlalchemy.orm import Session
        from sqlalchemy.pool import Pool

        event.listen(SqlRun, "load", self.run_loaded)
        event.listen(SqlLoggedModel, "load", self.model_loaded)
        event.listen(Session, "do_orm_execute", self.locked)
        event.listen(Session, "before_flush", self.metrics_written)
        event.listen(Session, "before_flush", self.models_made)
        event.listen(Session, "before_flush", self.versions_made)
        event.listen(Session, "after_flush", self.flushed)
        event.listen(Session, "before_commit", self.before_commit)
        event.listen(Session, "after_commit", self.committed)
        event.listen(Pool, "checkout", self.checked_out)

    def locked(self, state: Any) -> None:
        """Hold what is judged until what was judged by it is committed: its end comes after.

        A write may wait long for the rows of others when its run has been read.
        """
        from mlflow.store.tracking.dbmodels.models import SqlLoggedModel, SqlRun

        call = CALL.get()
        if call is None or not call.unfinished or not state.is_select or state.is_relationship_load:
            return
        kind = {"run": SqlRun, "model": SqlLoggedModel}[call.unfinished]
        if not state.is_column_load and state.bind_mapper and state.bind_mapper.class_ is kind:
            shared = call.operation not in ENDS
            state.statement = state.statement.with_for_update(
                of=kind, read=shared, key_share=not shared
            )

    def metrics_written(self, session: Any, *_: object) -> None:
        """Look the models up again that get metrics, and hold them and their runs: the batch may
        have waited since it was judged."""
        from mlflow.entities import LoggedModelStatus
        from mlflow.store.tracking.dbmodels.models import (
            SqlLoggedModel,
            SqlLoggedModelMetric,
            SqlRun,
        )

        call = CALL.get()
        if call is None or call.set.runs == "any":
            return
        given = {one.model_id for one in session.new if isinstance(one, SqlLoggedModelMetric)}
        with session.no_autoflush:
            for model_id in sorted(given):
                model = session.get(SqlLoggedModel, model_id, with_for_update={"read": True})
                status = model and LoggedModelStatus.from_int(model.status).value
                if model and model.source_run_id and status not in UNFINISHED["model"]:
                    # A run is judged when it is loaded.
                    session.get(SqlRun, model.source_run_id, with_for_update={"read": True})

    def models_made(self, session: Any, *_: object) -> None:
        """Look the runs up again that get models, and hold them."""
        from mlflow.store.tracking.dbmodels.models import SqlLoggedModel, SqlRun

        call = CALL.get()
        if call is None or call.set.runs == "any":
            return
        made = [one.source_run_id for one in session.new if isinstance(one, SqlLoggedModel)]
        with session.no_autoflush:
            for run_id in filter(None, made):
                run = session.get(SqlRun, run_id, with_for_update={"read": True})
                try:
                    check(self.permissions, call, "run", str(run_id), str(run and run.status))
                except Refused as reason:
                    raise denied(reason) from None

    def versions_made(self, session: Any, *_: object) -> None:
        """Refuse a new version that names another run than the one that made its files: what the
        holdout says of them is written to the run, and the audit tells who started it. Where the
        request names no run, MLflow takes one from the model or the version that it names."""
        from mlflow.server.handlers import _get_tracking_store
        from mlflow.store.model_registry.dbmodels.models import SqlModelVersion

        call = CALL.get()
        if call is None or call.set.runs == "any":
            return
        made = [one for one in session.new if isinstance(one, SqlModelVersion) and one.run_id]
        for version in made:
            place, store = str(version.storage_location), _get_tracking_store()
            runs = {
                identity if kind == "run" else store.get_logged_model(identity).source_run_id
                for kind, identity in makers(place)
            }
            if runs != {version.run_id}:
                what = f"the files of {place[:LONGEST]!r} were not made by the run {version.run_id}"
                raise denied(refused(call, self.permissions.finished(call, what)))

    def flushed(self, session: Any, _: object) -> None:
        """Something is about to be written."""
        session.info["flushed"] = True

    def committed(self, session: Any) -> None:
        """Something has been written."""
        call = CALL.get()
        if call is not None and session.info.pop("flushed", False):
            call.written = True

    def run_loaded(self, run: Any, _: object) -> None:
        """A run came from the database."""
        self.loaded("run", run.run_uuid, run.status)

    def model_loaded(self, model: Any, _: object) -> None:
        """A logged model came from the database."""
        from mlflow.entities import LoggedModelStatus

        self.loaded("model", model.model_id, LoggedModelStatus.from_int(model.status).value)

    def loaded(self, kind: str, identity: str, status: str) -> None:
        """Stop the request, and so its transaction, if this is finished and would be changed."""
        call = CALL.get()
        if call is None or call.unfinished != kind:
            return
        call.loaded = True
        try:
            check(self.permissions, call, kind, identity, status)
        except Refused as reason:
            raise denied(reason) from None

    def before_commit(self, _: object) -> None:
        """No write goes through without the check above."""
        call = CALL.get()
        if call is not None and call.unfinished and not call.loaded:
            raise denied(refused(call, Refused(f"{call.operation} writes before it reads.")))

    def checked_out(self, connection: Any, *_: object) -> None:
        """PostgreSQL itself refuses a write of an operation that is listed as one that reads."""
        call = CALL.get()
        wanted = call is not None and bool(call.operation) and not call.changes
        # psycopg2 sends BEGIN READ ONLY then: no round trip more.
        if hasattr(connection, "readonly") and bool(connection.readonly) != wanted:
            connection.readonly = wanted


class Traces:
    """Judges what MLflow's store is about to write of a trace, whichever operation asks for it."""

    def __init__(self, front: Front) -> None:
        self.front, self.names = front, front.permissions.names

    def follow(self) -> None:
        """Stand before each method that writes."""
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        for name, written in TRACES.items():
            setattr(SqlAlchemyStore, name, self.judged(getattr(SqlAlchemyStore, name), written))

    def judged(self, original: Callable[..., Any], written: Callable[..., Any]) -> Any:
        """The method, which raises MLflow's exception for what the set may not write."""
        signature = inspect.signature(original)

        @wraps(original)
        def write(store: Any, *args: Any, **kwargs: Any) -> Any:
            call = CALL.get()
            if call is not None and call.changes:
                given = SimpleNamespace(**signature.bind(store, *args, **kwargs).arguments)
                try:
                    if original.__name__ == "log_spans":
                        self.judge_spans(call, given.spans)
                    for identity, metadata, tags in written(given):
                        self.judge(call, store, identity, metadata, tags)
                    if original.__name__ == "start_trace" and call.set.runs != "any":
                        self.judge_assessments(call, store, given.trace_info)
                except Refused as reason:
                    raise denied(reason) from None
            return original(store, *args, **kwargs)

        return write

    def judge(
        self, call: Call, store: Any, identity: str | None, metadata: Any, tags: Mapping[str, str]
    ) -> None:
        """Raise Refused if the trace is a finished run's, or for one of its tags."""
        known = existing(store.get_trace_info, identity)
        had = known.tags if known else {}
        changed = [key for key, value in tags.items() if had.get(key) != value]
        moved = [key for key in changed if key in PLACES]
        if moved:
            # The server reads a trace from where its tag says, with its own role.
            raise refused(call, Refused(f"{moved[0]!r} is the server's own tag of a trace."))
        if call.set.runs == "any":
            return
        if metadata.get(FINAL, "true") != "true":
            raise refused(call, Refused(f"{FINAL!r} is the server's own mark of a trace."))
        fixed = self.names["decision_tags"]
        if known and complete(known):
            fixed += self.names["platform_tags"]
        unwanted = [key for key in changed if key.startswith(fixed)]
        if unwanted:
            what = f"it may not write the tag {unwanted[0][:LONGEST]!r}"
            raise refused(call, self.front.permissions.finished(call, what))
        of_trace = {known and known.trace_metadata.get(RUN), *linked_runs(store, identity)}
        for run in {metadata.get(RUN), *of_trace} - {None}:
            info = store.get_run(run).info
            # The client sends traces from a queue, also when their run has ended.
            if not (info.end_time and 0 <= time.time() - info.end_time / 1000 <= LATE_SECONDS):
                check(self.front.permissions, call, "run", run, info.status)

    def judge_spans(self, call: Call, spans: Any) -> None:
        """Raise Refused for a span that stands twice. PostgreSQL would refuse it, but only when
        MLflow has gone each way from the root to it: 2 to the power of its depth."""
        twice = len(spans) - len({(span.trace_id, span.span_id) for span in spans})
        if twice:
            raise refused(
                call, Refused(f"{twice} spans have the id of another one of their trace.")
            )

    def judge_assessments(self, call: Call, store: Any, trace: Any) -> None:
        """Raise Refused if an assessment that comes with a trace is another trace's: MLflow would
        write over it and take it away, by an id that the caller chose."""
        from mlflow.store.tracking.dbmodels.models import SqlAssessments

        given = [one.assessment_id for one in trace.assessments if one.assessment_id]
        if not given:
            return
        with store.ManagedSessionMaker() as session:
            taken = (
                session.query(SqlAssessments.assessment_id)
                .filter(SqlAssessments.assessment_id.in_(given))
                .filter(SqlAssessments.trace_id != trace.trace_id)
                .first()
            )
        if taken:
            what = f"the assessment {taken[0][:LONGEST]!r} is another trace's"
            raise refused(call, self.front.permissions.finished(call, what))


def bound_searches() -> None:
    """Refuse what takes MLflow many seconds to read: it joins a table for each condition."""
    import sqlparse

    original = sqlparse.parse

    @wraps(original)
    def parse(text: str, *args: Any, **kwargs: Any) -> Any:
        call = CALL.get()
        if call is not None:
            try:
                bound(call, 1 + len(text) // 256 + len(AND.findall(text)))
            except Refused as reason:
                raise denied(reason) from None
        return original(text, *args, **kwargs)

    sqlparse.parse = parse  # type: ignore[assignment]


def bound(call: Call, conditions: int) -> None:
    """Count what a request searches by. Raises Refused if it is too much."""
    call.searched += conditions
    if call.searched > MOST_SEARCHED:
        what = f"a search has at most {MOST_SEARCHED} conditions, or 256 letters for each"
        raise refused(call, Refused(what))


def linked_runs(store: Any, identity: str | None) -> list[str]:
    """The runs that a trace was linked to, beside the one that its metadata name."""
    from mlflow.entities.entity_type import EntityAssociationType
    from mlflow.store.tracking.dbmodels.models import SqlEntityAssociation

    if not identity:
        return []
    with store.ManagedSessionMaker() as session:
        links = session.query(SqlEntityAssociation.destination_id).filter_by(
            source_type=EntityAssociationType.TRACE,
            source_id=identity,
            destination_type=EntityAssociationType.RUN,
        )
        return [run for (run,) in links]


def existing(look_up: Callable[[str], Any], identity: str | None) -> Any:
    """What MLflow has under an id; None if nothing."""
    from mlflow.exceptions import MlflowException

    try:
        return look_up(identity) if identity else None
    except MlflowException as absent:
        if absent.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def complete(trace: Any) -> bool:
    """Whether a trace is whole: MLflow marks those of version 3, and ends those of version 2."""
    ended = trace.state.value in ("OK", "ERROR") and SPANS not in trace.tags
    return ended or trace.trace_metadata.get(FINAL) == "true"


def of_spans(given: Any) -> list[tuple[str | None, Mapping[str, str], Any]]:
    """The traces of spans, each once, with the tags that come in the attributes of their roots and
    of what made them."""
    traces: dict[str, dict[str, str]] = {}
    for span in given.spans:
        tags = traces.setdefault(span.trace_id, {})
        resource = getattr(span._span, "resource", None)
        made_by = resource.attributes.items() if resource else ()
        # MLflow stores the others as tags.
        brought = {key: value for key, value in made_by if not key.startswith("mlflow.")}
        if not span.parent_id:
            brought |= {
                key.removeprefix(TAG): value
                for key, value in span.attributes.items()
                if key.startswith(TAG)
            }
        for key, value in brought.items():
            # Two values are none of those that the trace may have already.
            tags[key] = str(value) if tags.get(key, str(value)) == str(value) else "of two values"
    return [(identity, {}, tags) for identity, tags in traces.items()]


RUN, FINAL, TAG = "mlflow.sourceRun", "mlflow.trace.infoFinalized", "mlflow.traceTag."
SPANS = "mlflow.trace.spansLocation"  # of traces that came as spans, and are whole later
LATE_SECONDS = 500  # as long as MLflow's client tries, MLFLOW_ASYNC_TRACE_LOGGING_RETRY_TIMEOUT
PLACES = ("mlflow.artifactLocation", "mlflow.trace.archiveLocation")
# Of each method of the store that writes traces: their ids, metadata and tags.
TRACES: Mapping[str, Callable[[Any], list[tuple[str | None, Mapping[str, str], Any]]]] = {
    "start_trace": lambda given: [
        (given.trace_info.trace_id, given.trace_info.trace_metadata, given.trace_info.tags)
    ],
    "deprecated_start_trace_v2": lambda given: [(None, given.request_metadata, given.tags)],
    "deprecated_end_trace_v2": lambda given: [
        (given.request_id, given.request_metadata, given.tags)
    ],
    "set_trace_tag": lambda given: [(given.trace_id, {}, {given.key: given.value})],
    "create_assessment": lambda given: [(given.assessment.trace_id, {}, {})],
    "link_prompts_to_trace": lambda given: [(given.trace_id, {}, {})],
    "link_traces_to_run": lambda given: [(None, {RUN: given.run_id}, {})],
    "log_spans": of_spans,
}


def check(permissions: Permissions, call: Call, kind: str, identity: str, status: str) -> None:
    """Raise Refused if a run or model is finished."""
    if status not in UNFINISHED[kind]:
        what = f"{kind} {identity} is {status}, and what is finished stays as it is"
        raise refused(call, permissions.finished(call, what))


# --- the record and the answers ------------------------------------------------------------------


def log(**facts: Any) -> None:
    """A line for people and for `keyless audit`, in one write: threads and the other workers share
    the output, and Python's own streams write what is longer than 8 KB in parts."""
    os.write(1, f"guard: {json.dumps(facts)}\n".encode())


def refused(call: Call, reason: Refused) -> Refused:
    """Write a refusal down, and hand it on."""
    log(
        refused=call.operation,
        set=call.set.name,
        object=call.described,
        why=shown(reason, LONGEST_WHY),
    )
    return reason


def record(call: Call, status: int) -> None:
    """Write a change down."""
    log(change=call.operation, set=call.set.name, object=call.described, status=status)


def described(
    message: Any, arguments: Mapping[str, Any], identity: Container[str]
) -> dict[str, Any]:
    """Which objects a request names, and how much it writes; no values of tags or parameters."""
    found: dict[str, Any] = {name: shown(value) for name, value in arguments.items()}
    for one, value in message.ListFields() if message is not None else ():
        if one.name in identity:
            found[one.name] = shown(value)
        elif one.name == "tags":
            found[one.name] = [shown(tag.key, LONGEST_TAG) for tag in value[:20]]
        elif one.name in ("datasets", "metrics", "models", "params"):
            found[one.name] = len(value)
    # One thing has one name in the record, however a client spells it.
    if "run_uuid" in found:
        found.setdefault("run_id", found.pop("run_uuid"))
    with suppress(KeyError, ValueError):
        found["version"] = str(int(found["version"]))  # as MLflow reads it: " 1", "+1" and "0_1"
    return found


def created(answered: Any) -> dict[str, str]:
    """The identity that MLflow gave to what it created: at the top of its answer, or one below."""
    parts = [answered, *(answered.values() if isinstance(answered, dict) else [])]
    parts += [part["info"] for part in parts if isinstance(part, dict) and "info" in part]
    found: dict[str, str] = {}
    for part in parts:
        if isinstance(part, dict):
            found |= {name: shown(part[name]) for name in GIVEN if name in part}
    return found


def shown(value: object, longest: int = LONGEST) -> str:
    """A value in the record, with a bound in bytes: as JSON an emoji takes twelve, and whoever may
    read writes refusals as fast as it likes to the disk that the record is on."""
    text = str(value)[:longest]
    while len(json.dumps(text)) > longest + 2:
        text = text[: len(text) // 2]
    return text


def denied(reason: Refused | MlflowException) -> MlflowException:
    """A refusal as MLflow raises one."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    if isinstance(reason, MlflowException):
        return reason
    return MlflowException(str(reason), error_code=PERMISSION_DENIED)


def failure(reason: Refused | MlflowException) -> tuple[int, bytes]:
    """Status and body in MLflow's own shape."""
    raised = denied(reason)
    return raised.get_http_status_code(), raised.serialize_as_json().encode()


def error(reason: Refused | MlflowException) -> Response:
    """The same as Flask's response."""
    from flask import Response

    status, body = failure(reason)
    return Response(body, status, mimetype="application/json")
