"""Placeholders that nothing filled in: read as names where only a name can stand there.

`repo:${org}/${repo}:*` takes every context whatever the two names are. A placeholder for a whole
subject, a context or a list may be anything, and the policy is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.github.issuers import AUDIENCE, issuer_of
from scripts.iam.engine.conditions import compile_condition
from scripts.iam.engine.documents import PolicyError
from scripts.iam.engine.patterns import tokens
from scripts.iam.trust_lint.reading.literals import texts
from scripts.iam.trust_lint.reading.names import ACCOUNT
from scripts.names import GITHUB_HOST

# What templates, documentation and their renderers leave in a value.
PLACEHOLDER = re.compile(
    r"\$\{(?:[^{}]|\{[^{}]*\})*\}|<+[A-Za-z_][^<>]*>+|\{\{.*?\}\}|(?<!\$)\{[A-Za-z_][\w .-]*\}|%\{"
    r"|(?<!\$)\$(?:\([^()]*\)|\(|[A-Za-z_]\w*)|(?<!\w)__[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*__(?!\w)"
    # What a program formats.
    r"|%(?:\[\d+\])?[sdvq](?!\w)"
    # No repository is without its owner.
    r"|(?<=^repo:)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?=:)"
    # An account is a number.
    r"|(?<=:iam::)[A-Za-z][\w-]*(?=:(?:root\b|role/|user/))"
    # So is an id.
    r"|(?<=@)(?:\w+[_-])?(?:ID|id)(?=[/:])"
)
_ACCOUNT = "000000000000"
_OWNER, _REPOSITORY = "zq{}p", "zq{}r"
_ID = "98765432{:04}"
_MADE_UP = re.compile(
    r"(?P<both>(?P<repo>repo:)?zq(?P<two>\d+)p/zq(?P=two)r)"
    r"|(?P<held>zq(?P<with>\d+)p@8765432\d{5})"
    r"|(?P<ref>refs/heads/zq(?P<whole>\d+)f)|(?P<id>98765432(?P<number>\d{4}))|zq(?P<one>\d+)(?P<part>[pr])",
    re.IGNORECASE,
)
_OF_OTHERS = re.compile(r"zq(\d+)s")
_MARK = "\N{OBJECT REPLACEMENT CHARACTER}"
# Names that speak of another product's provider.
_OTHERS = re.compile(
    r"(?:^|[^a-z])(?:eks|irsa|cluster|kube\w*|gitlab|bitbucket|circle\w*|google|azure|tfc|hcp"
    r"|buildkite|spacelift|vercel)(?:$|[^a-z])",
    re.IGNORECASE,
)
_SHELLS = re.compile(r"\$\{\w+(?::?[-=?+]|[#%/^,])")  # ${NAME:-default}
_WORD = re.compile(r"[A-Z][A-Z0-9]*(?:[_-][A-Z0-9]+)+")
_NAME = rf"[\w.{_MARK}*?-]+"
_IN_ACCOUNT = re.compile(
    rf"(?:arn:aws:iam::)?{_MARK}(?::root)?|arn:aws:iam::(?:\d+|{_MARK}):(?:role|user)/.+"
)
_HOST = re.compile(r"([a-z0-9.-]+\.[a-z]+(?:/[\w/.-]+)?):\w+$", re.IGNORECASE)


class Open(Exception):
    """Placeholders that may stand for anything where they are, and why that matters."""

    def __init__(self, *written: str, why: str = "", others: Iterable[str] = ()) -> None:
        names, others = list(dict.fromkeys(written)), [one for one in others if one not in written]
        one = len(names) == 1
        said = f"{' and '.join(names)} {'is a placeholder' if one else 'are placeholders'} that "
        said += "nothing filled in, and "
        said += why or f"more than a name may stand in {'its place' if one else 'their places'}"
        if others:
            said += f"; nor is anything known of {' and '.join(others)}"
        super().__init__(said)


@dataclass
class Filled:
    """A policy with a name of our own for each placeholder, and what each stands for."""

    document: Mapping[str, Any]
    names: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)  # those that may stand for anything
    typed: list[str] = field(default_factory=list)  # those in the place of an address or a date
    whole: set[int] = field(default_factory=set)
    prefixes: dict[int, str] = field(default_factory=dict)
    one_repository: bool = False
    whatever: bool = False  # whether what may be anything is left out in place of being refused
    unknown: set[int] = field(default_factory=set)  # statements from which something is left out
    at: int = 0  # the statement that is being filled
    holds_id: bool = False  # whether one was taken to bring an id along
    claims: set[str] = field(default_factory=set)
    host: str = ""
    audience: str = ""
    others: list[str] = field(default_factory=list)  # those of other products' statements

    def quoted(self, text: str) -> str:
        """A text about the policy, with the placeholders as they were written."""
        text = _OF_OTHERS.sub(lambda match: self.others[int(match[1])], text)
        return _MADE_UP.sub(self._written, text).replace(_ACCOUNT, "ACCOUNT")

    def _written(self, match: re.Match[str]) -> str:
        if match["both"]:
            index = int(match["two"])
            if match["repo"] and index in self.prefixes:
                return self.prefixes[index]
            return (match["repo"] or "") + self.names[index]
        if match["held"]:
            return self.names[int(match["with"])]
        if match["ref"]:
            return self.names[int(match["whole"])]
        if match["id"]:
            index = int(match["number"])
            return self.names[index] if index < len(self.names) else match[0]
        name = self.names[int(match["one"])]
        if int(match["one"]) in self.whole:
            return f"{'owner' if match['part'] in 'pP' else 'name'}({name})"
        return name

    def told(self) -> str:
        """What was taken for granted, "" if nothing was."""
        said = []
        if len(self.names) == 1:
            said.append(f"{self.names[0]} is not filled in and was read as a name, no wildcard")
        elif self.names:
            listed = ", ".join(self.names)
            said.append(f"{listed} are not filled in and were read as names, no wildcards")
        if self.typed:
            listed = ", ".join(self.typed)
            said.append(f"{listed} stands for an address, a time or the like that is not known")
        if self.one_repository:
            said.append("those that hold a repository were taken for the same one")
        if self.holds_id:
            said.append("what stands beside an id was taken to hold its own id, too")
        if self.prefixes:
            said.append("whether the subject carries ids is not known")
        if self.host:
            said.append(f"the provider is not filled in and was taken for {self.host}")
        if self.audience:
            said.append(f"{self.audience} was taken for {AUDIENCE}")
        if not said:
            return ""
        return "; ".join(said) + "; what is filled in decides the rest, so lint the rendered policy"


def made_up(text: str) -> bool:
    """Whether a text has a name of ours in a placeholder's place."""
    return bool(_MADE_UP.search(text))


