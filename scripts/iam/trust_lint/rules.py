"""What a rule is given, and the rules on who else gets in: owners, repositories, names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from scripts.github import subjects
from scripts.github.issuers import AUDIENCE, Issuer
from scripts.iam.engine.documents import Condition
from scripts.iam.trust_lint.decide import who
from scripts.iam.trust_lint.decide.automata import Operand, either, text
from scripts.iam.trust_lint.decide.openness import Openness
from scripts.iam.trust_lint.decide.search import Asked, Token
from scripts.iam.trust_lint.decide.statement import LIKE, Trusting
from scripts.iam.trust_lint.findings import Finding, Severity
from scripts.iam.trust_lint.fixes import Fix, without


@dataclass(frozen=True)
class Setting:
    """What is known beside the policy: where it stands and what it is meant to accept.

    `subjects` are the intended ones, if the user names them; `immutable` says that every
    repository has subjects with ids, `with_ids` names those known to have them (owner/name);
    `client_ids` are the audiences that providers list, by their address, where that is known;
    `writes` is what the role may change or read of secrets, None if unknown; `github_only` passes
    over providers that are not GitHub's; `unknown` are statements that may let anybody in.
    """

    origin: str
    subjects: tuple[str, ...] = ()
    immutable: bool = False
    with_ids: frozenset[str] = frozenset()
    audiences: tuple[str, ...] = (AUDIENCE,)
    client_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    writes: tuple[str, ...] | None = None
    github_only: bool = False
    unknown: frozenset[str] = frozenset()


class Linted(Openness):
    """A statement under the rules: what it lets in, in which setting."""

    def __init__(self, one: Trusting, issuer: Issuer, setting: Setting) -> None:
        super().__init__(one, issuer, setting.client_ids.get(one.host, ()))
        self.setting = setting

    @cached_property
    def reach(self) -> who.Reach:
        """Whom it lets in."""
        return who.reach(self)

    def finding(
        self,
        rule: str,
        message: str,
        who: str,
        fix: Fix | str,
        token: Token | None = None,
        weight: Severity | None = None,
    ) -> Finding:
        """A finding about the statement, with what to write in its place."""
        return Finding(
            rule,
            self.setting.origin,
            self.one.statement.label,
            message,
            who,
            fix if isinstance(fix, str) else fix.text,
            None if token is None else token.subject,
            {} if token is None else self._beside(token),
            weight,
            None if isinstance(fix, str) else fix,
        )

    def _beside(self, token: Token) -> dict[str, str]:
        """The claims of a token that the statement or a Deny compares beside the subject."""
        one = self.one
        compared = {
            found.claim for part in (one.statement, *one.denies) for found in one.claims_of(part)
        } - {"sub", "aud"}
        return {name: value for name, value in token.claims.items() if name in compared}


Check = Callable[[Linted], Iterable[Finding]]


def exact_subject(linted: Linted) -> str:
    """The fix for every pattern that takes too much."""
    return (
        f"write StringEquals {linted.one.host}:sub with each whole subject, as `keyless doctor "
        "--github` prints it in the job"
    )


def _owned(linted: Linted, token: Token) -> str:
    """The fix for a subject that takes any owner: one that is whole already names none."""
    whole = any(token.subject in found.values for found in linted.one.on("sub"))
    if not whole:
        return exact_subject(linted)
    claim = "repository_owner_id"
    if claim not in linted.issuer.claims:
        return "put repo into the subject's template, and compare that subject"
    return (
        f"add StringEquals {linted.one.host}:{claim} with the number that "
        f"`{linted.issuer.gh_api} users/OWNER --jq .id` prints: the subject is whole already and "
        "names no owner"
    )


def no_subject(linted: Linted) -> Iterator[Finding]:
    """IAM itself asks for a condition on the subject or the workflow."""
    if requires_subject(linted.one):
        return
    compared = linted.one.on("sub")
    how = " and ".join(found.written for found in compared)
    yield linted.finding(
        "no-subject",
        f"sub is compared only by {how}, which does not name a subject"
        if compared
        else "there is no condition on sub, nor on job_workflow_ref",
        linted.reach.who,
        f"add StringEquals {linted.one.host}:sub with the whole subject, "
        "repo:OWNER@OWNER_ID/REPOSITORY@REPOSITORY_ID:environment:NAME",
        linted.reach.token,
    )


def requires_subject(one: Trusting) -> bool:
    """Whether a condition names subjects or workflows.

    GitHub sends both with every token, so that ForAllValues, true for an absent key, counts.
    """
    return any(
        found.operator.base in ("StringEquals", "StringLike", "StringEqualsIgnoreCase")
        and not found.operator.if_exists
        for claim in ("sub", "job_workflow_ref")
        for found in one.on(claim)
    )


def strangers(linted: Linted) -> Iterator[Finding]:
    """Other owners, other repositories of the owner, later owners of the names."""
    if linted.setting.subjects or not requires_subject(linted.one):
        return
    if token := linted.anybody:
        yield linted.finding(
            "any-owner",
            _accepts(linted, token, "owners that the policy does not name"),
            who.anybody(linted),
            _owned(linted, token),
            token,
        )
        return
    if token := linted.by_any_id:
        yield linted.finding(
            "any-id",
            _accepts(linted, token, "the names with whatever ids"),
            who.whoever_has_the_names(linted),
            exact_subject(linted),
            token,
        )
    if token := linted.other_repository:
        weight = _by_intent(linted)
        keep = "keep it if every repository of the owner is meant; else " if weight else ""
        yield linted.finding(
            "any-repository",
            _accepts(linted, token, "other repositories"),
            who.any_repository(linted),
            keep + exact_subject(linted),
            token,
            weight=weight,
        )


def _by_intent(linted: Linted) -> Severity | None:
    """A workflow that is named exactly may be meant as the unit of trust of an owner."""
    elsewhere = Asked().also(job_workflow_ref=linted.names.other("job_workflow_ref"))
    return "warning" if linted.find_other_repository(elsewhere) is None else None


def _accepts(linted: Linted, token: Token, what: str) -> str:
    values = alike(linted, token, _of_an_owner)
    said = f"{who.listed(values)} accept" if values else "the conditions accept"
    return f"{said}{'s' * (len(values) == 1)} {what}{under_template(token)}"


def _of_an_owner(value: str) -> str:
    """What follows the owner in a subject, where it is open in the repository."""
    owner, _, rest = value.partition("/")
    return rest if set("*?") & set(rest.partition(":")[0]) - set(owner) else ""


def alike(linted: Linted, token: Token, rest: Callable[[str], str]) -> list[str]:
    """The values that take a token, and those that are open in the same way to other names.

    `rest` is what a value has beside the name; "" for one that is not open in it.
    """
    taken = linted.taking(token)
    taken = [one for one in taken if rest(one) == "*"] or taken  # the widest
    others = [
        value
        for found in linted.one.on("sub")
        if found.operator.base in LIKE
        for value in found.values
        if rest(value) in {rest(one) for one in taken} - {""}
    ]
    # Another claim may keep the others' jobs out.
    if any(found.claim not in ("sub", "aud") for found in linted.one.compared):
        others = []
    return [repr(one) for one in dict.fromkeys([*taken, *others])]


def under_template(token: Token) -> str:
    """Which subject template a token needs; "" for the default one."""
    if token.is_default:
        return ""
    return f" (with the subject template {', '.join(token.template)})"


def intended(linted: Linted) -> Iterator[Finding]:
    """The accepted subjects against the intended ones, if the user names them."""
    setting = linted.setting
    if not setting.subjects or not requires_subject(linted.one):
        return
    meant = Operand(either(*map(text, setting.subjects)), negated=True)
    other = _beyond(linted, meant)
    if other is not None:
        yield linted.finding(
            "not-the-intended",
            "a subject is accepted that is not among the intended ones" + under_template(other),
            "whoever gets that subject",
            _intended_fix(linted),
            other,
        )


def refused_intent(github: Sequence[Linted]) -> Iterator[Finding]:
    """Intended subjects that no statement of GitHub's in the policy accepts."""
    for subject in github[0].setting.subjects if github else ():
        asked = Asked(subject=(Operand(text(subject)),))
        if all(linted.search.find(asked) is None for linted in github):
            yield github[0].finding(
                "not-the-intended",
                f"the intended subject {subject!r} is not accepted",
                "nobody; the job that should get in is refused",
                _admitting(github[0], asked),
            )


