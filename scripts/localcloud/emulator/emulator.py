"""Moto in process: the state of the account, and answers to requests that are already allowed."""

import io
import logging
import threading
import traceback
from collections.abc import Iterable
from contextlib import ExitStack
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlencode

from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    Request,
    environ_key_for_header,
)
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.responses import S3Response
from werkzeug.exceptions import HTTPException

from scripts.iam.requests import HttpRequest, Reading, rebuilt
from scripts.iam.requests.wire.rebuild import Rebuilt
from scripts.localcloud import cbor
from scripts.localcloud.access import repeats
from scripts.localcloud.access.errors import Answer, AwsError
from scripts.localcloud.emulator import (
    failures,
    gaps,
    heeded,
    launches,
    managed_keys,
    patches,
    sealing,
    tags,
    undo,
    versions,
)
from scripts.localcloud.emulator.consistency import Consistency, Lags
from scripts.localcloud.emulator.services import (
    attributes,
    canonical,
    group_rules,
    kms,
    log_filters,
    parts,
    puts,
)

_log = logging.getLogger(__name__)
# Held by whoever uses moto's state.
_TAKEN = threading.Lock()
# Services whose state is the account's and not a region's.
_GLOBAL = frozenset({"iam", "s3", "budgets", "route53", "cloudfront", "organizations"})
# Signing names that differ from the names of moto's modules.
_MODULES = {"monitoring": "cloudwatch", "elasticloadbalancing": "elbv2"}
# Addresses at which moto answers itself, whoever asks and whatever service was signed for.
_RESERVED = ("/moto-api", "/latest/", "/favicon.ico")


