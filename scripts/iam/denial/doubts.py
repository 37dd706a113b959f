"""What the answer on a reported denial hangs on and AWS's message does not carry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from scripts.iam.denial.deny import never_tagged, way
from scripts.iam.denial.given import NOT_GIVEN
from scripts.iam.denial.nearly import meet
from scripts.iam.denial.partial import as_a_policy_names_it, lacks_parts
from scripts.iam.denial.reading.callerless import LAYERS, named_by_an_allow
from scripts.iam.denial.reading.messages import MASK, Refusal
from scripts.iam.denial.reading.unnamed import CALLER
from scripts.iam.engine.evaluation import Reason
from scripts.iam.engine.explanation import Considered, Explanation, Failure, Held
from scripts.iam.reference import judged, never_sets, only_star, resources

# Keys that follow from who asks.
_OF_CALLER = ("aws:principal", "aws:userid", "aws:username")
_SSO = "aws-reserved/sso.amazonaws.com/"
# A condition's key, operator and values.
_Condition = tuple[str, str | None, tuple[str, ...]]

# https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
_SIX_MORE = (
    ". A policy names it arn:aws:secretsmanager:REGION:ACCOUNT:secret:{}-??????, for the six "
    "characters that its ARN ends in"
)
# AWS's words for a layer -> the engine's kinds of policies.
_KINDS = {
    "identity-based policy": ("identity",),
    "permissions boundary": ("boundary",),
    "session policy": ("session",),
    "resource-based policy": ("resource",),
    "role trust policy": ("trust",),
    "service control policy": ("scp",),
    "resource control policy": ("rcp",),
    "VPC endpoint policy": ("endpoint",),
}
# What whoever reports a denial puts in the place of a name or an id.
_HIDES = re.compile(
    r"<[^<>]*>|\{[\w .-]*\}|…|\.{3}|_{4,}|(?<![^\W_])(?:x{4,}|redacted|masked|omitted)(?![^\W_])",
    re.IGNORECASE,
)


def is_implicit(refusal: Refusal) -> bool:
    """Whether the message says that an Allow is lacking, and so that no Deny applied: AWS names a
    Deny where there is one."""
    return not refusal.explicit and bool(refusal.layer or refusal.lacks)


def unsure(refusal: Refusal, explanation: Explanation) -> list[tuple[str, str]]:
    """The Denies that apply only if a key that the message does not carry is as they ask; none
    where one of them has to be it."""
    if refusal.explicit and not _denied_anyhow(refusal, explanation):
        return []
    return [
        (one.policy, one.statement)
        for one in explanation.considered
        if one.effect == "Deny"
        and one.matched
        and not all(_known(refusal, held.key, held.actual, held.wanted) for held in one.held)
    ]


def marked(refusal: Refusal, one: Considered) -> Considered:
    """The statement, with conditions and resources that are unknown marked as such."""
    failures = tuple(
        replace(failure, unsupported=_unreported(failure))
        if is_unknown(refusal, failure)
        else failure
        for failure in one.failures
    )
    held = tuple(
        replace(each, known=_known(refusal, each.key, each.actual, each.wanted))
        for each in one.held
    )
    if one.effect == "Deny" and one.matched and is_implicit(refusal):
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


def is_unknown(refusal: Refusal, failure: Failure) -> bool:
    """Whether an element fails only for want of what the message does not carry."""
    if failure.key is None:
        return failure.element in ("Resource", "NotResource") and refusal.arn is None
    return not (failure.unsupported or _known(refusal, failure.key, failure.actual, failure.wanted))


def _known(
    refusal: Refusal, key: str, actual: tuple[str, ...], wanted: tuple[str, ...] = ()
) -> bool:
    """Whether it is known what the request had: the value, or that it had none."""
    never = never_sets(refusal.action, key) or never_tagged(refusal.action, refusal.arn or "*", key)
    if refusal.role == CALLER and key.lower().startswith(_OF_CALLER):
        return False
    if key.lower() == "aws:principalarn" and any(_SSO in one for one in actual):
        # Behind it the region of Identity Center stands, unless that is us-east-1.
        further = [one.replace(_SSO, f"{_SSO}eu-west-1/") for one in actual]
        if any(_like(one, actual) is not _like(one, further) for one in wanted):
            return False
    return bool(actual) or refusal.tells(key) or bool(never)


def _like(pattern: str, values: Sequence[str]) -> bool:
    return any(fnmatchcase(one, pattern) for one in values)


def doubts(refusal: Refusal, explanation: Explanation) -> Iterable[str]:
    """What the answer hangs on and the message does not carry."""
    if refusal.action == "lambda:GetLayerVersion" and not refusal.explicit:
        lets = "no policy of the layer lets the caller in" * (
            refusal.layer == "resource-based policy"
        )
        yield f"{lets}{LAYERS}".removeprefix(". ")
    if refusal.unnamed:
        yield (
            "KMS names no key, so no change is proposed: the key, of a ciphertext the one it was "
            "encrypted with, is not there, or of another region; or its policy does not let the "
            "caller in, or leaves it to its account and the caller's own policies do not allow it; "
            "or a policy denies it. Asked with the key's ARN (aws kms decrypt --key-id ARN), KMS "
            f"names the policy{_on_nothing(refusal, explanation)}"
        )
    elif refusal.resource is None:
        yield from _of_no_resource(refusal, explanation)
    elif is_hidden(refusal) and not _lacks_anyhow(refusal, explanation):
        yield (
            f"the message hides a part of the resource ({refusal.resource}), so no change is "
            f"proposed: paste it with what stands there{_on_nothing(refusal, explanation)}"
        )
    elif refusal.arn is None and re.match(r"arn:(?!aws)[\w-]+:", refusal.resource):
        yield (
            f"{refusal.resource} is no ARN, as no partition (aws) stands behind arn:, so no change "
            "is proposed: if it was asked for so, the request is to be put right, no policy"
        )
    elif refusal.arn is None and refusal.resource.startswith("arn:"):
        yield _of_a_part(refusal)
    elif refusal.arn is None:
        yield _of_a_name(refusal, refusal.resource, _on_nothing(refusal, explanation))
    for one in explanation.considered:
        lacks = [failure.element for failure in one.failures] == ["Resource"]
        if one.effect == "Allow" and lacks and f"{refusal.arn}-??????" in one.failures[0].wanted:
            yield (
                f"statement {one.statement} of {one.policy} names the secret with the six "
                "characters that its ARN ends in, and the request named it without, or there is no "
                "such secret: ask for it by its whole ARN or by its name; no policy is to be "
                "changed"
            )
    yield from _hinges(refusal, explanation)


def _of_a_part(refusal: Refusal) -> str:
    """Of what begins like an ARN: what the sentence goes on behind was not cut."""
    if lacks_parts(refusal.resource or "") or refusal.explicit or is_implicit(refusal):
        return (
            f"{refusal.resource} is no ARN of AWS's form (arn:aws:SERVICE:REGION:ACCOUNT:NAME): "
            "parts are missing, so no change is proposed: if it was asked for so, the request is "
            "to be put right, no policy"
        )
    return (
        f"the message, or a line of it, ends in the middle of the resource ({refusal.resource}), "
        "so no change is proposed: paste it whole, without a line's end in it"
    )


def _of_a_name(refusal: Refusal, name: str, nothing: str) -> str:
    told = f"the message names the resource {name} without its ARN, so no change is proposed"
    if nothing:
        told += nothing
    elif refusal.action.startswith(("secretsmanager:", "ssm:")):
        told += (
            ": a name alone means one of the caller's own account and region; what is another "
            "account's must be asked for by its ARN"
        )
    if refusal.action.startswith("secretsmanager:"):
        return told + _SIX_MORE.format(name)
    return told + as_a_policy_names_it(refusal.action, refusal.principal, name)


def allowed_of_any(refusal: Refusal, explanation: Explanation) -> bool:
    """Whether they allow it although the message does not tell the resource's ARN: no Deny hangs
    on that, and no kind of policy allows it by what a NotResource leaves alone."""
    if refusal.arn is not None or not _allowed(explanation):
        return False
    applied = [one for one in explanation.considered if one.effect == "Allow" and one.matched]
    if all(one.policy.endswith(NOT_GIVEN) for one in applied):
        return False  # of policies that nobody saw
    return {one.kind for one in applied} == {one.kind for one in applied if not one.excepted} and (
        not any(
            one.effect == "Deny" and all(is_unknown(refusal, failure) for failure in one.failures)
            for one in explanation.considered
        )
    )


def _hinges(refusal: Refusal, explanation: Explanation) -> Iterable[str]:
    if not _is_denied(refusal, explanation):
        yield from hinging(refusal, explanation, "Allow", "allows it only with")
        yield from _for_something_else(refusal, explanation)
    elif not _denied_anyhow(refusal, explanation):
        yield from hinging(refusal, explanation, "Deny", "denies it only with")


def _is_denied(refusal: Refusal, explanation: Explanation) -> bool:
    """Whether a Deny decided: AWS says it, or the engine, where AWS does not say otherwise."""
    decision = explanation.decision
    denied = decision is not None and decision.reason is Reason.EXPLICIT_DENY
    return refusal.explicit or (denied and not is_implicit(refusal))


_LISTS = re.compile(r"[\w-]+:(?:List|Describe|Search|Get\w+s$)")


def _of_all(action: str) -> str:
    """What else an Allow names where a call may be for a list, which is of no one thing."""
    if not _LISTS.match(action) or only_star(action) or not resources(action):
        return ""
    return "; of a call that names none of that, such as a list of all, *"


def _of_no_resource(refusal: Refusal, explanation: Explanation) -> Iterable[str]:
    """What is open where the message names no resource; nothing if they allow it of whatever."""
    if _allowed(explanation):
        return
    nothing = _on_nothing(refusal, explanation)
    yield (
        "the message names no resource, so no change is proposed"
        f"{nothing}{_in(refusal, named_by_an_allow(refusal.action))}{_of_all(refusal.action)}"
    )
    if refusal.layer == "identity-based policy" and not judged(refusal.action):
        yield (
            f"the statement that lacks allows {refusal.action}, on * where AWS's Service "
            "Authorization Reference lists no resource for it, which is not known here of "
            "this service"
        )
    yield from _on_what(refusal, explanation)


def _in(refusal: Refusal, told: str) -> str:
    """What AWS's reference has, in the partition of whom it is told about."""
    partition = [*refusal.principal.split(":"), "aws"][1]
    return told.replace("arn:aws:", f"arn:{partition}:")


