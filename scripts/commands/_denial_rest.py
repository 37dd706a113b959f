"""What of a message or a trail cannot be judged, and is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.iam.denial.reading.messages import Read

HOURS = 24
EVENTS = 2000
"""CloudTrail hands out 50 events a request, two requests a second."""


def need_one(found: Read, *, trail: bool) -> None:
    """Raise UserError, with what the message does tell, where nothing in it can be judged."""
    from scripts.console import UserError
    from scripts.iam.denial.given import LAYERS
    from scripts.iam.denial.reading import elsewhere
    from scripts.iam.denial.reading.callerless import cause, of_no_action
    from scripts.iam.denial.reading.named import OF_GITHUB
    from scripts.iam.denial.reading.tables.whose import is_supposed
    from scripts.iam.denial.reading.unnamed import is_judged_by_the_caller, unnamed
    from scripts.iam.denial.reading.written import without_stack
    from scripts.iam.denial.reported import decided_elsewhere

    if found.refusals:
        return
    if found.encoded:
        told = dict.fromkeys(filter(None, map(cause, found.beside)))
        raise UserError(
            "The message is encoded, and only its account can decode it",
            why=found.place.filled("; ".join(told)),
            fix="with --aws, as somebody with sts:DecodeAuthorizationMessage; or paste what "
            "aws sts decode-authorization-message --encoded-message ... prints",
            exit_code=2,
        )
    if others := {one: why for one in found.bare if (why := elsewhere.meaning(one))}:
        print_rest(replace(found, bare=tuple(one for one in found.bare if one not in others)))
        sure = any(not is_supposed(why) for why in others.values())
        raise UserError(
            "No policy of IAM refused this"
            if sure
            else "It may be that no policy of IAM refused this",
            why="; ".join(dict.fromkeys(others.values())),
            exit_code=2,
        )
    if any("AssumeRoleWithWebIdentity" in one for one in found.bare):
        raise UserError(
            "STS says neither who asked nor which condition failed",
            why="a refused token never became a role" + f"; {OF_GITHUB}" * found.of_github,
            fix="for a job of GitHub's: keyless doctor --github, in the job or with its claims; "
            "for others compare the role's trust policy with the token's iss (the provider that "
            "its Federated names), aud and sub, or give it: --trust FILE",
            exit_code=2,
        )
    decided = dict.fromkeys(filter(None, map(decided_elsewhere, found.bare)))
    if decided:
        unread = _unread(found, decided)
        raise UserError(
            "No caller is read from the denial", why=unread + "; ".join(decided), exit_code=2
        )
    if found.bare and (why := of_no_action(found.bare[0])):
        raise UserError("The denial names no action, so none can be judged", why=why, exit_code=2)
    causes = [*dict.fromkeys(filter(None, map(cause, found.bare)))]
    # What is told of one with more words says the same of the other.
    causes = [one for one in causes if not any(o != one and o.startswith(one) for o in causes)]
    unread = _unread(found, causes)
    if causes:
        print_rest(replace(found, bare=tuple(one for one in found.bare if not cause(one))))
        if not any(cause(one) and is_judged_by_the_caller(one) for one in found.bare):
            raise UserError(
                "The words tell too little for a policy to be tried on",
                why=unread + found.place.filled("; ".join(causes)), exit_code=2,
            )  # fmt: skip
        layers = {refusal.layer for one in found.bare if (refusal := unnamed(one))}
        decide = "".join(
            f" and {option} FILE the {layer} that decided"
            for layer, (kind, option) in LAYERS.items() if layer in layers and kind != "identity"
        )  # fmt: skip
        raise UserError(
            f"{found.callers[0]} was refused, and which action is not told for sure, so no policy "
            "can be looked at"
            if len(found.callers) == 1
            else "No caller's ARN is read from the denial, so no policy can be looked at",
            why=unread + found.place.filled("; ".join(causes)),
            fix=f"--policy FILE gives the caller's own policies{decide}; --aws reads CloudTrail's "
            "event history, which names the caller, but of data (objects, messages, sign-in to a "
            "database) it has nothing",
            exit_code=2,
        )
    if found.bare:
        raise UserError(
            "No caller's whole ARN, or no action, is read from the denial, so nothing can be "
            "decided",
            why=without_stack(found.bare[0]),
            fix="if AWS refused it: keyless explain-denial --aws reads CloudTrail's event history, "
            "which knows both; requests for objects of S3, calls of functions and other data "
            "events are never in it: they are where a trail keeps them, if one does",
            exit_code=2,
        )
    if trail:
        raise UserError(
            f"CloudTrail has no denial of this environment's roles in the last {HOURS} hours",
            why=f"its events come up to 15 minutes late; at most {EVENTS} a region were read; "
            "objects of S3 are not among them",
            fix="keyless explain-denial --message -, with what the job printed",
            exit_code=2,
        )
    raise UserError(
        "There is no denial in the message",
        why='AWS writes "User: ... is not authorized to perform: ... on resource: ..."',
        fix="paste the lines around AccessDenied as they stand in the log",
        exit_code=2,
    )


def _unread(found: Read, told: Iterable[str]) -> str:
    """That identities stand in the paste of which nothing told so far speaks, and what they are is
    not known: the words around them are another tool's or in another language than AWS's own."""
    # Who becomes a role calls with it later on, but does not ask for it with it.
    asked = found.asked if any("sts:AssumeRole " in why for why in told) else ()
    to_become = (
        f"{' or '.join(asked[:2])} is the role to become, by other words of the text. "
        if asked and not any(":role/" in why for why in told)
        else ""
    )
    beside = [one for one in found.identities
              if one not in asked and not any(one in why for why in told)]  # fmt: skip
    if found.cut and found.cut in beside:
        return (
            f"the text ends in AWS's own sentence, in the middle of its caller or behind it "
            f"({found.cut}): paste it whole. By the other words alone: "
        )
    if not beside:
        return to_become
    more = f" and {len(beside) - 2} more" * (len(beside) > 2)
    stand = "stands" if len(beside) == 1 else "stand"
    return (
        f"{to_become}{' and '.join(beside[:2])}{more} {stand} in what was pasted, "
        "and may be who called: the words around are not read, and may tell why it was refused, "
        "too (of AWS's own sentence the English one is read: User: ARN is not authorized to "
        "perform: ACTION ...). By the other words alone: "
    )


def print_rest(found: Read) -> None:
    """Say what is left unexplained beside what is explained."""
    from scripts.console import stderr_console
    from scripts.iam.denial.reading.callerless import cause
    from scripts.iam.denial.reading.written import without_stack

    console = stderr_console()
    for words in found.bare:
        told = f" ({found.place.filled(why)})" if (why := cause(words)) else ""
        quoted = without_stack(words)
        console.print(f"not explained: {quoted}{told}", markup=False, soft_wrap=True)
    for _ in found.encoded:
        console.print("not explained: an encoded message (--aws decodes it)", markup=False)
