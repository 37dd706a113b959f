"""RDS authentication tokens: a presigned request to connect, checked as RDS checks it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from scripts.localcloud.access.errors import Refusal
from scripts.localcloud.access.signatures import (
    SignedRequest,
    check_time,
    query_pairs,
    read,
    verify,
)

if TYPE_CHECKING:
    from scripts.localcloud.access.principals import Caller, Key

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
LONGEST_TOKEN_SECONDS = 900
_NO_PAYLOAD = hashlib.sha256(b"").hexdigest()


class TokenRefused(Exception):
    """The password that a client sent is no token that opens this database; says why."""


@dataclass(frozen=True)
class Login:
    """What a token must name: the database instance's own address and the user."""

    host: str
    port: int
    region: str
    user: str


def caller_of(
    token: str,
    login: Login,
    *,
    identify: Callable[[str, str | None], Key],
    now: datetime,
) -> Caller:
    """Find who signed a token for `login`.

    Raises TokenRefused: no token, another host, user or region, expired, unknown or expired
    session, wrong signature.
    """
    address, separator, query = token.partition("/?")
    if not separator:
        raise TokenRefused("not an authentication token")
    if address != f"{login.host}:{login.port}":
        raise TokenRefused("the token is for another host")
    _check_parameters(query, login)
    request = SignedRequest("GET", "/", query, {"host": address})
    try:
        signature = read(request)
        if signature is None:
            raise TokenRefused("the token is not signed")
        if (signature.service, signature.region) != ("rds-db", login.region):
            raise TokenRefused("the token is signed for another service or region")
        if signature.signed_headers != ("host",):
            raise TokenRefused("the token signs other headers than the host")
        if signature.expires_in is None or signature.expires_in > LONGEST_TOKEN_SECONDS:
            raise TokenRefused(f"the token is to live for over {LONGEST_TOKEN_SECONDS} seconds")
        check_time(signature, now)
        key = identify(signature.access_key_id, signature.token)
        verify(request, signature, key.secret, _NO_PAYLOAD)
    except Refusal as refusal:
        raise TokenRefused(refusal.fault.name.lower().replace("_", " ")) from refusal
    return key.caller


def _check_parameters(query: str, login: Login) -> None:
    pairs = query_pairs(query)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise TokenRefused("the token gives a parameter twice")
    if parameters.get("Action") != "connect":
        raise TokenRefused("the token is for another action")
    if parameters.get("DBUser") != login.user:
        raise TokenRefused("the token is for another user")
