"""What to do about a refused token: each advice is tried before it is given.

An advice changes the job or the trust policy. Following it must let the job in, and a changed
policy may let in nobody else: lint-trust's automata decide that. Where no advice passes, what
differs is said and nothing is advised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scripts.github import subjects
from scripts.github.issuers import AUDIENCE, Issuer, issuer_of, provider_of
from scripts.github.subjects import NoSubject, Repo
from scripts.github.trust import Checked, Judged, judge, trusted_providers
from scripts.iam.engine.documents import Condition, Policy, Statement
from scripts.iam.trust_lint.decide import who
from scripts.iam.trust_lint.decide.automata import TooComplex
from scripts.iam.trust_lint.decide.openness import Openness
from scripts.iam.trust_lint.decide.statement import NotJudged, Trusting, trusting

Claims = Mapping[str, Any]
NOT_FOR_PEOPLE = ("pull_request", "pull_request_target", "merge_group")
"""Events whose ref nobody chooses: no advice can move such a job to a branch."""


@dataclass(frozen=True)
class Advice:
    """What to do, with what the job's token and the trust policy are then."""

    text: str
    claims: Claims
    trust: Policy


@dataclass(frozen=True)
class Answer:
    """What differs, and what was tried and helps. No advice means that none is known.

    `also` says whom a role lets in beside this job that it does not name; "" if nobody.
    """

    differs: tuple[str, ...]
    advice: tuple[str, ...] = ()
    also: str = ""


def advise(role_arn: str, trust: Policy, claims: Claims, judged: Judged) -> Answer:
    """Say what differs between a refused token and the role, and what helps, once it was tried."""
    case = _Case(role_arn, trust, claims, judged)
    if case.issuer is None or case.provider not in trusted_providers(trust):
        return Answer(())  # the judge's remark says so
    if case.other_repository:
        return Answer((case.other_repository,))
    candidates = [*_of_the_job(case), *_of_the_policy(case)]
    helping = [found for found in candidates if case.helps(found)]
    # A change of the job is the smaller one: it changes nobody's rights.
    jobs = _smallest(case, [found for found in helping if found.trust is trust])
    return Answer(tuple(_differences(case)), tuple(found.text for found in jobs or helping[:1]))


def _smallest(case: _Case, helping: Sequence[Advice]) -> list[Advice]:
    """Those that change no more than another one that helps too."""
    changed = [
        {name for name, value in found.claims.items() if value != case.claims.get(name)}
        for found in helping
    ]
    return [
        found
        for found, own in zip(helping, changed, strict=True)
        if not any(other < own for other in changed)
    ]


def others(trust: Policy) -> str:
    """Whom a trust policy lets in that it does not name; "" if nobody, or if it is not known."""
    try:
        for one in trusting(trust):
            if one.issuer is None:
                continue
            found = Openness(one, one.issuer)
            if found.anybody or found.other_repository or found.by_any_id:
                return who.reach(found).who
            if found.by_name:
                return who.whoever_has_the_names(found)
    except (NotJudged, TooComplex):
        pass
    return ""


