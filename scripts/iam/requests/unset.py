"""The condition keys that AWS sets for an action and a request here may have without saying so.

Where a policy reads one that is not there, nobody can tell what AWS would say: a Deny would be
passed over. So whoever decides by the policy refuses. `tests.iam.unset.reference_keys` makes
`unset.json` from AWS's reference and what the tables set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("unset.json")


@cache
def _table() -> Mapping[str, Mapping[str, list[str]]]:
    found: Mapping[str, Mapping[str, list[str]]] = json.loads(FILE.read_text())
    return found


@lru_cache(maxsize=4096)
def unset(action: str, resource: str) -> frozenset[str]:
    """The keys of an action on a resource, in lower case; one that ends in `/` or `:` stands for
    all below it. Only a key that the request does not have is meant."""
    kinds = _table().get(action, {})
    name = resource.split(":", 5)[-1]
    return frozenset(key for kind, keys in kinds.items() if fnmatchcase(name, kind) for key in keys)
