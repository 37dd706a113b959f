"""What AWS's Service Authorization Reference says of actions."""

from scripts.iam.reference.actions import judged, never_sets, only_star, unknown

__all__ = ["judged", "never_sets", "only_star", "unknown"]