def _admitting(linted: Linted, asked: Asked) -> str:
    """What lets an intended subject in, as far as that was tried."""
    one = linted.one

    def admits(*conditions: Condition) -> bool:
        changed = Fix("", conditions).applied(one)
        return Linted(changed, linted.issuer, linted.setting).search.find(asked) is not None

    others = [found for found in one.statement.conditions if one.claim_of(found.key) != "sub"]
    whole = Condition("StringEquals", f"{one.host}:sub", linted.setting.subjects)
    if admits(*others, whole):
        return _intended_fix(linted)
    for kept_out in others:
        rest = [found for found in others if found is not kept_out]
        if admits(*rest, whole):
            said = f"change {kept_out.operator} {kept_out.key}, by which it is refused whatever sub"
            stays = admits(*without(one, kept_out))
            return f"{said} is" if stays else f"{said} is, and {_intended_fix(linted)}"
    return "more than sub refuses it: see the other findings and each Deny"


def _intended_fix(linted: Linted) -> str:
    return f"write StringEquals {linted.one.host}:sub: {' or '.join(linted.setting.subjects)}"


def _beyond(linted: Linted, meant: Operand) -> Token | None:
    """A token that gets in with another subject than the intended ones.

    The repository has the template that the intended subjects show; a stranger may have any.
    """
    default = all(
        subjects.template_of(subject) == subjects.DEFAULT for subject in linted.setting.subjects
    )  # fmt: skip
    asked = Asked(subject=(meant,))
    return (
        linted.own(Asked(subject=(meant,), default=default))
        or linted.find_anybody(asked)
        or linted.find_freed(asked)
        or linted.find_other_repository(asked)
    )


IDENTITY_CHECKS: tuple[Check, ...] = (no_subject, strangers, intended)
