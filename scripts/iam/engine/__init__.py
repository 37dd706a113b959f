"""The policy engine: IAM policy documents and the decisions that AWS takes by them."""

from scripts.iam.engine.documents import Condition, Policy, PolicyKind, Statement, parse_policy
from scripts.iam.engine.errors import PolicyError, Unsupported
from scripts.iam.engine.evaluation import (
    Context,
    Decision,
    PolicySet,
    Reason,
    Request,
    evaluate,
    evaluate_trust,
)
from scripts.iam.engine.explanation import Considered, Explanation, Failure, Held, explain
from scripts.iam.engine.principals import Principal

__all__ = [
    "Condition",
    "Considered",
    "Context",
    "Decision",
    "Explanation",
    "Failure",
    "Held",
    "Policy",
    "PolicyError",
    "PolicyKind",
    "PolicySet",
    "Principal",
    "Reason",
    "Request",
    "Statement",
    "Unsupported",
    "evaluate",
    "evaluate_trust",
    "explain",
    "parse_policy",
]
