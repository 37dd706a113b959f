"""The forms that a service's ARNs have, as AWS's Service Authorization Reference writes them."""

from __future__ import annotations

import re

from scripts.iam.reference.actions import arns, resources

_FIELDS = {
    "arn:aws": r"arn:aws[\w-]*",
    "REGION": r"(?:[a-z]{2,3}(?:-[a-z]+)+-\d|[*Xx]+|<[^<>:\s]+>)",
    "ACCOUNT": r"(?:[\dXx*]+|<[^<>:\s]+>)",
}
# What follows an ARN that ends before its name may be the name or the text's next word.
_LIKE_A_NAME = re.compile(r"\w[-_/]\w|^\w*\d\w*$")
_FIELD = re.compile("|".join(_FIELDS))


def makes_whole(action: str, begun: str, rest: str) -> bool:
    """Whether an ARN of the action's service breaks between the two in what stands before its
    first variable, which is the same in all of a form: a name may end where the first ends."""
    for form in {*arns(action.partition(":")[0].lower()), *resources(action)}:
        fixed = _FIELD.sub(lambda field: _FIELDS[field[0]], re.escape(form.partition("<")[0]))
        whole = re.match(rf"{fixed}(?=[^\s:.,;])", begun + rest)
        if (
            whole
            and form.count(":") > 4
            and (
                whole.end() > len(begun)
                or (whole.end() == len(begun) and _LIKE_A_NAME.search(rest))
            )
        ):
            return True
    return False


def is_of(form: str, arn: str) -> bool:
    """Whether an ARN has a form of the reference's."""
    words = re.sub(r"<[^<>]+>", "<>", form)
    for word, of_any in (("arn:aws", r"arn:[\w-]+"), ("REGION", "[^:]*"), ("ACCOUNT", "[^:]*")):
        words = words.replace(word, f"<{of_any}>")
    parts = re.split(r"<([^<>]*)>", words)
    fixed = (part or ".+" if number % 2 else re.escape(part) for number, part in enumerate(parts))
    return re.fullmatch("".join(fixed), arn) is not None
