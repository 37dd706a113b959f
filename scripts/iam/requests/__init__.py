"""Turns an HTTP request to AWS into the permissions that AWS would check for it."""

from ._builders import database_connect, start_session
from ._model import Account, HttpRequest, Need, Unmapped
from ._services import needs, operation

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
