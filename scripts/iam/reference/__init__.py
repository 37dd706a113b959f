"""What AWS's Service Authorization Reference says of actions."""

from scripts.iam.reference.actions import (
    GLOBAL_REGION,
    is_global,
    judged,
    never_sets,
    of_call,
    only_star,
    resources,
    spelled,
    unknown,
)

__all__ = [
    "GLOBAL_REGION",
    "is_global",
    "judged",
    "never_sets",
    "of_call",
    "only_star",
    "resources",
    "spelled",
    "unknown",
]
