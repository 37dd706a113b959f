"""Whatever is sent, the answer is a mapping, Unmapped or a ValueError with words in it."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.iam.requests import HttpRequest, Need, Unmapped, needs, operation
from scripts.iam.requests.mapping import SERVICES

from .support import ACCOUNT, REGION, FakeAccount, sent

pytestmark = pytest.mark.slow

services = st.sampled_from([*sorted(SERVICES), "dynamodb", ""])
words = st.text(max_size=12)
wire_words = st.sampled_from(
    ["Action", "Version", "InstanceId.1", "Name", "acl", "versionId", "tagging", "uploadId", "x-id"]
)
values = st.sampled_from(
    ["", "*", "..", "TerminateInstances", "i-0a", "arn:aws:iam::1:role/a", "true", "\x00", "ü"]
)
pairs = st.lists(st.tuples(wire_words | words, values | words), max_size=4)
headers = st.dictionaries(
    st.sampled_from(
        ["host", "x-amz-target", "content-encoding", "x-amz-copy-source", "x-amz-tagging"]
    ),
    values | words | st.sampled_from(["AmazonSSM.GetParameter", "TrentService.Decrypt", "gzip"]),
    max_size=3,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
named_json = st.dictionaries(
    st.sampled_from(["Name", "Names", "KeyId", "SecretId", "Tags", "Target", "BudgetName"]),
    json_values,
    max_size=3,
)
bodies = (
    st.binary(max_size=60)
    | named_json.map(lambda value: json.dumps(value).encode())
    | pairs.map(lambda found: "&".join(f"{k}={v}" for k, v in found).encode("utf-8", "replace"))
)
requests = st.builds(
    HttpRequest,
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "", "get"]),
    path=st.sampled_from(["/", "/some-bucket", "/some-bucket/a", "/schedules/a", "//", "/%FF", ""])
    | words,
    query=pairs.map(tuple),
    headers=headers,
    body=bodies,
    service=services,
    region=st.just(REGION),
    account=st.just(ACCOUNT),
)


def check(request: HttpRequest) -> list[Need] | None:
    """The needs, or None for a refusal in words; any other exception fails the test."""
    try:
        found = needs(request, FakeAccount())
    except (Unmapped, ValueError) as refusal:
        assert str(refusal).strip()
        return None
    assert found or operation(request) in {"GetCallerIdentity", "GetSessionToken"}
    return found


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True)
@given(requests)
def test_garbage_is_refused_in_words(request: HttpRequest) -> None:
    check(request)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(
        [
            ("ssm", "AmazonSSM", "PutParameter"),
            ("ssm", "AmazonSSM", "StartSession"),
            ("kms", "TrentService", "CreateGrant"),
            ("secretsmanager", "secretsmanager", "BatchGetSecretValue"),
            ("budgets", "AWSBudgetServiceGateway", "CreateBudget"),
            ("events", "AWSEvents", "PutTargets"),
        ]
    ),
    named_json | json_values,
)
def test_garbage_in_a_known_call_is_refused_in_words(
    call: tuple[str, str, str], body: object
) -> None:
    service, prefix, name = call
    target = {"x-amz-target": f"{prefix}.{name}"}
    content = json.dumps(body).encode()
    check(HttpRequest("POST", "/", (), target, content, service, REGION, ACCOUNT))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_a_damaged_request_never_names_other_resources(data: st.DataObject) -> None:
    """Cutting and flipping bytes of a real call must not turn it into a call that touches more."""
    whole = sent("ec2", "TerminateInstances", {"InstanceIds": ["i-0aaa", "i-0bbb"]})
    at = data.draw(st.integers(0, len(whole.body) - 1))
    byte = data.draw(st.binary(min_size=0, max_size=1))
    body = whole.body[:at] + byte + whole.body[at + 1 :]
    with suppress(Unmapped, ValueError):
        changed = HttpRequest(**{**vars(whole), "body": body})
        found = needs(changed, FakeAccount())
        assert {need.action for need in found} == {"ec2:TerminateInstances"}
        assert len(found) <= 2


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=80))
def test_garbage_in_cbor_is_refused_in_words(body: bytes) -> None:
    path = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
    check(HttpRequest("POST", path, (), {}, body, "monitoring", REGION, ACCOUNT))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=30))
def test_a_key_in_a_path_is_never_taken_for_another_bucket(key: str) -> None:
    path = f"/some-bucket/{key}".replace("?", "").replace("#", "")
    found = check(HttpRequest("DELETE", path, (), {}, b"", "s3", REGION, ACCOUNT))
    for need in found or []:
        assert need.resource.startswith("arn:aws:s3:::some-bucket")
