"""What AWS's Service Authorization Reference says of actions."""

from scripts.iam.reference.actions import (
    GLOBAL_REGION,
    MOST_TOGETHER,
    arns,
    besides,
    called,
    is_global,
    judged,
    never_sets,
    of_call,
    of_service,
    only_star,
    placeless,
    reading,
    resources,
    service,
    spelled,
    unknown,
)
from scripts.iam.reference.forms import is_of, makes_whole

__all__ = [
    "GLOBAL_REGION",
    "MOST_TOGETHER",
    "arns",
    "besides",
    "called",
    "is_global",
    "is_of",
    "judged",
    "makes_whole",
    "never_sets",
    "of_call",
    "of_service",
    "only_star",
    "placeless",
    "reading",
    "resources",
    "service",
    "spelled",
    "unknown",
]
