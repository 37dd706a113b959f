"""Turns an HTTP request to AWS into the permissions that AWS would check for it."""

from scripts.iam.requests.builders import database_connect, start_session
from scripts.iam.requests.mapping import needs, needs_of, operation, read, rebuilt
from scripts.iam.requests.model import Account, HttpRequest, Malformed, Need, Reading, Unmapped

__all__ = [
    "Account",
    "HttpRequest",
    "Malformed",
    "Need",
    "Reading",
    "Unmapped",
    "database_connect",
    "needs",
    "needs_of",
    "operation",
    "read",
    "rebuilt",
    "start_session",
]
