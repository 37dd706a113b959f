"""Changes of a job or of a trust policy that may let a refused token in; none is tried here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scripts.github import subjects
from scripts.github.issuers import AUDIENCE
from scripts.github.refused import Claims, Refused, context_of
from scripts.github.subjects import Repo
from scripts.github.trust import Checked
from scripts.iam.engine.documents import Condition, Policy

NOT_FOR_PEOPLE = ("pull_request", "pull_request_target", "merge_group")
"""Events whose ref nobody chooses: no advice can move such a job to a branch."""


@dataclass(frozen=True)
class Change:
    """What to do, with what the job's token and the trust policy are then.

    `beside`: worth saying although a change of the job alone would do.
    """

    text: str
    claims: Claims
    trust: Policy
    beside: bool = False


def of_the_job(case: Refused) -> Iterator[Change]:
    """Changes of the workflow: audience, environment, branch, the file that runs the job."""
    for text, changes in _job_changes(case):
        claims = case.job(**changes)
        if claims is not None:
            yield Change(text, claims, case.trust)
    yield from _other_subject(case)


def _job_changes(case: Refused) -> Iterator[tuple[str, dict[str, Any]]]:
    audience = {}
    if case.failed("aud"):
        wanted = AUDIENCE if AUDIENCE in case.wanted("aud") else next(iter(case.wanted("aud")), "")
        audience = {"aud": wanted}
        listed = "" if wanted == AUDIENCE else (
            "; STS takes it if the provider lists it among its client ids, else compare "
            f"{AUDIENCE} in the trust policy"
        )  # fmt: skip
        yield f"ask for the token with the audience {wanted}{listed}", audience
    event = case.claims.get("event_name")
    refs = [] if event in NOT_FOR_PEOPLE else [*_refs(case)]
    if case.claims.get("environment") and case.failed("sub"):
        without = {"environment": None, **audience}
        yield "take environment: out of the job", without
        for ref in refs:
            yield (
                f"take environment: out of the job, and {_run_on(ref)}",
                {**without, **_on(case, _sample(ref))},
            )
    # The environment of a branch is not for code that nobody reviewed.
    for environment in [] if event in NOT_FOR_PEOPLE else _environments(case):
        if environment != case.claims.get("environment"):
            change = {"environment": _sample(environment), **audience}
            write = f"write environment: {environment} in the job{_any_fitting(environment)}"
            yield write, change
            for ref in refs:
                yield f"{write}, and {_run_on(ref)}", {**change, **_on(case, _sample(ref))}
    for ref in refs:
        yield _run_on(ref), {**_on(case, _sample(ref)), **audience}
    if case.failed("job_workflow_ref"):
        for wanted in case.wanted("job_workflow_ref"):
            sample = _sample(wanted.replace("@*", "@refs/heads/main"))
            yield (
                f"call the workflow {wanted} in the job (uses:){_any_fitting(wanted)}",
                {"job_workflow_ref": sample, **audience},
            )


def _run_on(ref: str) -> str:
    return f"run the workflow on {ref}{_any_fitting(ref)}"


def _sample(wanted: str) -> str:
    """A value that fits a wanted one, which may be a pattern."""
    return re.sub(r"[*?]", "x", wanted)


def _any_fitting(wanted: str) -> str:
    return ", with a name in place of each wildcard" if set("*?") & set(wanted) else ""


def _environments(case: Refused) -> list[str]:
    contexts = map(context_of, case.wanted("sub"))
    named = [one.removeprefix("environment:") for one in contexts if one.startswith("environment:")]
    return list(dict.fromkeys((*case.wanted("environment"), *named)))


def _refs(case: Refused) -> list[str]:
    contexts = map(context_of, case.wanted("sub"))
    named = [one.removeprefix("ref:") for one in contexts if one.startswith("ref:")]
    return [
        ref for ref in dict.fromkeys((*case.wanted("ref"), *named))
        if ref.startswith(("refs/heads/", "refs/tags/")) and ref != case.claims.get("ref")
    ]  # fmt: skip


def _on(case: Refused, ref: str) -> dict[str, Any]:
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


def _other_subject(case: Refused) -> Iterator[Change]:
    """The same job with the subject that the role expects: its format or its template."""
    repo, name = case.repo, case.claims.get("repository")
    path = f"repos/{name}/actions/oidc/customization/sub"
    if case.issuer is None or repo is None:
        return
    own = subjects.repo_of(case.subject)
    if own is not None and not own.immutable and case.issuer.sends_ids:
        claims = case.rendered(case.claims, case.template, immutable=True)
        if claims is not None:
            yield Change(
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
            yield Change(
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


def of_the_policy(case: Refused) -> Iterator[Change]:
    """Changes of the trust policy, for the same repository alone."""
    if case.statement is None or case.issuer is None:
        return
    yield from _right_prefix(case)
    yield from _other_case(case)
    yield from _without_dead_keys(case)
    yield from _claims_by_template(case)
    yield from _queue(case)
    yield from _own_subject(case)
    yield from _ids_in_patterns(case)
    yield from _own_environment(case)


def _right_prefix(case: Refused) -> Iterator[Change]:
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
        yield Change(
            f"begin the condition keys with the provider that the role trusts: {case.provider}:sub "
            f"in place of {wrong[0][0].key.rpartition(':')[0]}:sub, and so on",
            case.claims,
            case.edited(*wrong),
        )


def _other_case(case: Refused) -> Iterator[Change]:
    """A subject in other letters: to GitHub a name is one in any case, to AWS it is not."""
    own = _folded(case.subject)
    for condition in case.conditions("sub"):
        wrong = [one for one in condition.values if own and _folded(one) == own]
        if wrong and case.subject not in condition.values:
            values = [case.subject if one in wrong else one for one in condition.values]
            yield Change(
                f"write {condition.key} as GitHub sends it, since AWS compares the case of "
                f"letters: {case.subject} in place of {wrong[0]}",
                case.claims,
                case.edited((condition, replace(condition, values=tuple(values)))),
            )


def _folded(subject: str) -> list[tuple[str, str]]:
    """The parts of a subject, its names in small letters; a branch keeps its own."""
    parts = subjects.parts_of(subject) or ()
    return [(one.key, one.value.lower() if one.key == "repo" else one.value) for one in parts]


def _without_dead_keys(case: Refused) -> Iterator[Change]:
    """A key that AWS never sets, whose claim the rest of the policy fixes already."""
    dead = [
        condition
        for one in case.judged.failed
        for condition in case.conditions(one.key)
        if not one.got and _is_implied(case, one)
    ]
    if dead:
        keys = " and ".join(dict.fromkeys(condition.key for condition in dead))
        yield Change(
            f"take {keys} out of the trust policy: AWS never sets it, and the other conditions say "
            "the same",
            case.claims,
            case.edited(*((condition, None) for condition in dead)),
        )


def _is_implied(case: Refused, one: Checked) -> bool:
    """Whether the provider or the exact subjects of the policy fix a claim to a wanted value."""
    name = one.key.rpartition(":")[2]
    if name == "iss":
        return True
    wanted = set(one.wanted)
    for subject in case.wanted("sub"):
        repo, context = subjects.repo_of(subject), context_of(subject)
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


def _claims_by_template(case: Refused) -> Iterator[Change]:
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
        yield Change(
            f"AWS shows no {claim}, the subject can: {_set_template(path, template)}; then write "
            f"StringEquals {old.key}: {claims['sub']} and take {one.key} out. Every role of the "
            "repository needs the longer subject then",
            claims,
            case.edited((old, new), *gone),
        )


def _queue(case: Refused) -> Iterator[Change]:
    """A merge queue's run has another ref each time; an environment has one name."""
    base = subjects.queue_base(str(case.claims.get("ref", "")))
    if base is None or case.claims.get("environment"):
        return
    claims = case.job(environment="merge-queue")
    old = next(iter(case.conditions("sub")), None)
    if claims is None or old is None:
        return
    new = Condition("StringEquals", old.key, (str(claims["sub"]),))
    yield Change(
        f"name an environment in the queue's job, such as environment: merge-queue, restrict it to "
        f"branches gh-readonly-queue/{base}/*, and give a role that only reads the trust policy "
        f"with StringEquals {old.key}: {claims['sub']}",
        claims,
        case.edited((old, new)),
    )


