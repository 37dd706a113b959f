"""One part of an object that was uploaded in parts. Moto answers with the whole object.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import accumulate
from typing import Any
from unittest.mock import patch

from moto.s3.exceptions import RangeNotSatisfiable
from moto.s3.models import FakeMultipart
from moto.s3.responses import S3Response

_JOINED = "keyless_joined"


@contextmanager
def answered() -> Iterator[None]:
    """Answer with the part alone while the context lasts."""
    with (
        patch.object(FakeMultipart, "complete", _remembered(FakeMultipart.complete)),
        patch.object(S3Response, "get_object", _part(S3Response.get_object)),
    ):
        yield


def _remembered(original: Callable[..., Any]) -> Callable[..., Any]:
    """With the sizes of the parts that were joined: not all that were uploaded have to be."""

    @wraps(original)
    def complete(self: Any, body: Any) -> Any:
        named = list(body)
        answer = original(self, iter(named))
        vars(self)[_JOINED] = {number: self.parts[number].contentsize for number, _ in named}
        return answer

    return complete


def _part(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def get(self: Any) -> Any:
        status, headers, body = original(self)
        number, joined = self._get_int_param("partNumber"), None
        if number and status == 200:
            joined = getattr(self._get_key()[0].multipart, _JOINED, None)
        if joined is None:
            return status, headers, body
        ends = dict(zip(joined, accumulate(joined.values()), strict=True))
        if number not in ends:
            raise RangeNotSatisfiable
        first, end = ends[number] - joined[number], ends[number]
        headers["content-range"] = f"bytes {first}-{end - 1}/{len(body)}"
        headers["content-length"] = str(joined[number])
        headers["x-amz-mp-parts-count"] = str(len(joined))
        return 206, headers, body[first:end]

    return get
