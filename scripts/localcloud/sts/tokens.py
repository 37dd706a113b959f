"""Verifies OIDC tokens as STS does: issuer, provider, key, signature, times, audience."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from scripts.github.issuers import audience_of, condition_keys, session_keys
from scripts.localcloud.access.errors import AwsError

_NO_KEY = (
    "Couldn't retrieve verification key from your identity provider, please reference "
    "AssumeRoleWithWebIdentity documentation for requirements"
)
_NOT_A_JWT = (
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
)

# What begins so asks for a session's tags and source identity, to which AWS takes rights of their
# own; tags may be one claim or one each ("the nested and the flattened format").
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
_OF_SESSIONS = ("https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity")


@dataclass(frozen=True)
class Provider:
    """An OIDC identity provider of the account."""

    arn: str
    host: str
    audiences: tuple[str, ...]


@dataclass(frozen=True)
class Identity:
    """A verified token; of its condition keys the session keeps some."""

    provider: Provider
    subject: str
    audience: str
    keys: Mapping[str, tuple[str, ...]]
    session_keys: Mapping[str, tuple[str, ...]]


class TokenVerifier:
    """Checks tokens against the account's providers.

    `providers` returns the account's OIDC providers; `signing_keys` the public keys of an issuer
    by key id, empty for an issuer that cannot be reached.
    """

    def __init__(
        self,
        providers: Callable[[], Mapping[str, Provider]],
        signing_keys: Callable[[str], Mapping[str, Any]],
    ) -> None:
        self._providers = providers
        self._signing_keys = signing_keys

    def verify(self, token: str, now: datetime) -> Identity:
        """Verify a token, raising the AwsError that STS answers for what is wrong with it.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
        """
        header, unverified = _read(token)
        provider = self._provider(unverified)
        claims = self._check_signature(token, header, unverified["iss"])
        _check_times(claims, now.timestamp())
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise AwsError("InvalidIdentityToken", "Missing a required claim: sub")
        audience = _audience(claims, provider)
        for name in claims:
            if name.startswith(_OF_SESSIONS):
                raise AwsError(
                    "LocalCloudNotImplemented",
                    f"The local cloud makes no sessions with what the claim {name} asks for",
                )
        keys = condition_keys(provider.host, claims)
        kept = session_keys(provider.host, claims)
        return Identity(provider, subject, audience, keys, kept)

    def _provider(self, claims: Mapping[str, Any]) -> Provider:
        issuer = claims.get("iss")
        if not isinstance(issuer, str):
            raise AwsError("InvalidIdentityToken", "Missing a required claim: iss")
        provider = self._providers().get(issuer.removeprefix("https://"))
        if provider is None or not issuer.startswith("https://"):
            raise AwsError(
                "InvalidIdentityToken",
                f"No OpenIDConnect provider found in your account for {issuer}",
            )
        return provider

    def _check_signature(
        self, token: str, header: Mapping[str, Any], issuer: str
    ) -> Mapping[str, Any]:
        if header.get("alg") != "RS256":
            raise AwsError("InvalidIdentityToken", "The token's algorithm is not RS256")
        key = self._signing_keys(issuer).get(str(header.get("kid")))
        if key is None:
            raise AwsError("InvalidIdentityToken", _NO_KEY)
        try:
            # Times and audience have answers of their own and are checked after the signature.
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_sub": False,
                },
            )
        except jwt.InvalidTokenError as error:
            raise AwsError(
                "InvalidIdentityToken", "The token's signature could not be verified"
            ) from error
        return claims


def _read(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise AwsError("InvalidIdentityToken", _NOT_A_JWT) from None
    return header, claims


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    for name in ("exp", "iat"):
        if not _is_number(claims.get(name)):
            raise AwsError("InvalidIdentityToken", f"Missing a required claim: {name}")
    if now >= claims["exp"]:
        raise AwsError(
            "ExpiredTokenException",
            f"Token expired: current date/time {int(now)} must be before the expiration "
            f"date/time {int(claims['exp'])}",
        )
    for name in ("iat", "nbf"):
        value = claims.get(name, 0)
        # A minute for clocks that differ.
        if not _is_number(value) or value > now + 60:
            raise AwsError(
                "InvalidIdentityToken", f"The token is not valid yet: {name} is in the future"
            )


def _is_number(value: object) -> bool:
    """Python's JSON also knows NaN, Infinity and numbers of any length, which are no times."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


def _audience(claims: Mapping[str, Any], provider: Provider) -> str:
    if claims.get("aud") is None:
        raise AwsError("InvalidIdentityToken", "Missing a required claim: aud")
    chosen = audience_of(claims)
    if chosen is None or chosen not in provider.audiences:
        raise AwsError("InvalidIdentityToken", "Incorrect token audience")
    return chosen