def _own_subject(case: Refused) -> Iterator[Change]:
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
                yield Change(
                    f"{text}: write {case.subject} in place of {value}",
                    case.claims,
                    case.edited((old, replace(old, values=values))),
                )


# A pattern whose repository is names alone, or an owner's name and a star.
_NAMES = re.compile(r"repo:(?P<owner>[\w-]+)/(?P<name>[\w.-]+|\*)(?P<rest>(?::.*)?)")


def _ids_in_patterns(case: Refused) -> Iterator[Change]:
    """The ids of a repository whose subjects carry them now, in a pattern that has its names."""
    repo = subjects.repo_of(case.subject)
    if repo is None or not repo.immutable or case.failed("sub") is None:
        return
    for old in case.conditions("sub"):
        for value in old.values if old.operator.endswith("StringLike") else ():
            found = _NAMES.fullmatch(value)
            if found is None or found["owner"] != repo.owner:
                continue
            if found["name"] not in ("*", repo.name) or not set("*?") & set(value):
                continue
            name = "*" if found["name"] == "*" else f"{repo.name}@{repo.id}"
            new = f"repo:{repo.owner}@{repo.owner_id}/{name}{found['rest']}"
            values = tuple(new if one == value else one for one in old.values)
            yield Change(
                f"{_about_names(Repo(repo.owner, repo.name), repo, case)}: write {new} in place "
                f"of {value}",
                case.claims,
                case.edited((old, replace(old, values=values))),
            )


def _own_environment(case: Refused) -> Iterator[Change]:
    """A job in an environment has that in its subject, not the branch that the role wants."""
    issuer, environment, ref = case.issuer, case.claims.get("environment"), case.claims.get("ref")
    if issuer is None or "ref" not in issuer.claims or not environment or not ref:
        return
    branch = case.job(environment=None)
    old = next(iter(case.conditions("sub")), None)
    if branch is None or old is None or old.values != (branch["sub"],) or case.conditions("ref"):
        return
    new = Condition("StringEquals", old.key, (case.subject,))
    key = f"{case.provider}:ref"
    yield Change(
        f"give the role to the environment on that branch alone: write StringEquals {old.key}: "
        f"{case.subject} and {key}: {ref} in place of {old.values[0]}; a job without this "
        "environment is refused then",
        case.claims,
        case.edited((old, new), also=(Condition("StringEquals", key, (str(ref),)),)),
        beside=True,
    )


def _same_but_for_names(one: str, other: str) -> bool:
    """Whether two subjects differ in their repository part alone."""

    def rest(subject: str) -> list[tuple[str, str]]:
        parts = subjects.parts_of(subject) or ()
        return [(part.key, "" if part.key == "repo" else part.value) for part in parts]

    return rest(one) == rest(other)


def _has_no_context(subject: str) -> bool:
    return subjects.template_of(subject) == ("repo",)


def _about_names(said: Repo, repo: Repo, case: Refused) -> str:
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
