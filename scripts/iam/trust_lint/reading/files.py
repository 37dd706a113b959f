"""Trust policies of a file that is not JSON alone, whichever way they are written there."""

from __future__ import annotations

from scripts.iam.trust_lint.reading.literals import TooTangled, begin
from scripts.iam.trust_lint.reading.policies import Found, fences, policies
from scripts.iam.trust_lint.reading.templates import policies_in, template

MOST_CHARACTERS = 500_000


def written(text: str) -> list[Found]:
    """The trust policies of a template, of Terraform, code, a script or a page of Markdown.

    Raises TooTangled.
    """
    if len(text) > MOST_CHARACTERS or not ("AssumeRole" in text or "Principal" in text):
        return []
    begin()
    try:
        return _written(text)
    except RecursionError:
        raise TooTangled("it is nested too deeply to read") from None


def _written(text: str) -> list[Found]:
    parts = fences(text) or [text]
    found: list[Found] = []
    for part in parts:
        content = template(part)
        read = policies_in(content) if content is not None else []
        found += [one for one in read or policies(part) if one not in found]
    return found
