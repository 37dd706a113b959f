"""`keyless explain-denial --message` by policies in files, or by AWS's words alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scripts.iam.denial.denials import Denial
    from scripts.iam.denial.given import Given, GivenPolicy
    from scripts.iam.denial.reading.messages import Read, Refusal

# Stands for an account that the message hides and no policy names; AWS's own examples use it.
_STAND_IN = "111122223333"
_STAND_IN_OTHER = "444455556666"
_STAND_IN_REGION = "us-hidden-1"
_HIDES_REGION = "the message hides the region: "
_STANDS = "REGION stands for it"
_POLICY = re.compile(r"\b[Ee]ffect[\"']?\s*[:=]\s*[\"']?(?:Allow|Deny)\b")
_WHOSE = (
    "the text holds a policy: whose it is, and whether it is all that decided, is not known here, "
    "so it is not judged; in a file of its own it is tried (--policy; where it names a Principal "
    "--resource-policy; of the organization --scp or --rcp)"
)
_NAMES_NONE = "(none is read from the message)"
# https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
_OF_THE_KEY = (
    "the key's policy decides, too, and was not given (--resource-policy FILE): it is taken to "
    "leave it to those of its account (Principal arn:aws:iam::ACCOUNT:root), as the default one "
    "does; one that does not has to allow the caller itself"
)


def explain_given(text: str, policies: Given) -> list[Denial]:
    """Explain what a message holds by policies that were given as files.

    Raises UserError (exit code 2) if there is no denial in it that can be judged.
    """
    from scripts.commands._denial_rest import need_one, print_rest
    from scripts.iam.denial.reading.messages import read

    found = read(text)
    denials = [*_of_tokens(found, policies)]
    refusals, rest = _refusals(found, policies)
    denials += _of_what_was_asked(rest, policies)
    if not denials and not refusals:
        need_one(found, trail=False)
    callers = len({refusal.principal for refusal in found.refusals})
    for refusal in refusals:
        denial = explained(refusal, policies)
        place = found.place.of(refusal.principal, refusal.resource or "")
        notes = [*map(place.filled, denial.notes)]
        if place.region and f"{_HIDES_REGION}{_STANDS}" in notes:
            notes.append(f"of regions the text names {place.region} alone")
        if policies.is_empty and _POLICY.search(text):
            notes.append(_WHOSE)
        if callers > 1 and policies.identity:
            notes.append(f"the policies given are taken for each of the {callers} callers")
        denials.append(replace(denial, notes=tuple(notes)))
    print_rest(replace(found, bare=tuple(rest)))
    return denials


def _refusals(found: Read, policies: Given) -> tuple[list[Refusal], list[str]]:
    """What can be judged, and the words of the rest: whose own policies are given needs no name."""
    from scripts.iam.denial.reading.unnamed import unnamed

    refusals, rest = list(found.refusals), []
    if policies.identity:
        refusals += filter(None, map(unnamed, found.beside))
    for words in found.bare:
        refusal = unnamed(words, own=bool(policies.identity))
        if refusal is not None and not _is_judged(refusal, policies):
            refusal = None
        if refusal is not None and refusal not in refusals:
            refusals.append(refusal)
        elif not (policies.resource and "AssumeRoleWithWebIdentity" in words):
            rest.append(words)
    return refusals, rest


def _is_judged(refusal: Refusal, policies: Given) -> bool:
    """Whether the policies given are the caller's, or the words alone say which Allow lacks."""
    from scripts.iam.denial.reading.unnamed import NAMELESS
    from scripts.iam.reference import only_star

    if refusal.resource == NAMELESS:
        return bool(policies.resource)
    if policies.identity or refusal.principal.endswith(".amazonaws.com"):
        return True
    # With what was asked for alone its policy is told, and whom it lets in.
    if refusal.explicit or policies.resource:
        return False
    whole = refusal.arn is not None or re.match(r"arn:[\w-]+:[\w-]+:", refusal.resource or "")
    return bool(whole) or only_star(refusal.action)


def _of_tokens(found: Read, policies: Given) -> Iterator[Denial]:
    """A refused token, by the role's trust policy: of the token itself nothing is known."""
    from scripts.iam.account.decision_log import Record
    from scripts.iam.denial.denials import Denial
    from scripts.iam.denial.reading.elsewhere import meaning
    from scripts.iam.denial.web_identity import findings

    if not any("AssumeRoleWithWebIdentity" in one and not meaning(one) for one in found.bare):
        return
    record = Record(
        time=0, request_id="unknown", principal=_NAMES_NONE, role=None, service="sts",
        operation="AssumeRoleWithWebIdentity", action="sts:AssumeRoleWithWebIdentity",
        resource=_NAMES_NONE, keys={}, reason="the message does not say by what",
    )  # fmt: skip
    for name, document in policies.resource.items():
        notes = (*_checked(findings, document, name), "by the policies given alone")
        yield Denial(record, None, notes=notes)


