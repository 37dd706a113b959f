"""A running local cloud with GitHub's provider in its account."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from scripts.aws.credentials import Credentials
from scripts.localcloud import gateway
from scripts.localcloud.cloud import LocalCloud
from scripts.names import GITHUB_ISSUER
from tests.localcloud.clients import AUDIENCE, BUCKET, Account, statement


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever talks to a running gateway is slow, wherever it stands."""
    for item in items:
        if "cloud" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        yield running


@pytest.fixture(scope="module")
def account(cloud: LocalCloud) -> Account:
    made = Account(cloud)
    made.client("iam").create_open_id_connect_provider(Url=GITHUB_ISSUER, ClientIDList=[AUDIENCE])
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[timedelta], None]]:
    """Moves the gateway's clock."""
    offset = timedelta()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + offset

    def move(by: timedelta) -> None:
        nonlocal offset
        offset = by

    monkeypatch.setattr(gateway, "datetime", Clock)
    yield move


@pytest.fixture(scope="module")
def bucket(account: Account) -> str:
    s3 = account.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="public/a.txt", Body=b"a")
    s3.put_object(Bucket=BUCKET, Key="b.txt", Body=b"b")
    return BUCKET


@pytest.fixture(scope="module")
def reader(account: Account, bucket: str) -> Credentials:
    return account.session("reader", statement("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
