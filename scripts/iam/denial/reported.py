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
from scripts.iam.denial.given import GivenPolicy
from scripts.iam.denial.messages import BLOCKED, MASK, Read, Refusal, read
from scripts.iam.engine.evaluation import Decision, Reason
from scripts.iam.engine.explanation import Considered, Explanation, Failure, Held
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
# Of the shorter sentence, without "because no ... policy allows", and of a decoded message.
_UNSAID = "the message does not say by what"
_NOT_ALLOWED = "no policy allows; the message does not say of which kind"
_UNNAMED = "(the message names none)"
# What IAM takes in no name, and words and dots that hide one.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_NO_NAME = re.compile(
    r"[^\w+=,.@/-]|\.{3}|(?:^|/)x{3,}$|redact|masked|omitted", re.IGNORECASE | re.ASCII
)
# What whoever reports a denial puts in the place of a name or an id.
_HIDES = re.compile(
    r"<[^<>]*>|\{[\w .-]*\}|…|\.{3}|(?<![^\W_])(?:x{4,}|redacted|masked|omitted)(?![^\W_])",
    re.IGNORECASE,
)
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
_RESERVED = re.compile(r":parameter/(?:aws|ssm)", re.IGNORECASE)
# A variable that a shell or a template left as it was; a log stream of Lambda's has $LATEST.
_UNFILLED = re.compile(r"\$\{|\$(?!LATEST|DEFAULT)[A-Z][A-Z0-9_]{2,}")
_ELSEWHERE = {
    "service control policy": "the organization's, and no policy of this account lifts it. It may "
    "hang on the request (its region, its tags): ask whoever keeps the organization's policies",
    "resource control policy": "the organization's, and no policy of this account lifts it. It may "
    "hang on the request (whose account, which network): ask whoever keeps the organization's "
    "policies",
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
    said = replace(
        found.record,
        principal=refusal.principal,
        reason=_said(refusal),
        resource=refusal.resource or _UNNAMED,
    )
    return replace(found, record=said, notes=(*found.notes, *_of_the_call(refusal)))


def _of_the_call(refusal: Refusal) -> Iterable[str]:
    """What a call of this kind needs that its message does not tell.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
    """
    if refusal.principal == "anonymous":
        yield (
            "AWS counts the request as anonymous: sign it, where signatures are asked for, or the "
            "policy of what was asked for must let in whoever asks"
        )
    if refusal.is_text_message:
        yield (
            "a text message goes to a number and to no topic; a number has no ARN, so a policy has "
            "to name * (a Deny with topics' ARNs, or NotResource, keeps it from topics)"
        )
    if refusal.action.lower() == "ssm:putparameter" and _RESERVED.search(refusal.resource or ""):
        yield (
            "a parameter's name cannot begin with aws or ssm: SSM refuses to write it, whatever "
            "the policies say; take another name"
        )
    if refusal.action.lower() == "sts:tagsession":
        yield (
            "the call passes session tags: those need sts:TagSession in the trust policy of the "
            "role, beside sts:AssumeRole; a call without tags does not (role-skip-session-tagging: "
            "true of aws-actions/configure-aws-credentials); leave them out if no policy needs them"
        )


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
    if refusal.layer:
        return f"no {refusal.layer} allows"
    return _NOT_ALLOWED if refusal.every_key else _UNSAID


def _explained(refusal: Refusal, members: Identities, resource_policy: ResourcePolicy) -> Denial:
    record = refusal.record()
    if refusal.layer in _ELSEWHERE:
        which = f" ({refusal.policy})" if refusal.policy else ""
        told = f"the {refusal.layer}{which} decided: it is {_ELSEWHERE[refusal.layer]}"
        return Denial(record, None, notes=(told.replace(f"the {BLOCKED}", BLOCKED),))
    if _UNFILLED.search(refusal.resource or ""):
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
    whole = found.explanation
    if whole is None:
        return found
    if unsure := _unsure(refusal, whole):
        rest = explain_denial(record, members, resource_policy, unsure)
        lacks = rest.explanation and rest.explanation.decision
        if _is_implicit(refusal) or (lacks and not lacks.allowed):
            found = rest
    said = found.explanation
    assert said is not None
    unseen = _unseen(refusal, resource_policy)
    opened = (_open(refusal, one) for one in whole.considered)
    explanation = replace(said, considered=tuple(opened))
    doubts = [*_doubts(refusal, said)] or [*_contradiction(refusal, said, unseen)]
    if doubts:
        return Denial(record, explanation, notes=tuple(doubts))
    notes = (*_assumptions(granted), *_delegated(refusal, found), *found.notes)
    if unseen and isinstance(resource_policy, GivenPolicy):
        found, notes = _without_unseen(found, unseen, notes)
    if said is not whole and not _is_implicit(refusal):
        notes = (*notes, *_hinging(refusal, whole, "Deny", "denies it, too, with"))
    return replace(found, explanation=explanation, notes=notes)


def _without_unseen(
    found: Denial, unseen: str, notes: tuple[str, ...]
) -> tuple[Denial, tuple[str, ...]]:
    """Without changes of a policy that nobody saw."""
    seen = tuple(one for one in found.changes if one.kind not in ("resource", "trust"))
    if seen == found.changes:
        return found, notes
    told = f"the policy of what was asked for decides, too: {unseen}"
    return replace(found, changes=seen, proved=False), (*notes, told)


def _is_implicit(refusal: Refusal) -> bool:
    """Whether the message says that an Allow is lacking, and so that no Deny applied: AWS names a
    Deny where there is one."""
    return not refusal.explicit and bool(refusal.layer or refusal.every_key)


def _unsure(refusal: Refusal, explanation: Explanation) -> list[tuple[str, str]]:
    """The Denies that apply only if a key that the message does not carry is as they ask."""
    if refusal.explicit:
        return []
    return [
        (one.policy, one.statement)
        for one in explanation.considered
        if one.effect == "Deny"
        and one.matched
        and not all(_known(refusal, held.key, held.actual) for held in one.held)
    ]


def _missing(refusal: Refusal, members: Identities) -> str | None:
    """Why the policies of the caller, or the role that it asked for, cannot be looked at."""
    caller = refusal.principal
    if ":federated-user/" in caller:
        return (
            "a federated user has what the user may who asked for the token, and the token's own "
            "policy allows; the message names neither: not judged"
        )
    if refusal.role and members.role(refusal.role) is None:
        return _hidden(refusal, refusal.role) or (
            f"the account that was looked at has no role {refusal.role}"
        )
    for kind in ("user", "role"):
        if f":{kind}/" in caller and caller not in members.members:
            name = caller.split(f":{kind}/")[1]
            return _hidden(refusal, name) or f"the account that was looked at has no {kind} {name}"
    role = refusal.arn or ""
    if by_trust(refusal.action, role) and role not in ("", "*") and ":role/" not in role:
        return (
            f"{role} is no role, and {refusal.action} takes a role's ARN alone (arn:aws:iam::"
            "ACCOUNT:role/NAME): the request is to be put right, no policy"
        )
    if refusal.action.lower() == "iam:passrole" and (
        other := foreign_account(role, refusal.account)
    ):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
        return (
            f"{role} is account {other}'s, and only a role of one's own account can be passed: the "
            "request is to be put right, no policy"
        )
    own = role.split(":", 5)[4:5] == [refusal.account]
    if by_trust(refusal.action, role) and own and role not in members.members:
        return (
            f"the account that was looked at has no role {role.partition(':role/')[2]}; of a role "
            "that is not there AWS says the same"
        )
    return None


def _hidden(refusal: Refusal, name: str) -> str | None:
    """That the name is none, but what somebody put in its place; None if it may be one."""
    if not _NO_NAME.search(name):
        return None
    told = f"the message hides the caller's name ({name})"
    if refusal.layer != "identity-based policy" or refusal.explicit:
        return f"{told}: paste it with the name"
    return (
        f"{told}; what the caller lacks is an Allow of {refusal.action}"
        f"{f' on {refusal.resource}' if refusal.resource else ''}: paste it with the name, to see "
        "in which policy"
    )


def _unseen(refusal: Refusal, resource_policy: ResourcePolicy) -> str:
    """Why the policy of what was asked for was not looked at, if so."""
    arn = refusal.arn or "*"
    if arn != "*" and isinstance(resource_policy, GivenPolicy):
        return resource_policy.unknown(arn)
    if arn == "*" or by_trust(refusal.action, arn):
        return ""
    if foreign := foreign_account(arn, refusal.account):
        return f"it is account {foreign}'s; whoever keeps that account can tell what it says"
    if not is_read(arn):
        return f"policies of its kind ({arn.split(':')[2]}) are not read here"
    return resource_policy.unknown(arn) if isinstance(resource_policy, ResourcePolicies) else ""


def _open(refusal: Refusal, one: Considered) -> Considered:
    """The statement, with conditions and resources that are unknown marked as such."""
    failures = tuple(
        replace(failure, unsupported=_unreported(failure))
        if _unknown(refusal, failure)
        else failure
        for failure in one.failures
    )
    held = tuple(replace(each, known=_known(refusal, each.key, each.actual)) for each in one.held)
    if one.effect == "Deny" and one.matched and _is_implicit(refusal):
        failures = tuple(_did_not_hold(each) for each in held if not each.known)
    return replace(one, failures=failures, held=held)


def _did_not_hold(held: Held) -> Failure:
    """A condition of a Deny, where AWS says that none applied."""
    wanted = " or ".join(held.wanted)
    why = f"{held.key} {held.operator} {wanted}: AWS names no Deny, so this did not hold"
    return Failure("Condition", held.wanted, (), held.operator, held.key, unsupported=why)


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
    if refusal.unnamed:
        yield (
            "KMS names no key, so no change is proposed: the ciphertext's key is not there, or of "
            "another region; or its policy does not let the caller in; or that policy denies it. "
            "Asked with the key's ARN (aws kms decrypt --key-id ARN), KMS names the policy"
        )
    elif refusal.resource is None:
        nothing = _on_nothing(refusal, explanation)
        yield f"the message names no resource, so no change is proposed{nothing}"
        yield from _on_what(refusal, explanation)
    elif MASK in refusal.resource or _HIDES.search(refusal.resource):
        yield (
            f"the message hides a part of the resource ({refusal.resource}), so no change is "
            f"proposed: paste it with what stands there{_on_nothing(refusal, explanation)}"
        )
    elif refusal.arn is None and refusal.resource.startswith("arn:"):
        yield (
            f"the message ends in the middle of the resource ({refusal.resource}), so no change is "
            "proposed: paste it without the line break"
        )
    elif refusal.arn is None:
        told = (
            f"the message names the resource {refusal.resource} without its ARN, so no change is "
        )
        by_name = refusal.action.startswith(("secretsmanager:", "ssm:"))
        yield told + "proposed" + (
            ": a name alone means one of the caller's own account and region; what is another "
            "account's must be asked for by its ARN" if by_name else ""
        )  # fmt: skip
    for one in explanation.considered:
        lacks = [failure.element for failure in one.failures] == ["Resource"]
        if one.effect == "Allow" and lacks and f"{refusal.arn}-??????" in one.failures[0].wanted:
            yield (
                f"statement {one.statement} of {one.policy} names the secret with the six "
                "characters that its ARN ends in, and the request named it without, or there is no "
                "such secret: ask for it by its whole ARN or by its name; no policy is to be "
                "changed"
            )
    denied = explanation.decision is not None and (
        explanation.decision.reason is Reason.EXPLICIT_DENY
    )
    if refusal.explicit or (denied and not _is_implicit(refusal)):
        yield from _hinging(refusal, explanation, "Deny", "denies it only with")
    else:
        yield from _hinging(refusal, explanation, "Allow", "allows it only with")
        yield from _for_something_else(refusal, explanation)


def _on_what(refusal: Refusal, explanation: Explanation) -> Iterable[str]:
    """The statements that allow the action on something, where the message names no resource."""
    for one in explanation.considered:
        if one.effect != "Allow" or [each.element for each in one.failures] != ["Resource"]:
            continue
        named = one.failures[0].wanted
        sure = _is_implicit(refusal) and one.kind in _KINDS.get(refusal.layer, ())
        yield (
            f"statement {one.statement} of {one.policy} allows {refusal.action} on "
            f"{' and '.join(named)}"
            + (", and what was asked for is not among that" if sure else " alone")
        )
        # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ac.html
        if refusal.action.lower().startswith("es:eshttp"):
            for arn in named:
                if re.fullmatch(r"[^/]+:domain/[^/]+", arn):
                    yield f"requests of data go below a domain, which is named by {arn}/*"


def _on_nothing(refusal: Refusal, explanation: Explanation) -> str:
    """That no policy allows the action, whatever the resource was."""
    has_own = refusal.role is not None or ":user/" in refusal.principal
    if (
        refusal.explicit
        or not has_own
        or any(
            one.effect == "Allow" and not any(f.element.endswith("Action") for f in one.failures)
            for one in explanation.considered
        )
    ):
        return ""
    return f". None of the caller's own policies allows {refusal.action} on anything"


def _hinging(refusal: Refusal, explanation: Explanation, effect: str, verb: str) -> Iterable[str]:
    """The statements that apply or not by a key that the message does not carry."""
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
                _wanted(key, operator, values) + _or_none(key, operator, conditions)
                for key, operator, values in conditions
            )
            yield (
                f"statement {one.statement} of {one.policy} {verb} {wanted}; AWS's message does "
                "not carry the request's value: compare it with the request"
            )