def _allowed(explanation: Explanation) -> bool:
    return explanation.decision is not None and explanation.decision.allowed


def is_hidden(refusal: Refusal) -> bool:
    """Whether something else stands in the place of a part of the resource."""
    resource = refusal.resource or ""
    return MASK in resource or _HIDES.search(resource) is not None


def _lacks_anyhow(refusal: Refusal, explanation: Explanation) -> bool:
    """Whether no policy allows the action on what the message shows of the resource: then it does
    not matter what it hides."""
    shown = _HIDES.sub("*", refusal.resource or "")
    return refusal.arn is not None and not refusal.explicit and not any(
        one.effect == "Deny" or _allows_some(one, shown)
        for one in explanation.considered
        if one.kind in _looked_at(refusal) and (one.effect == "Allow" or one.matched)
    )  # fmt: skip


def _looked_at(refusal: Refusal) -> tuple[str, ...]:
    """The kinds of policies of which one has to allow it: where AWS names that of what was asked
    for, none of the caller's own helps."""
    return ("resource",) if refusal.layer == "resource-based policy" else ("identity", "boundary")


def _allows_some(one: Considered, shown: str) -> bool:
    """Whether an Allow of the action may name a resource of which this is shown."""
    if any(failure.element.endswith("Action") for failure in one.failures):
        return False
    by_resource = [failure for failure in one.failures if failure.element == "Resource"]
    return not by_resource or any(meet(wanted, shown) for wanted in by_resource[0].wanted)