def is_placeholder(written: str) -> bool:
    """Whether `${...}` is none of IAM's policy variables."""
    if not written.startswith("${") or _SHELLS.match(written):
        return True
    try:
        tokens(written, variables=True)
    except PolicyError:
        return True
    service = written[2:].partition(":")[0].lower()
    # A trust policy knows of global keys, and of those of STS, SAML and OIDC providers.
    return service[0].isalpha() and "." not in service and service not in ("aws", "saml", "sts")


def left_in(value: Any) -> list[str]:
    """The placeholders in the keys and values of a policy."""
    return [one for text in texts(value) for one in _left(text)] + _words(value)


def _words(document: Any) -> list[str]:
    """Words in the place of a provider, which has a dot in its name, or of an address or a time."""
    if isinstance(document, list):
        return [one for item in document for one in _words(item)]
    if not isinstance(document, Mapping):
        return []
    found = [one for item in document.values() for one in _words(item)]
    for key, item in document.items():
        if key == "Federated":
            found += [one for one in _listed(item) if isinstance(one, str) and _WORD.fullmatch(one)]
        elif isinstance(item, Mapping):
            values = [one for value in item.values() for one in _listed(value)]
            found += [one for one in values if _of_type(str(key), one)]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _left(text: str) -> list[str]:
    found = [match[0] for match in PLACEHOLDER.finditer(text) if is_placeholder(match[0])]
    if not found:
        try:
            tokens(text, variables=True)
        except PolicyError:
            return [text]
    return found


def filled(
    document: Mapping[str, Any], *, one_repository: bool = False, whatever: bool = False
) -> Filled:
    """The policy with a name in place of each placeholder. Raises Open.

    With `one_repository` those that hold owner and repository all hold the same; with `whatever`
    nothing is raised: a subject that may be anything is one of our own, and other conditions and
    principals that may be anything are left out.
    """
    found = Filled(document, one_repository=one_repository, whatever=whatever)
    written = document.get("Statement")
    statements = written if isinstance(written, list) else [written]
    for _ in range(2):  # once more, with what is known by then of names that hold a slash
        done = []
        for found.at, one in enumerate(statements):
            done.append(_known(found, one) if isinstance(one, Mapping) else one)
    found.document = {**document, "Statement": done}
    if left := found.open + left_in(found.document):
        raise Open(*left, others=found.names + found.typed)
    return found


