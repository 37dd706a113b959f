"""The ledger on the platform's rendered policies: clean as they are, and every weakening seen.

platform.json holds the roles and policies as Terraform rendered them on a local account. The log
is made here: one request for each right, so that all are used. The platform as it is today is
measured by tests/e2e/test_least_privilege.py.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scripts.iam.account.decision_log import PROBE_AGENT, Record
from scripts.iam.account.identities import Identity, identities
from scripts.iam.engine.documents import parse_policy
from scripts.iam.escalation.possible import Keys, _filled, _fulfil, _own_keys
from scripts.iam.ledger import (
    Measured,
    Review,
    Span,
    as_text,
    in_scope,
    measure,
    proposal,
    read_reviewed,
)
from scripts.iam.ledger.actions import possible, table
from scripts.iam.ledger.grants import Grant, grants, within
from scripts.iam.ledger.reviewed import Reviewed
from scripts.iam.trust_lint import Setting, lint
from scripts.names import job_roles

from . import snapshot
from .reference import reference

DETAILS = json.loads((Path(__file__).parent / "platform.json").read_text())
ACCOUNT = DETAILS["RoleDetailList"][0]["Arn"].split(":")[4]
REVIEWED = read_reviewed(ACCOUNT, "us-east-1", "dev")
ROLES = in_scope(identities(DETAILS), "dev")
NAMES = sorted(role.name for role in ROLES)


def request(role: Identity, grant: Grant) -> Record:
    """A record of a request that the grant allows."""
    context: Keys = dict(_own_keys(role.principal))
    for condition in grant.conditions:
        _fulfil(condition, context)
    resource = grant.resource if grant.resource == "*" else _filled(grant.resource, grant.resource)
    return Record(
        time=0.0,
        request_id="r",
        principal=role.principal.arn,
        role=role.name,
        service=grant.action.partition(":")[0],
        operation=grant.action,
        action=grant.action,
        resource=resource,
        keys={key: tuple(values) for key, values in context.items()},
        allowed=True,
        reason="allowed",
        policy=grant.policy,
        statement=grant.statement,
    )


@cache
def full_log(name: str) -> list[Record]:
    """A log in which the role uses every right it has."""
    role = next(role for role in ROLES if role.name == name)
    return [request(role, grant) for grant in grants(role) if possible(grant)]


def measured(details: dict[str, Any], name: str, log: list[Record]) -> Measured:
    role = identities(details).role(name)
    assert role is not None
    return measure(log, [role], REVIEWED)


def problems(details: dict[str, Any], name: str) -> list[str]:
    """Everything that `keyless least-privilege` would fail for, of one role."""
    [ledger] = measured(details, name, full_log(name)).ledgers
    found = [f"unused {grant.key}" for grant in ledger.unused]
    found += [f"too wide {weak.grant.key} {weak.why}" for weak in ledger.weak]
    found += [f"outside {one}" for one in ledger.outside]
    role = identities(details).role(name)
    assert role is not None
    assert role.trust_document is not None
    trust = lint(role.trust_document, Setting(name, writes=()))
    return found + [f"trust {finding.rule}" for finding in trust.findings]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_role_that_uses_all_its_rights_is_clean(name: str) -> None:
    assert problems(DETAILS, name) == []


# Ways to weaken a role. Each changes the account's details in place.


def _role(details: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(r for r in details["RoleDetailList"] if r["RoleName"] == name)
    return found


def _documents(details: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    role = _role(details, name)
    for inline in role.get("RolePolicyList", ()):
        yield inline["PolicyDocument"]
    arns = {one["PolicyArn"] for one in role.get("AttachedManagedPolicies", ())}
    for policy in details["Policies"]:
        if policy["Arn"] in arns:
            yield policy["PolicyVersionList"][0]["Document"]


def _statements(details: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    for document in _documents(details, name):
        written = document["Statement"]
        if isinstance(written, dict):
            document["Statement"] = written = [written]
        yield from written


def _add(details: dict[str, Any], name: str, **elements: Any) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **elements}]}
    _role(details, name).setdefault("RolePolicyList", []).append(
        {"PolicyName": "added", "PolicyDocument": policy}
    )


def one_action_more(details: dict[str, Any], name: str) -> None:
    first = next(iter(_statements(details, name)))
    actions = first["Action"] if isinstance(first["Action"], list) else [first["Action"]]
    first["Action"] = [*actions, "s3:PutBucketAcl"]


def a_pattern_for_an_action(details: dict[str, Any], name: str) -> None:
    first = next(iter(_statements(details, name)))
    one = first["Action"] if isinstance(first["Action"], str) else first["Action"][0]
    first["Action"] = one.partition(":")[0] + ":*"


def every_resource(details: dict[str, Any], name: str) -> None:
    for statement in _statements(details, name):
        if statement["Resource"] != "*":
            statement["Resource"] = "*"
            statement.pop("Condition", None)
            return
    raise AssertionError("nothing to widen")


def a_wider_pattern(details: dict[str, Any], name: str) -> None:
    for statement in _statements(details, name):
        resource = statement["Resource"]
        one = resource if isinstance(resource, str) else resource[0]
        if one != "*":
            statement["Resource"] = ":".join([*one.split(":")[:5], "*"])
            return
    raise AssertionError("nothing to widen")


def no_boundary(details: dict[str, Any], name: str) -> None:
    del _role(details, name)["PermissionsBoundary"]


def another_boundary(details: dict[str, Any], name: str) -> None:
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [everything]}
    details["Policies"].append(
        {"Arn": arn, "PolicyVersionList": [{"IsDefaultVersion": True, "Document": document}]}
    )
    _role(details, name)["PermissionsBoundary"] = {"PermissionsBoundaryArn": arn}


def administrator(details: dict[str, Any], name: str) -> None:
    _add(details, name, Action="*", Resource="*")


def everything_but(details: dict[str, Any], name: str) -> None:
    _add(details, name, NotAction="iam:*", Resource="*")


def pass_role(details: dict[str, Any], name: str) -> None:
    _add(details, name, Action="iam:PassRole", Resource=f"arn:aws:iam::{ACCOUNT}:role/x")


def open_trust(details: dict[str, Any], name: str) -> None:
    document = _role(details, name)["AssumeRolePolicyDocument"]
    statement = document["Statement"]
    one = statement[0] if isinstance(statement, list) else statement
    one["Principal"] = {"AWS": "*"}
    one["Action"] = "sts:AssumeRole"
    one.pop("Condition", None)


def another_environment(details: dict[str, Any], name: str) -> None:
    _add(details, name, Action="ssm:GetParameter",
         Resource=f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/keyless/prod/platform")  # fmt: skip


def another_environments_role(details: dict[str, Any], name: str) -> None:
    """An action that is documented for apply's own roles, on one of another environment."""
    _add(details, name, Action="iam:TagRole",
         Resource=f"arn:aws:iam::{ACCOUNT}:role/keyless-prod-train")  # fmt: skip