def _for_something_else(refusal: Refusal, explanation: Explanation) -> Iterable[str]:
    """Statements that fail for what is known, and have conditions of which nothing is known."""
    for one, open_ones in _near(refusal, explanation):
        if unmet := [each for each in open_ones if each.key and not _fulfilling(each)]:
            wanted = " and ".join(_wanted(str(each.key), each.operator, each.wanted)
                                  for each in unmet)  # fmt: skip
            yield (
                f"statement {one.statement} of {one.policy} allows {refusal.action} for other "
                f"requests, and with {wanted} alone; AWS's message does not carry the request's "
                "value, so no change is proposed"
            )


def _near(refusal: Refusal, explanation: Explanation) -> Iterable[tuple[Considered, list[Failure]]]:
    """Statements that allow the action, and fail for something known besides conditions on keys
    that the message does not carry, which stand beside each."""
    for one in explanation.considered:
        open_ones = [failure for failure in one.failures if _unknown(refusal, failure)]
        near = not any(failure.element.endswith("Action") for failure in one.failures)
        if one.effect == "Allow" and near and 0 < len(open_ones) < len(one.failures):
            yield one, open_ones


def _wanted(key: str, operator: str | None, values: Sequence[str]) -> str:
    if operator == "Null" and len(values) == 1:
        return f"{key} absent" if values[0].lower() == "true" else f"{key} present"
    return f"{key} ({operator}) {' or '.join(values)}"


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
    for _, open_ones in _near(refusal, explanation):
        for failure in open_ones:
            value = _fulfilling(failure)
            if failure.key is None or not value:
                return {}
            before = found.get(failure.key, value)
            if before != value and _THERE not in (before, value):
                return {}
            found[failure.key] = before if value == _THERE else value
    return found


