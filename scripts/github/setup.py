"""GitHub's side of the trust policies: what the repository needs, what it has, what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.console import UserError
from scripts.github.api import Gh, GitHubError
from scripts.github.repository import Facts
from scripts.names import job_roles

MAIN = "main"
RULESET = "keyless: protect main"
CHECKS = tuple(
    f"Python {version}, {binary}"
    for version in ("3.11", "3.13")
    for binary in ("terraform", "tofu")
)
"""Jobs of ci.yml that a pull request must pass."""
ACTIONS = (
    "astral-sh/setup-uv@*",
    "aws-actions/configure-aws-credentials@*",
    "hashicorp/setup-terraform@*",
    "opentofu/setup-opentofu@*",
    "pulumi/actions@*",
)
"""Actions, beside GitHub's own, that may run at all."""


@dataclass(frozen=True)
class Reviewer:
    """A user or team that approves; `id` is GitHub's number."""

    kind: str
    id: int
    name: str


@dataclass(frozen=True)
class Wanted:
    """What the user chose."""

    environments: tuple[str, ...]
    account_id: str
    region: str
    reviewers: tuple[Reviewer, ...]
    approvals: int = 1
    rds_ca_sha256: str | None = None
    parts: tuple[str, ...] = ()
    """Parts of the platform that are off by default, and that some environment has."""

    @property
    def prevent_self_review(self) -> bool:
        """A lone reviewer could otherwise never approve a run of their own."""
        return len(self.reviewers) > 1 or any(found.kind == "Team" for found in self.reviewers)


@dataclass(frozen=True)
class Change:
    """One request that makes the repository as it should be."""

    what: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None


def check_available(facts: Facts) -> None:
    """Raise UserError where the account's plan lacks what the platform's safety rests on.

    https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments
    """
    if facts.default_branch != MAIN:
        raise UserError(
            f"The default branch is {facts.default_branch}",
            why=f"every trust policy asks for refs/heads/{MAIN}",
            fix=f"gh api --method POST repos/{facts.name}/branches/{facts.default_branch}/rename "
            f"-f new_name={MAIN}",
        )
    if not facts.private or facts.plan is None or facts.plan.startswith(("enterprise", "business")):
        return
    lacks = (
        "environments with rules, rulesets and required reviewers"
        if facts.plan == "free"
        else "required reviewers"
    )
    raise _unavailable(f"a private repository on the plan {facts.plan!r} has no {lacks}")


def _unavailable(why: str) -> UserError:
    return UserError(
        "This repository cannot ask reviewers before it applies or promotes",
        why=why,
        fix="make the repository public, or move it to an organisation on GitHub Enterprise Cloud",
    )


def find_reviewers(gh: Gh, names: Sequence[str]) -> tuple[Reviewer, ...]:
    """Users (`name`) and teams (`org/team`); without any, the one who is logged in."""
    if not names:
        user = gh.get("user")
        return (Reviewer("User", int(user["id"]), str(user["login"])),)
    if len(names) > 6:
        raise UserError("GitHub takes six reviewers at most; name a team", exit_code=2)
    found = []
    for name in names:
        organisation, slash, team = name.partition("/")
        path = f"orgs/{organisation}/teams/{team}" if slash else f"users/{name}"
        answer = gh.find(path)
        if answer is None:
            raise UserError(f"GitHub knows no reviewer {name!r}", exit_code=2)
        found.append(Reviewer("Team" if slash else "User", int(answer["id"]), name))
    return tuple(found)


def changes(gh: Gh, facts: Facts, wanted: Wanted) -> list[Change]:
    """Every request that is needed, in order; nothing if the repository is as it should be."""
    return [
        # First what may be refused for the account's plan: nothing is half made then.
        *_environments(gh, facts, wanted),
        *_actions(gh, facts),
        *_ruleset(gh, facts, wanted),
        *_variables(gh, facts, wanted),
    ]


def _environments(gh: Gh, facts: Facts, wanted: Wanted) -> Iterator[Change]:
    for environment in wanted.environments:
        for role in sorted(job_roles(*wanted.parts), key=lambda role: not role.reviewers):
            name = role.github_environment(environment)
            if name is not None:
                yield from _environment(gh, facts, wanted, name, role.reviewers)


def _environment(
    gh: Gh, facts: Facts, wanted: Wanted, name: str, reviewed: bool
) -> Iterator[Change]:
    path = f"repos/{facts.name}/environments/{name}"
    found = gh.find(path)
    reviewers = wanted.reviewers if reviewed else ()
    prevent = reviewed and wanted.prevent_self_review
    have = None if found is None else _rules(found)
    if have != (frozenset((item.kind, item.id) for item in reviewers), prevent, True):
        who = f", approved by {', '.join(item.name for item in reviewers)}" if reviewers else ""
        yield Change(
            f"environment {name}{who}",
            "PUT",
            path,
            {
                "wait_timer": 0,
                "prevent_self_review": prevent,
                "reviewers": [{"type": item.kind, "id": item.id} for item in reviewers] or None,
                "deployment_branch_policy": {
                    "protected_branches": False,
                    "custom_branch_policies": True,
                },
            },
        )
    policies = f"{path}/deployment-branch-policies"
    listed = (gh.find(policies) or {}).get("branch_policies", ()) if found else ()
    if not any(_is_main(policy) for policy in listed):
        yield Change(
            f"environment {name}: let {MAIN} in", "POST", policies, {"name": MAIN, "type": "branch"}
        )
    for policy in listed:
        if not _is_main(policy):
            yield Change(
                f"environment {name}: no longer let {policy['name']} in",
                "DELETE",
                f"{policies}/{policy['id']}",
            )


