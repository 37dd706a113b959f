"""The call that a text names beside a refusal, by AWS's own names of services and actions alone.

It knows nobody's words: tools, SDKs and stacks write the names of services, calls and types of
resources in their own ways, and the reference tells which action they can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from scripts.iam.reference import called, of_call, only_star, reading, resources, service
from scripts.iam.requests.dependents import passes_role

_REFUSED = re.compile(
    r"Access ?Denied|Unauthorized|[Ff]orbidden|[Nn]ot ?[Aa]uthori[sz]ed|\b403\b|[Pp]ermission"
    r"|Access to the resource https"  # SQS's own words
)
# Where a service stands that was asked.
_SERVICES = tuple(
    re.compile(words)
    for words in (
        r"\(Service: (?:Amazon|AWS)?(?P<name>[\w ]+?)(?: Service)?[,;)]",
        r"operation error (?P<name>[\w ]+):",
        r"@aws-sdk/client-(?P<name>[\w-]+)",
        r"\bservices\.(?P<name>\w+)\.",
        r"\b(?:Amazon|AWS)(?P<name>[A-Z]\w*?)Exception\b",
        r"aws-sdk/lib/services/(?P<name>\w+)\.js|clients/(?P<js>\w+)\.js",
        r"\bboto/(?P<name>\w+)/|\bboto3?\.(?:client|resource)\(['\"](?P<client>[\w-]+)",
        r"\bAws::(?P<name>\w+)::|\bAmazon\.(?P<net>\w+)\.Amazon",
        r"https?://(?:[\w-]+\.)??(?P<name>[a-z][a-z\d-]+?)(?:[.-][a-z]{2}(?:-[a-z]+)+-\d)?\."
        r"amazonaws\.com",
        r"https://(?P<name>\w+)\.amazonaws\.com/doc/",
        r"\b(?:Amazon|AWS)?(?P<name>[A-Z]\w*?)Client\b|\bnew AWS\.(?P<js>\w+)\(",
        r"\baws (?P<name>[a-z][a-z\d-]+) [a-z]+-[a-z]",
        r"\[output:(?P<name>[a-z\d]+(?:_[a-z\d]+)?):|\((?P<pair>[a-z\d-]+), [a-z]+(?:_[a-z\d]+)+\)",
    )
)
# Terraform's, Pulumi's and SQL's names for a type of resource.
_TYPES = re.compile(r"\baws_(?P<snake>[a-z\d_]+)\b|\baws:(?P<package>\w+)/\w+:(?P<type>[A-Z]\w+)")
_TOKEN = re.compile(
    r"(?<![\w/:])[A-Za-z][A-Za-z\d_]{5,60}(?!\w)|\baws [a-z\d-]+ [a-z]+(?:-[a-z\d]+)+"
)
_BESIDE = re.compile(r"\b([A-Z]\w+)[ .]$")  # a service in front of its call
_MAKES = re.compile(
    r"[\w-]+:(?:Create|Update|Modify|Run|Start|Register|Restore|Copy|Import|Associate|Request"
    r"|Submit|POST|PUT)"
)
# Of the others those alone that AWS's reference has iam:PassRole beside: many write data.
_NEW = re.compile(r"[\w-]+:(?:Create|Run|Register|Restore|Copy|Import|Request|Submit|POST)")
_ENDS = re.compile(r"(?:Command|Request|Async|Operation|Input|Error|Exception)+$")
_HUMPS = re.compile(r"[A-Z][a-z\d]*|[a-z\d]+")
_PHRASE = re.compile(
    r"\b(?P<verb>[Cc]reat(?:e|ing)|[Rr]ead(?:ing)?|[Uu]pdat(?:e|ing)|[Mm]odify(?:ing)?"
    r"|[Dd]elet(?:e|ing)|[Dd]estroy(?:ing)?|[Pp]ut(?:ting)?|[Gg]et(?:ting)?|[Ss]et(?:ting)?"
    r"|[Ll]ist(?:ing)?|[Dd]escrib(?:e|ing)|[Aa]ttach(?:ing)?|[Dd]etach(?:ing)?|[Ee]nabl(?:e|ing)"
    r"|[Vv]alidat(?:e|ing)|[Qq]uery(?:ing)?|[Ff]etch(?:ing)?|[Rr]etriev(?:e|ing)|[Ff]ind(?:ing)?"
    r"|[Rr]egister(?:ing)?|[Ss]tart(?:ing)?|[Ss]top(?:ping)?|[Ss]end(?:ing)?|[Rr]eceiv(?:e|ing)"
    r"|[Pp]urg(?:e|ing)|[Ii]nvok(?:e|ing)) (?:the |an? |new )?(?:AWS |Amazon )?"
    r"(?P<thing>[A-Za-z][A-Za-z\d]*(?: [A-Za-z\d]+){0,5}?)"
    r"(?=[,:]? \(|[,:.] | \"|['\"]| for | in | on | with | from | to | failed"
    r"|,? (?:Unauthorized|AccessDenied|api error|operation error))"
)
# "is not authorized to create partitions on Glue catalog"
_MAY = re.compile(r"(?:not authorized|unauthorized|permissions?) to $")
_OF = re.compile(r" (?:on|in) (?:the |an? )?(?:AWS |Amazon )?(?P<name>[A-Z]\w+)")
# What a tool puts behind a part of a thing: "VPC (vpc-1) Attribute (name)".
_NAMED = re.compile(r"(?<=[a-z\d]) \((?!Service)[^()\s]{1,120}\)(?= [A-Z]|:)", re.IGNORECASE)
_VERBS = {
    "crea": ("Create", "Put", "Run", "Register", "Request"),
    "upda": ("Update", "Modify", "Put"),
    "modi": ("Modify", "Update"),
    "dele": ("Delete", "Remove", "Deregister", "Terminate"),
    "dest": ("Delete", "Remove", "Deregister", "Terminate"),
    "list": ("List", "Describe"),
    "set": ("Set", "Put", "Modify"),
    "sett": ("Set", "Put", "Modify"),
}
# Calls that need no right, whatever the policies say.
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
_FREE = ("sts:GetCallerIdentity", "sts:GetSessionToken")
# Whoever reads a thing may call several that begin so.
_READ = ("get", "describe", "list")
# EC2's code, where it is no word of a sentence.
OF_EC2 = re.compile(r"\bUnauthorizedOperation\b(?! (?:errors?|or|and)\b)")
MOST = 4
"""More calls than that tell nothing."""


@lru_cache(64)
def actions(words: str) -> tuple[str, ...]:
    """The actions that the calls need which the words name, the nearest to the refusal first."""
    if not (refused := _REFUSED.search(words)):
        return ()
    asked = services(words)
    for kind in (_phrases, _tokens, _types):
        found = [*kind(words, asked)]
        # What stands behind a refusal may be the next one's.
        found = [one for one in found if one[0] < refused.start()] or [
            one for one in found if not _REFUSED.search(words, one[0])
        ]
        near = sorted(found, key=lambda one: abs(one[0] - refused.start()))
        told = (action for _, some in near for action in some if action not in _FREE)
        if several := tuple(dict.fromkeys(told)):
            return several
    return ()


def refuses(words: str) -> bool:
    """Whether the words speak of a refusal."""
    return _REFUSED.search(words) is not None


def action(words: str) -> str:
    """The one action that the words name; "" if none or several."""
    found = actions(words)
    return found[0].partition(" ")[0] if len(found) == 1 else ""


def cause(words: str) -> str | None:
    """What was refused, by those names; None if they tell nothing."""
    found = actions(words)
    if not found or len(found) > MOST:
        return None
    unsaid = "whether an Allow is lacking or a policy denies it"
    if len(found) > 1:
        return (
            "the message does not say which call was refused; the names that stand beside it fit "
            f"calls that need {', '.join(map(_on, found[:-1]))} or {_on(found[-1])}. Which, "
            f"and {unsaid}, is not told"
        )
    return (
        f"the names that stand beside the refusal fit a call that needs {_on(found[0])}; whether "
        f"it was that call, and {unsaid}, is not told{handed_on(found[0])}"
    )


def _on(action: str) -> str:
    """Where; of API Gateway, whose actions are methods, the path stands behind the method."""
    method, _, where = action.partition(" ")
    if where:
        return f"{method} on arn:aws:apigateway:REGION::{where}"
    if only_star(action):
        return f"{action} on *, as it takes no resource"
    arns = tuple(of_the_new(action, one) for one in resources(action))
    both = " or both" * (len(arns) > 1)  # alternatives, or each of them: the reference does not say
    return f"{action} on {' or '.join(arns)}{both}" if 0 < len(arns) < 3 else action


_MADE = re.compile(r"[\w-]+:(?:Create|Run|Allocate|Import|Copy|Request)(?P<thing>[A-Z]\w+)")


def of_the_new(action: str, form: str) -> str:
    """An ARN's form with a star for the id that what the action makes does not have yet."""
    makes = _MADE.fullmatch(action)
    last = re.search(r"<(\w+)Id>$", form)
    made = makes and last and makes["thing"].rstrip("s").startswith((last[1], "Fleet"))
    return f"{form[: last.start()]}*" if made and last else form