def _known(found: Filled, statement: Mapping[str, Any]) -> dict[str, Any]:
    """A statement with its names filled in; one that trusts nobody else where all is open."""
    if not found.whatever:
        return _statement(found, statement)
    try:
        made = _statement(found, statement)
        if not left_in(made):
            return made
    except Open:
        pass
    found.unknown.add(found.at)
    sid = statement.get("Sid", "")
    nobody = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": _ACCOUNT}}
    return {"Sid": sid, **nobody} if sid and not left_in(sid) else nobody


def claims_of(document: Mapping[str, Any]) -> set[str]:
    """The claims that conditions on GitHub's keys compare, the audience left out."""
    return {
        claim
        for statement in _listed(document["Statement"])
        for compared in statement.get("Condition", {}).values()
        for key in compared
        for provider, _, claim in [key.lower().rpartition(":")]
        if issuer_of(provider) is not None and claim != "aud"
    }


def without(document: Mapping[str, Any], claims: set[str]) -> dict[str, Any]:
    """The policy without the comparisons of these claims."""

    def kept(statement: Any) -> Any:
        condition = statement.get("Condition") if isinstance(statement, Mapping) else None
        if not isinstance(condition, Mapping):
            return statement
        others = {
            operator: {key: value for key, value in compared.items()
                       if key.rpartition(":")[2].lower() not in claims}
            for operator, compared in condition.items() if isinstance(compared, Mapping)
        }  # fmt: skip
        return {**statement, "Condition": {name: one for name, one in others.items() if one}}

    return {**document, "Statement": [kept(one) for one in document["Statement"]]}


def with_one(document: Mapping[str, Any], claims: set[str]) -> Iterator[Mapping[str, Any]]:
    """The policy with the comparisons of one of these claims alone, for each of them."""
    for claim in sorted(claims):
        yield without(document, claims - {claim})


def _is_others(statement: Mapping[str, Any]) -> bool:
    """Whether the provider is none of GitHub's, whatever is filled in."""
    principal = statement.get("Principal")
    several = _listed(principal.get("Federated")) if isinstance(principal, Mapping) else []
    if len(several) != 1 or not isinstance(named := several[0], str):
        return False  # of several, one may be GitHub's
    host, _, path = named.partition(":oidc-provider/")[2].partition("/")
    if host and not _left(host):
        return bool(_left(path)) and issuer_of(host) is None
    return bool(_left(named)) and _is_of_a_cluster(statement.get("Condition"))


def _is_of_a_cluster(condition: Any) -> bool:
    """Whether the subjects are service accounts of Kubernetes, which no template of GitHub's makes.

    https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
    """
    subjects = [
        value
        for compared in (condition.values() if isinstance(condition, Mapping) else ())
        for key, written in (compared.items() if isinstance(compared, Mapping) else ())
        if key.endswith(":sub")
        for value in _listed(written)
    ]
    return bool(subjects) and all(str(one).startswith("system:serviceaccount:") for one in subjects)


def _of_others(found: Filled, statement: Mapping[str, Any]) -> dict[str, Any]:
    """A statement with a word of our own in each placeholder's place."""

    def word(match: re.Match[str]) -> str:
        if match[0] not in found.others:
            found.others.append(match[0])
        return f"zq{found.others.index(match[0])}s"

    def made(value: Any) -> Any:
        if isinstance(value, str):
            return PLACEHOLDER.sub(word, value)
        if isinstance(value, Mapping):
            return {made(key): made(one) for key, one in value.items()}
        return [made(one) for one in value] if isinstance(value, list) else value

    done: dict[str, Any] = made(dict(statement))
    [named] = _listed(done["Principal"]["Federated"])
    known = named.rpartition(":oidc-provider/")[2]
    done["Principal"]["Federated"] = f"arn:aws:iam::{_ACCOUNT}:oidc-provider/{known}"
    return done


def _statement(found: Filled, statement: Mapping[str, Any]) -> dict[str, Any]:
    if _is_others(statement):
        return _of_others(found, statement)
    condition = statement.get("Condition")
    operators = condition if isinstance(condition, Mapping) else {}
    host = _host(statement, operators)
    new = {key: value for key, value in statement.items() if key != "Sid" or not left_in(value)}
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        actions = {str(one).lower() for one in _listed(statement.get("Action"))}
        saml = (
            "sts:assumerolewithsaml" in actions and "sts:assumerolewithwebidentity" not in actions
        )
        new["Principal"] = {
            kind: [_trusted(found, kind, one, host, saml=saml) for one in named]
            if isinstance(named, list)
            else _trusted(found, kind, named, host, saml=saml)
            for kind, named in principal.items()
        }
    if isinstance(condition, Mapping):
        new["Condition"] = {
            operator: _comparisons(found, operator, compared, host)
            for operator, compared in condition.items()
        }
    return new


