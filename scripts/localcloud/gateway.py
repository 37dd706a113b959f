"""The gateway: authenticates a request, decides its permissions, and passes it on."""

import logging
import traceback
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from scripts.iam import requests
from scripts.iam.engine.documents import PolicyError
from scripts.iam.engine.evaluation import Unsupported
from scripts.iam.requests import Account, HttpRequest, Malformed, Reading, Unmapped
from scripts.localcloud.access import payloads, post_form, public_access, signatures
from scripts.localcloud.access.authorization import Authorizer, RequestInfo
from scripts.localcloud.access.context import Keys, request_keys, s3_keys
from scripts.localcloud.access.errors import Answer, AwsError, Fault, Refusal, render
from scripts.localcloud.access.incoming import Incoming, canonical, protocol, unsigned_service
from scripts.localcloud.access.network import way_keys
from scripts.localcloud.access.principals import ANONYMOUS, Caller, Principals, about_oneself
from scripts.localcloud.access.regions import check_bucket_region, check_scope, requested_region
from scripts.localcloud.access.signatures import Signature, query_pairs
from scripts.localcloud.emulator.emulator import Emulator
from scripts.localcloud.rules import belonging, networks, unread
from scripts.localcloud.rules import keys as kms_keys
from scripts.localcloud.sts import ageing
from scripts.localcloud.sts.issuer import PREFIX as ISSUER_PREFIX
from scripts.localcloud.sts.issuer import Issuer
from scripts.localcloud.sts.sts import WEB_IDENTITY, Call, Sts

_log = logging.getLogger(__name__)

# Answers an operation in place of moto, after it has been authorised.
Handler = Callable[[Reading, Caller], Answer]
# Looks at an authorised request before it is carried out; raises AwsError to refuse it.
Check = Callable[[Reading], None]


class Everywhere(Protocol):
    """The account in all of its regions."""

    def at(self, region: str) -> Account:
        """The account as a request to this region sees it."""


@dataclass(frozen=True)
class Authenticated:
    """A request whose sender is known; `signature` is None for an unsigned one."""

    request: HttpRequest
    caller: Caller
    signature: Signature | None
    form: post_form.Form | None = None


