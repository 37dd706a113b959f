"""Explain a denial that AWS reported. Its message says less than the log: doubts are named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from scripts.iam.account.identities import Identities
from scripts.iam.account.resource_policies import ResourcePolicies, is_read
from scripts.iam.denial.denials import (
    Denial,
    ResourcePolicy,
    by_trust,
    explain_denial,
    foreign_account,
)
from scripts.iam.denial.deny import never_tagged
from scripts.iam.denial.messages import BLOCKED, MASK, Read, Refusal, read
from scripts.iam.engine.evaluation import Reason
from scripts.iam.engine.explanation import Considered, Explanation, Failure
from scripts.iam.reference import never_sets, only_star

# A condition's key, operator and values.
_Condition = tuple[str, str | None, tuple[str, ...]]

# AWS's words for a layer -> the engine's kinds of policies.
_KINDS = {
    "identity-based policy": ("identity",),
    "permissions boundary": ("boundary",),
    "session policy": ("session",),
    "resource-based policy": ("resource",),
    "role trust policy": ("trust",),
}
# Of the shorter sentence, without "because no ... policy allows".
_UNSAID = "the message does not say by what"
_ELSEWHERE = {
    "service control policy": "the organization's; nothing in this account lifts it: ask whoever "
    "keeps the organization's policies",
    "resource control policy": "the organization's; nothing in this account lifts it: ask whoever "
    "keeps the organization's policies",
    "VPC endpoint policy": "the network's: in this platform's own, "
    "terraform/modules/network/endpoints.tf writes it",
    "session policy": "the session's own, given when the session was made and kept nowhere: give "
    "the session less narrow a policy",
    BLOCKED: "a setting of the bucket or of its account, and no policy of IAM lifts it: make what "
    "is put not public; whoever switches it off lets everybody in whom a policy or ACL names",
}


def explain_refusal(
    refusal: Refusal, members: Identities, resource_policy: ResourcePolicy
) -> Denial:
    """Explain it by the policies as they are now.

    A condition on a key that the message does not carry is neither met nor failed: where the
    answer hangs on one, the key is named and no change is proposed.
    """
    if refusal.resource is None and only_star(refusal.action):
        refusal = replace(refusal, resource="*")
    found = _explained(refusal, members, resource_policy)
    return replace(found, record=replace(found.record, reason=_said(refusal)))


def decided_elsewhere(words: str) -> str | None:
    """What decided, by the words of a denial that names no caller; None if they do not say."""
    return next(
        (f"the {layer} decided: it is {whose}" for layer, whose in _ELSEWHERE.items()
         if layer in words), None
    )  # fmt: skip


def _said(refusal: Refusal) -> str:
    """What decided, in the message's words."""
    if refusal.explicit:
        article = "an" if refusal.layer.startswith("identity") else "a"
        return f"{Reason.EXPLICIT_DENY}" + (f" in {article} {refusal.layer}" * bool(refusal.layer))
    if refusal.layer == BLOCKED:
        return BLOCKED
    return f"no {refusal.layer} allows" if refusal.layer else _UNSAID


def _explained(refusal: Refusal, members: Identities, resource_policy: ResourcePolicy) -> Denial:
    record = refusal.record()
    if refusal.layer in _ELSEWHERE:
        which = f" ({refusal.policy})" if refusal.policy else ""
        told = f"the {refusal.layer}{which} decided: it is {_ELSEWHERE[refusal.layer]}"
        return Denial(record, None, notes=(told.replace(f"the {BLOCKED}", BLOCKED),))
    if "${" in (refusal.resource or ""):
        told = f"{refusal.resource} holds a placeholder that nobody filled in"
        return Denial(record, None, notes=(f"{told}: the request is to be put right, no policy",))
    if missing := _missing(refusal, members):
        return Denial(record, None, notes=(missing,))
    if refusal.role and (member := members.role(refusal.role)):
        record = replace(record, keys={"aws:PrincipalArn": (member.arn,), **record.keys})
    found = explain_denial(record, members, resource_policy)
    granted = _assumed(refusal, found.explanation)
    if granted:
        record = replace(record, keys={**record.keys, **granted})
        found = explain_denial(record, members, resource_policy)
    said = found.explanation
    if said is None:
        return found
    unseen = _unseen(refusal, resource_policy)
    opened = (_open(refusal, one) for one in said.considered)
    explanation = replace(said, considered=tuple(opened))
    doubts = [*_doubts(refusal, said)] or [*_contradiction(refusal, said, unseen)]
    if doubts:
        return Denial(record, explanation, notes=tuple(doubts))
    notes = (*_assumptions(granted), *_delegated(refusal, said), *found.notes)
    return replace(found, explanation=explanation, notes=notes)