def _host(statement: Mapping[str, Any], operators: Mapping[str, Any]) -> str:
    """The issuer that the statement names, in its provider or in its keys; "" if none."""
    principal = statement.get("Principal")
    named = principal.get("Federated", "") if isinstance(principal, Mapping) else ""
    for one in named if isinstance(named, list) else [named]:
        host = str(one).partition(":oidc-provider/")[2]
        if host and not _left(host):
            return host
    for compared in operators.values():
        for key in compared if isinstance(compared, Mapping) else ():
            if not _left(key) and (match := _HOST.match(key)) and match[1] != "aws":
                return match[1]
    text = " ".join(left_in(list(operators.values())) + left_in(named)).lower()
    return GITHUB_HOST if "github" in text else ""


def _trusted(found: Filled, kind: str, written: Any, host: str, *, saml: bool) -> Any:
    """A principal whose account, name or address is filled in."""
    if not isinstance(written, str) or not (_left(written) or _WORD.fullmatch(written)):
        return written
    if ":saml-provider/" in written or (saml and kind == "Federated"):
        return f"arn:aws:iam::{_ACCOUNT}:saml-provider/name"
    if kind == "Federated":
        return _provider(found, written, host)
    if kind == "AWS" and _IN_ACCOUNT.fullmatch(marked := _marked(written)):
        # The role's own account is no name that anybody fills in.
        known = (*found.names, ACCOUNT)
        found.names += [one for one in _left(written) if one not in known]
        marked = re.sub(rf"(^|::){_MARK}", rf"\g<1>{_ACCOUNT}", marked)
        # A principal's ARN holds no wildcard.
        return marked.replace(_MARK, "name")
    if found.whatever:
        return _ACCOUNT
    found.open += _left(written) or [written]
    return written


def _marked(written: str) -> str:
    for one in _left(written):
        written = written.replace(one, _MARK)
    return written


def _provider(found: Filled, written: str, host: str) -> str:
    known = written.partition(":oidc-provider/")[2]
    if not known or _left(known):
        if not host or (issuer_of(host) and _OTHERS.search(written)):
            raise Open(
                [*_left(known), *_left(written), written][0],
                why="which provider it is decides who gets in",
            )
        found.host = known = host
    return f"arn:aws:iam::{_ACCOUNT}:oidc-provider/{known}"


def _comparisons(found: Filled, operator: str, compared: Any, host: str) -> Any:
    if not isinstance(compared, Mapping):
        if str(compared).startswith("repo:") and (left := left_in(compared)) and not found.whatever:
            why = f"IAM refuses a Condition that has a subject where {operator} has to be an "
            raise Open(*left, why=f"{why}operator with keys (MalformedPolicyDocument)")
        return compared
    new: dict[str, Any] = {}
    for key, value in compared.items():
        try:
            name = _key(key, host)
            provider, _, claim = name.lower().rpartition(":")
            ours = issuer_of(provider) is not None
            listed = [
                _typed(found, operator, one) or _value(found, claim, one, ours=ours)
                for one in _listed(value)
            ]
        except Open:
            if not found.whatever:
                raise
            found.unknown.add(found.at)
            continue
        new[name] = listed if isinstance(value, list) else listed[0]
    return new


# What stands in the place of a value that is no text, by the operator that compares it.
_OF_TYPE = {
    "IpAddress": "203.0.113.7/32",
    "Date": "2026-01-01T00:00:00Z",
    "Numeric": "7",
    "Bool": "true",
}
_NO_VALUE = re.compile(r"(?=[a-z_-]*[g-z_])[a-z_-]{2,}|\bx\b", re.IGNORECASE)


def _typed(found: Filled, operator: str, value: Any) -> str:
    """A value of the operator's type for a word or a placeholder in its place; "" for any other."""
    known = _of_type(operator, value)
    found.typed += [value] if known and value not in found.typed else []
    return known


def _of_type(operator: str, value: Any) -> str:
    base = re.sub(r"^.*:|Not|IfExists$", "", operator)
    known = next((one for kind, one in _OF_TYPE.items() if base.startswith(kind)), "")
    if not known or not isinstance(value, str) or not (_left(value) or _NO_VALUE.search(value)):
        return ""
    try:
        compile_condition(operator, "key", (value,), variables=False)
    except PolicyError:
        return known
    return ""