def _of_what_was_asked(rest: list[str], policies: Given) -> Iterator[Denial]:
    """What the resource's policies say of an action, where neither caller nor resource is named.
    What is told so is taken out of the rest."""
    from scripts.iam.denial.denials import Denial
    from scripts.iam.denial.given import said_of
    from scripts.iam.denial.reading.callerless import cause
    from scripts.iam.denial.reading.unnamed import unnamed
    from scripts.iam.denial.reported import as_said

    for words in [*rest] if policies.resource else ():
        refusal, why = unnamed(words), cause(words)
        if refusal is None or not why or refusal.principal.endswith(".amazonaws.com"):
            continue
        rest.remove(words)
        record = replace(as_said(refusal, refusal.record()), principal=_NAMES_NONE)
        notes = [
            f"not judged: {why}",
            "who asked is not named: compare (aws sts get-caller-identity). A caller of another "
            "account than the policy's needs an Allow of its own policies, too (--policy)",
        ]
        for name, written in policies.resource.items():
            notes += said_of(written, name, refusal.action)
        yield Denial(record, None, notes=tuple(notes))


def explained(refusal: Refusal, policies: Given) -> Denial:
    """A denial by policies that were given, or by its words alone."""
    from scripts.iam.denial.denials import Denial
    from scripts.iam.denial.given import of_its_path
    from scripts.iam.denial.reading.messages import MASK, OTHER
    from scripts.iam.denial.reading.unnamed import CALLER
    from scripts.iam.denial.reported import as_said, explain_refusal, moved, of_the_call

    hides = MASK in (refusal.account, *(refusal.resource or "").split(":")[4:5])
    known = policies.account
    beside = "" if known or refusal.account != MASK else _whose(refusal.resource or "")
    own = _whose(refusal.principal)
    known = own or known or beside
    here = moved(refusal, known or _STAND_IN) if hides and not own else _as_its_own(refusal)
    here, region = _in_region(here, policies)
    two = OTHER in (refusal.account, *(refusal.resource or "").split(":")[4:5])
    if two:
        here = renamed(here, f":{OTHER}:", f":{_STAND_IN_OTHER}:")
    lacks = policies.lacks(here)
    of_trust = lacks and _lacks_trust(here, policies)
    if of_trust:
        here, lacks = of_trust, ""
    if lacks:
        record = as_said(refusal, refusal.record())
        found = Denial(record, None, notes=(f"not judged: {lacks}", *of_the_call(refusal)))
        return _callerless(found) if refusal.role == CALLER else found
    asked = _checked(policies.policy, here)
    found = explain_refusal(here, policies.members(here), asked, policies.around())
    found = _seen(found, asked)
    notes = [*found.notes]
    if of_trust:
        found = replace(found, record=as_said(refusal, found.record))
        notes.append("the role's trust policy lacks it, whatever the caller's own policies allow")
    if refusal.role == CALLER:
        notes += _of_nobody(refusal, policies)
    elif path := of_its_path(here, found):
        notes.append(path)
    if two:
        notes.append(
            "the message hides two accounts, ACCOUNT and OTHER_ACCOUNT: what is another account's "
            "has to be allowed by its own policy there, too"
        )
    elif hides and (refusal.role != CALLER or MASK in (refusal.resource or "")):
        notes.append(_of_the_account(refusal, known, beside=bool(beside)))
    notes += _of_identity_center(notes)
    notes += _of_a_part(here, region, policies)
    found = replace(found, notes=(*notes, *policies.notes(here)))
    if (here.role or ":user/" in here.principal) and not policies.identity and found.changes:
        found = replace(found, proved=False)
    if hides and not known:
        found = renamed(found, _STAND_IN, "ACCOUNT")
    found = renamed(found, _STAND_IN_REGION, "REGION")
    if two:
        found = renamed(found, _STAND_IN_OTHER, "OTHER_ACCOUNT")
    return _callerless(found) if refusal.role == CALLER else found


def _of_nobody(refusal: Refusal, policies: Given) -> Iterator[str]:
    """What is told where no caller is named."""
    told = ": the policies given are taken for its own" * bool(policies.identity)
    yield f"no caller's whole ARN is read from the message{told}"
    if refusal.layer == "resource-based policy" and not refusal.explicit:
        yield (
            f"that policy needs an Allow of {refusal.action} whose Principal is the caller: its "
            "role's ARN (aws sts get-caller-identity, run in the same place, tells whose session "
            "it is), or of a service the service's name"
        )


def _seen(found: Denial, asked: GivenPolicy) -> Denial:
    """Without the statements that stand for policies which nobody gave: they may not be there."""
    from scripts.iam.denial.given import NOT_GIVEN

    if asked.assumed:
        found = replace(found, proved=False, notes=(*found.notes, _OF_THE_KEY))
    if found.explanation is None:
        return found
    real = (one for one in found.explanation.considered if not one.policy.endswith(NOT_GIVEN))
    return replace(found, explanation=replace(found.explanation, considered=tuple(real)))