class _Case:
    """A refused token: its job, the statement that came closest, and how they differ."""

    def __init__(self, role_arn: str, trust: Policy, claims: Claims, judged: Judged) -> None:
        self.role_arn = role_arn
        self.trust = trust
        self.claims = claims
        self.judged = judged
        self.provider = provider_of(claims)
        self.issuer: Issuer | None = issuer_of(self.provider)
        self.statement: Statement | None = next(
            (one for one in trust.statements if one.label == judged.statement), None
        )

    @property
    def subject(self) -> str:
        return str(self.claims.get("sub", ""))

    @property
    def template(self) -> tuple[str, ...]:
        """The template of the token's own subject."""
        return subjects.template_of(self.subject) or subjects.DEFAULT

    @property
    def repo(self) -> Repo | None:
        """The token's repository, with the ids that its subject carries."""
        owner, slash, name = str(self.claims.get("repository", "")).partition("/")
        found = subjects.repo_of(self.subject)
        return found or (Repo(owner, name) if slash else None)

    def wanted(self, key: str) -> tuple[str, ...]:
        """The values that the statement wants of a claim."""
        return tuple(
            value for one in self.judged.conditions if one.key == key for value in one.wanted
        )

    @property
    def wanted_subjects(self) -> tuple[str, ...]:
        """Wanted subjects, those of the token's own kind of job first."""
        own = str(subjects.context(self.claims)).partition(":")[0] if "ref" in self.claims else ""
        return tuple(
            sorted(
                self.wanted("sub"), key=lambda value: _context_of(value).partition(":")[0] != own
            )
        )

    def failed(self, key: str) -> Checked | None:
        """The condition on a claim, if it does not hold."""
        return next((one for one in self.judged.failed if one.key == key), None)

    @property
    def other_repository(self) -> str:
        """How the token's repository is another one than the role's; "" if it may be the same."""
        token_id, name = (
            str(self.claims.get(claim) or "") for claim in ("repository_id", "repository")
        )
        exact = [value for value in self.wanted("sub") if not set("*?") & set(value)]
        wanted = [repo for value in exact if (repo := subjects.repo_of(value))]
        ids = {*self.wanted("repository_id"), *(repo.id for repo in wanted if repo.id)}
        if ids and token_id and token_id not in ids:
            return (
                f"this is another repository: its id is {token_id}, the role is for "
                f"{' or '.join(sorted(ids))}. Whoever registers a freed name has new ids, so find "
                f"out whose {name} is now before anything else: gh api repos/{name}"
            )
        names = sorted(repo.names for repo in wanted)
        if not ids and names and name and name not in names and len(exact) == len(wanted):
            return (
                f"this is another repository: {name}; the role is for {' or '.join(names)}, and "
                "compares no id by which a renamed repository could be told"
            )
        return ""

    def helps(self, advice: Advice) -> bool:
        """Whether following an advice lets the job in, and nobody new."""
        if not judge(self.role_arn, advice.trust, advice.claims).allowed:
            return False
        if advice.trust is not self.trust:
            return not _widens(self.trust, advice.trust)
        # With another template the same policy may take every job of the repository.
        template = subjects.template_of(str(advice.claims["sub"]))
        return template in (None, self.template, subjects.DEFAULT) or not _is_open(self.trust)

    def job(self, **changes: Any) -> Claims | None:
        """The token of the same job with some claims changed; None if it has no such subject."""
        changed = {**self.claims, **changes}
        return self.rendered(changed, self.template)

    def rendered(
        self, claims: Claims, template: Sequence[str], *, immutable: bool | None = None
    ) -> Claims | None:
        """A token whose subject is made of its claims by a template."""
        own = subjects.repo_of(self.subject)
        ids = own is not None and own.immutable if immutable is None else immutable
        try:
            made = subjects.render(claims, template, immutable=ids)
        except (NoSubject, KeyError):
            return None
        return {**claims, "sub": made}

    def edited(self, *changes: tuple[Condition, Condition | None]) -> Policy:
        """The trust policy with conditions of the closest statement exchanged or taken out."""
        assert self.statement is not None
        conditions = list(self.statement.conditions)
        for old, new in changes:
            place = conditions.index(old)
            conditions[place : place + 1] = [] if new is None else [new]
        statement = replace(self.statement, conditions=tuple(conditions))
        statements = tuple(
            statement if one is self.statement else one for one in self.trust.statements
        )
        return Policy(self.trust.name, self.trust.kind, self.trust.version, statements)

    def conditions(self, key: str) -> list[Condition]:
        """The closest statement's conditions on a claim, or on a whole key."""
        if self.statement is None:
            return []
        whole = {f"{self.provider}:{key}".lower(), key.lower()}
        return [one for one in self.statement.conditions if one.key.lower() in whole]


def _widens(before: Policy, after: Policy) -> bool:
    """Whether a changed policy lets in strangers, or more of the repository than it names."""
    try:
        known = [_openings(one) for one in trusting(before)]
        return any(
            new and not any(old[kind] for old in known)
            for one in trusting(after)
            for kind, new in enumerate(_openings(one))
        )
    except (NotJudged, TooComplex):
        return True  # what cannot be told is not advised


def _is_open(trust: Policy) -> bool:
    """Whether a policy takes tokens that it does not name, under some template."""
    try:
        return any(any(_openings(one)) for one in trusting(trust))
    except (NotJudged, TooComplex):
        return True


def _openings(one: Trusting) -> tuple[bool, ...]:
    """Which kinds of strangers get in. Names alone and a hidden ref are no advice's doing."""
    if one.issuer is None:
        return (False,) * 6
    found = Openness(one, one.issuer)
    strangers = (found.anybody, found.other_repository, found.by_any_id)
    contexts = (found.other_pull_request, found.other_ref, found.other_environment)
    return tuple(token is not None for token in (*strangers, *contexts))


def _of_the_job(case: _Case) -> Iterator[Advice]:
    """Changes of the workflow: audience, environment, branch, the file that runs the job."""
    for text, changes in _job_changes(case):
        claims = case.job(**changes)
        if claims is not None:
            yield Advice(text, claims, case.trust)
    yield from _other_subject(case)


