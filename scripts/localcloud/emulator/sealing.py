"""What is encrypted stays so: key and context that it was encrypted with, and what is shown of it.

Moto keeps an alias that may point to another key later; on AWS the data key was made by the key
that it pointed to at the time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.ec2.models.elastic_block_store import Volume
from moto.kms.models import kms_backends
from moto.rds.models import DBInstance
from moto.s3.models import FakeKey, FakeMultipart, s3_backends
from moto.secretsmanager.models import FakeSecret
from moto.ssm.models import Parameter, SimpleSystemManagerBackend

from scripts.iam.requests import Reading
from scripts.iam.requests.services.secretsmanager import DEFAULT_KEY as SECRETS_KEY
from scripts.iam.requests.services.secretsmanager import ENCRYPTED_ANEW

_NAME = "keyless_key"
_CONTEXT = "keyless_context"
_KEPT = "keyless_kept"
_ASKED: ContextVar[Reading | None] = ContextVar("asked", default=None)
_SALT = secrets.token_bytes(16)


@contextmanager
def remembered() -> Iterator[None]:
    """Remember keys while the context lasts."""
    with ExitStack() as stack:
        for owner in (FakeKey, FakeSecret):
            stack.enter_context(patch.object(owner, "__init__", _remembering(owner)))
        stack.enter_context(patch.object(FakeSecret, "update", _encrypting_anew(FakeSecret.update)))
        for kind in (FakeKey, FakeMultipart):
            made = _remembering_context(kind.__init__)
            stack.enter_context(patch.object(kind, "__init__", made))
        for maker in (Volume, DBInstance):
            stack.enter_context(patch.object(maker, "__init__", _naming_the_key(maker)))
        put = _remembering_parameter(SimpleSystemManagerBackend.put_parameter)
        stack.enter_context(patch.object(SimpleSystemManagerBackend, "put_parameter", put))
        shown = _showing_ciphertext(Parameter.response_object)
        stack.enter_context(patch.object(Parameter, "response_object", shown))
        yield


def key_of(thing: Any, named: str | None) -> str | None:
    """The key that a thing of moto's is encrypted with; `named` is what moto says."""
    return getattr(thing, _NAME, None) or named


@contextmanager
def asked(reading: Reading) -> Iterator[None]:
    """What is made while the context lasts is made as this call says."""
    token = _ASKED.set(reading)
    try:
        yield
    finally:
        _ASKED.reset(token)


def context_of(thing: Any) -> dict[str, str] | None:
    """The encryption context of an object or upload of moto's; None if none is known."""
    found: dict[str, str] | None = getattr(thing, _CONTEXT, None)
    return found


def _remembering_context(original: Callable[..., None]) -> Callable[..., None]:
    """Moto forgets the context that an object is encrypted in, which its readers need.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#encryption-context
    """

    @wraps(original)
    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        reading = _ASKED.get()
        if reading is None or "Bucket" not in reading.parameters:
            return
        if isinstance(self, FakeMultipart):
            _settle_key(self, reading.parameters["Bucket"])
        if reading.operation == "CompleteMultipartUpload":
            setattr(self, _CONTEXT, context_of(self.multipart))
        else:
            setattr(self, _CONTEXT, _asked_context(self.account_id, reading.parameters))

    return make


def _settle_key(upload: Any, bucket_name: str) -> None:
    """An upload in parts is encrypted as it began, whatever becomes of its bucket's encryption, or
    of an alias, until it ends."""
    bucket = s3_backends[upload.account_id]["aws"].buckets[bucket_name]
    rule = (bucket.encryption or {}).get("Rule", {})
    usual = rule.get("ApplyServerSideEncryptionByDefault", {})
    upload.sse_encryption = upload.sse_encryption or usual.get("SSEAlgorithm")
    if upload.sse_encryption in ("aws:kms", "aws:kms:dsse"):
        name = upload.kms_key_id or usual.get("KMSMasterKeyID")
        if _is_customers_alias(name):
            name = _resolved(upload.account_id, bucket.region_name, name) or name
        upload.kms_key_id = name


