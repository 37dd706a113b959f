"""KMS's signatures and the name of its policies. Moto hashes a digest once more, salts by a length
of its own, answers a wrong signature with success, and knows no policy without its name.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Verify.html
https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any
from unittest.mock import patch

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from moto.core.exceptions import JsonRESTError
from moto.kms import responses
from moto.kms.models import KmsBackend
from moto.kms.responses import KmsResponse
from moto.kms.utils import ECDSAPrivateKey, RSAPrivateKey

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()
}  # fmt: skip
_GIVEN: ContextVar[str] = ContextVar("given", default="RAW")


@contextmanager
def corrected() -> Iterator[None]:
    """Answer as KMS does while the context lasts."""
    named = responses._assert_default_policy
    with ExitStack() as stack:
        stack.enter_context(
            patch.object(responses, "_assert_default_policy", lambda name: name and named(name))
        )
        for method in ("sign", "verify"):
            original = getattr(KmsResponse, method)
            stack.enter_context(patch.object(KmsResponse, method, _told(original)))
        for method in (
            "cancel_key_deletion", "disable_key", "enable_key", "schedule_key_deletion"
        ):  # fmt: skip
            original = getattr(KmsBackend, method)
            stack.enter_context(patch.object(KmsBackend, method, _by_any_name(original)))
        for kind in (ECDSAPrivateKey, RSAPrivateKey):
            stack.enter_context(patch.object(kind, "sign", _sign))
            stack.enter_context(patch.object(kind, "verify", _verify))
        yield


def _by_any_name(original: Callable[..., Any]) -> Callable[..., Any]:
    """A key is disabled, and its deletion planned, by its ARN as well."""

    @wraps(original)
    def call(self: Any, key_id: str, *args: Any) -> Any:
        return original(self, self.get_key_id(key_id), *args)

    return call


def _told(original: Callable[[Any], str]) -> Callable[[Any], str]:
    """With what the request says of its message, which moto reads and drops."""

    @wraps(original)
    def call(self: Any) -> str:
        token = _GIVEN.set(self._get_param("MessageType") or "RAW")
        try:
            return original(self)
        finally:
            _GIVEN.reset(token)

    return call


def _how(algorithm: str, message: bytes) -> tuple[Any, ...]:
    """The arguments of the key's own method for one of KMS's signing algorithms."""
    hashed = _HASHES[algorithm.rpartition("_")[2]]
    digest: Any = hashed
    if _GIVEN.get() == "DIGEST":
        if len(message) != hashed.digest_size:
            raise JsonRESTError(
                "ValidationException", f"Digest is invalid length for algorithm {algorithm}."
            )
        digest = utils.Prehashed(hashed)
    if algorithm.startswith("ECDSA"):
        return (ec.ECDSA(digest),)
    salted = padding.PSS(padding.MGF1(hashed), padding.PSS.DIGEST_LENGTH)
    return (salted if "_PSS_" in algorithm else padding.PKCS1v15(), digest)


def _sign(self: Any, message: bytes, signing_algorithm: str) -> bytes:
    signature: bytes = self.private_key.sign(message, *_how(signing_algorithm, message))
    return signature


def _verify(self: Any, message: bytes, signature: bytes, signing_algorithm: str) -> bool:
    """KMS never answers that a signature is wrong: it fails."""
    how = _how(signing_algorithm, message)
    try:
        self.private_key.public_key().verify(signature, message, *how)
    except InvalidSignature as error:
        raise JsonRESTError("KMSInvalidSignatureException", "") from error
    return True
