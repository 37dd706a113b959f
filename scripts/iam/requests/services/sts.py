"""STS: identity, roles assumed by roles, web identities."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    Call,
    Row,
    Table,
    Target,
    anywhere,
    join_keys,
    keys_from,
    pairs,
    request_tags,
    resource_tags,
)


def _role(call: Call) -> Iterator[Target]:
    arn = call.text("RoleArn")
    if not arn.startswith("arn:aws:iam::") or ":role/" not in arn:
        raise ValueError(f"{arn!r} is not the ARN of a role")
    yield Target(arn, resource_tags(call, arn, "iam:ResourceTag/"))


def _session_tags(call: Call) -> Keys:
    keys = request_tags(pairs(call.get("Tags")))
    if call.get("TransitiveTagKeys"):
        keys["sts:TransitiveTagKeys"] = tuple(call.texts("TransitiveTagKeys"))
    return keys


def _dependents(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html"""
    for target in _role(call):
        if call.get("Tags"):
            yield Need("sts:TagSession", target.arn, {**_session_tags(call), **target.keys})
        if call.get("SourceIdentity"):
            keys = {**_source(call), **target.keys}
            yield Need("sts:SetSourceIdentity", target.arn, keys)


_source = keys_from(SourceIdentity="sts:SourceIdentity")
_session = join_keys(
    _session_tags,
    _source,
    keys_from(RoleSessionName="sts:RoleSessionName", ExternalId="sts:ExternalId"),
)


def _nothing(_call: Call) -> Iterator[Target]:
    """Two calls need no permission at all, not even an explicit deny stops them.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    return iter(())


TABLE: Table = {
    "GetCallerIdentity": Row(_nothing),
    "GetSessionToken": Row(_nothing),
    **anywhere("DecodeAuthorizationMessage GetAccessKeyInfo"),
    "AssumeRole": Row(_role, keys=_session, also=(_dependents,)),
    # The token's own claims decide; whoever verifies it adds them.
    "AssumeRoleWithWebIdentity": Row(_role, keys=keys_from(RoleSessionName="sts:RoleSessionName")),
    "GetFederationToken": Row(
        lambda call: [
            Target(call.arn("sts", f"federated-user/{call.text('Name')}", region=""), {})
        ],
        keys=_session_tags,
    ),
}
