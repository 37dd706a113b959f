"""What a text tells in words of its own: actions that are lacking, where no known words of AWS's
are; the role that a command asks for, the line of code that fails, whose token a job signs in
with, and that a right was only just written."""

from __future__ import annotations

import re

from scripts.iam.denial.reading import by_name
from scripts.iam.denial.reading.calls import action_of
from scripts.iam.reference import MOST_TOGETHER, besides, judged, only_star, resources, spelled

_ACTION = re.compile(r"(?<![\w:/.-])[a-z][\w-]*:[A-Z]\w+(?![\w:/…])")
LACKS = re.compile(
    r"permission|privilege|(?:un|not )authori[sz]ed|denied|forbidden|not allowed|insufficient",
    re.IGNORECASE,
)
_ROLE = re.compile(r"arn:[\w-]+:iam::[^\s:]*:(?:role|user)/[\w+=,.@/-]*[\w+=,@/-]")
_NEAR = 200
# What a list of checked rights puts before one that is there.
_HAS = re.compile(r"(?:\b(?:OK|PASS(?:ED)?)\b|[✓✔✅])[\]):\s-]*$")


_DENY = re.compile(r"\bexplicit(?:ly)? den(?:y|ied)\b", re.IGNORECASE)
_DENIED = (
    ". The text speaks of an explicit deny: where a statement denies it no Allow lifts that, and "
    "the statement's own conditions tell which requests it leaves alone (of a role that is made, "
    "one with the boundary that it asks for)"
)


def actions(words: str) -> tuple[str, ...]:
    """The actions that a text names near words for a right that lacks."""
    return tuple(
        dict.fromkeys(
            spelled(found[0])
            for found in _ACTION.finditer(words)
            if judged(found[0])
            and not _HAS.search(words, max(0, found.start() - 12), found.start())
            and LACKS.search(words, max(0, found.start() - _NEAR), found.end() + _NEAR)
        )
    )


def of_text(plain: str) -> str | None:
    """The part of a text that names such actions."""
    places = [found for found in _ACTION.finditer(plain) if found and judged(found[0])]
    if not places or not actions(plain):
        return None
    return plain[max(0, places[0].start() - _NEAR) : places[-1].end() + _NEAR].strip()


def role(words: str) -> str | None:
    """The only role or user that the text names, but for one that a call is to become."""
    found = set(_ROLE.findall(words))
    if "sts:AssumeRole" in words:
        found -= set(roles_asked(words))
    return found.pop() if len(found) == 1 else None


def cause(words: str) -> str | None:
    """What lacks by the text; None where it names no action."""
    asked = actions(words)
    if not asked:
        return None
    who = role(words) or "whoever made the call (or the role that it handed on)"
    on = "; ".join(f"{one} names {what}" for one in asked[:4] if (what := by_an_allow(one)))
    it = "it" if len(asked) == 1 else "each"
    return (
        "the text is none of AWS's words that are known here, and beside its words on permissions "
        f"it names {', '.join(asked)}: if that is what was refused, {who} needs {it} by policies "
        f"of its own, with nothing against it; what else the text asks for counts as well"
        + _DENIED * bool(_DENY.search(words))
        + (f". An Allow of {on}" if on else "")
    )


def by_an_allow(action: str) -> str:
    """What a policy names that allows an action, by AWS's reference; "" if that is not known."""
    if only_star(action):
        return "*"
    arns, (required, optional) = _written(action), besides(action)
    if not 0 < len(required) <= MOST_TOGETHER:
        none = ", or * where the call touches none of these" * bool(arns and not required)
        return "one or more of " * (len(arns) > 1) + _first(arns) + none
    touched = f", and what the call touches of {_first(optional)}" if optional else ""
    return "what the call touches of " * (len(arns) > 1) + ", ".join(arns) + touched


# What most requests are for, where an action has many kinds of resources.
_USUAL = ("foundation-model/", ":inference-profile/")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
_OF_TAGS = ("logs:tagresource", "logs:untagresource", "logs:listtagsforresource")


def _written(action: str) -> tuple[str, ...]:
    """The action's ARNs as policies have them: a log group's ends in a star, but for its tags."""
    star = "" if action.lower() in _OF_TAGS else ":*"
    arns = (by_name.of_the_new(action, one) for one in resources(action))
    arns = (f"{one}{star * one.endswith(':log-group:<LogGroupName>')}" for one in arns)
    return tuple(sorted(arns, key=lambda one: not any(kind in one for kind in _USUAL)))


def _first(arns: tuple[str, ...]) -> str:
    more = f" and {len(arns) - 4} kinds more" * (len(arns) > 4)
    return f"{', '.join(arns[:4])}{more}"


# What anybody says of a refusal, in whatever words.
_REFUSAL = re.compile(
    r"\b(?:un|not )authori[sz]ed\b|(?:access|permissions?) (?:is |was |has been )?denied\b"
    r"|\bdon.t have (?:\w+ ){0,3}permissions?\b|\bforbidden\b"
    r"|\bno(?:t have|t have the)? (?:\w+ ){0,3}permissions?\b"
    r"|\b(?:insufficient|missing|required|lacks?) (?:\w+ ){0,2}(?:permission|privilege|right)s?\b",
    re.IGNORECASE,
)