def _on_what(refusal: Refusal, explanation: Explanation) -> Iterable[str]:
    """The statements that allow the action on something, where the message names no resource."""
    for one in explanation.considered:
        if one.effect != "Allow" or [each.element for each in one.failures] != ["Resource"]:
            continue
        named = one.failures[0].wanted
        sure = is_implicit(refusal) and one.kind in _KINDS.get(refusal.layer, ())
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
        or not explanation.considered
        or any(
            one.effect == "Allow" and not any(f.element.endswith("Action") for f in one.failures)
            for one in explanation.considered
        )
    ):
        return ""
    lacks = ": such an Allow is what lacks" * is_implicit(refusal)
    return f". None of the caller's own policies allows {refusal.action} on anything{lacks}"


def _denied_anyhow(refusal: Refusal, explanation: Explanation) -> bool:
    """Whether a Deny applies, whatever the keys were that the message does not carry."""
    return any(
        one.effect == "Deny" and one.matched and not _untold(refusal, one)
        for one in explanation.considered
        if one.kind in _KINDS.get(refusal.layer, (one.kind,))
    )


def deciding(refusal: Refusal, explanation: Explanation) -> tuple[Considered, ...]:
    """The Denies of which one decided, by a key that the message does not carry, where AWS names
    their kind of policy; none where it may be another that is not looked at."""
    if not refusal.explicit or refusal.layer not in _KINDS or is_hidden(refusal):
        return ()
    can = tuple(
        one for one in explanation.considered
        if one.effect == "Deny" and one.kind in _KINDS[refusal.layer] and all(
            failure.unsupported or is_unknown(refusal, failure)
            or (refusal.role == CALLER and failure.element.endswith("Principal"))
            for failure in one.failures
        )
    )  # fmt: skip
    failures = [failure for one in can for failure in one.failures]
    open_ones = all(_untold(refusal, one) for one in can)
    return can if open_ones and all(f.key and not f.unsupported for f in failures) else ()


