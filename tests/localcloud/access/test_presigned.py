"""Presigned links: what they open, for how long, and for nothing else."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest

from scripts.aws.credentials import Credentials
from tests.localcloud.clients import BUCKET, Account, code_in, fetch, link

pytestmark = pytest.mark.usefixtures("bucket")


def test_a_presigned_link_works_until_it_expires(
    account: Account, reader: Credentials, clock: Callable[[timedelta], None]
) -> None:
    url = link(account, reader)
    assert fetch(account, url).content == b"b"
    clock(timedelta(seconds=40))
    assert fetch(account, url).content == b"b"
    clock(timedelta(seconds=61))
    refused = fetch(account, url)
    assert (refused.status_code, code_in(refused)) == (403, "AccessDenied")
    assert "Request has expired" in refused.text


def replaced(url: str, **parameters: str) -> str:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | parameters
    return urlunsplit(parts._replace(query=urlencode(query)))


@pytest.mark.parametrize(
    "misuse",
    [
        lambda url: ("PUT", url),
        lambda url: ("DELETE", url),
        lambda url: ("GET", url.replace("b.txt", "public/a.txt")),
        lambda url: ("GET", url.replace(BUCKET, "other-bucket")),
        lambda url: ("GET", replaced(url, **{"X-Amz-Expires": "604800"})),
        lambda url: ("GET", replaced(url, **{"X-Amz-Date": "20991231T000000Z"})),
        lambda url: ("GET", replaced(url, versionId="1")),
        lambda url: ("GET", url + "&x-amz-acl=public-read"),
    ],
    ids=["put", "delete", "key", "bucket", "expires", "date", "version", "parameter"],
)
def test_a_presigned_link_is_good_for_nothing_else(
    account: Account, misuse: Callable[[str], tuple[str, str]]
) -> None:
    method, url = misuse(link(account, account.cloud.administrator))
    refused = fetch(account, url, method)
    assert (refused.status_code, code_in(refused)) == (403, "SignatureDoesNotMatch")


def test_the_holder_of_a_link_cannot_add_headers(account: Account) -> None:
    url = link(account, account.cloud.administrator, method="put_object")
    refused = fetch(account, url, "PUT", data=b"x", headers={"x-amz-acl": "public-read"})
    assert (refused.status_code, code_in(refused)) == (403, "AccessDenied")
    assert "not signed" in refused.text
    assert fetch(account, url, "PUT", data=b"x").status_code == 200


def test_a_link_carries_the_rights_of_its_maker_only(account: Account, reader: Credentials) -> None:
    refused = fetch(account, link(account, reader, method="put_object"), "PUT", data=b"x")
    assert (refused.status_code, code_in(refused)) == (403, "AccessDenied")


def test_a_link_lives_for_a_week_at_most(account: Account) -> None:
    refused = fetch(account, link(account, account.cloud.administrator, expires=604_801))
    assert (refused.status_code, code_in(refused)) == (400, "AuthorizationHeaderMalformed")


def test_two_signatures_are_one_too_many(account: Account) -> None:
    url = link(account, account.cloud.administrator)
    refused = fetch(account, url, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=x"})
    assert refused.status_code == 400
