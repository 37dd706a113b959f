"""Resources that a statement names but for one part: region, account, case, a slash, a letter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from scripts.iam.engine.explanation import Considered
from scripts.iam.engine.patterns import expand, glob, tokens
from scripts.iam.reference import arns

# The parts of an ARN before what is its service's own.
_PARTS = ("prefix", "partition", "service", "region", "account")
# What is AWS's own, and without an account beside what the reference lists with one.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html
_AWSS = ("arn:aws:ssm:REGION::document/AWS*", "arn:aws:ssm:REGION::parameter/aws/service/*")


def near_misses(considered: Iterable[Considered]) -> Iterator[str]:
    """Say of each Allow that lacks the resource alone how little it lacks."""
    for one in considered:
        if one.effect != "Allow" or [failure.element for failure in one.failures] != ["Resource"]:
            continue
        [failure] = one.failures
        for wanted in failure.wanted:
            if failure.actual and (what := _difference(wanted, failure.actual[0])):
                yield f"statement {one.statement} of {one.policy} names {wanted}: {what}"
                break
            if failure.actual and (parts := _left_empty(wanted, failure.actual[0])):
                yield (
                    f"statement {one.statement} of {one.policy} names {wanted}, which leaves out "
                    f"{parts}: it matches nothing that has one"
                )
                break


def without_a_name(considered: Iterable[Considered]) -> Iterator[str]:
    """Say of each statement that names a user's name that a role's session has none.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    for one in considered:
        wanted = [value for failure in one.failures for value in failure.wanted]
        if any("${aws:username}" in value for value in wanted):
            yield (
                f"statement {one.statement} of {one.policy} names ${{aws:username}}, which users "
                "alone have: of a role's session it matches nothing (${aws:userid} ends in the "
                "session's name)"
            )


def _difference(wanted: str, had: str) -> str | None:
    """What differs, if it is one thing alone."""
    theirs, ours = wanted.split(":", 5), had.split(":", 5)
    if len(theirs) != len(ours) or len(ours) != 6:
        return None
    apart = [at for at in range(6) if not _like(ours[at], theirs[at])]
    if len(apart) != 1:
        return None
    if (at := apart[0]) < len(_PARTS):
        return f"the request differs by its {_PARTS[at]} alone, {ours[at] or 'which is empty'}"
    pattern, name = theirs[5], ours[5]
    if _like(name.lower(), pattern.lower()):
        return "the request differs by capital letters alone"
    if _like(name, pattern.replace("//", "/")):
        return "it has a slash twice that the request has once"
    if ours[2] == "secretsmanager" and _like(name, f"{pattern}-??????"):
        return f"a secret's ARN ends in six characters of its own, so write {wanted}-??????"
    if _one_apart(name, pattern):
        return (
            "the request differs by one character alone: if the name is wrong where the call is "
            "made, put it right there and change no policy"
        )
    # Objects of a bucket, versions of a function, indices of a table, streams of a group.
    below = next((mark for mark in "/:" if name.startswith(pattern + mark)), None)
    return f"what is below it is named by {wanted}{below}*" if below else None


def _one_apart(name: str, other: str) -> bool:
    """Whether one letter is missing, too many or another; a number may be meant."""
    own = name.replace("/", ":").rpartition(":")[2]
    if "*" in other or "?" in other or abs(len(name) - len(other)) > 1 or len(own) < 8:
        return False
    same = next((at for at, pair in enumerate(zip(name, other, strict=False))
                 if pair[0] != pair[1]), min(len(name), len(other)))  # fmt: skip
    apart = (name[same : same + 1], other[same : same + 1])
    rests = {
        1: (name[same + 1 :], other[same:]),
        0: (name[same + 1 :], other[same + 1 :]),
        -1: (name[same:], other[same + 1 :]),
    }[len(name) - len(other)]
    return rests[0] == rests[1] and not any(one.isdigit() for one in apart)


def _left_empty(wanted: str, had: str) -> str:
    """The parts of an ARN of the same service that are empty where the request's are not, and
    where no ARN of what it names is without them: an image of EC2 is without an account."""
    theirs, ours = wanted.split(":", 5), had.split(":", 5)
    if len(theirs) != 6 or len(ours) != 6 or theirs[2] != ours[2]:
        return ""
    listed = (re.sub("<[^>]*>", "*", one) for one in (*arns(theirs[2]), *_AWSS, had))
    known = [one.split(":", 5) for one in listed]
    own = [one for one in known if one[2] == theirs[2] and meet(one[5], theirs[5])]
    return " and ".join(
        _PARTS[at]
        for at in (3, 4)
        if ours[at] and not theirs[at] and own and all(one[at] for one in own)
    )


def meet(one: str, other: str) -> bool:
    """Whether two patterns with stars have a text in common."""
    seen, ahead = set(), [(0, 0)]
    while ahead:
        at, there = place = ahead.pop()
        if place in seen:
            continue
        seen.add(place)
        ours, theirs = one[at : at + 1], other[there : there + 1]
        if not ours and not theirs:
            return True
        if ours == "*":
            ahead.append((at + 1, there))
        if theirs == "*":
            ahead.append((at, there + 1))
        if ours and theirs and (ours in ("*", "?", theirs) or theirs in ("*", "?")):
            ahead.append((at + (ours != "*"), there + (theirs != "*")))
    return False


def _like(value: str, pattern: str) -> bool:
    plain = expand(tokens(pattern, variables=False), {})
    return plain is not None and glob(plain)(value)