def _job_changes(case: _Case) -> Iterator[tuple[str, dict[str, Any]]]:
    audience = {}
    if case.failed("aud"):
        wanted = AUDIENCE if AUDIENCE in case.wanted("aud") else next(iter(case.wanted("aud")), "")
        audience = {"aud": wanted}
        yield f"ask for the token with the audience {wanted}", audience
    event = case.claims.get("event_name")
    refs = [] if event in NOT_FOR_PEOPLE else [*_refs(case)]
    if case.claims.get("environment") and case.failed("sub"):
        yield "take environment: out of the job", {"environment": None, **audience}
    for environment in [] if event == "merge_group" else _environments(case):
        if environment != case.claims.get("environment"):
            change = {"environment": environment, **audience}
            yield f"write environment: {environment} in the job", change
            for ref in refs:
                yield (
                    f"write environment: {environment} in the job, and run the workflow on {ref}",
                    {**change, **_on(case, ref)},
                )
    for ref in refs:
        yield f"run the workflow on {ref}", {**_on(case, ref), **audience}
    if case.failed("job_workflow_ref"):
        for wanted in case.wanted("job_workflow_ref"):
            yield (
                f"call the workflow {wanted} in the job (uses:)",
                {"job_workflow_ref": wanted, **audience},
            )


def _environments(case: _Case) -> list[str]:
    contexts = map(_context_of, case.wanted("sub"))
    named = [one.removeprefix("environment:") for one in contexts if one.startswith("environment:")]
    return list(dict.fromkeys((*case.wanted("environment"), *named)))


def _refs(case: _Case) -> list[str]:
    contexts = map(_context_of, case.wanted("sub"))
    named = [one.removeprefix("ref:") for one in contexts if one.startswith("ref:")]
    return [
        ref for ref in dict.fromkeys((*case.wanted("ref"), *named))
        if ref.startswith(("refs/heads/", "refs/tags/")) and ref != case.claims.get("ref")
    ]  # fmt: skip


def _on(case: _Case, ref: str) -> dict[str, Any]:
    """The claims of the same job on another ref."""
    old = str(case.claims.get("ref", ""))
    own = f"{case.claims.get('repository')}/"
    moved = {
        name: f"{value.removesuffix(f'@{old}')}@{ref}"
        for name in ("workflow_ref", "job_workflow_ref")
        if isinstance(value := case.claims.get(name), str)
        and value.startswith(own) and value.endswith(f"@{old}")
    }  # fmt: skip
    return {"ref": ref, "ref_type": "tag" if "/tags/" in ref else "branch", **moved}


def _context_of(subject: str) -> str:
    parts = subjects.parts_of(subject) or ()
    return next((part.value for part in parts if part.key == "context"), "")


def _other_subject(case: _Case) -> Iterator[Advice]:
    """The same job with the subject that the role expects: its format or its template."""
    repo, name = case.repo, case.claims.get("repository")
    path = f"repos/{name}/actions/oidc/customization/sub"
    if case.issuer is None or repo is None:
        return
    own = subjects.repo_of(case.subject)
    if own is not None and not own.immutable and case.issuer.sends_ids:
        claims = case.rendered(case.claims, case.template, immutable=True)
        if claims is not None:
            yield Advice(
                "the repository sends names and the role wants ids: switch the repository with "
                f"gh api --method PUT {path} -F use_default=true -F use_immutable_subject=true "
                "(for a role of this platform: or set github.subject_format to names and apply)",
                claims,
                case.trust,
            )
    for template in dict.fromkeys(map(subjects.template_of, case.wanted("sub"))):
        if template is None or template == case.template:
            continue
        claims = case.rendered(case.claims, template)
        if claims is not None:
            yield Advice(
                f"{_expects(template)}: {_set_template(path, template)}", claims, case.trust
            )


def _expects(template: Sequence[str]) -> str:
    if tuple(template) == subjects.DEFAULT:
        return "the role expects GitHub's default subject"
    return f"the role expects the subject template {', '.join(template)}"


def _set_template(path: str, template: Sequence[str]) -> str:
    if tuple(template) == subjects.DEFAULT:
        return f"gh api --method PUT {path} -F use_default=true"
    keys = " ".join(f"-f 'include_claim_keys[]={key}'" for key in template)
    return f"gh api --method PUT {path} -F use_default=false {keys}"


