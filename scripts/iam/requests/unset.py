"""The condition keys that AWS sets for an action and nothing here does.

Where a policy reads one, nobody can tell what AWS would say: a Deny would be passed over. So
whoever decides by the policy refuses. `tests.iam.unset.reference_keys` makes `unset.json` from
AWS's reference and what the tables set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("unset.json")


@cache
def _table() -> Mapping[str, frozenset[str]]:
    return {action: frozenset(keys) for action, keys in json.loads(FILE.read_text()).items()}


def unset(action: str) -> frozenset[str]:
    """The keys of an action, in lower case; one that ends in a slash stands for all below it."""
    return _table().get(action, frozenset())