class Gateway:
    """Authenticates and authorises requests, and hands the allowed ones on."""

    def __init__(
        self,
        emulator: Emulator,
        account: Everywhere,
        principals: Principals,
        authorizer: Authorizer,
        sts: Sts,
        issuer: Issuer,
    ) -> None:
        self._emulator = emulator
        self._account = account
        self._principals = principals
        self._authorizer = authorizer
        self._sts = sts
        self._issuer = issuer
        # By (service, operation); the operation `*` of a check stands for every one.
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.checks: dict[tuple[str, str], Check] = {}

    def handle(self, incoming: Incoming) -> Answer:
        """Answer a request; every failure becomes an answer in the service's own shape."""
        if incoming.path.startswith(ISSUER_PREFIX):
            return self._issuer.handle(
                incoming.method,
                incoming.path,
                dict(query_pairs(incoming.query)),
                incoming.headers,
                incoming.body,
            )
        if incoming.path == ageing.PATH:
            return ageing.handle(incoming, self._issuer.key, self._principals)
        request_id = str(uuid.uuid4())
        signature: Signature | None = None
        try:
            signature = signatures.read(incoming.signed)
            if incoming.refusal is not None:
                raise incoming.refusal
            return self._answer(incoming, signature, request_id)
        except Refusal as refusal:
            error = refusal.spell(protocol(incoming, signature))
        except AwsError as refused:
            error = refused
        except Exception:  # noqa: BLE001 - whatever fails, the client gets an answer
            _log.error("the gateway failed\n%s", traceback.format_exc())
            error = AwsError("LocalCloudFailed", "The local cloud failed; see its log.", 400)
        return render(error, protocol(incoming, signature), request_id, incoming.path)

    def _answer(self, incoming: Incoming, signature: Signature | None, request_id: str) -> Answer:
        now = datetime.now(UTC)
        self._emulator.consistency.tick()
        found = self.authenticate(incoming, signature, now)
        request, caller, signature = found.request, found.caller, found.signature
        if signature is None and not _may_be_unsigned(request):
            raise Refusal(Fault.MISSING_TOKEN)
        try:
            reading = about_oneself(requests.read(request), caller)
            operation = reading.operation
            info = RequestInfo(request_id, request.service, operation)
            region = requested_region(request.service, request.region)
            keys = request_keys(incoming.connection, request.headers, region, now)
            if way := way_keys(caller, request.service, self._emulator.backend):
                del keys["aws:SourceIp"]
                keys |= way
            if request.service == "sts":
                return self._call_sts(found, reading, keys, info)
            if request.service == "s3":
                bucket = self._emulator.backend("s3").buckets.get(reading.parameters.get("Bucket"))
                check_bucket_region(reading, bucket.region_name if bucket and signature else None)
                keys |= s3_keys(incoming.connection, signature, incoming.headers, now)
            with self._locked():
                answer = self._carry_out(found, reading, keys, info)
        except Unmapped as error:
            raise self._unmapped(error, caller, request_id) from error
        except ValueError as error:
            raise _malformed(error, request.service) from error
        if answer is None:
            return self.handlers[request.service, operation](reading, caller)
        if found.form is not None:
            answer = post_form.answer(found.form, answer, self._issuer.endpoint)
        # Moto has an id of its own for the request, which no decision in the log carries.
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() != "x-amzn-requestid"
        }
        return Answer(answer.status, {**headers, "x-amzn-RequestId": request_id}, answer.body)

    def _locked(self) -> AbstractContextManager[object]:
        """Nobody changes what a request is judged by until it is carried out: a launch template
        could get another role in between."""
        return self._emulator.lock

    def _carry_out(
        self, found: Authenticated, reading: Reading, keys: Keys, info: RequestInfo
    ) -> Answer | None:
        """Decide a request and let moto carry it out; None where a handler is to answer it."""
        request = found.request
        account = self._account.at(request.region)
        needs = requests.needs_of(reading, account)
        self._authorizer.require(found.caller, needs, keys, info)
        self._authorizer.keep_removable(found.caller, needs, reading.parameters, keys)
        if found.signature is None:
            public_access.check_anonymous(reading)
        kms_keys.check(needs, request.service, self._emulator.backend)
        belonging.check(needs, reading, account.tags)
        networks.check(needs, reading)
        unread.check(reading)
        for name in ("*", reading.operation):
            if check := self.checks.get((request.service, name)):
                check(reading)
        if (request.service, reading.operation) in self.handlers:
            return None
        key_id = found.signature.access_key_id if found.signature else "ANONYMOUS"
        return self._emulator.call(reading, key_id)

    def authenticate(
        self, incoming: Incoming, signature: Signature | None, now: datetime
    ) -> Authenticated:
        """Find out who sends a request, and read it; raises Refusal."""
        account_id = self._emulator.account_id
        if signature is None and post_form.is_form(incoming):
            return self._authenticate_form(incoming, now)
        if signature is None:
            service = unsigned_service(incoming)
            body = payloads.decode(incoming.headers, incoming.body, None, None)
            request = canonical(
                incoming, body.body, body.trailers, service, self._emulator.region, account_id
            )
            return Authenticated(request, ANONYMOUS, None)
        signatures.check_time(signature, now)
        check_scope(signature, self._emulator.region)
        key = self._principals.find(signature.access_key_id, signature.token, now)
        signatures.check_headers_are_signed(signature, incoming.headers)
        payload_hash = payloads.declared_hash(
            signature.service, signature.kind, incoming.headers, incoming.body,
            {name.lower(): value for name, value in query_pairs(incoming.query)}.get(
                "x-amz-content-sha256"
            ),
        )  # fmt: skip
        signing_key = signatures.verify(incoming.signed, signature, key.secret, payload_hash)
        completes = incoming.method == "POST" and "uploadId=" in incoming.query
        body = payloads.decode(
            incoming.headers, incoming.body, signature, signing_key, of_object=completes
        )
        request = canonical(
            incoming, body.body, body.trailers, signature.service, signature.region, account_id
        )
        return Authenticated(request, key.caller, signature)

    def _authenticate_form(self, incoming: Incoming, now: datetime) -> Authenticated:
        """Find out who signed the policy of an upload by form, and read the upload as a PUT."""
        form = post_form.read(incoming)
        signature = post_form.signature(form)
        caller = ANONYMOUS
        if signature is not None:
            signatures.check_time(signature, now)
            check_scope(signature, self._emulator.region)
            key = self._principals.find(signature.access_key_id, signature.token, now)
            if signature.service != "s3" or not post_form.verify(form, signature, key.secret):
                raise Refusal(Fault.SIGNATURE)
            post_form.check_policy(form, now)
            caller = key.caller
        put = post_form.as_put(form, incoming)
        body = payloads.decode(put.headers, put.body, None, None)
        region = signature.region if signature else self._emulator.region
        request = canonical(put, body.body, {}, "s3", region, self._emulator.account_id)
        return Authenticated(request, caller, signature, form)

    def _call_sts(
        self, found: Authenticated, reading: Reading, keys: Keys, info: RequestInfo
    ) -> Answer:
        caller = None if found.signature is None else found.caller
        operation = reading.operation
        unread.check(reading)
        call = Call(reading.parameters, keys, info, caller)
        try:
            return self._sts.handle(operation, call)
        except (Unsupported, PolicyError) as error:
            raise AwsError(
                "LocalCloudUnsupportedPolicy",
                f"The local cloud refuses sts:{operation} because it cannot evaluate a policy "
                f"that applies: {error}",
                403,
            ) from error

    def _unmapped(self, error: Unmapped, caller: Caller, request_id: str) -> Exception:
        """Refuse what cannot be turned into permissions, and put it on record."""
        info = RequestInfo(request_id, error.service, error.operation)
        self._authorizer.record(
            caller, f"{error.service}:{error.operation}", "*", {}, info, "unmapped"
        )
        if caller.principal.kind == "anonymous":
            return Refusal(Fault.MISSING_TOKEN)
        return AwsError(
            "LocalCloudUnmapped",
            f"The local cloud refuses {error.service} {error.operation}: it does not know which "
            f"permissions the operation needs",
            403,
        )


def _may_be_unsigned(request: HttpRequest) -> bool:
    """Whether a request may come without a signature: to S3, or with a token to STS."""
    if request.service != "sts":
        return request.service == "s3"
    pairs = [*request.query, *query_pairs(request.body.decode("utf-8", errors="replace"))]
    return {value for name, value in pairs if name == "Action"} == {WEB_IDENTITY}


def _malformed(error: ValueError, service: str) -> Exception:
    """A request that is not well-formed, in AWS's code where it has one of its own."""
    code = error.code if isinstance(error, Malformed) else None
    if service == "logs":  # the one service of its protocol without ValidationException
        code = code or "InvalidParameterException"
    return AwsError(code, str(error)) if code else Refusal(Fault.INVALID, str(error))