def _of_the_policy(case: _Case) -> Iterator[Advice]:
    """Changes of the trust policy, for the same repository alone."""
    if case.statement is None or case.issuer is None:
        return
    yield from _right_prefix(case)
    yield from _without_dead_keys(case)
    yield from _claims_by_template(case)
    yield from _queue(case)
    yield from _own_subject(case)


def _right_prefix(case: _Case) -> Iterator[Advice]:
    """Keys that begin with another provider than the one that the role trusts."""
    assert case.issuer is not None and case.statement is not None
    wrong = [
        (condition, replace(condition, key=f"{case.provider}:{claim}"))
        for condition in case.statement.conditions
        for prefix, _, claim in [condition.key.rpartition(":")]
        if claim.lower() in case.issuer.claims
        and prefix.lower() != case.provider.lower()
        and "githubusercontent" in prefix.lower()
    ]
    if wrong:
        yield Advice(
            f"begin the condition keys with the provider that the role trusts: {case.provider}:sub "
            f"in place of {wrong[0][0].key.rpartition(':')[0]}:sub, and so on",
            case.claims,
            case.edited(*wrong),
        )


def _without_dead_keys(case: _Case) -> Iterator[Advice]:
    """A key that AWS never sets, whose claim the rest of the policy fixes already."""
    dead = [
        condition
        for one in case.judged.failed
        for condition in case.conditions(one.key)
        if not one.got and _is_implied(case, one)
    ]
    if dead:
        keys = " and ".join(dict.fromkeys(condition.key for condition in dead))
        yield Advice(
            f"take {keys} out of the trust policy: AWS never sets it, and the other conditions say "
            "the same",
            case.claims,
            case.edited(*((condition, None) for condition in dead)),
        )


def _is_implied(case: _Case, one: Checked) -> bool:
    """Whether the provider or the exact subjects of the policy fix a claim to a wanted value."""
    name = one.key.rpartition(":")[2]
    if name == "iss":
        return True
    wanted = set(one.wanted)
    for subject in case.wanted("sub"):
        repo, context = subjects.repo_of(subject), _context_of(subject)
        if set("*?") & set(subject):
            return False
        said = {
            "repository_owner": repo.owner if repo else None,
            "event_name": "pull_request" if context == "pull_request" else None,
            "ref_type": {"ref:refs/heads": "branch", "ref:refs/tags": "tag"}.get(
                "/".join(context.split("/")[:2])
            ),
        }.get(name)
        if said not in wanted:
            return False
    return bool(case.wanted("sub"))


def _claims_by_template(case: _Case) -> Iterator[Advice]:
    """A claim that AWS never sets can stand in the subject, by a template."""
    name = case.claims.get("repository")
    hidden = [
        (one, claim) for one in case.judged.failed for claim in [one.key.rpartition(":")[2]]
        if not one.got and case.claims.get(claim) in one.wanted
    ]  # fmt: skip
    ref = case.failed("ref")
    if case.claims.get("event_name") == "pull_request" and ref is not None:
        # A pull request's ref is refs/pull/N/merge; where it goes is base_ref.
        base = f"refs/heads/{case.claims.get('base_ref')}"
        if base in ref.wanted:
            hidden.append((ref, "base_ref"))
    for one, claim in hidden:
        if claim in case.template or claim == "iss":
            continue
        template = (*case.template, claim)
        claims = case.rendered(case.claims, template)
        subject_conditions = case.conditions("sub")
        if claims is None or len(subject_conditions) != 1:
            continue
        [old] = subject_conditions
        new = Condition("StringEquals", old.key, (str(claims["sub"]),))
        gone = [(condition, None) for condition in case.conditions(one.key)]
        path = f"repos/{name}/actions/oidc/customization/sub"
        yield Advice(
            f"AWS shows no {claim}, the subject can: {_set_template(path, template)}; then write "
            f"StringEquals {old.key}: {claims['sub']} and take {one.key} out. Every role of the "
            "repository needs the longer subject then",
            claims,
            case.edited((old, new), *gone),
        )


def _queue(case: _Case) -> Iterator[Advice]:
    """A merge queue's run has another ref each time; an environment has one name."""
    base = subjects.queue_base(str(case.claims.get("ref", "")))
    if base is None or case.claims.get("environment"):
        return
    claims = case.job(environment="merge-queue")
    old = next(iter(case.conditions("sub")), None)
    if claims is None or old is None:
        return
    new = Condition("StringEquals", old.key, (str(claims["sub"]),))
    yield Advice(
        f"name an environment in the queue's job, such as environment: merge-queue, restrict it to "
        f"branches gh-readonly-queue/{base}/*, and give a role that only reads the trust policy "
        f"with StringEquals {old.key}: {claims['sub']}",
        claims,
        case.edited((old, new)),
    )


