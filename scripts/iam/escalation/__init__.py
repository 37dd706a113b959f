"""Searches an account for privilege escalation: who can become, read or write what, and how."""

from scripts.iam.escalation.designed import Designed, read_designed, undesigned
from scripts.iam.escalation.estate import Asset, Carrier, Estate, estate
from scripts.iam.escalation.search import Path, paths, search
from scripts.iam.escalation.view import Step

__all__ = [
    "Asset",
    "Carrier",
    "Designed",
    "Estate",
    "Path",
    "Step",
    "estate",
    "paths",
    "read_designed",
    "search",
    "undesigned",
]