def held(refusal: Refusal, one: Considered) -> Considered:
    """A Deny as it applied, whatever the keys were that the message does not carry."""
    told = [each for each in one.held if _known(refusal, each.key, each.actual, each.wanted)]
    untold = (Held(operator or "", key, wanted, ("what it denies",))
              for key, operator, wanted in _untold(refusal, one))  # fmt: skip
    return replace(one, failures=(), held=(*told, *untold))


def decided(refusal: Refusal, denies: Sequence[Considered]) -> str:
    """That it is this Deny or one of these, and what a request has to be to meet none."""
    article = "an" if refusal.layer.startswith("identity") else "a"
    found = []
    for one in denies:
        conditions = _untold(refusal, one)
        denied = (
            _wanted(key, operator, values) + _or_none(key, operator, conditions)
            for key, operator, values in conditions
        )
        ways = dict.fromkeys(way(key) for key, operator, values in conditions
                             if _denies_others(operator, values))  # fmt: skip
        found.append(
            f"statement {one.statement} of {one.policy} denies what comes with "
            f"{' and '.join(denied)}, and does not apply to a request with "
            + " or ".join(_other(*each) for each in conditions)
            + "".join(f"; {one}" for one in ways if one).format(resource=refusal.resource)
        )
    which = "this one alone can be it" if len(found) == 1 else (
        "it is one or more of these, and the request has to be outside of each of them (AWS's "
        f"message does not carry the request's value: {_where(refusal)})"
    )  # fmt: skip
    return (
        f"AWS says that a Deny in {article} {refusal.layer} decided, and of those looked at "
        f"{which}: {'; '.join(found)}"
    )


def _other(key: str, operator: str | None, values: Sequence[str]) -> str:
    """What a key is where a condition on it does not hold."""
    if operator == "Null":
        return _wanted(key, operator, ["false" if values[0].lower() == "true" else "true"])
    if (operator or "").startswith("Bool") and len(values) == 1:
        return f"{key} {'false' if values[0].lower() == 'true' else 'true'}"
    listed = " or ".join(values)
    if _denies_others(operator, values):
        return f"{key} {listed}"
    return f"a {key} that is not ({operator}) {listed}"


def _untold(refusal: Refusal, one: Considered) -> list[_Condition]:
    """The conditions of a statement on keys that the message does not carry."""
    found: list[_Condition] = [(each.key, each.operator, each.wanted)
                               for each in one.failures if each.key]  # fmt: skip
    return found + [(each.key, each.operator, each.wanted) for each in one.held
                    if not _known(refusal, each.key, each.actual, each.wanted)]  # fmt: skip