def _of_identity_center(notes: list[str]) -> list[str]:
    """What a role's ARN has that its session does not tell."""
    if not any("/sso.amazonaws.com/AWSReservedSSO_" in one for one in notes):
        return []
    return [
        "behind sso.amazonaws.com/ the role's ARN has the region of IAM Identity Center, unless "
        "that is us-east-1; the message does not tell it"
    ]


def _lacks_trust(refusal: Refusal, policies: Given) -> Refusal | None:
    """The same denial by the role's trust policy, where that alone refuses the caller."""
    from scripts.iam.denial.changes import by_trust
    from scripts.iam.denial.reported import explain_refusal

    if refusal.explicit or refusal.layer or not by_trust(refusal.action, refusal.arn or "*"):
        return None
    tried = replace(refusal, layer="role trust policy")
    asked = _checked(policies.policy, tried)
    found = explain_refusal(tried, policies.members(tried), asked, policies.around())
    return tried if any(one.kind == "trust" for one in found.changes) else None


def _of_a_part(refusal: Refusal, region: str, policies: Given) -> Iterator[str]:
    """What is told where the message has a part of the resource alone."""
    from scripts.iam.denial.given import said_of

    if refusal.arn is None and refusal.resource is not None:
        for name, written in policies.resource.items():
            yield from said_of(written, name, refusal.action)
    if region:
        stands = _STANDS if region == _STAND_IN_REGION else f"taken for {region}"
        yield f"{_HIDES_REGION}{stands}"


def _as_its_own(refusal: Refusal) -> Refusal:
    """The same with the caller's account for what it asked for, where the message hides that."""
    from scripts.iam.denial.reading.messages import MASK

    parts = (refusal.resource or "").split(":", 5)
    # A transform of CloudFormation's has a word of AWS's there.
    if len(parts) < 6 or parts[4] != MASK or parts[5].startswith("transform/"):
        return refusal
    return replace(refusal, resource=":".join((*parts[:4], refusal.account, parts[5])))


def _of_the_account(refusal: Refusal, known: str, *, beside: bool) -> str:
    """What stands for an account that the message does not name."""
    from scripts.iam.denial.reading.messages import MASK
    from scripts.iam.denial.reading.unnamed import NAMELESS

    if refusal.resource == NAMELESS:
        return "the message names no role: ROLE stands for the one whose trust policy it is"
    if _whose(refusal.principal):
        return (
            f"the message hides whose it is that was asked for: it is taken for {known}'s, as the "
            "caller; what is another account's its own policy there has to allow, too"
        )
    stands = f"it is taken for {known}" if known else (
        "ACCOUNT stands for it, as one account; what is another's its own policy there has to "
        "allow, too" if MASK in (refusal.resource or "") else "ACCOUNT stands for it"
    )  # fmt: skip
    if beside:
        stands += ", as what was asked for; of another's caller both accounts have to allow it"
    return f"the message hides the account: {stands}"


def _whose(resource: str) -> str:
    """The account that an ARN names, "" if none."""
    account = [*resource.split(":"), *[""] * 5][4]
    return account if account.isdigit() and len(account) == 12 else ""


def _in_region(refusal: Refusal, policies: Given) -> tuple[Refusal, str]:
    """The refusal in the one region that the policies name, where the message hides it."""
    from scripts.iam.denial.reading.messages import MASK

    parts = (refusal.resource or "").split(":", 5)
    if len(parts) < 6 or parts[3] != MASK or len(policies.regions) > 1:
        return refusal, ""
    region = next(iter(policies.regions), _STAND_IN_REGION)
    resource = ":".join([*parts[:3], region, *parts[4:]])
    return replace(refusal, resource=resource), region


def _checked(ask: Any, *arguments: Any) -> Any:
    from scripts.console import UserError
    from scripts.iam.engine.documents import PolicyError

    try:
        return ask(*arguments)
    except PolicyError as error:
        raise UserError("The policies do not fit", why=str(error), exit_code=2) from None


def _callerless(found: Denial) -> Denial:
    """Without what would have to name the caller."""
    record = replace(found.record, principal=_NAMES_NONE)
    own = tuple(one for one in found.changes if one.kind not in ("resource", "trust"))
    return replace(found, record=record, changes=own, proved=found.proved and own == found.changes)


def renamed(value: Any, old: str, new: str) -> Any:
    """The same with another word for an account, wherever it stands."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, (tuple, list)):
        return type(value)(renamed(one, old, new) for one in value)
    if isinstance(value, dict):
        return {key: renamed(one, old, new) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {one.name: renamed(getattr(value, one.name), old, new) for one in fields(value)}
        return replace(value, **changed)
    return value
