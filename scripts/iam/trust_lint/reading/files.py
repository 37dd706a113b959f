"""Trust policies of a file that is not JSON alone, whichever way they are written there."""

from __future__ import annotations

from scripts.iam.trust_lint.reading.policies import Found, fences, policies
from scripts.iam.trust_lint.reading.templates import policies_in, template

MOST_CHARACTERS = 1_000_000


def written(text: str) -> list[Found]:
    """The trust policies of a template, of Terraform, code, a script or a page of Markdown."""
    if len(text) > MOST_CHARACTERS or not ("AssumeRole" in text or "Principal" in text):
        return []
    parts = fences(text) or [text]
    found: list[Found] = []
    for part in parts:
        content = template(part)
        read = policies_in(content) if content is not None else []
        found += [one for one in read or policies(part) if one not in found]
    return found
