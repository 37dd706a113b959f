"""Resources that a message names by less than an ARN, or by one that is broken."""

from __future__ import annotations

import re

from scripts.iam.denial.reading.callerless import named_by_an_allow
from scripts.iam.reference import resources

# Behind it what AWS itself adds to a name.
_VARIABLE = re.compile(r"<(?P<of>\w+)>(?P<behind>/<(?:CreationTime|Uuid|\w+Uuid)>)?$")


def lacks_parts(resource: str) -> bool:
    """Whether what begins like an ARN has a name where a partition's, a service's, a region's or an
    account's belongs."""
    parts = resource.split(":")
    return len(parts) < 6 and any("/" in part for part in parts)


def as_a_policy_names_it(action: str, caller: str, name: str) -> str:
    """What a policy names for a thing that goes by its name, by AWS's reference; "" if unknown.

    The name is filled in where the reference has one form with one variable.
    """
    of_caller = caller.split(":")
    forms = resources(action)
    variable = _VARIABLE.search(forms[0]) if len(forms) == 1 else None
    if variable is None or forms[0].count("<") > 1 + bool(variable["behind"]) or "*" in forms[0]:
        return named_by_an_allow(action)
    before = forms[0][: variable.start()]
    kind = before.split(":", 5)[-1]
    plain = name.removeprefix("/").removeprefix(kind)
    slashed = "/" if kind.endswith("/") and "Name" in variable["of"] else ""
    if not re.fullmatch(rf"[\w.+=@{slashed}-]+", plain):
        return named_by_an_allow(action)
    if len(of_caller) > 4 and of_caller[4].isdigit():
        before = before.replace("ACCOUNT", of_caller[4])
        before = before.replace("arn:aws:", f"arn:{of_caller[1]}:")
    behind = variable["behind"] or ""
    region = " (REGION is the request's)" * ("REGION" in before)
    return (
        f". A policy names it, if it is the caller's own account's, {before}{plain}{behind}{region}"
    )
