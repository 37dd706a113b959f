"""What must fail and what must work in lab 11."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.aws.sealed import client
from scripts.labs import common
from scripts.labs.attacking import fetch
from scripts.labs.running import LabRun
from scripts.labs.trial import Trial
from scripts.localcloud.home import administrator

REPOSITORY = "acme/pipeline"
KEY = "reports/q3.txt"
SPARE = "reports/draft.txt"
WEEK_SECONDS = 7 * 24 * 3600


def prepare(run: LabRun) -> None:
    """Put the report into the bucket, and a link to it through the air.

    The administrator signs, so that the captured link holds whatever the student does to the role.
    """
    common.put_flag(run, KEY, "Quarter 3, for the board alone: {flag}\n")
    link = _link(run, _s3(run, administrator(run.home), plain=True))
    target = link.removeprefix(run.cloud.plain_endpoint)
    host = run.cloud.plain_endpoint.removeprefix("http://")
    run.give(
        "capture.txt",
        f"18:42:07  cafe-guest, TCP stream 31\n\nGET {target} HTTP/1.1\nHost: {host}\n"
        f"User-Agent: Mozilla/5.0\n\nHTTP/1.1 200 OK\n[answer not captured]\n\n"
        f"The link as a whole:\n{link}\n",
    )


def leak(run: LabRun) -> None:
    """The capture is there already."""


def _s3(run: LabRun, credentials: Credentials, *, plain: bool) -> Any:
    endpoint = run.cloud.plain_endpoint if plain else run.cloud.endpoint
    cloud = replace(run.cloud, endpoint=endpoint)
    options: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "signature_version": "s3v4"}
    return client(cloud, credentials, "s3", **options)


def _job(run: LabRun) -> Credentials:
    return run.job_session(common.role(run), REPOSITORY)


def _link(run: LabRun, s3: Any) -> str:
    asked = {"Bucket": common.output(run, "bucket"), "Key": KEY}
    return str(s3.generate_presigned_url("get_object", Params=asked, ExpiresIn=WEEK_SECONDS))


def _follow(plain: bool) -> Callable[[LabRun], str]:
    def trial(run: LabRun) -> str:
        return fetch(_link(run, _s3(run, _job(run), plain=plain)), run.cloud.ca_bundle)

    return trial


def _read(run: LabRun, s3: Any) -> str:
    answer = s3.get_object(Bucket=common.output(run, "bucket"), Key=KEY)
    return str(answer["Body"].read().decode())


def _write(run: LabRun, s3: Any) -> None:
    s3.put_object(Bucket=common.output(run, "bucket"), Key="reports/q4.txt", Body=b"q4\n")


def _job_reads(run: LabRun) -> str:
    return _read(run, _s3(run, _job(run), plain=True))


def _job_writes(run: LabRun) -> str:
    _write(run, _s3(run, _job(run), plain=True))
    return "it wrote reports/q4.txt"


def _job_lists(run: LabRun) -> str:
    bucket = common.output(run, "bucket")
    found = _s3(run, _job(run), plain=True).list_objects_v2(Bucket=bucket)
    return f"it saw {found['KeyCount']} names"


def _administrator(run: LabRun) -> str:
    return _read(run, _s3(run, administrator(run.home), plain=True))


def _administrator_deletes(run: LabRun) -> str:
    common.put(run, SPARE, b"to be deleted\n")
    s3 = _s3(run, administrator(run.home), plain=True)
    s3.delete_object(Bucket=common.output(run, "bucket"), Key=SPARE)
    return f"{SPARE} was deleted"


def _work(run: LabRun) -> str:
    s3 = _s3(run, _job(run), plain=False)
    _write(run, s3)
    s3.list_objects_v2(Bucket=common.output(run, "bucket"))
    return _read(run, s3)


ATTACKS = [
    Trial("a new link, followed over plain HTTP", _follow(plain=True)),
    Trial("a job reads over plain HTTP", _job_reads),
    Trial("a job writes over plain HTTP", _job_writes),
    Trial("a job lists the bucket over plain HTTP", _job_lists),
    Trial("the administrator reads over plain HTTP", _administrator),
    Trial("the administrator deletes over plain HTTP", _administrator_deletes),
    common.trusts(REPOSITORY, {"lab-reports": {}}),
]
NEEDS = [
    Trial("a job lists, reads and writes reports/ over HTTPS", _work),
    Trial("a link is followed over HTTPS", _follow(plain=False)),
]