def _missing(refusal: Refusal, members: Identities) -> str | None:
    """Why the policies of the caller, or the role that it asked for, cannot be looked at."""
    caller = refusal.principal
    if ":federated-user/" in caller:
        return (
            "a federated user has what the user may who asked for the token, and the token's own "
            "policy allows; the message names neither: not judged"
        )
    if refusal.role == MASK:
        return f"the log masks the role's name ({MASK}): paste it with the name"
    if refusal.role and members.role(refusal.role) is None:
        return f"the account that was looked at has no role {refusal.role}"
    for kind in ("user", "role"):
        if f":{kind}/" in caller and caller not in members.members:
            return f"the account that was looked at has no {kind} {caller.split(f':{kind}/')[1]}"
    role = refusal.arn or ""
    own = role.split(":", 5)[4:5] == [refusal.account]
    if by_trust(refusal.action, role) and own and role not in members.members:
        return (
            f"the account that was looked at has no role {role.partition(':role/')[2]}; of a role "
            "that is not there AWS says the same"
        )
    return None


def _unseen(refusal: Refusal, resource_policy: ResourcePolicy) -> str:
    """Why the policy of what was asked for was not looked at, where that is what decided."""
    arn = refusal.arn
    if refusal.layer != "resource-based policy" or arn is None:
        return ""
    if foreign := foreign_account(arn, refusal.account):
        return f"it is account {foreign}'s; whoever keeps that account can tell what it says"
    if not is_read(arn):
        return f"policies of its kind ({arn.split(':')[2]}) are not read here"
    if isinstance(resource_policy, ResourcePolicies) and resource_policy.unreadable:
        return "you may not read it"
    return ""


def _open(refusal: Refusal, one: Considered) -> Considered:
    """The statement, with conditions and resources that are unknown marked as such."""
    failures = tuple(
        replace(failure, unsupported=_unreported(failure))
        if _unknown(refusal, failure)
        else failure
        for failure in one.failures
    )
    held = tuple(replace(each, known=_known(refusal, each.key, each.actual)) for each in one.held)
    return replace(one, failures=failures, held=held)


def _unreported(failure: Failure) -> str:
    wanted = f"wants {' or '.join(failure.wanted)}"
    if failure.key is None:
        return f"{failure.element} {wanted}; the message names no whole ARN"
    return f"{failure.key} {failure.operator} {wanted}; the message does not say what it was"


def _unknown(refusal: Refusal, failure: Failure) -> bool:
    if failure.key is None:
        return failure.element in ("Resource", "NotResource") and refusal.arn is None
    return not (failure.unsupported or _known(refusal, failure.key, failure.actual))


def _known(refusal: Refusal, key: str, actual: tuple[str, ...]) -> bool:
    """Whether it is known what the request had: the value, or that it had none."""
    never = never_sets(refusal.action, key) or never_tagged(refusal.action, refusal.arn or "*", key)
    return bool(actual) or refusal.tells(key) or bool(never)