def refusal(plain: str) -> str | None:
    """The words around the first that speak of a refusal at all; None if none do."""
    found = _REFUSAL.search(plain)
    if found is None:
        return None
    start, end = max(0, found.start() - 2 * _NEAR), found.end() + 2 * _NEAR
    before, after = plain[start : found.start()], plain[found.end() : end]
    # No word is cut, as half a name is another name.
    before = before.partition(" ")[2] if start else before
    after = after.rpartition(" ")[0] if end < len(plain) else after
    return f"{before}{found[0]}{after}".strip()


def caller(words: str) -> str | None:
    """The only role or user that the text names, as a caller."""
    found = role(words)
    if found is None or ":user/" in found:
        return found
    partition, account = found.split(":")[1], found.split(":")[4]
    return f"arn:{partition}:sts::{account}:assumed-role/{found.rpartition('/')[2]}/session"


# As the CLI, profiles, SDKs, the action for GitHub and policies write the role to assume.
_ASKED = re.compile(
    r"(?:--role-arn|role[-_]?to[-_]?assume|AWS_ROLE_ARN|\b(?:role_?arn|Resource))[\"']?\s*"
    r"(?:=>|[:=\s])[\s\[\"']*"
    r"(?P<role>arn:[\w-]+:iam::[^:\s]{1,40}:role/[\w+=,.@/-]*[\w+=@/-])",
    re.IGNORECASE,
)
# A method of a client's.
_METHOD = re.compile(r"(?<=[\w)])\.(?P<call>[A-Za-z][A-Za-z\d_]{5,60})\(")
# What whoever reports it writes behind the line that fails.
_FAILS = re.compile(
    r"(?://|#|<-|\u2190|--).{0,40}\b(?:fail|error|den(?:y|ied)|throw|exception|403|crash|here)",
    re.IGNORECASE,
)
_OF_GITHUB = re.compile(
    r"\bwith OIDC: .{0,40}AssumeRoleWithWebIdentity|configure-aws-credentials", re.DOTALL
)
_MAY_ASK = re.compile(r"\bid-token[\"']?: *[\"']?write\b")
_RIGHTS = r"(?:IAM|permissions?|polic(?:y|ies)|roles?|rights?|grants?)"
_LATE = re.compile(
    rf"\b{_RIGHTS}\b[^\n]{{0,60}}\b(?:propagat(?:ed?|es|ion|ing)\b|eventual(?:ly)? consisten)"
    rf"|\b(?:propagat(?:ion|ing)|eventual(?:ly)? consisten\w+)\b[^\n]{{0,30}}\b{_RIGHTS}\b"
    r"|\b(?:second|2nd|next) (?:apply|run|try|attempt|deploy(?:ment)?|time)\b[^.\n]{0,30}?"
    r"(?<!not )(?<!n't )(?<!never )\b(?:works?|worked|succeeds?|succeeded|passe[sd])\b"
    r"|\b(?:re-?run(?:ning)?|re-?apply(?:ing)?|retry(?:ing)?|(?:run|runn|apply|deploy|try)(?:ing)? "
    r"(?:it )?again)\b[^.\n]{0,30}?(?<!not )(?<!n't )(?<!never )\b(?:works?|worked|succeeds?"
    r"|succeeded|passe[sd])\b",
    re.IGNORECASE,
)

# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
LATE = (
    "the text speaks of rights that do not count at once, and IAM's changes take seconds, "
    "sometimes minutes, until they count everywhere: if the Allow is there and was written just "
    "before the call, wait and make the call again, and change nothing"
)
# https://github.com/aws-actions/configure-aws-credentials/blob/main/src/index.ts
OF_GITHUB = (
    "in a job with id-token: write configure-aws-credentials signs in with GitHub's own token "
    "(issuer token.actions.githubusercontent.com), not as the role or service account that its "
    "runner has, unless it is given access keys, web-identity-token-file or role-chaining: so "
    "GitHub's provider has to be in the account of role-to-assume, and that role's trust policy "
    "has to let that token in"
)


def roles_asked(text: str) -> tuple[str, ...]:
    """The roles that the text's commands, profiles and programs ask to become or hand on."""
    return tuple(dict.fromkeys(one["role"] for one in _ASKED.finditer(text)))


def is_late(text: str) -> bool:
    """Whether the text speaks of a right that was written and did not count yet."""
    return _LATE.search(text) is not None


def is_of_github(text: str) -> bool:
    """Whether a job that may ask for GitHub's token uses AWS's action for signing in."""
    return bool(_OF_GITHUB.search(text) and _MAY_ASK.search(text))


def call_in_code(text: str, words: str) -> str:
    """The method of the refusing service's client that the text's code has: the one on a line
    that is marked as failing, or the only one. "" if there is none."""
    asked = by_name.services(words)
    if len(asked) != 1:
        return ""
    (service,) = asked
    found = [
        (one["call"], bool(_FAILS.search(line, one.end())))
        for line in text.split("\n")
        for one in _METHOD.finditer(line)
        if action_of(service, _operation(one["call"]))
    ]
    fails = {call for call, marked in found if marked} or {call for call, _ in found}
    return fails.pop() if len(fails) == 1 else ""


def _operation(method: str) -> str:
    return "".join(one[:1].upper() + one[1:] for one in method.split("_"))
