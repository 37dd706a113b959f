"""Which condition keys a login by token has: RDS does not support all, and does not list which."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scripts.localcloud.rds.databases import Databases
from scripts.localcloud.rds.login_token import TokenRefused
from tests.localcloud.access.test_fourth import deny
from tests.localcloud.clients import Account, statement

RECORD = SimpleNamespace(
    address="keyless-dev.abc.us-east-1.rds.amazonaws.com",
    port=5432,
    dbi_resource_id="db-ABC",
    enable_iam_database_authentication=True,
)
LATER = {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}


def login(account: Account, name: str, *statements: Any) -> None:
    """Log in by a token of a new session; raises TokenRefused."""
    made = account.client("rds", account.session(name, *statements))
    token = made.generate_db_auth_token(RECORD.address, RECORD.port, "mlflow")
    databases = Databases(account.cloud)
    try:
        databases._admit(RECORD, token, "mlflow")
    finally:
        databases._loop.close()


@pytest.mark.parametrize(
    "condition",
    [
        LATER,
        {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
        {"Bool": {"aws:SecureTransport": "true"}},
        {"StringEquals": {"aws:RequestedRegion": "us-east-1"}},
        {"StringEquals": {"aws:ResourceTag/Environment": "dev"}},
    ],
    ids=lambda condition: next(iter(next(iter(condition.values())))),
)
def test_a_right_that_hangs_on_what_rds_may_not_tell_opens_nothing(
    account: Account, condition: dict[str, Any]
) -> None:
    """Reported of AWS: such a login fails (aws/aws-cli#5271)."""
    key = "".join(filter(str.isalnum, str(condition)))[:40]
    with pytest.raises(TokenRefused, match="cannot evaluate a policy"):
        login(account, f"hangs-{key}", statement("rds-db:connect", Condition=condition))
    with pytest.raises(TokenRefused, match="cannot evaluate a policy"):
        login(account, f"denied-{key}", statement("rds-db:connect"), deny("*", condition))


def test_what_is_known_of_the_session_counts(account: Account) -> None:
    told = {"DateGreaterThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00Z"}}
    login(account, "issued", statement("rds-db:connect", Condition=told))
    login(account, "free", statement("rds-db:connect"), deny("s3:*", LATER))
    with pytest.raises(TokenRefused, match="may not rds-db:connect"):
        login(account, "denied", statement("rds-db:connect"), deny("*", told))
