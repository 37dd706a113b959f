"""An account made of dictionaries, and requests as botocore really serialises them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import botocore.session
from botocore.config import Config

from scripts.iam.requests import HttpRequest, Need, needs

ACCOUNT = "123456789012"
REGION = "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"


@dataclass
class FakeAccount:
    """Facts are looked up by the very ARN that is asked for; nothing exists by default."""

    account_id: str = ACCOUNT
    region: str = REGION
    resources: dict[str, Mapping[str, str]] = field(default_factory=dict)
    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    profiles: dict[str, str] = field(default_factory=dict)
    templates: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    bucket_keys: dict[str, str] = field(default_factory=dict)
    object_keys: dict[tuple[str, str], str] = field(default_factory=dict)
    parameter_keys: dict[str, str] = field(default_factory=dict)
    secret_keys: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def tags(self, arn: str) -> Mapping[str, str] | None:
        return self.resources.get(arn)

    def instance_profile_role(self, profile: str) -> str | None:
        return self.profiles.get(profile)

    def launch_template_data(self, id_or_name: str, version: str) -> Mapping[str, Any] | None:
        return self.templates.get((id_or_name, version))

    def bucket_key(self, bucket: str) -> str | None:
        return self.bucket_keys.get(bucket)

    def object_key(self, bucket: str, key: str, version: str | None) -> str | None:
        return self.object_keys.get((bucket, key))

    def parameter_key(self, name: str) -> str | None:
        return self.parameter_keys.get(name)

    def secret_key(self, arn_or_name: str) -> str | None:
        return self.secret_keys.get(arn_or_name)

    def secret_arn(self, name_or_arn: str) -> str | None:
        return self.secrets.get(name_or_arn)

    def key_arn(self, id_or_alias: str) -> str | None:
        return self.keys.get(id_or_alias)

    def describe(self, arn: str) -> Mapping[str, Any] | None:
        return self.facts.get(arn)


class _Captured(Exception):
    pass


@cache
def _session() -> botocore.session.Session:
    return botocore.session.Session()


@cache
def client(service: str, **options: Any) -> Any:
    """A botocore client that never sends: its requests are kept in `client.captured`."""
    made: Any = _session().create_client(
        service,
        region_name=REGION,
        endpoint_url=options.pop("endpoint", "https://127.0.0.1:9"),
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="not-a-secret",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, **options),
    )

    def keep(request: Any, **_: Any) -> None:
        made.captured = request
        raise _Captured

    made.meta.events.register("before-send", keep)
    return made


def sent(
    service: str, operation: str, parameters: Mapping[str, Any], **options: Any
) -> HttpRequest:
    """The request that botocore would send for an operation."""
    made = client(service, **options)
    try:
        made._make_api_call(operation, dict(parameters))
    except _Captured:
        return as_request(made.captured, made.meta.service_model.signing_name)
    raise AssertionError("the client sent nothing")


def as_request(prepared: Any, service: str) -> HttpRequest:
    """A prepared botocore request in the words of the package under test."""
    url = urlsplit(prepared.url)
    body = prepared.body or b""
    body = body.read() if hasattr(body, "read") else body
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in prepared.headers.items()
    }
    return HttpRequest(
        method=prepared.method,
        path=url.path or "/",
        query=tuple(parse_qsl(url.query, keep_blank_values=True)),
        headers={"host": url.netloc, **headers},
        body=body.encode() if isinstance(body, str) else bytes(body),
        service=service,
        region=REGION,
        account=ACCOUNT,
    )


def needed(
    service: str, operation: str, account: FakeAccount | None = None, **parameters: Any
) -> list[Need]:
    """The needs of a call as botocore sends it."""
    return needs(sent(service, operation, parameters), account or FakeAccount())


def pairs_of(found: list[Need]) -> list[tuple[str, str]]:
    """Action and resource of each need."""
    return [(need.action, need.resource) for need in found]


def only(found: list[Need], action: str, resource: str | None = None) -> Need:
    """The one need with this action (and resource)."""
    matching = [n for n in found if n.action == action and resource in {None, n.resource}]
    assert len(matching) == 1, pairs_of(found)
    return matching[0]