class Emulator:
    """One account in one moto. Moto's state belongs to the process, so there is one at a time."""

    def __init__(self, account_id: str, region: str, host: str, lags: Lags | None = None) -> None:
        self.account_id = account_id
        self.region = region
        self._host = host
        self.consistency = Consistency(lags)
        self._applications: dict[str, Any] = {}
        self._patches = ExitStack()
        # Moto's state is not made for concurrent changes; its work is bound to the interpreter's
        # lock anyway, so one request at a time costs nothing.
        self.lock = threading.RLock()
        self._repeats = repeats.Repeats()

    def start(self) -> None:
        """Take over moto with a fresh, empty account; raises RuntimeError if it is taken."""
        if not _TAKEN.acquire(blocking=False):
            raise RuntimeError("a local cloud already runs in this process")
        self._patches.callback(_TAKEN.release)
        BackendDict.reset()
        self._patches.enter_context(patches.applied())
        self._patches.enter_context(gaps.filled())
        self._patches.enter_context(attributes.changed())
        self._patches.enter_context(canonical.kept())
        self._patches.enter_context(group_rules.kept())
        self._patches.enter_context(heeded.parameters())
        self._patches.enter_context(kms.corrected())
        self._patches.enter_context(launches.as_asked())
        self._patches.enter_context(log_filters.read())
        self._patches.enter_context(managed_keys.applied())
        self._patches.enter_context(parts.answered())
        self._patches.enter_context(puts.in_place())
        self._patches.enter_context(sealing.remembered())
        self._patches.enter_context(tags.ended())
        self._patches.enter_context(versions.kept())
        self._patches.enter_context(self.consistency.watching())

    def stop(self) -> None:
        """Forget the account and leave moto as it was."""
        BackendDict.reset()
        self._patches.close()

    def backend(self, service: str, region: str | None = None) -> Any:
        """Moto's state of one service, for example `backend("ec2")` or `backend("iam")`."""
        name = _MODULES.get(service, service)
        regional = get_backend(name)[self.account_id]  # type: ignore[call-overload]
        return regional["aws" if name in _GLOBAL else region or self.region]

    def call(self, reading: Reading, access_key_id: str) -> Answer:
        """Let moto carry out what was read of a request; raises AwsError where it cannot.

        Moto gets a request written from the reading, never the one that the client sent.
        """
        request, operation = reading.request, reading.operation
        # Moto speaks no CBOR; JSON carries the same.
        made = rebuilt(reading, "json" if reading.protocol == cbor.PROTOCOL else None)
        if made.path.startswith(_RESERVED):
            raise AwsError("LocalCloudReservedPath", f"{made.path} is not served", 403)
        environ = self._environ(made, reading, access_key_id)
        if (before := self._repeats.answered(reading, self.backend)) is not None:
            return before
        try:
            with self.lock, sealing.asked(reading):
                answer = self._carried_out(reading, environ)
                self._repeats.keep(reading, answer)
        except patches.OperationMismatch as error:
            raise AwsError("LocalCloudAmbiguousRequest", str(error), 403) from error
        except NotImplementedError as error:
            # 5xx would be tried again for ten minutes by Terraform's provider.
            raise _not_implemented(request.service, operation, str(error)) from error
        except Exception as error:
            if (answer_of_aws := failures.answered(reading, error)) is not None:
                raise answer_of_aws from error
            _log.error("moto failed on %s %s\n%s", request.service, operation,
                       traceback.format_exc())  # fmt: skip
            raise AwsError(
                "LocalCloudEmulatorFailed",
                f"moto failed on {request.service} {operation}: {type(error).__name__}: {error}",
            ) from error
        return cbor.answer(reading, answer) if reading.protocol == cbor.PROTOCOL else answer

    def _carried_out(self, reading: Reading, environ: dict[str, Any]) -> Answer:
        kept, failed = undo.Kept(reading, self.backend), True
        with undo.closed_later() as gone:
            try:
                answer = (
                    _s3(environ)
                    if reading.request.service == "s3"
                    else _run(self._application(reading.request), environ)
                )
                failed = answer.status >= 400
            finally:
                if failed:
                    kept.restore()
                    gone.clear()
        return answer

    def _application(self, request: HttpRequest) -> Any:
        service = request.service.lower()
        host = (
            f"{service}.amazonaws.com"
            if service in ("budgets", "cloudfront")
            else f"{service}.{request.region}.amazonaws.com"
        )
        with self.lock:
            backend = _backend_of(host)
            if backend is None:
                raise NotImplementedError(f"no service answers to {host}")
            apps = self._applications
            if backend not in apps:
                apps[backend] = create_backend_app(backend)
            return apps[backend]

    def _environ(self, made: Rebuilt, reading: Reading, access_key_id: str) -> dict[str, Any]:
        request = reading.request
        query = urlencode(made.query, quote_via=quote)
        name, _, port = self._host.partition(":")
        names: dict[str, str] = {}
        environ: dict[str, Any] = {
            "REQUEST_METHOD": made.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(made.path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": made.path + (f"?{query}" if query else ""),
            "SERVER_NAME": name,
            "SERVER_PORT": port,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(made.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "CONTENT_LENGTH": str(len(made.body)),
            # A virtual-hosted bucket in Host would be another resource than the authorised one.
            "HTTP_HOST": self._host,
            "HTTP_USER_AGENT": "keyless",
            "HTTP_X_MOTO_ACCOUNT_ID": self.account_id,
            # Moto takes region, service and user from the scope of the signature.
            "HTTP_AUTHORIZATION": (
                f"AWS4-HMAC-SHA256 Credential={access_key_id}/20200101/{request.region}/"
                f"{request.service}/aws4_request, SignedHeaders=host, Signature=verified"
            ),
            PRESERVED_HEADER_NAMES_ENVIRON_KEY: names,
            patches.OPERATION: reading.operation,
            patches.OPAQUE_BODY: request.service == "s3",
        }
        if reading.operation == "CopyObject":
            # Moto demands a checksum of what is locked, which a copy does not send.
            environ["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"] = "CRC32"
        for header, value in made.headers.items():
            key = environ_key_for_header(header)
            if "_" in header:
                # Only S3 metadata may have underscores; elsewhere one could pose as a dash.
                if not header.startswith("x-amz-meta-") or key in environ:
                    continue
                names[key] = header
            if value:
                environ[key] = value
        return environ


def _not_implemented(service: str, operation: str, why: str) -> AwsError:
    return AwsError(
        "LocalCloudNotImplemented", f"moto does not implement {service} {operation}: {why}"
    )


def _s3(environ: dict[str, Any]) -> Answer:
    """Call moto's S3 itself: its web framework has no route for a key that ends in a line feed."""
    request = Request(environ)
    _, _, key = request.raw_path.removeprefix("/").partition("/")
    dispatch = S3Response.key_dispatch if key else S3Response.bucket_dispatch
    try:
        status, headers, body = dispatch(request, request.raw_url, dict(request.headers))
    except HTTPException as error:
        answer = error.get_response(environ)
        return Answer(answer.status_code, dict(answer.headers), answer.get_data())
    content = body.encode() if isinstance(body, str) else body
    return Answer(int(status), {name: str(value) for name, value in headers.items()}, content)


@lru_cache(maxsize=256)
def _backend_of(host: str) -> Any:
    """The name of moto's part that answers to a host; moto looks through its folder for each."""
    return DomainDispatcherApplication(create_backend_app).get_backend_for_host(host)


def _run(application: Any, environ: dict[str, Any]) -> Answer:
    """Call a WSGI application and collect its answer."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        del exc_info
        started.append((status, headers))

    chunks: Iterable[bytes] = application(environ, start_response)
    body = b"".join(chunks)
    close = getattr(chunks, "close", None)
    if close is not None:
        close()
    status, headers = started[-1]
    return Answer(int(status.split(" ", 1)[0]), dict(headers), body)