def _doubts(refusal: Refusal, explanation: Explanation) -> Iterable[str]:
    """What the answer hangs on and the message does not carry."""
    if refusal.resource is None:
        yield "the message names no resource, so no change is proposed"
    elif MASK in refusal.resource:
        yield (
            f"the log masks a part of the resource ({refusal.resource}), so no change is proposed: "
            "paste it with what stands there"
        )
    elif refusal.arn is None and refusal.resource.startswith("arn:"):
        yield (
            f"the message ends in the middle of the resource ({refusal.resource}), so no change is "
            "proposed: paste it without the line break"
        )
    elif refusal.arn is None:
        yield (
            f"the message names the resource {refusal.resource} without its ARN, so no change is "
            "proposed: a name alone means one of the caller's own account and region; what is "
            "another account's must be asked for by its ARN"
        )
    effect = "Deny" if refusal.explicit else "Allow"
    for one in explanation.considered:
        if one.effect != effect or one.kind not in _KINDS.get(refusal.layer, (one.kind,)):
            continue
        if not all(_unknown(refusal, failure) for failure in one.failures):
            continue
        conditions = [(each.key, each.operator, each.wanted) for each in one.failures if each.key]
        conditions += [(each.key, each.operator, each.wanted) for each in one.held
                       if not _known(refusal, each.key, each.actual)]  # fmt: skip
        if conditions:
            wanted = " and ".join(
                f"{key} ({operator}) {' or '.join(values)}{_or_none(key, operator, conditions)}"
                for key, operator, values in conditions
            )
            verb = "allows" if one.effect == "Allow" else "denies"
            yield (
                f"statement {one.statement} of {one.policy} {verb} it only with {wanted}; AWS's "
                "message does not carry the request's value: compare it with the request"
            )


def _or_none(key: str, operator: str | None, conditions: Iterable[_Condition]) -> str:
    """Some operators are true of a key that is not there, too, where all of the key's are."""
    of_key = [(each, wanted) for name, each, wanted in conditions if name.lower() == key.lower()]
    if operator == "Null" or not all(_true_without(each, wanted) for each, wanted in of_key):
        return ""
    return ", or without the key"


def _true_without(operator: str | None, wanted: Sequence[str]) -> bool:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"""
    operator = operator or ""
    if operator == "Null":
        return "true" in wanted
    if operator.endswith("IfExists") or operator.startswith("ForAllValues:"):
        return True
    return "Not" in operator and not operator.startswith("ForAnyValue:")


def _assumed(refusal: Refusal, explanation: Explanation | None) -> dict[str, tuple[str, ...]]:
    """Values of keys that the message does not carry and a statement wants which fails for
    something else: that is what the answer is about."""
    if refusal.explicit or explanation is None:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for one in explanation.considered:
        open_ones = [failure for failure in one.failures if _unknown(refusal, failure)]
        near = not any(failure.element.endswith("Action") for failure in one.failures)
        if one.effect != "Allow" or not near or not 0 < len(open_ones) < len(one.failures):
            continue
        for failure in open_ones:
            positive = failure.operator in {"StringEquals", "StringLike", "ArnEquals", "ArnLike"}
            value = failure.wanted[:1] if positive else ()
            if failure.key is None or not value or found.get(failure.key, value) != value:
                return {}
            found[failure.key] = value
    return found


def _assumptions(granted: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    for key, (value,) in granted.items():
        yield f"AWS's message does not say what {key} was; {value} is assumed"


def _left_to_the_account(refusal: Refusal, explanation: Explanation) -> bool:
    """Whether a key's policy leaves the decision to the account's own policies. It then allows
    nobody itself, and AWS names it although the identity's policy is what lacks the right."""
    decision = explanation.decision
    return (
        refusal.action.startswith("kms:")
        and refusal.layer == "resource-based policy"
        and not refusal.explicit
        and decision is not None
        and decision.reason is Reason.NO_IDENTITY_ALLOW
    )


def _delegated(refusal: Refusal, explanation: Explanation) -> Iterable[str]:
    if _left_to_the_account(refusal, explanation):
        yield (
            "the key's policy leaves it to the account's own policies and allows the caller "
            "nothing itself; either may allow it"
        )


