"""A running local cloud with GitHub's provider in its account."""

from collections.abc import Iterator

import pytest

from scripts.localcloud.cloud import LocalCloud
from scripts.localcloud.issuer import ISSUER
from tests.localcloud.clients import AUDIENCE, Account


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        yield running


@pytest.fixture(scope="module")
def account(cloud: LocalCloud) -> Account:
    made = Account(cloud)
    made.client("iam").create_open_id_connect_provider(Url=ISSUER, ClientIDList=[AUDIENCE])
    return made
