"""Who calls: role sessions, users and the anonymous, found by access key and session token."""

import hmac
import secrets
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.iam.engine.documents import Policy
from scripts.iam.engine.evaluation import Principal
from scripts.iam.requests import Reading
from scripts.iam.requests.wire.shapes import input_shape
from scripts.localcloud.access.errors import Fault, Refusal

# AWS's own tokens have no fixed size; those of web-identity sessions are about this long.
TOKEN_BYTES = 1125
_ALPHABET = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class Session:
    """A session of a role: temporary credentials and what limits them.

    `policies` are the session policies, None if the session was made without any. `keys` are the
    condition keys that the session carries into each of its requests.
    """

    credentials: Credentials = field(repr=False)
    role_arn: str
    role_id: str
    name: str
    issued: datetime
    policies: tuple[Policy, ...] | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def expired(self, now: datetime) -> bool:
        """Whether the session is over."""
        expiration = self.credentials.expiration
        return expiration is not None and now >= expiration


@dataclass(frozen=True)
class Caller:
    """An authenticated caller: the principal of the policies, and what else a request shows."""

    principal: Principal
    user_id: str
    session: Session | None = None
    user_name: str | None = None

    @property
    def role_name(self) -> str | None:
        """The name of the caller's role without its path."""
        arn = self.principal.role_arn
        return arn.rpartition("/")[2] if arn else None


ANONYMOUS = Caller(Principal(arn="*", account="", kind="anonymous"), user_id="anonymous")


@dataclass(frozen=True)
class Key:
    """An access key with its secret, and who uses it."""

    secret: str = field(repr=False)
    caller: Caller


def about_oneself(reading: Reading, caller: Caller) -> Reading:
    """A user that names none in a call on users means itself.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html
    """
    given, name = reading.parameters, caller.user_name
    if reading.request.service != "iam" or name is None or "UserName" in given:
        return reading
    shape: Any = input_shape("iam", reading.operation)
    if shape is None or "UserName" not in set(shape.members) - set(shape.required_members):
        return reading
    return replace(reading, parameters={**given, "UserName": name})


class Principals:
    """The access keys of one account: sessions issued here, and users' keys kept by moto's IAM.

    Nothing is built in: a key that was not issued in this run belongs to nobody.
    """

    def __init__(self, account_id: str, iam: Any) -> None:
        self._account_id = account_id
        self._iam = iam
        self._sessions: dict[str, tuple[Session, Caller]] = {}
        self._lock = threading.Lock()

    def open_session(
        self,
        role: Any,
        name: str,
        lifetime: timedelta | None,
        *,
        policies: tuple[Policy, ...] | None = None,
        keys: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Caller:
        """Issue credentials for `role` (a role of moto's IAM); None as lifetime never expires."""
        now = datetime.now(UTC)
        session = Session(
            credentials=Credentials(
                access_key_id="ASIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16)),
                secret_access_key=secrets.token_urlsafe(30),
                session_token=secrets.token_urlsafe(TOKEN_BYTES),
                expiration=None if lifetime is None else (now + lifetime).replace(microsecond=0),
            ),
            role_arn=role.arn,
            role_id=role.id,
            name=name,
            issued=now,
            policies=policies,
            keys=dict(keys or {}),
        )
        caller = Caller(
            Principal(
                arn=f"arn:aws:sts::{self._account_id}:assumed-role/{role.name}/{name}",
                account=self._account_id,
                kind="assumed-role",
                role_arn=role.arn,
                unique_id=role.id,
            ),
            user_id=f"{role.id}:{name}",
            session=session,
        )
        with self._lock:
            self._forget_expired(now)
            self._sessions[session.credentials.access_key_id] = (session, caller)
        return caller

    def find(self, access_key_id: str, token: str | None, now: datetime) -> Key:
        """The owner of an access key, given with its session token.

        Raises Refusal for a key nobody has, a token that is missing or belongs to another key,
        and a session that is over.
        """
        found = self._sessions.get(access_key_id)
        if found is None:
            return self._user_key(access_key_id, token)
        session, caller = found
        expected = session.credentials.session_token or ""
        if not hmac.compare_digest(expected.encode(), (token or "").encode()):
            raise Refusal(Fault.INVALID_TOKEN)
        if session.expired(now):
            raise Refusal(Fault.EXPIRED_TOKEN)
        return Key(session.credentials.secret_access_key, caller)

    def age(self, by: timedelta) -> None:
        """Make every session older, as if that much time had passed. Users' keys do not age."""
        with self._lock:
            for key, (session, caller) in list(self._sessions.items()):
                ends = session.credentials.expiration
                older = replace(
                    session,
                    issued=session.issued - by,
                    credentials=replace(session.credentials, expiration=ends and ends - by),
                )
                self._sessions[key] = (older, replace(caller, session=older))

    def _user_key(self, access_key_id: str, token: str | None) -> Key:
        recorded = self._iam().access_keys.get(access_key_id)
        if recorded is None or recorded.user_name is None or recorded.status != "Active":
            raise Refusal(Fault.UNKNOWN_KEY)
        if token:
            raise Refusal(Fault.INVALID_TOKEN)
        # Not by the name: the key of a deleted or renamed user is none of its namesake.
        users = list(self._iam().users.values())
        user = next((one for one in users if recorded in one.access_keys), None)
        if user is None:
            raise Refusal(Fault.UNKNOWN_KEY)
        principal = Principal(
            arn=user.arn, account=self._account_id, kind="user", unique_id=user.id
        )
        return Key(
            recorded.secret_access_key, Caller(principal, user_id=user.id, user_name=user.name)
        )

    def _forget_expired(self, now: datetime) -> None:
        # An expired key answers "expired" for another hour, then it is unknown.
        limit = now - timedelta(hours=1)
        for key in [key for key, (session, _) in self._sessions.items() if session.expired(limit)]:
            del self._sessions[key]