def _contradiction(refusal: Refusal, explanation: Explanation, unseen: str) -> Iterable[str]:
    """AWS's answer and the engine's differ: then these are not the policies that decided."""
    decision = explanation.decision
    if _left_to_the_account(refusal, explanation):
        return
    if unseen:
        # AWS names one kind of policy, though more may lack the right.
        if refusal.explicit or (decision and decision.allowed):
            verb = "denied it" if refusal.explicit else "does not allow it"
            yield f"the policy of what was asked for {verb}, and was not looked at: {unseen}"
        return
    said = refusal.record().reason
    told = bool(refusal.layer or refusal.explicit or (decision and decision.allowed))
    if decision is None or not told or str(decision.reason) == said:
        return
    if decision.allowed:
        others = "" if refusal.layer else (
            "; or a policy denied it that is not looked at here, and AWS's message does not say "
            "which: the organization's (SCP, RCP), a VPC endpoint's, the session's, or that of "
            "what was asked for, if it is of a kind that is not read"
        )  # fmt: skip
        yield (
            "the policies as they are now allow it, as far as the message says: they changed "
            "since, or did not count yet (IAM needs up to minutes), or they are not those of the "
            f"account that refused{others}"
        )
        return
    yield (
        f"AWS says: {said}; by the policies that were looked at it is: {decision.reason}. They "
        "changed since, or are not those of the account that refused: no change is proposed"
    )


def moved(refusal: Refusal, account: str) -> Refusal:
    """The same denial in another account: for policies that the same code rendered there."""
    theirs = refusal.account
    if not theirs or theirs == account:
        return refusal

    def there(text: str) -> str:
        if theirs == MASK:
            # A region or a bucket that is masked, too, is another word.
            return re.sub(r"(arn:[\w-]+:[\w-]+:[^:]*:)\*{3}(?=:)", rf"\g<1>{account}", text)
        return text.replace(theirs, account)

    return replace(
        refusal,
        principal=there(refusal.principal),
        resource=refusal.resource and there(refusal.resource),
        policy=refusal.policy and there(refusal.policy),
        keys={key: tuple(map(there, values)) for key, values in refusal.keys.items()},
    )


def from_trail(events: Iterable[str], prefix: str) -> Read:
    """The denials of roles whose name begins with the prefix, from CloudTrail's events, newest
    first. An event whose message cannot be parsed is kept as it is (`bare`)."""
    refusals: list[Refusal] = []
    encoded: list[str] = []
    bare: list[str] = []
    for event in map(json.loads, events):
        if not _denied(event, prefix):
            continue
        found = read(str(event.get("errorMessage", "")))
        refusals += [_with_event(refusal, event) for refusal in found.refusals]
        encoded += found.encoded
        if not found.refusals and not found.encoded:
            bare.append(
                f"{event['eventTime']} {event['eventSource']} {event['eventName']} by "
                f"{event['userIdentity']['arn']}: {event.get('errorMessage', event['errorCode'])}"
            )
    return Read(tuple(refusals), tuple(encoded), tuple(bare))


def _denied(event: Mapping[str, Any], prefix: str) -> bool:
    code = str(event.get("errorCode", ""))
    issuer = event.get("userIdentity", {}).get("sessionContext", {}).get("sessionIssuer", {})
    return ("AccessDenied" in code or "Unauthorized" in code) and str(
        issuer.get("userName", "")
    ).startswith(prefix)


def _with_event(refusal: Refusal, event: Mapping[str, Any]) -> Refusal:
    """The denial with the condition keys that the event names."""
    keys = {"aws:RequestedRegion": (str(event["awsRegion"]),)}
    for name, key in (("userAgent", "aws:UserAgent"), ("vpcEndpointId", "aws:SourceVpce")):
        if event.get(name):
            keys[key] = (str(event[name]),)
    address = str(event.get("sourceIPAddress", ""))
    # A service that asks in the caller's name stands there by its name.
    if address and not address.endswith(".amazonaws.com"):
        keys["aws:SourceIp"] = (address,)
    at = datetime.fromisoformat(str(event["eventTime"])).timestamp()
    return replace(
        refusal,
        keys=keys | dict(refusal.keys),
        operation=str(event["eventName"]),
        request_id=str(event.get("requestID", "")),
        time=at,
    )
