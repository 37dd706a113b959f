"""`POST /_local/time`: let time pass for every session, so that its end can be seen.

Nothing else moves: a user's access key has no end, and requests are still signed at today's time.
"""

from __future__ import annotations

import hmac
import json
from datetime import timedelta

from scripts.localcloud.access.errors import Answer
from scripts.localcloud.access.incoming import Incoming
from scripts.localcloud.access.principals import Principals

PATH = "/_local/time"
LONGEST_SECONDS = 10 * 365 * 86400


def handle(incoming: Incoming, key: str, principals: Principals) -> Answer:
    """Answer a request with `{"seconds": N}`, if its bearer is `key`."""
    scheme, _, bearer = incoming.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(bearer.encode(), key.encode()):
        return _json(401, "Bad credentials")
    if incoming.method != "POST" or incoming.refusal is not None:
        return _json(400, "POST a JSON object")
    try:
        seconds = json.loads(incoming.body)["seconds"]
    except (ValueError, TypeError, KeyError):
        return _json(400, 'POST {"seconds": N}')
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        return _json(400, "seconds must be a whole number")
    if not 0 < seconds <= LONGEST_SECONDS:
        return _json(400, f"seconds must be 1 to {LONGEST_SECONDS}")
    principals.age(timedelta(seconds=seconds))
    return _json(200, f"every session is {seconds} s older")


def _json(status: int, message: str) -> Answer:
    body = json.dumps({"message": message}).encode()
    return Answer(status, {"Content-Type": "application/json"}, body)
