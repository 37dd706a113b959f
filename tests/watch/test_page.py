"""The page in a real browser, over a local cloud that decides."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from scripts.cli import keyless
from scripts.labs import page as lab_page
from scripts.labs.lab import find as lab
from scripts.localcloud import home as localhome
from scripts.localcloud.cloud import LocalCloud
from scripts.names import GITHUB_ISSUER
from scripts.watch import tail
from scripts.watch.explained import explained
from scripts.watch.server import WatchServer
from tests.browser import find, page
from tests.localcloud.clients import AUDIENCE, Account, statement

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=document.title='broken'>"


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """An account with a role that may read below public/ and nowhere else."""
    with LocalCloud() as cloud:
        me = psutil.Process()
        cloud.announce(me.pid, me.create_time())
        made = Account(cloud)
        iam = made.client("iam")
        iam.create_open_id_connect_provider(Url=GITHUB_ISSUER, ClientIDList=[AUDIENCE])
        made.client("s3").create_bucket(Bucket="watched")
        made.client("s3").put_object(Bucket="watched", Key="public/a", Body=b"a")
        reader = made.session("reader", statement("s3:GetObject", "arn:aws:s3:::watched/public/*"))
        s3 = made.client("s3", reader)
        s3.get_object(Bucket="watched", Key="public/a")
        with pytest.raises(ClientError):
            s3.get_object(Bucket="watched", Key=HOSTILE)
        yield made


def line(account: Account, resource: str) -> tail.Line:
    """The last decision about a resource by the reader."""
    account.cloud.decisions.flush()
    found = tail.read(account.cloud.home / localhome.DECISIONS_FILE).lines
    return [
        one
        for one in found
        if one.record.role == "reader" and one.record.resource.endswith(resource)
    ][-1]


def test_of_a_denied_line_the_page_tells_what_would_allow_it(account: Account) -> None:
    found = explained(localhome.load(account.cloud.home), line(account, HOSTILE).record)
    assert found["decided"].startswith("no identity-based policy allows")
    (near,) = [one for one in found["considered"] if one["near"]]
    assert not near["applies"]
    assert "Resource wants arn:aws:s3:::watched/public/*" in near["why"]
    assert HOSTILE in found["changes"][0]["what"]


def test_of_an_allowed_line_the_page_tells_what_would_deny_it(account: Account) -> None:
    found = explained(localhome.load(account.cloud.home), line(account, "public/a").record)
    assert [one["applies"] for one in found["considered"]] == [True]
    assert found["changes"][0]["answer"] == "denied: no identity-based policy allows"


def test_looking_at_an_explanation_is_no_use_of_a_right(account: Account) -> None:
    cloud = account.cloud
    before = len(cloud.decisions.read())
    explained(localhome.load(cloud.home), line(account, HOSTILE).record)
    asked = cloud.decisions.read()[before:]
    assert asked
    assert all(one.probe for one in asked)


def story() -> dict[str, Any]:
    chosen = lab("2")
    return {
        "number": 2,
        "title": chosen.title,
        "story": lab_page.html_of(chosen),
        "score": "40 of 100 points",
    }


def test_a_browser_shows_requests_as_they_are_decided_and_explains_one(
    account: Account, tmp_path: Path
) -> None:
    browser = find("the page of keyless watch was")
    cloud: LocalCloud = account.cloud
    named = line(account, HOSTILE).record.request_id
    later = threading.Event()

    def during() -> dict[str, Any]:
        """The page asks for its story once it is drawn: what is decided now is live."""
        if not later.is_set():
            later.set()
            account.client("s3").put_object(Bucket="watched", Key="public/later", Body=b"b")
            account.client("s3", reader(account)).get_object(Bucket="watched", Key="public/later")
            cloud.decisions.flush()
        return story()

    with WatchServer(cloud.home, during) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            text = page(browser, f"{server.address}#{named}", tmp_path)
            refused = page(browser, server.address.replace(server.token, "guess"), tmp_path / "2")
        finally:
            server.shutdown()
            thread.join()
    assert "Lab 2: A subject too wide" in text
    assert "40 of 100 points" in text
    assert "<code>acme/pipeline</code>" in text
    assert "public/later" in text
    assert "no identity-based policy allows" in text
    assert "Resource wants arn:aws:s3:::watched/public/*" in text
    assert "smallest change that would allow it" in text
    assert "&lt;img src=x" in text
    assert "<img" not in text
    assert "<title>broken" not in text
    assert "no token" in refused
    assert "watched" not in refused


def reader(account: Account) -> Any:
    return account.session("reader2", statement("s3:GetObject", "arn:aws:s3:::watched/public/*"))


def test_the_verb_names_the_address_and_ends_with_ctrl_c(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: WatchServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(WatchServer, "serve_forever", interrupted)
    done = CliRunner().invoke(keyless, ["--home", str(account.cloud.home), "watch"])
    assert done.exit_code == 0
    assert re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", done.stdout)


def test_a_port_that_is_taken_is_said(account: Account) -> None:
    with WatchServer(account.cloud.home) as other:
        words = ["--home", str(account.cloud.home), "watch", "--port", str(other.server_port)]
        done = CliRunner().invoke(keyless, words)
    assert done.exit_code == 2
    assert "cannot be used" in done.stderr


def test_without_a_cloud_there_is_nothing_to_watch(tmp_path: Path) -> None:
    done = CliRunner().invoke(keyless, ["--home", str(tmp_path / "home"), "watch"])
    assert done.exit_code == 1
    assert done.stderr.endswith(" up\n")


# What is started here is meant to outlive the Python that starts it.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_the_lab_page_is_one_process_of_the_lab_and_is_found_again(tmp_path: Path) -> None:
    from scripts.local_run import leftovers

    home = tmp_path / "home"
    home.mkdir()
    try:
        address = lab_page.start(home)
        assert lab_page.start(home) == address
        (process,) = leftovers.find(home)
        assert (home / lab_page.FILE).stat().st_mode & 0o077 == 0
        assert address.rpartition("/")[0][-20:] not in " ".join(process.cmdline())
        process.kill()
        process.wait(10)
        assert lab_page.start(home) != address
    finally:
        started = time.monotonic()
        leftovers.wipe(home)
        assert time.monotonic() - started < leftovers.GRACE_SECONDS
    assert leftovers.find(home) == []