def _asked_context(account: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    try:
        own = json.loads(base64.b64decode(parameters.get("SSEKMSEncryptionContext") or "e30="))
    except ValueError:  # not encrypted with a key, so nobody has looked at it
        own = {}
    bucket = s3_backends[account]["aws"].buckets[parameters["Bucket"]]
    usual = (bucket.encryption or {}).get("Rule", {}).get("BucketKeyEnabled", False)
    shared = str(parameters.get("BucketKeyEnabled", usual)).lower() == "true"
    arn = f"arn:aws:s3:::{bucket.name}" + ("" if shared else f"/{parameters.get('Key')}")
    return {**own, "aws:s3:arn": arn}


def _is_customers_alias(name: str | None) -> bool:
    return bool(name) and "alias/" in str(name) and "alias/aws/" not in str(name)


def _resolved(account: str, region: str, name: str) -> str | None:
    """The ARN of the key that an alias points to now."""
    backend = kms_backends[account][region]
    key = backend.keys.get(backend.any_id_to_key_id(name))
    return None if key is None else str(key.arn)


def _region_of(thing: Any) -> str:
    if not isinstance(thing, FakeKey):
        return str(thing.region)
    return str(s3_backends[thing.account_id]["aws"].buckets[str(thing.bucket_name)].region_name)


def _remembering(owner: Any) -> Callable[..., None]:
    original = owner.__init__

    @wraps(original)
    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        _remember(self)

    return make


def _remember(thing: Any) -> None:
    name, known = thing.kms_key_id, None
    if _is_customers_alias(name):
        known = _resolved(thing.account_id, _region_of(thing), name)
    setattr(thing, _NAME, known)
    if known and isinstance(thing, FakeKey):  # S3 shows the key, a secret its alias
        thing.kms_key_id = known


def kept_keys(secret: Any) -> dict[str, str]:
    """The versions of a secret that have another key than the secret has now."""
    found: dict[str, str] = secret.__dict__.setdefault(_KEPT, {})
    return found


def _key_of_secret(secret: Any) -> str:
    name = key_of(secret, secret.kms_key_id) or SECRETS_KEY
    return _resolved(secret.account_id, secret.region, name) or name


def _encrypting_anew(original: Callable[..., None]) -> Callable[..., None]:
    """A secret that gets another key: only its versions with AWS's own labels are encrypted anew.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
    """

    @wraps(original)
    def update(self: Any, *args: Any, **kwargs: Any) -> None:
        before, self.kms_key_id, name = _key_of_secret(self), None, self.kms_key_id
        original(self, *args, **kwargs)
        if self.kms_key_id is None:  # not asked for
            self.kms_key_id = name
            return
        _remember(self)
        if _key_of_secret(self) == before:
            return
        kept = kept_keys(self)
        for version, content in self.versions.items():
            if ENCRYPTED_ANEW & {*content["version_stages"]}:
                kept.pop(version, None)
            else:
                kept.setdefault(version, before)

    return update


def _naming_the_key(owner: Any) -> Callable[..., None]:
    """Volumes and databases show their key by its ARN, however it was named."""
    original = owner.__init__

    @wraps(original)
    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        name = getattr(self, "kms_key_id", None)
        place = getattr(self, "ec2_backend", self)
        region = getattr(place, "region_name", None) or getattr(place, "region", None)
        if name and (_is_customers_alias(name) or not str(name).startswith(("arn:", "alias/"))):
            self.kms_key_id = _resolved(place.account_id, str(region), str(name)) or name

    return make


def _remembering_parameter(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def put(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, *args, **kwargs)
        if _is_customers_alias(made.keyid):
            setattr(made, _NAME, _resolved(self.account_id, self.region_name, made.keyid))
        return made

    return put


def _showing_ciphertext(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Whoever does not ask for decryption sees a ciphertext; moto shows the text with a prefix.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
    """

    @wraps(original)
    def show(self: Any, decrypt: bool = False, *args: Any, **kwargs: Any) -> dict[str, Any]:
        found = original(self, decrypt, *args, **kwargs)
        if self.parameter_type == "SecureString" and not decrypt:
            digest = hashlib.sha512(_SALT + str(self.value).encode()).digest()
            found["Value"] = base64.b64encode(digest).decode()
        return found

    return show
