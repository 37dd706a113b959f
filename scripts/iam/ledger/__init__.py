"""The ledger: what each role used of what it may, from a decision log and the live policies."""

from scripts.iam.ledger.measure import Ledger, Measured, in_scope, measure
from scripts.iam.ledger.report import Review, Span, as_json, as_text
from scripts.iam.ledger.reviewed import Reviewed, read_reviewed
from scripts.iam.ledger.tighten import proposal

__all__ = [
    "Ledger",
    "Measured",
    "Review",
    "Reviewed",
    "Span",
    "as_json",
    "as_text",
    "in_scope",
    "measure",
    "proposal",
    "read_reviewed",
]
