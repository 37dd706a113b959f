"""Searches an account for privilege escalation: who can become, read or write what, and how."""

from scripts.iam.escalation.designed import Designed, read_designed, undesigned
from scripts.iam.escalation.inventory import Asset, Carrier, Inventory, inventory
from scripts.iam.escalation.search import Path, paths, search
from scripts.iam.escalation.view import Step

__all__ = [
    "Asset",
    "Carrier",
    "Designed",
    "Inventory",
    "Path",
    "Step",
    "inventory",
    "paths",
    "read_designed",
    "search",
    "undesigned",
]
