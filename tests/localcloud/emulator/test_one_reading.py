"""Whatever is added to a request: moto carries out what was authorised, or the request is refused.

Moto's own router and parsers are the second reader. They see what the emulator hands over, and must
find the operation and the parameters that the permissions were derived from.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.iam.requests import HttpRequest, Reading, Unmapped, needs_of, read, rebuilt
from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.wire.shapes import input_shape
from scripts.localcloud import cbor
from scripts.localcloud.access.context import Connection
from scripts.localcloud.access.errors import Refusal
from scripts.localcloud.access.incoming import Incoming, canonical
from tests.iam.requests.generated import generated
from tests.iam.requests.samples import FITTING, Rich, rows
from tests.iam.requests.support import sent
from tests.localcloud.emulator.motos_reading import reading_of

pytestmark = pytest.mark.slow

# Named by nothing in the generated calls: whoever finds it found an addition.
VICTIM = "victim-9"
ROWS = [row for row in rows() if row[0] != "sts"]  # the cloud answers STS itself


@cache
def call(service: str, operation: str, every: bool) -> HttpRequest:
    """An operation as botocore sends it."""
    model = SERVICES[service].model or service
    parameters = generated(input_shape(model, operation), every=every)
    parameters |= FITTING.get((service, operation), {})
    return sent(model, operation, {k: v for k, v in parameters.items() if v is not None})


def plain(value: Any) -> Any:
    """Parameters without what two readers may spell differently and mean the same."""
    if isinstance(value, dict):
        kept = {name: plain(item) for name, item in value.items() if name != "ContentLength"}
        return {name: item for name, item in kept.items() if item not in ({}, [], None)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value.decode("latin-1") if isinstance(value, bytes) else value


def comparable(parameters: Any) -> Any:
    found = plain(dict(parameters))
    found.pop("Expires", None)  # moto leaves it as text
    if "Metadata" in found:  # names of headers have no case
        found["Metadata"] = {name.lower(): value for name, value in found["Metadata"].items()}
    return found


def moto_agrees(reading: Reading) -> None:
    """Fail unless moto finds in the request that it gets what was read of the client's."""
    protocol = "json" if reading.protocol == cbor.PROTOCOL else None
    operation, parameters = reading_of(rebuilt(reading, protocol), reading)
    assert operation == reading.operation
    assert comparable(parameters) == comparable(reading.parameters)


@pytest.mark.parametrize("service", sorted({service for service, _ in ROWS}))
def test_moto_reads_each_call_as_it_was_read(service: str) -> None:
    for operation in [row for name, row in ROWS if name == service]:
        for every in (False, True):
            moto_agrees(read(call(service, operation, every)))


def test_an_object_is_no_form_whatever_its_type() -> None:
    made = call("s3", "PutObject", False)
    typed = replace(
        made, headers={**made.headers, "content-type": "multipart/form-data; boundary=x"}
    )
    moto_agrees(read(replace(typed, body=b"hello")))


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_type_is_read_as_no_type(empty: str) -> None:
    nothing = {"query": [], "headers": {}, "path": "", "before": False, "body": b"",
               "again": False, "method": None}  # fmt: skip
    for every in (False, True):
        request = with_additions(call("s3", "PutObject", every), {**nothing, "type": empty})
        moto_agrees(read(request))


TYPES = [
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/json",
    "application/x-amz-json-1.1",
    "application/cbor",
    "text/xml",
    "text/plain; charset=utf-16",
    "",
]
NAMES = [
    "Action", "Version", "RoleName", "PolicyName", "Name", "Bucket", "Key", "versionId", "uploadId",
    "partNumber", "acl", "metrics", "torrent", "tomorrow", "list-type", "prefix", "key", "delete",
    "response-content-type", "x-id", "InstanceId.1", "InstanceId.01", "InstanceId.-1",
    "RoleName.", "Tags.member.1.Key", "Target", "ContentType", "x-amz-acl", "x-amz-copy-source",
    "X-Amz-Target", "AWSAccessKeyId",
]  # fmt: skip
VALUES = [VICTIM, f"{VICTIM}#", f"{VICTIM};x", f"bucket/{VICTIM}", "", "DeleteRole", "1", "-1", "2"]
HEADERS = [
    "x-amz-target", "x-amz-copy-source", "x-amz-acl", "x-amz-tagging", "x-moto-account-id",
    "x-forwarded-host", "rolename", "name", "action", "x-amz-meta-a", "range", "origin",
    "x-amz-server-side-encryption", "x-amz-bypass-governance-retention", "x-http-method-override",
    "content-encoding", "x-amz-decoded-content-length", "transfer-encoding", "if-none-match",
]  # fmt: skip
PATHS = ["", "#x", ";x", "/", "//x", "/..", "/%2e%2e/x", "%00", "%23x", "/moto-api/reset"]
BODIES = [
    b"",
    f"&RoleName={VICTIM}".encode(),
    f"&Action=DeleteRole&RoleName={VICTIM}".encode(),
    f"--x\r\nContent-Disposition: form-data; name=RoleName\r\n\r\n{VICTIM}\r\n--x--\r\n".encode(),
    f'{{"Name": "{VICTIM}"}}'.encode(),
    f"<Object><Key>{VICTIM}</Key></Object>".encode(),
    b"\r\n",
]
additions = st.fixed_dictionaries(
    {
        "row": st.sampled_from(ROWS),
        "every": st.booleans(),
        "type": st.sampled_from([None, *TYPES]),
        "query": st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=2),
        "headers": st.dictionaries(
            st.sampled_from(HEADERS), st.sampled_from([*VALUES, "gzip", "true", "*"]), max_size=2
        ),
        "path": st.sampled_from(PATHS),
        "before": st.booleans(),
        "body": st.sampled_from(BODIES),
        "again": st.booleans(),
        "method": st.sampled_from([None, None, None, "GET", "PUT", "POST", "DELETE"]),
    }
)


