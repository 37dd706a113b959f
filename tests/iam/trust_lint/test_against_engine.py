"""The linter's verdicts against the policy engine, over policies with a small change and new ones.

The policies are those of the tables, each changed at random (a star moved, an operator exchanged,
a key in other letters, a value or a statement more), and policies put together from nothing. Every
token is one that GitHub could send; the engine says whether it gets in.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from scripts.github.issuers import AUDIENCE, provider_of
from scripts.github.trust import judge
from scripts.iam.engine.documents import Policy, PolicyError, parse_policy
from scripts.iam.trust_lint import Judgement, Setting, lint
from scripts.iam.trust_lint.decide.automata import Operand, TooComplex, text
from scripts.iam.trust_lint.decide.grammar import CLAIMS, JobKind
from scripts.iam.trust_lint.decide.search import Asked, Search
from scripts.iam.trust_lint.decide.statement import NotJudged, trusting
from scripts.localcloud.sts.issuer import Job, claims
from scripts.names import GITHUB_HOST
from tests.iam.trust_lint import test_collected, test_policies

pytestmark = pytest.mark.slow

PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{GITHUB_HOST}"
OWNERS = [("octo-org", "1001")] * 3 + [("octo-org", "777"), ("stranger", "666"), ("octo-x", "668")]
REPOSITORIES = [("example", "2002"), ("app", "2002"), ("other", "2003"), ("app-x", "778")]
TEMPLATE = ["repo", "context", "job_workflow_ref", "workflow", "ref", "environment", "repository",
            "repository_id", "repository_owner", "repository_owner_id", "actor", "event_name",
            "base_ref", "ref_type"]  # fmt: skip
EVENTS: list[dict[str, str]] = [
    *({"ref": f"refs/heads/{name}"} for name in ("main", "dev", "feature/x", "main-2")),
    {"ref": "refs/tags/v1"},
    {"ref": "refs/heads/gh-readonly-queue/main/pr-7-" + "a" * 40, "event_name": "merge_group"},
    {"ref": "refs/pull/7/merge", "event_name": "pull_request", "base_ref": "main",
     "head_ref": "change"},
    {"ref": "refs/heads/main", "event_name": "pull_request_target", "base_ref": "main",
     "head_ref": "change"},
]  # fmt: skip
SHARED = "octo-org/shared/.github/workflows/deploy.yml@"
WORKFLOWS = [f"{SHARED}refs/heads/main", SHARED + "8f4b7f84" * 5,
             "stranger/x/.github/workflows/deploy.yml@refs/heads/main"]  # fmt: skip
OPERATORS = ["StringEquals", "StringLike"] * 4 + [
    "StringEqualsIgnoreCase", "StringNotEquals", "StringNotLike", "StringLikeIfExists",
    "StringEqualsIfExists", "ForAllValues:StringEquals", "ForAllValues:StringLike",
    "ForAnyValue:StringLike", "ForAnyValue:StringNotEquals", "ForAllValues:StringNotLike",
]  # fmt: skip
COMPARED = ["sub"] * 8 + ["aud", "repository", "repository_id", "repository_owner_id", "ref",
            "environment", "job_workflow_ref", "workflow", "actor", "base_ref"]  # fmt: skip
BASES: list[dict[str, Any]] = [
    *(json.loads(test_collected.document(row)) for row in test_collected.TABLE
      if "refused" not in row),
    *(test_policies.document(row) for row in (*test_policies.GOOD, *test_policies.BAD)),
]  # fmt: skip


# Tokens


def token(draw: Random) -> dict[str, Any]:
    """The token of some job."""
    while True:
        try:
            job = _job(draw)
        except ValidationError:
            continue  # a template of a claim that the job has not
        return claims(job, draw.choice([AUDIENCE] * 9 + ["https://github.com/octo-org"]), 0)


def _job(draw: Random) -> Job:
    (owner, owner_id), (name, own_id) = draw.choice(OWNERS), draw.choice(REPOSITORIES)
    event = draw.choice(EVENTS)
    own = f"{owner}/{name}/.github/workflows/deploy.yml@{event['ref']}"
    job: dict[str, Any] = {
        "repository": f"{owner}/{name}",
        "repository_id": own_id,
        "repository_owner_id": owner_id,
        "subject_format": draw.choice(["immutable", "names"]),
        "actor": draw.choice(["octocat", "mallory", "dependabot[bot]"]),
        "workflow": draw.choice(["deploy", "De:ploy"]),
        "workflow_ref": own,
        "job_workflow_ref": draw.choice([own, own, *WORKFLOWS]),
        **event,
    }
    if draw.random() < 0.4:
        job["environment"] = draw.choice(["prod", "Prod", "pr:od", "production", "staging"])
    if draw.random() < 0.4:
        job["subject_template"] = tuple(draw.sample(TEMPLATE, draw.randint(1, 4)))
    return Job(**job)


# Policies


def changed(draw: Random, document: Mapping[str, Any]) -> dict[str, Any]:
    """A policy of the tables with one to three small changes."""
    policy = copy.deepcopy(dict(document))
    statements = policy["Statement"]
    for _ in range(draw.randint(1, 3)):
        statement = draw.choice(statements)
        conditions = statement.get("Condition")
        change = draw.randrange(6)
        if change == 0 or not conditions or not any(conditions.values()):
            statements.append(_statement(draw, draw.choice(["Allow", "Deny", "Deny"])))
            continue
        operator = draw.choice([name for name, keys in conditions.items() if keys])
        key = draw.choice(list(conditions[operator]))
        value = conditions[operator][key]
        values = list(value) if isinstance(value, list) else [value]
        if change == 1:
            other = draw.choice(OPERATORS)
            del conditions[operator][key]
            conditions.setdefault(other, {})[key] = value
        elif change == 2:
            del conditions[operator][key]
            conditions[operator][key.swapcase()] = value
        elif change == 3:
            claim = key.rpartition(":")[2]
            values.append(_value(draw, claim))
            conditions[operator][key] = values
        elif values:
            at = draw.randrange(len(values))
            values[at] = _with_star(draw, str(values[at]))
            conditions[operator][key] = values
    return policy


def made(draw: Random) -> dict[str, Any]:
    """A policy put together from nothing."""
    effects = ["Allow"] * draw.choice([1, 1, 1, 2]) + ["Deny"] * draw.choice([0, 0, 0, 1, 2])
    version = draw.choice(["2012-10-17"] * 9 + ["2008-10-17"])
    return {"Version": version, "Statement": [_statement(draw, effect) for effect in effects]}


def _statement(draw: Random, effect: str) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    if effect == "Allow" and draw.random() < 0.8:
        conditions["StringEquals"] = {f"{GITHUB_HOST}:aud": AUDIENCE}
    for _ in range(draw.randint(1, 3)):
        claim = draw.choice(COMPARED)
        key = f"{GITHUB_HOST}:{claim}"
        if draw.random() < 0.05:
            conditions.setdefault("Null", {})[key] = draw.choice(["true", "false"])
            continue
        values = [_with_star(draw, _value(draw, claim)) for _ in range(draw.choice([1, 1, 2]))]
        conditions.setdefault(draw.choice(OPERATORS), {})[key] = values
    anyone = effect == "Deny" and draw.random() < 0.5
    return {
        "Effect": effect,
        "Principal": "*" if anyone else {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": conditions,
    }


def _value(draw: Random, claim: str) -> str:
    return str(token(draw).get(claim) or "prod")


def _with_star(draw: Random, value: str) -> str:
    """The value, with a wildcard put in, moved or taken out, or in other letters."""
    at = draw.randrange(len(value) + 1)
    parts = value.split(":")
    parts[draw.randrange(len(parts))] = "*"
    return draw.choice([
        value, value, value[:at] + "*", value[:at] + "*" + value[at + draw.randint(0, 8):],
        value[:at] + "?" + value[at + 1 :], "*" + value[at:], ":".join(parts),
        value.replace("*", "", 1), value.swapcase(),
    ]) or "*"  # fmt: skip


# Verdicts


def admits(policy: Policy, sent: Mapping[str, Any]) -> bool:
    """Whether the engine lets a token into a role of the providers' account."""
    return any(judge(f"{account}:role/ci", policy, sent).allowed for account in _accounts(policy))