def hinging(refusal: Refusal, explanation: Explanation, effect: str, verb: str) -> Iterable[str]:
    """The statements that apply or not by a key that the message does not carry."""
    for one in explanation.considered:
        if one.effect != effect or one.kind not in _KINDS.get(refusal.layer, (one.kind,)):
            continue
        if not all(is_unknown(refusal, failure) for failure in one.failures):
            continue
        conditions = _untold(refusal, one)
        if conditions:
            wanted = " and ".join(
                _wanted(key, operator, values) + _or_none(key, operator, conditions)
                for key, operator, values in conditions
            )
            ways = dict.fromkeys(
                way(key) for key, operator, values in conditions
                if effect == "Allow" or _denies_others(operator, values)
            )  # fmt: skip
            how = "".join(f"; {one}" for one in ways if one)
            if _asks_for_all(refusal) and any("tag/" in key.lower() for key, _, _ in conditions):
                how = (
                    "; the request asks for all of them, which has no tag: allow it without this "
                    "condition, or ask for one by its name"
                )
            yield (
                f"statement {one.statement} of {one.policy} {verb} {wanted}; AWS's message does "
                f"not carry the request's value: {_where(refusal)}"
                + how.format(resource=refusal.resource or "what was asked for")
            )


def _where(refusal: Refusal) -> str:
    """Where the values are that a message does not tell."""
    if not refusal.encoded:
        return "compare it with the request"
    return (
        "its encoded part does, which aws sts decode-authorization-message --encoded-message ... "
        "prints (it needs sts:DecodeAuthorizationMessage): paste that in place of the message"
    )


def _asks_for_all(refusal: Refusal) -> bool:
    """Whether a list was asked for, and no one resource."""
    name = refusal.action.partition(":")[2]
    return (refusal.resource or "").endswith("*") and name.startswith(("Describe", "List"))


def _for_something_else(refusal: Refusal, explanation: Explanation) -> Iterable[str]:
    """Statements that fail for what is known, and have conditions of which nothing is known."""
    for one, open_ones in _near(refusal, explanation):
        if unmet := [each for each in open_ones if each.key and not _fulfilling(each)]:
            wanted = " and ".join(_wanted(str(each.key), each.operator, each.wanted)
                                  for each in unmet)  # fmt: skip
            yield (
                f"statement {one.statement} of {one.policy} allows {refusal.action} for other "
                f"requests, and with {wanted} alone; AWS's message does not carry the request's "
                f"value, so no change is proposed: {_where(refusal)}"
            )


def _near(refusal: Refusal, explanation: Explanation) -> Iterable[tuple[Considered, list[Failure]]]:
    """Statements that allow the action, and fail for something known besides conditions on keys
    that the message does not carry, which stand beside each."""
    for one in explanation.considered:
        open_ones = [failure for failure in one.failures if is_unknown(refusal, failure)]
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


def _denies_others(operator: str | None, wanted: Sequence[str]) -> bool:
    """Whether a Deny with it excepts the requests that have the value, or the key."""
    base = operator or ""
    without = {"Bool": "false", "BoolIfExists": "false", "Null": "true"}.get(base)
    return "Not" in base or (without is not None and [one.lower() for one in wanted] == [without])


def _true_without(operator: str | None, wanted: Sequence[str]) -> bool:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"""
    operator = operator or ""
    if operator == "Null":
        return "true" in wanted
    if operator.endswith("IfExists") or operator.startswith("ForAllValues:"):
        return True
    return "Not" in operator and not operator.startswith("ForAnyValue:")


def assumed(refusal: Refusal, explanation: Explanation | None) -> dict[str, tuple[str, ...]]:
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


def assumptions(refusal: Refusal, granted: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    """What was assumed, in words."""
    for key, value in granted.items():
        assumed = "that the request had it" if value == _THERE else value[0]
        told = f"; {_where(refusal)}" * refusal.encoded
        yield f"AWS's message does not say what {key} was; {assumed} is assumed{told}"