def with_additions(request: HttpRequest, added: dict[str, Any]) -> HttpRequest:
    """The request as the gateway takes it, with everything that was added."""
    body = added["body"] + request.body if added["before"] else request.body + added["body"]
    query = [*request.query, *added["query"]]
    if added["again"] and b"=" in request.body:  # one parameter once more, with another value
        name = parse_qsl(request.body.decode("latin-1"), keep_blank_values=True)[-1][0]
        body += urlencode({name: VICTIM}).join(["&", ""]).encode()
    headers = {**request.headers, **added["headers"]}
    if added["type"] is not None:
        headers["content-type"] = added["type"]
    incoming = Incoming(
        method=added["method"] or request.method,
        target=f"{request.path}{added['path']}" + (f"?{urlencode(query)}" if query else ""),
        headers=headers,
        body=body,
        connection=Connection("127.0.0.1", secure=True),
    )
    return canonical(incoming, body, {}, request.service, request.region, request.account)


def understood(request: HttpRequest) -> Reading | None:
    """What the gateway would authorise; None for a request that it refuses."""
    try:
        reading = read(request)
        needs_of(reading, Rich())
    except (Unmapped, Refusal, ValueError):
        return None
    return reading


def hidden(reading: Reading) -> None:
    """Fail if the addition reaches moto without being part of what was authorised."""
    made = rebuilt(reading, "json" if reading.protocol == cbor.PROTOCOL else None)
    whole = repr((made.path, made.query, made.headers, made.body))
    if VICTIM in whole:
        assert VICTIM in repr(reading.parameters)
    assert not {"x-moto-account-id", "x-forwarded-host", "rolename"} & set(made.headers)


@settings(max_examples=3000, deadline=None, derandomize=True)
@given(additions)
def test_what_is_added_is_authorised_too_or_refused_or_gone(added: dict[str, Any]) -> None:
    try:
        request = with_additions(call(*added["row"], added["every"]), added)
    except Refusal:
        return
    reading = understood(request)
    if reading is not None:
        hidden(reading)
        moto_agrees(reading)


def test_additions_are_not_all_refused() -> None:
    """The property above would hold of a gateway that refuses everything."""
    generator = random.Random(1)
    accepted = 0
    for row in ROWS:
        request = call(*row, False)
        added: dict[str, Any] = {
            "headers": {generator.choice(["rolename", "x-moto-account-id", "origin"]): VICTIM},
            "type": None, "query": [], "path": "", "before": False, "body": b"", "again": False,
            "method": None,
        }  # fmt: skip
        accepted += understood(with_additions(request, added)) is not None
    assert accepted > len(ROWS) * 0.9


def test_moto_would_read_a_multipart_body_that_nobody_authorised() -> None:
    """The attack as it was: moto finds its parameters in a body of another type."""
    form = b"Action=DeleteRole&Version=2010-05-08&RoleName=mine"
    whole = HttpRequest("POST", "/", (), {"content-type": TYPES[1]}, form, "iam", "us-east-1",
                        "123456789012")  # fmt: skip
    honest = read(whole)
    moto_agrees(honest)
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("Action", "DeleteRole"), ("RoleName", VICTIM))
    )
    body = f"{parts}--x--\r\n".encode()
    assert understood(replace(whole, headers={"content-type": TYPES[0]}, body=body)) is None
    as_sent = rebuilt(honest)._replace(body=body, headers={"content-type": TYPES[0]})
    assert reading_of(as_sent, honest) == ("DeleteRole", {"RoleName": VICTIM})
