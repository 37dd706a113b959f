"""Outcomes are stored before they are acknowledged, many in one object."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from pipeline.rollouts.policy import CHALLENGER
from pipeline.serving.app import Server
from pipeline.serving.config import Limits, Served
from pipeline.serving.feedback import Feedback, NotStored, parse
from pipeline.serving.gauges import Tallies
from pipeline.serving.worker.rows import BadRequest
from pipeline.storage import FolderStore

ID = "20261128-" + "0" * 32


def one(**changes: Any) -> dict[str, Any]:
    return {"prediction_id": ID, "outcome": "malignant", **changes}


@pytest.mark.parametrize("outcome", ["malignant", 1.5, 3, True, "0"])
def test_an_outcome_is_a_text_a_number_or_a_truth_value(outcome: Any) -> None:
    (found,) = parse(json.dumps(one(outcome=outcome)).encode())

    assert found.outcome == outcome
    assert type(found.outcome) is type(outcome)


FAULTS: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "not JSON"),
    "NaN": (b'{"prediction_id": "x", "outcome": NaN}', 400, "NaN is no number"),
    "deep nesting": (b'{"a":' * 100_000, 400, "nested too deeply"),
    "no UTF-8": (json.dumps(one()).encode("utf-16"), 400, "byte order mark"),
    "UTF-16 without a mark": (json.dumps(one()).encode("utf-16-le"), 400, "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(one()).encode(), 400, "byte order mark"),
    "a number of 5,000 digits": (b'{"outcome": ' + b"9" * 5000 + b"}", 400, "too many digits$"),
    "a list": (b"[]", 422, "the body"),
    "no outcomes": (b'{"outcomes": []}', 422, "outcomes: List should have at least 1"),
    "an id that is none": (json.dumps(one(prediction_id="../x")).encode(), 422, "prediction_id"),
    "a missing outcome": (json.dumps({"prediction_id": ID}).encode(), 422, "outcome"),
    "a list as outcome": (json.dumps(one(outcome=[1])).encode(), 422, "^outcome: a text of 1"),
    "null as outcome": (json.dumps(one(outcome=None)).encode(), 422, "^outcome: a text of 1"),
    "a text without end": (json.dumps(one(outcome="x" * 1001)).encode(), 422, "outcome"),
    "a number beyond all sums": (json.dumps(one(outcome=1e200)).encode(), 422, "outcome"),
    "a number without end": (json.dumps(one(outcome=10**120)).encode(), 422, "outcome"),
    "a key twice": (
        json.dumps(one()).encode()[:-1] + b', "outcome": "benign"}',
        400,
        "'outcome' twice",
    ),
    "a row below zero": (json.dumps(one(row=-1)).encode(), 422, "row"),
    "an unknown key": (json.dumps(one(label=1)).encode(), 422, "label"),
    "the second of two": (
        json.dumps({"outcomes": [one(), one(outcome={})]}).encode(),
        422,
        r"^outcomes\.1\.outcome: a text",
    ),
    "many keys": (json.dumps({f"k{one}": 1 for one in range(400_000)}).encode(), 422, "keys"),
    "too many": (json.dumps({"outcomes": [one()] * 10_001}).encode(), 422, "outcomes"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_outcome_is_refused_with_its_place(fault: str) -> None:
    body, status, message = FAULTS[fault]

    with pytest.raises(BadRequest, match=message) as error:
        parse(body)
    assert error.value.status == status


def test_faults_are_looked_for_up_to_the_first_faulty_outcome() -> None:
    """An 8 MB body with 600,000 faults took ten seconds, in which nothing was predicted."""
    faulty = {f"k{number}": 1 for number in range(15)}
    body = json.dumps({"outcomes": [one(**faulty)] * 9_999}).encode()
    with pytest.raises(BadRequest) as error:
        parse(body)
    assert {fault["where"].split(".")[1] for fault in error.value.details} == {"0"}


def test_bodies_that_come_in_together_have_a_bound() -> None:
    """80 connections with 8 MB each took 700 MB; the smallest instance has 1 GiB."""

    async def attempt() -> None:
        server = Server.__new__(Server)
        server.config = SimpleNamespace(limits=Limits(bodies_bytes=10, small_bytes=1))  # type: ignore[assignment]
        server._held = 0

        def request(size: int) -> Request:
            async def receive() -> Any:
                return {"type": "http.request", "body": b"x" * size}

            return Request({"type": "http", "headers": []}, receive)

        async with server.body(request(6)) as first:
            with pytest.raises(BadRequest) as error:
                async with server.body(request(6)):
                    pass
            assert (len(first), error.value.status) == (6, 503)
            async with server.body(request(1)) as small:
                assert len(small) == 1
        async with server.body(request(6)) as again:
            assert len(again) == 6

    asyncio.run(attempt())


def test_outcomes_of_many_senders_share_an_object(tmp_path: Path) -> None:
    async def send() -> None:
        feedback = Feedback(Served("small", folder=tmp_path), "here", 0.05)
        running = asyncio.create_task(feedback.run())
        await asyncio.gather(
            *(feedback.add(parse(json.dumps(one(row=row)).encode())) for row in range(50))
        )
        running.cancel()

    asyncio.run(send())
    store = FolderStore(tmp_path)
    (key,) = store.keys("predictions/small/_feedback/date=")
    stored = json.loads(store.read(key)[0])
    assert [each["row"] for each in stored] == list(range(50))
    assert {"prediction_id", "row", "outcome", "received_at"} == set(stored[0])


def test_outcomes_that_could_not_be_stored_are_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("unreachable")

    async def send() -> None:
        feedback = Feedback(Served("small", folder=tmp_path), "here", 0)
        running = asyncio.create_task(feedback.run())
        with monkeypatch.context() as broken:
            broken.setattr(FolderStore, "put", refuse)
            with pytest.raises(NotStored):
                await feedback.add(parse(json.dumps(one()).encode()))
        await feedback.add(parse(json.dumps(one()).encode()))
        running.cancel()

    asyncio.run(send())
    assert len(FolderStore(tmp_path).keys("predictions/small/_feedback/")) == 1


def test_counts_that_cannot_be_sent_are_kept_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without them the guards of a rollout see nothing, so silence would be worst."""

    class Denied:
        def add(self, experiment: str, tallies: Any) -> None:
            raise PermissionError("cloudwatch:PutMetricData")

    server = Server.__new__(Server)
    server._tallies, server._counters = Tallies(), Denied()  # type: ignore[assignment]
    server._tallies.add("october", CHALLENGER, requests=3)
    asyncio.run(server.send_counts())
    assert "the counts of october are not sent" in caplog.text
    assert "cloudwatch:PutMetricData" in caplog.text
    assert server._tallies.take()["october"][CHALLENGER].requests == 3
