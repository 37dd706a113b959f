"""Needs of things that are not HTTP requests: a database login, a session opened locally."""

from __future__ import annotations

import json
from collections.abc import Mapping

from scripts.iam.requests.mapping import needs
from scripts.iam.requests.model import Account, HttpRequest, Keys, Need
from scripts.iam.requests.row import name_of

WORD = r"[\w-]+"


def database_connect(
    account: Account, resource_id: str, user: str, tags: Mapping[str, str] | None = None
) -> Need:
    """rds-db:connect as a database user on one instance, named by its resource id (db-ABC...).

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
    """
    name = f"dbuser:{name_of(resource_id, 'resource_id', WORD)}/{name_of(user, 'user', WORD)}"
    keys: Keys = {f"aws:ResourceTag/{k}": (v,) for k, v in (tags or {}).items()}
    return Need(
        "rds-db:connect", f"arn:aws:rds-db:{account.region}:{account.account_id}:{name}", keys
    )


def start_session(account: Account, target: str, document: str | None = None) -> list[Need]:
    """What ssm:StartSession on a node needs, with a document or bare."""
    parameters = {"Target": target} | ({"DocumentName": document} if document else {})
    request = HttpRequest(
        method="POST",
        path="/",
        query=(),
        headers={"x-amz-target": "AmazonSSM.StartSession"},
        body=json.dumps(parameters).encode(),
        service="ssm",
        region=account.region,
        account=account.account_id,
    )
    return needs(request, account)