def _providers(policy: Policy) -> set[str]:
    return {
        arn
        for statement in policy.statements
        for arn in (statement.principals or {}).get("Federated", ())
        if ":oidc-provider/" in arn
    }


def _accounts(policy: Policy) -> set[str]:
    return {arn.partition(":oidc-provider/")[0] for arn in _providers(policy)}


def faults(document: Mapping[str, Any], draw: Random) -> Iterator[str]:
    """Every disagreement between the linter and the engine about a policy."""
    try:
        policy = parse_policy(json.dumps(document), name="trust", kind="trust")
        found = lint(json.dumps(document), Setting("trust"))
    except PolicyError:
        return
    if any(one.elsewhere for one in trusting(policy)):
        return  # an address or a session's name, which no token has
    yield from _about_proofs(policy, found)
    if found.not_judged:
        return
    # Some tokens are near the policy: what it takes, a sampled token seldom has.
    for claims_of in [token(draw) for _ in range(12)] + _near(draw, found):
        admitted = admits(policy, claims_of)
        try:
            possible = _by_the_automata(policy, claims_of)
        except (NotJudged, TooComplex):
            return
        if possible is not admitted:
            yield f"automata {possible}, engine {admitted}: {claims_of}"
        if admitted:
            yield from _about_level(document, found, claims_of)