def _own_subject(case: _Case) -> Iterator[Advice]:
    """The token's own subject in place of one that says the same repository otherwise."""
    repo, sub = case.repo, case.failed("sub")
    if repo is None or sub is None or case.claims.get("event_name") == "merge_group":
        return
    for old in case.conditions("sub"):
        for value in old.values:
            said = subjects.repo_of(value)
            if said is None or not (
                _same_but_for_names(value, case.subject) or _has_no_context(value)
            ):
                continue
            values = tuple(
                dict.fromkeys(case.subject if one == value else one for one in old.values)
            )
            text = _about_names(said, repo, case)
            if text:
                yield Advice(
                    f"{text}: write {case.subject} in place of {value}",
                    case.claims,
                    case.edited((old, replace(old, values=values))),
                )


def _same_but_for_names(one: str, other: str) -> bool:
    """Whether two subjects differ in their repository part alone."""

    def rest(subject: str) -> list[tuple[str, str]]:
        parts = subjects.parts_of(subject) or ()
        return [(part.key, "" if part.key == "repo" else part.value) for part in parts]

    return rest(one) == rest(other)


def _has_no_context(subject: str) -> bool:
    return subjects.template_of(subject) == ("repo",)


def _about_names(said: Repo, repo: Repo, case: _Case) -> str:
    """Why a subject says the same repository otherwise; "" if it is not known to be the same."""
    compared = str(case.claims.get("repository_id")) in case.wanted("repository_id")
    if said == repo:
        rights = (
            ", if every pull request of the repository may have this role's rights"
            if case.claims.get("event_name") == "pull_request"
            else ""
        )
        return f"the role's subject has no context, GitHub's default one has{rights}"
    if repo.immutable and not said.immutable and said.names == repo.names:
        ask = f"gh api repos/{repo.names} --jq '.owner.id, .id'"
        check = "" if compared else f"; the policy compares no id, so first compare them with {ask}"
        return (
            f"the subject's format changed, it carries ids now{check} (a role of this platform: "
            "set github.subject_format to immutable and apply)"
        )
    if repo.immutable and said.immutable and (said.owner_id, said.id) == (repo.owner_id, repo.id):
        return _renamed(repo.id, repo)
    if compared and said.names != repo.names and not said.immutable and not repo.immutable:
        return _renamed(str(case.claims["repository_id"]), repo)
    return ""


def _renamed(repository_id: str | None, repo: Repo) -> str:
    return (
        f"the same repository ({repository_id}) has a new name, {repo.names} (a role of this "
        "platform: put it into github and apply)"
    )


def _differences(case: _Case) -> Iterator[str]:
    """What the token has and the role wants, a sentence for each condition that fails."""
    for one in case.judged.failed:
        name = one.key.rpartition(":")[2]
        if not one.got and case.claims.get(name):
            other = (
                "" if case.claims[name] in one.wanted else f"; this job's is {case.claims[name]}"
            )
            yield f"AWS never sets {one.key}: no token can fulfil this condition{other}"
        elif not one.got:
            yield f"the token has no {one.key}"
        elif one.key == "sub":
            yield from _about_subject(case)
        elif one.key == "ref" and case.claims.get("event_name") == "pull_request":
            yield f"a pull request's ref is {one.got[0]}: it is never a branch"
        elif "Not" in one.operator:
            yield f"{one.key} is {one.got[0]}, which the role refuses"
        else:
            yield f"{one.key} is {one.got[0]}, the role is for {' or '.join(one.wanted)}"


def _about_subject(case: _Case) -> Iterator[str]:
    base = subjects.queue_base(str(case.claims.get("ref", "")))
    if base is not None:
        yield (
            f"the job runs in the merge queue of {base}: its ref is a new one each time, so no "
            "exact subject covers it"
        )
        return
    have = subjects.parts_of(case.subject)
    for wanted in case.wanted_subjects[:1]:
        need = subjects.parts_of(wanted)
        if have is None or need is None:
            yield f"the subject has another form than {wanted}"
        elif [part.key for part in have] != [part.key for part in need]:
            yield (
                f"the subject is made of {', '.join(part.key for part in have)}; the role wants "
                + ", ".join(part.key for part in need)
            )
        else:
            yield from (
                f"{mine.key} is {mine.value}, the role is for {theirs.value}"
                for mine, theirs in zip(have, need, strict=True)
                if mine.value != theirs.value
            )