def _key(key: str, host: str) -> str:
    left = _left(key)
    if not left:
        return key
    before, _, claim = key.rpartition(":")
    if not host or before not in left:
        raise Open(left[0])
    return f"{host}:{claim}"


def _value(found: Filled, claim: str, value: Any, *, ours: bool) -> Any:
    if not isinstance(value, str) or not (left := _left(value)):
        return value
    marked = _marked(value)
    if ours and claim == "aud" and marked == _MARK:
        found.audience = left[0]
        return AUDIENCE
    form = _FORMS.get(claim)
    if ours and form is not None and not form.fullmatch(marked):
        if found.whatever:
            if claim != "sub":
                raise Open(*left)
            found.unknown.add(found.at)
            return ANY_SUBJECT
        found.open += left
        return value
    found.claims.add(claim)
    return _named(found, claim, marked, left)


# Where the other name has its id, this one brings it along.
_HELD = re.compile(
    rf"repo:(?:[^/@:]+@\d+/{_MARK}(?=:).*|{_MARK}/[^/@:{_MARK}]+@[\d{_MARK}]+(?=:).*)"
)
_HELD_ID = "8765432{:05}"
ANY_SUBJECT = "repo:zq/zq:ref:refs/heads/zq"
_BEGINNINGS = {"sub": "repo:", "repository": "", "job_workflow_ref": ""}
_SPLIT = re.compile(
    r"\$\{(?:split\([\"']/[\"'],\s*([^()]+)\)|(\S+)\.split\([\"']/[\"']\))\[([01])\]\}"
)
_WHOSE = rf"{_NAME}(?:@[\d{_MARK}*]+)?"
# What may hold a name and nothing else, by claim.
_FORMS = {
    # A mark at the very end of a repository may bring a context along.
    "sub": re.compile(
        rf"(?!.*:ref:refs/{_MARK})repo:(?:{_MARK}:(?!{_MARK}).+|{_WHOSE}/(?:{_WHOSE}:(?!{_MARK}).+|[^:]*[^:{_MARK}]))"
        # The repository with its repo: in front, or what a template put there.
        rf"|{_MARK}:(?:(?:ref|environment):.+|pull_request|\*)"
    ),
    "repository": re.compile(rf"{_MARK}|{_NAME}/{_NAME}"),
    "ref": re.compile(rf"{_MARK}|refs/(?!{_MARK}).+"),
    "job_workflow_ref": re.compile(
        rf"(?:{_MARK}|.+/.+)/\.github/workflows/[^@]+@(?!{_MARK}).*|.+/.+/\*"
    ),
    **dict.fromkeys(("repository_id", "repository_owner_id", "enterprise_id", "actor_id"),
                    re.compile(_MARK)),
}  # fmt: skip


def _named(found: Filled, claim: str, marked: str, left: list[str]) -> str:
    """A value with our names in the marks' places, in the form that each place has."""
    rest = iter(left)
    done = ""
    for position, letter in enumerate(marked):
        if letter != _MARK:
            done += letter
            continue
        written, behind = next(rest), marked[position + 1 : position + 2]
        if written == ACCOUNT:
            done += _ACCOUNT
            continue
        part = _SPLIT.fullmatch(written)
        if part:
            written = f"${{{part[1] or part[2]}}}"
        if written not in found.names:
            found.names.append(written)
        index = found.names.index(written)
        begins = _BEGINNINGS.get(claim) == done
        slash = behind in ("", ":") or marked[position + 1 :].startswith("/.github/")
        prefix = claim == "sub" and not done
        known = index in found.whole and claim not in _FORMS and marked == _MARK
        if part:
            found.whole.add(index)
            done += (_OWNER, _REPOSITORY)[int(part[3])].format(index)
        elif known or (begins and slash) or prefix:
            found.whole.add(index)
            one = min(found.whole) if found.one_repository else index
            if prefix:
                found.prefixes[one] = written
                done += "repo:"
            done += f"{_OWNER.format(one)}/{_REPOSITORY.format(one)}"
        elif claim.endswith("_id") or (claim == "sub" and done.endswith("@")):
            done += _ID.format(index)
        elif (claim == "ref" and not done) or done.endswith(":ref:"):
            done += f"refs/heads/zq{index}f"
        elif claim == "sub" and _HELD.fullmatch(f"{done}{_MARK}{marked[position + 1 :]}"):
            found.holds_id = True
            done += f"{_OWNER.format(index)}@{_HELD_ID.format(index)}"
        else:
            done += _OWNER.format(index)
    return done