def _near(draw: Random, found: Judgement) -> list[dict[str, Any]]:
    """The proof of whom a policy lets in, as it is and with one claim exchanged."""
    reach = found.reach.get("trust")
    if reach is None or reach.token is None:
        return []
    own = dict(reach.token.claims)
    near = [own]
    free = [
        claim
        for claim in ("repository_id", "repository_owner_id", "actor", "workflow")
        if f"{claim}:" not in own["sub"] and str(own[claim]) not in own["sub"]
    ]
    near += [{**own, claim: draw.choice("45") if "id" in claim else "x"} for claim in free]
    return near


def _about_proofs(policy: Policy, found: Judgement) -> Iterator[str]:
    for reach in found.reach.values():
        if reach.token is not None and not admits(policy, reach.token.claims):
            yield f"the proof of {reach.who} is refused: {reach.token.claims}"
    for finding in found.findings:
        if finding.witness is None:
            continue
        sent = {"sub": finding.witness, **finding.claims}
        issuers = [arn.partition(":oidc-provider/")[2] for arn in _providers(policy)]
        if not any(
            admits(policy, {**sent, "iss": f"https://{issuer}", "aud": one})
            for issuer in issuers
            for one in _audiences(policy)
        ):
            yield f"the witness of {finding.rule} is refused: {finding.witness} {finding.claims}"


def _audiences(policy: Policy) -> set[str]:
    """Audiences that a policy may want: a job can ask for any."""
    named = {
        value.replace("*", "x").replace("?", "x") if like else value
        for statement in policy.statements
        for one in statement.conditions
        for like in ["Like" in one.operator]
        for value in one.values
        if one.key.lower().endswith(":aud")
    }
    return {AUDIENCE, "another", *named, *(one.lower() for one in named)}


def _about_level(
    document: Mapping[str, Any], found: Judgement, admitted: Mapping[str, Any]
) -> Iterator[str]:
    reach = found.reach.get("trust")
    level = None if reach is None else reach.level
    if level in (None, "nobody"):
        yield f"nobody is let in, and the engine admits {admitted}"
    owner = admitted["repository"].partition("/")[0]
    named = json.dumps(document["Statement"]).lower()
    own = (owner.lower(), admitted["repository_owner_id"], admitted["repository_id"])
    if not any(one in named for one in own) and level != "anybody":
        yield f"{level}, and the engine admits an owner that nothing names: {admitted}"


def _by_the_automata(policy: Policy, sent: Mapping[str, Any]) -> bool:
    """Whether a token with exactly these claims is found for some statement."""
    kind: JobKind = "ref"
    if sent.get("environment"):
        kind = "environment"
    elif sent["ref"].startswith("refs/pull/"):
        kind = "pull_request"
    known = {claim: text(str(sent[claim])) for claim in CLAIMS if sent.get(claim)}
    asked = Asked(kinds=(kind,), subject=(Operand(text(sent["sub"])),)).also(**known)
    return any(
        one.issuer is not None
        and one.host == provider_of(sent)
        and Search(one, one.issuer).find(asked) is not None
        for one in trusting(policy)
    )


# The same ones each time; without `derandomize` others, and thousands were tried so.
TRIES = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@TRIES
@given(st.sampled_from(BASES), st.randoms(use_true_random=False))
def test_a_small_change_of_a_known_policy_is_judged_as_the_engine_does(
    base: dict[str, Any], draw: Random
) -> None:
    document = changed(draw, base)
    assert list(faults(document, draw)) == [], json.dumps(document)


@TRIES
@given(st.randoms(use_true_random=False))
def test_a_policy_from_nothing_is_judged_as_the_engine_does(draw: Random) -> None:
    document = made(draw)
    assert list(faults(document, draw)) == [], json.dumps(document)