def _is_main(policy: Mapping[str, Any]) -> bool:
    return bool(policy["name"] == MAIN and policy.get("type", "branch") == "branch")


def _rules(found: Mapping[str, Any]) -> tuple[frozenset[tuple[str, int]], bool, bool]:
    reviewers: set[tuple[str, int]] = set()
    prevent = False
    for rule in found.get("protection_rules", ()):
        if rule["type"] == "required_reviewers":
            prevent = bool(rule.get("prevent_self_review"))
            reviewers |= {(item["type"], int(item["reviewer"]["id"])) for item in rule["reviewers"]}
    policy = found.get("deployment_branch_policy") or {}
    return frozenset(reviewers), prevent, bool(policy.get("custom_branch_policies"))


def _actions(gh: Gh, facts: Facts) -> Iterator[Change]:
    path = f"repos/{facts.name}/actions/permissions"
    # A list of allowed actions exists for public repositories on every plan, else not.
    allowed = "all" if facts.private else "selected"
    settings: list[tuple[str, str, dict[str, Any]]] = [
        (
            "run only actions that are pinned by commit",
            path,
            {"enabled": True, "allowed_actions": allowed, "sha_pinning_required": True},
        ),
        (
            "give GITHUB_TOKEN no more than reading by default",
            f"{path}/workflow",
            {
                "default_workflow_permissions": "read",
                "can_approve_pull_request_reviews": False,
            },
        ),
    ]
    if not facts.private:
        listed = {
            "github_owned_allowed": True,
            "verified_allowed": False,
            "patterns_allowed": list(ACTIONS),
        }
        settings.insert(1, ("run only these actions", f"{path}/selected-actions", listed))
    for what, place, body in settings:
        # Absent until `allowed_actions` is "selected": 409.
        try:
            have = gh.find(place) or {}
        except GitHubError as error:
            if error.status != 409:
                raise
            have = {}
        if any(have.get(name) != value for name, value in body.items()):
            yield Change(what, "PUT", place, body)


def _ruleset(gh: Gh, facts: Facts, wanted: Wanted) -> Iterator[Change]:
    body = {
        "name": RULESET,
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": [f"refs/heads/{MAIN}"], "exclude": []}},
        "rules": [
            {"type": "deletion"},
            {"type": "non_fast_forward"},
            {
                "type": "pull_request",
                "parameters": {
                    "required_approving_review_count": wanted.approvals,
                    "dismiss_stale_reviews_on_push": True,
                    "require_code_owner_review": False,
                    "require_last_push_approval": wanted.approvals > 0,
                    "required_review_thread_resolution": False,
                },
            },
            {
                "type": "required_status_checks",
                "parameters": {
                    "strict_required_status_checks_policy": True,
                    "required_status_checks": [{"context": check} for check in CHECKS],
                },
            },
        ],
    }
    path = f"repos/{facts.name}/rulesets"
    named = next((found for found in gh.find(path) or () if found["name"] == RULESET), None)
    if named is None:
        yield Change(f"rules of the branch {MAIN}", "POST", path, body)
        return
    have = gh.get(f"{path}/{named['id']}")
    if not _covers(have, body):
        yield Change(f"rules of the branch {MAIN}", "PUT", f"{path}/{named['id']}", body)


def _covers(have: Any, want: Any) -> bool:
    """Whether an answer says all that is wanted; GitHub adds fields of its own."""
    if isinstance(want, Mapping):
        return isinstance(have, Mapping) and all(
            name in have and _covers(have[name], value) for name, value in want.items()
        )
    if isinstance(want, list):
        if not isinstance(have, list) or len(have) != len(want):
            return False
        return all(any(_covers(item, value) for item in have) for value in want)
    same: bool = have == want
    return same


def _variables(gh: Gh, facts: Facts, wanted: Wanted) -> Iterator[Change]:
    path = f"repos/{facts.name}/actions/variables"
    listed = (gh.find(f"{path}?per_page=100") or {}).get("variables", ())
    have = {found["name"]: found["value"] for found in listed}
    values = {
        "AWS_ACCOUNT_ID": wanted.account_id,
        "AWS_REGION": wanted.region,
        "ENVIRONMENT": wanted.environments[0],
        "ENVIRONMENTS": json.dumps(list(wanted.environments)),
    }
    if wanted.rds_ca_sha256 is not None:
        values["RDS_CA_SHA256"] = wanted.rds_ca_sha256
    for name, value in values.items():
        body = {"name": name, "value": value}
        if name not in have:
            yield Change(f"variable {name} = {value}", "POST", path, body)
        elif have[name] != value:
            yield Change(f"variable {name} = {value}", "PATCH", f"{path}/{name}", body)


def apply(gh: Gh, change: Change) -> None:
    """Make one change. Raises UserError with a clear word where the plan does not offer it."""
    try:
        gh.call(change.method, change.path, change.body)
    except GitHubError as error:
        if error.status in (403, 422) and any(
            word in error.message.lower() for word in ("billing plan", "upgrade to github")
        ):
            raise _unavailable(error.message) from None
        raise