def a_second_wider_statement(details: dict[str, Any], name: str) -> None:
    """What a narrow statement allows already, allowed once more and wider."""
    for statement in _statements(details, name):
        resource = statement["Resource"]
        one = resource if isinstance(resource, str) else resource[0]
        action = statement["Action"]
        if one != "*":
            wide = ":".join([*one.split(":")[:5], "*"])
            _add(details, name, Action=action, Resource=wide,
                 Condition=statement.get("Condition", {}))  # fmt: skip
            return
    raise AssertionError("nothing to repeat")


# How a role is weakened, and what the report must say of it, whatever else it says.
WEAKENED: list[tuple[Callable[[dict[str, Any], str], None], str]] = [
    (one_action_more, "unused"),
    (a_pattern_for_an_action, "too wide"),
    (every_resource, "too wide"),
    (a_wider_pattern, "too wide"),
    (no_boundary, "outside it has no permissions boundary"),
    (another_boundary, "outside its boundary is arn:aws:iam::aws:policy/AdministratorAccess"),
    (administrator, "too wide"),
    (everything_but, "too wide"),
    (pass_role, "too wide"),
    (open_trust, "trust any-principal"),
    (another_environment, "too wide"),
    (another_environments_role, "too wide"),
    (a_second_wider_statement, "too wide"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("weaken", "finding"), WEAKENED, ids=[one.__name__ for one, _ in WEAKENED])
def test_a_weakened_role_is_caught(
    name: str, weaken: Callable[[dict[str, Any], str], None], finding: str
) -> None:
    details = copy.deepcopy(DETAILS)
    weaken(details, name)
    assert any(problem.startswith(finding) for problem in problems(details, name))


def test_each_role_is_weakened_in_at_least_ten_ways() -> None:
    assert len(WEAKENED) >= 10
    made_always = {role.name for role in job_roles()} | {"flow-logs", "server"}
    assert {name.removeprefix("keyless-dev-") for name in NAMES} == made_always


CONDITIONED = [
    (role["RoleName"], statement["Sid"], key)
    for role in DETAILS["RoleDetailList"]
    for statement in _statements(copy.deepcopy(DETAILS), role["RoleName"])
    for keys in statement.get("Condition", {}).values()
    for key in keys
    if key in ("iam:PassedToService", "iam:PermissionsBoundary", "kms:ViaService", "s3:prefix",
               "ssm:SessionDocumentAccessCheck", "ssm:resourceTag/Environment",
               "ssm:resourceTag/Role", "cloudwatch:namespace", "rds:PubliclyAccessible",
               "aws:RequestedRegion", "iam:AWSServiceName",
               "secretsmanager:ResourceTag/aws:rds:primaryDBInstanceArn")
]  # fmt: skip


def test_the_conditions_that_matter_are_there_to_be_removed() -> None:
    assert len(CONDITIONED) >= 30


# The state's bucket holds no object names worth hiding, and its prefix is optional by design.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sid", "key"), [case for case in CONDITIONED if case[1] != "FindState"]
)
def test_a_condition_that_is_dropped_is_caught(name: str, sid: str, key: str) -> None:
    details = copy.deepcopy(DETAILS)
    for statement in _statements(details, name):
        if statement.get("Sid") == sid:
            for keys in statement["Condition"].values():
                keys.pop(key, None)
            statement["Condition"] = {
                op: keys for op, keys in statement["Condition"].items() if keys
            }
    assert any("too wide" in problem for problem in problems(details, name))


