"""Denials without their caller's ARN: whose policies are given can be judged all the same."""

from __future__ import annotations

import re
from dataclasses import replace

from scripts.iam.denial.reading import by_name, elsewhere, named, services
from scripts.iam.denial.reading.callerless import CIPHERTEXT, PAM, of_a_state, queue_asked
from scripts.iam.denial.reading.calls import action_called, called, on
from scripts.iam.denial.reading.messages import (
    KINDS,
    LAYER,
    MASK,
    NAME_WITH_BLANKS,
    Refusal,
    as_arn,
)
from scripts.iam.denial.reading.s3 import operation_of_s3
from scripts.iam.denial.reading.services import lacked, of_a_stack, of_service, with_it

CALLER = "CALLER"
"""Stands for the role that the message does not name."""
NAMELESS = f"arn:aws:iam::{MASK}:role/ROLE"
"""Stands for a role that a service may not become and does not name."""
_OF_ACCOUNT = re.compile(r"with account ?[iI][dD]:? (\d{12})(?!\d)")
_ACTION = r"['\"]?(?P<action>[\w-]+:\w+)(?!\w|…|\.{3})['\"]?"
_RESOURCE = (
    rf"(?: on (?:the )?resource:? [\"']?(?P<resource>{NAME_WITH_BLANKS}|arn:[^\s\"']+|\*)"
    rf"|  *on (?:the )?resource: [\"']?(?P<bare>(?:(?:{KINDS}) )?[^\s\"']+))?"
)
_WHY = (
    rf"(?:[,.]? (?:(?:because|\.\.\.) no (?P<missing>{LAYER}) allows"
    rf"|(?P<explicit>with an explicit deny)(?: in (?:an?|the) (?P<deny>{LAYER}))?))?"
)
_GUESSED = (
    "the message does not say which call was refused: the action is by the names that stand beside "
    "the refusal"
)
_BY_NAME = (
    "no words of AWS's tell the action: it is named beside words on permissions, and is taken for "
    "what was refused"
)
_TOLD = (
    re.compile(rf"(?:\b(?:is|are) )?not authorized to perform:? {_ACTION}{_RESOURCE}{_WHY}"),
    re.compile(rf"because no (?P<missing>{LAYER}) allows the {_ACTION}"),
    re.compile(rf"missing permissions? (?:for|to) {_ACTION}"),
    re.compile(rf"(?:don't|do not) have the {_ACTION} permission"),
    re.compile(rf"API: {_ACTION} You are not authorized"),
    re.compile(rf"(?:permission|(?:not |un)authorized) to (?:call|perform the) {_ACTION}"),
)


def unnamed(words: str, *, own: bool = True) -> Refusal | None:
    """What was refused, of a caller for whom a role CALLER stands; None if it is not told. By the
    name of the call alone only where the caller's own policies are known."""
    found, stack = _unnamed(words, own=own), of_a_stack(words)
    if found is None or not stack or found.role != CALLER:
        return found
    return replace(found, also=". ".join(filter(None, (found.also, stack))))


def _unnamed(words: str, *, own: bool) -> Refusal | None:
    if elsewhere.meaning(words) or of_a_state(words):
        return None
    caller = f"arn:aws:sts::{MASK}:assumed-role/{CALLER}/session"
    if becomes := of_service(words):
        service, role = becomes
        return Refusal(service, "sts:AssumeRole", role or NAMELESS)
    if action := lacked(words):
        return Refusal(caller, action, None, also=with_it(action))
    if CIPHERTEXT in words:
        return Refusal(caller, "kms:Decrypt", None, unnamed=True)
    if PAM.search(words):
        return Refusal(caller, "rds-db:connect", None)
    if of_s3 := operation_of_s3(words):
        if not own and (of_s3.guessed or of_s3.operation.startswith("Head")):
            return None  # the words tell too little, and a HEAD gets no reason
        also = str(of_s3) if of_s3.guessed else of_s3.also
        return Refusal(caller, of_s3.action, of_s3.arn, operation=of_s3.operation, also=also)
    found = next((one for pattern in _TOLD if (one := pattern.search(words))), None)
    if found is None:
        return _by_words(words, caller, own=own)
    told = found.groupdict()
    if account := _OF_ACCOUNT.search(words):
        caller = caller.replace(MASK, account[1])
    service, _, name = told["action"].partition(":")
    resource = told.get("resource") or told.get("bare") or on(told["action"], words)
    return Refusal(
        caller,
        f"{service.lower()}:{name}",
        as_arn(resource, MASK),
        told.get("missing") or told.get("deny") or "",
        explicit=bool(told.get("explicit")),
    )


def _by_words(words: str, caller: str, *, own: bool) -> Refusal | None:
    """What words tell that are not AWS's sentence: the name of a call, or what stands beside."""
    known = services.cause(words)  # a service's own words tell more than the name of the call
    asked = () if known else named.actions(words)
    action = action_called(words) if own and not known else ""
    guess = by_name.action(words) if own and not (known or action or asked) else ""
    if action or guess:
        call = called(words)
        queue = queue_asked(words) if (action or guess).startswith("sqs:") else None
        arn = (call.arn if call else None) or on(action or guess, words) or queue
        return Refusal(caller, action or guess, arn, also=_GUESSED * bool(guess))
    if len(asked) != 1:
        return None  # of a list it is not told which was refused
    return Refusal(named.caller(words) or caller, asked[0], None, also=_BY_NAME)


def is_judged_by_the_caller(words: str) -> bool:
    """Whether the caller's own policies, once given, tell more."""
    refusal = unnamed(words)
    return refusal is not None and refusal.role == CALLER