# A key that only has to be there, with whatever value.
_THERE = ("what it may be",)
_OWN_VALUE = re.compile(
    r"(ForAnyValue:)?(String(Equals(IgnoreCase)?|Like)|Arn(Equals|Like)|Bool|BinaryEquals|"
    r"(Numeric|Date)(Equals|LessThanEquals|GreaterThanEquals))"
)


def _fulfilling(failure: Failure) -> tuple[str, ...]:
    """A value of its key by which the condition would hold, if it names one."""
    if failure.operator == "Null":
        return _THERE if failure.wanted == ("false",) else ()
    return failure.wanted[:1] if _OWN_VALUE.fullmatch(failure.operator or "") else ()


def _assumptions(granted: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    for key, value in granted.items():
        assumed = "that the request had it" if value == _THERE else value[0]
        yield f"AWS's message does not say what {key} was; {assumed} is assumed"


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


def _delegated(refusal: Refusal, found: Denial) -> Iterable[str]:
    if found.explanation and _left_to_the_account(refusal, found.explanation):
        own = any(change.kind == "identity" for change in found.changes)
        yield (
            "the key's policy leaves it to the account's own policies and allows the caller "
            f"nothing itself{'; either may allow it' if own else ''}"
        )


def _contradiction(refusal: Refusal, explanation: Explanation, unseen: str) -> Iterable[str]:
    """AWS's answer and the engine's differ: then these are not the policies that decided."""
    decision = explanation.decision
    if _left_to_the_account(refusal, explanation):
        return
    if unseen and refusal.layer == "resource-based policy":
        # AWS names one kind of policy, though more may lack the right.
        if refusal.explicit or (decision and decision.allowed):
            verb = "denied it" if refusal.explicit else "does not allow it"
            yield f"the policy of what was asked for {verb}, and was not looked at: {unseen}"
            return
        if not _unowned(decision, refusal):
            return
    if unseen and _unowned(decision, refusal):
        own = any(
            one.effect == "Allow" and one.kind == "identity"
            and all(_unknown(refusal, failure) for failure in one.failures)
            for one in explanation.considered
        )  # fmt: skip
        yield f"what the policy of what was asked for says is not known: {unseen}" + (
            "" if own or refusal.role is None else "; none of the caller's own policies allows it"
        )
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


def _unowned(decision: Decision | None, refusal: Refusal) -> bool:
    """Whether an Allow is lacking in a policy of this account's that was not looked at."""
    return (
        decision is not None
        and decision.reason is Reason.NO_RESOURCE_ALLOW
        and not foreign_account(refusal.arn or "", refusal.account)
    )


def moved(refusal: Refusal, account: str) -> Refusal:
    """The same denial in another account: for policies that the same code rendered there."""
    theirs = refusal.account
    if not theirs and f":{MASK}:" in (refusal.resource or ""):
        theirs = MASK  # of a caller without an account, such as anonymous
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