def of_several(operation: str) -> tuple[str, ...]:
    """The actions that a call of that name can need, where some services, not many, have one."""
    found = called(operation)
    return found if 1 < len(found) <= MOST else ()


def handed_on(action: str) -> str:
    """What a call besides may need rights for, if it is one that makes or changes a thing."""
    if not _MAKES.match(action) or not (_NEW.match(action) or passes_role(action)):
        return ""
    return ". What the call hands on (a role: iam:PassRole, a key) may need rights of its own"


@lru_cache(64)
def services(words: str) -> frozenset[str]:
    """The services that a text names where one that was asked stands."""
    if OF_EC2.search(words):
        return frozenset(("ec2",))
    names = (
        name for pattern in _SERVICES for one in pattern.finditer(words) for name in one.groups()
    )
    return frozenset(found for name in names if name and (found := service(name)))


def _phrases(words: str, asked: frozenset[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """A verb and a thing, "creating Lambda Function": of a chain of them the last before the
    refusal alone, whether it tells anything or not."""
    words = _NAMED.sub("", words)
    refused = _REFUSED.search(words)
    found = [*_PHRASE.finditer(words)]
    before = [one for one in found if refused and one.end() <= refused.start() + 1]
    told = [one for one in found if _MAY.search(words, 0, one.start())]
    for one in told[:1] or before[-1:]:
        of = _OF.match(words, one.end())
        own = frozenset((service(of["name"]),)) - {""} if of else frozenset()
        yield one.start(), _of_thing(_verbs(one["verb"]), one["thing"].split(), own or asked)


def _types(words: str, asked: frozenset[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Types of resources, with the verb that stands beside them, if one does."""
    refused = _REFUSED.search(words)
    near = [*_PHRASE.finditer(words, 0, refused.start() + 1 if refused else len(words))]
    verb = near[-1] if near else _PHRASE.search(words)
    verbs = _verbs(verb["verb"]) if verb else _READ
    for found in _TYPES.finditer(words):
        parts = found["snake"].split("_") if found["snake"] else [
            found["package"], *_HUMPS.findall(found["type"])
        ]  # fmt: skip
        yield found.start(), _of_thing(verbs, parts, asked)


def _tokens(words: str, asked: frozenset[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The names of calls, as one word."""
    for found in _TOKEN.finditer(words):
        token, of = found[0], asked
        if token.startswith("aws "):
            _, name, token = token.split(" ")
            of = frozenset((service(name),)) - {""}
        if beside := _BESIDE.search(words, max(0, found.start() - 30), found.start()):
            of = frozenset((service(beside[1]),)) - {""} or of
        if not of and not token[0].isupper():
            continue  # a program's own names
        told = [one for name in _spellings(token) for one in _owned(name, of)]
        if len(told) == 1 and len(_HUMPS.findall(token)) > 1:
            yield found.start(), tuple(told)


def _spellings(token: str) -> tuple[str, ...]:
    whole = _ENDS.sub("", re.sub(r"[_-]", "", token))
    # The first SDK for Python has get_all_instances for DescribeInstances.
    rest = re.sub(r"^getall", "", whole)
    return (whole,) if rest == whole else (f"describe{rest}", f"list{rest}")


def _owned(name: str, asked: frozenset[str]) -> tuple[str, ...]:
    found = called(name)
    if asked:
        return tuple(one for one in found if one.partition(":")[0] in asked)
    # Of no service that is told: a call of an API that no other has.
    alone = {of_call(one.partition(":")[2]) for one in found}
    return tuple(one for one in found if " " in one or one in alone)


def _verbs(verb: str) -> tuple[str, ...]:
    if verb.lower().startswith(("get", "read", "valid", "query", "fetch", "retr", "find")):
        return _READ
    whole = re.sub(r"(?:(?<=p)ping|(?<=t)ting|ing|e)$", "", verb.lower())
    return _VERBS.get(verb.lower()[:4], (whole, f"{whole}e"))


def _of_thing(verbs: tuple[str, ...], parts: list[str], asked: frozenset[str]) -> tuple[str, ...]:
    """The actions of a verb's on a thing whose name may begin with its service's."""
    alone = not asked and len(_HUMPS.findall(" ".join(parts))) == 1  # "create action" is no name
    for cut in range(min(len(parts) - 1, 4), -1, -1):
        own = service("".join(parts[:cut])) if cut else ""
        if (cut or alone) and not own:
            continue
        thing = "".join(parts[cut:]).lower()
        if verbs == _READ:
            wanted = frozenset((own,)) if own else asked
            if some := tuple(one for prefix in wanted for one in reading(prefix, thing)):
                return some
            continue
        for verb in verbs:
            for form in (thing, f"{thing}s", re.sub(r"y$", "ies", thing), thing.rstrip("s")):
                found = _owned(f"{verb}{form}", frozenset((own,)) if own else asked)
                if own and not found and cut + 1 < len(parts):
                    found = _owned(f"{verb}{form}", frozenset())  # "Cloudwatch log group"
                if len(found) == 1:
                    return found
    return ()
