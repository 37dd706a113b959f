"""Turns an HTTP request to AWS into the permissions that AWS would check for it."""

from ._model import Account, HttpRequest, Need, Unmapped
from ._services import needs, operation

__all__ = ["Account", "HttpRequest", "Need", "Unmapped", "needs", "operation"]
