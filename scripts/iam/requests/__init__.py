"""Turns an HTTP request to AWS into the permissions that AWS would check for it."""

from scripts.iam.requests.builders import database_connect, start_session
from scripts.iam.requests.mapping import needs, operation
from scripts.iam.requests.model import Account, HttpRequest, Need, Unmapped

__all__ = [
    "Account",
    "HttpRequest",
    "Need",
    "Unmapped",
    "database_connect",
    "needs",
    "operation",
    "start_session",
]
