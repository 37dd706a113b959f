"""Turns an HTTP request to AWS into the permissions that AWS would check for it."""

from scripts.iam.requests.mapping import needs, needs_of, operation, read, rebuilt
from scripts.iam.requests.model import Account, HttpRequest, Malformed, Need, Reading, Unmapped

__all__ = [
    "Account",
    "HttpRequest",
    "Malformed",
    "Need",
    "Reading",
    "Unmapped",
    "needs",
    "needs_of",
    "operation",
    "read",
    "rebuilt",
]