def test_a_right_that_nobody_used_is_unused_and_proposed_away() -> None:
    name = "keyless-dev-predict"
    role = identities(DETAILS).role(name)
    assert role is not None
    log = [one for one in full_log(name) if "/data/inputs/" not in one.resource]
    [ledger] = measure(log, [role], REVIEWED).ledgers
    assert {grant.action for grant in ledger.unused} == {"s3:GetObject"}
    diff = proposal(role, ledger)
    removed = [line for line in diff.splitlines() if line.startswith("-  ")]
    added = [line for line in diff.splitlines() if line.startswith("+  ")]
    assert ["/data/inputs/*" in line for line in removed] == [True]
    assert added == []


def test_a_role_without_any_use_is_proposed_away_but_for_what_is_documented() -> None:
    role = identities(DETAILS).role("keyless-dev-predict")
    assert role is not None
    [ledger] = measure([], [role], REVIEWED).ledgers
    assert (ledger.used, ledger.documented) == ([], [])
    diff = proposal(role, ledger)
    assert diff.count("-statement {") == len({grant.statement for grant in ledger.unused})


@pytest.mark.slow
def test_what_another_role_used_through_a_shared_policy_is_counted_as_such() -> None:
    roles = [role for role in ROLES if role.name.endswith(("-apply", "-plan"))]
    apply, plan = measure(full_log("keyless-dev-apply"), roles, REVIEWED).ledgers
    assert (apply.by_others, plan.by_others) == (0, len(plan.used))
    assert plan.used
    log = full_log("keyless-dev-plan")
    [alone] = measured(DETAILS, "keyless-dev-plan", log).ledgers
    assert (alone.by_others, alone.unused) == (0, [])


def test_a_denied_need_is_reported_and_a_denied_probe_is_counted() -> None:
    name = "keyless-dev-train"
    one = replace(full_log(name)[0], allowed=False)
    probe = replace(one, keys={"aws:UserAgent": (f"Botocore/1.40 {PROBE_AGENT}",)})
    [ledger] = measured(DETAILS, name, [*full_log(name), one, probe]).ledgers
    assert ledger.denied == [one]
    assert ledger.denied_probes == 1


@pytest.mark.parametrize(
    ("span", "verdict"),
    [
        ("whole flow", "NOT clean (1 unused)"),
        ("a log", "NOT clean (1 unused)"),
        ("so far", "clean so far (not used yet: 1)"),
    ],
)
def test_what_is_not_used_yet_is_no_fault(span: Span, verdict: str) -> None:
    name = "keyless-dev-train"
    log = full_log(name)
    alone = next(
        one for one in log
        if len(measured(DETAILS, name, [x for x in log if x is not one]).ledgers[0].unused) == 1
    )  # fmt: skip
    found = measured(DETAILS, name, [one for one in log if one is not alone])
    review = Review(found, [], [], [], 0, 0.0, 0.0, span=span)
    assert review.clean is (span == "so far")
    assert as_text(review).splitlines()[0].endswith(f": {verdict}")
    assert as_text(review).count(alone.action) == 1


def test_a_right_that_only_a_probe_used_is_unused() -> None:
    name = "keyless-dev-predict"
    agent = {"aws:UserAgent": (f"Botocore/1.40 {PROBE_AGENT}",)}
    log = [replace(one, keys={**one.keys, **agent}) for one in full_log(name)]
    [ledger] = measured(DETAILS, name, log).ledgers
    assert ledger.used == []
    assert ledger.unused


def test_the_table_of_actions_is_aws_own() -> None:
    assert table() == reference(table())


def test_every_action_of_the_platform_is_in_the_table() -> None:
    granted = {grant.action for role in ROLES for grant in grants(role)}
    assert granted <= set(table())


def test_every_reviewed_entry_says_why_and_where_and_names_its_actions() -> None:
    tables = (REVIEWED.documented, REVIEWED.wide, REVIEWED.needed)
    reasons = [(entry.why, entry.page) for entry in tables[0]]
    reasons += [(entry.why, entry.page) for entry in tables[1]]
    reasons += [(entry.why, entry.page) for entry in tables[2]]
    assert all(why and page for why, page in reasons)
    for documented in REVIEWED.documented:
        assert not any(set("*?") & set(action) for action in documented.actions)


# What a platform with model servers has beside. The file is held to what is planned by
# tests/terraform/test_rollout_rights.py, and measured by tests/e2e/test_rollouts.py.
SERVING = [
    Identity(
        f"arn:aws:iam::471835269042:role/keyless-dev-{role}",
        f"keyless-dev-{role}",
        tuple(parse_policy(text, name=name, kind="identity") for name, text in policies.items()),
    )
    for role, policies in json.loads((Path(__file__).parent / "serving.json").read_text()).items()
]
EVERY = [grant for role in (*ROLES, *SERVING) for grant in grants(role) if possible(grant)]


@pytest.mark.parametrize("role", SERVING, ids=lambda role: role.name)
def test_nothing_of_a_platform_with_model_servers_is_too_wide(role: Identity) -> None:
    [ledger] = measure([], [role], REVIEWED).ledgers
    assert [weak.grant.key for weak in ledger.weak] == []


def stale(reviewed: Reviewed) -> list[str]:
    """What of the reviewed tables excuses no right of the platform (any more).

    `needed` excuses nothing: a rule about a right that nobody has is ready for whoever adds it.
    """
    found = [
        f"documented {action}: {entry.why}"
        for entry in reviewed.documented
        for action in entry.actions
        if not any(grant.action == action and entry.covers(grant) for grant in EVERY)
    ]
    for entry in reviewed.wide:
        covered = [grant for grant in EVERY if entry.covers(grant)]
        found += [
            f"wide {one}: {entry.why}"
            for one in entry.patterns
            if not any(grant.resource == one for grant in covered)
        ]
        found += [
            f"wide {one}: {entry.why}"
            for one in entry.actions
            if not any(fnmatchcase(grant.action, one) for grant in covered)
        ]
    exact = [grant.resource for grant in EVERY if not set("*?") & set(grant.resource)]
    found += [
        f"ours {name}" for name in reviewed.ours if not any(fnmatchcase(one, name) for one in exact)
    ]
    return found


def test_no_reviewed_entry_is_stale() -> None:
    assert stale(REVIEWED) == []


def test_an_entry_that_concerns_nothing_is_stale() -> None:
    documented, wide = REVIEWED.documented[0], REVIEWED.wide[0]
    unheard = (*documented.actions, "s3:PutBucketAcl")
    changed = Reviewed(
        documented=(replace(documented, actions=unheard),),
        wide=(replace(wide, patterns=(*wide.patterns, "arn:aws:s3:::x*"), actions=("sns:*",)),),
        ours=("*:nothing-of-this",),
    )
    assert next(line.partition(":")[0] for line in stale(changed)) == "documented s3"
    assert "ours *:nothing-of-this" in stale(changed)
    assert any(line.startswith("wide arn:aws:s3:::x*") for line in stale(changed))
    assert any(line.startswith("wide sns:*") for line in stale(changed))


def test_the_snapshot_is_in_the_form_that_its_generator_writes() -> None:
    assert snapshot.normalised(DETAILS, ACCOUNT) == DETAILS


def test_the_snapshot_does_not_depend_on_what_aws_chooses() -> None:
    text = json.dumps(DETAILS).replace("third-party-AbCdEf", "third-party-Zz9qQ1")
    text = text.replace("dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ/", "dbuser:db-0123/")
    other = json.loads(text.replace(ACCOUNT, "123456789012"))
    assert other != DETAILS
    assert snapshot.normalised(other, "123456789012") == DETAILS


def test_inclusion_of_patterns() -> None:
    assert within("arn:a/b/*", ("arn:a/*",))
    assert within("arn:a/b", ("arn:x", "arn:a/?"))
    assert not within("arn:a/*", ("arn:a/b/*",))
    assert not within("arn:a", ())
