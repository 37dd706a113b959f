"""Policies that others wrote: whom each lets in, what is wrong with it, and tokens to prove it.

Engine and automata answer for every token, each by its own way; the table says what is right.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.github.issuers import AUDIENCE, provider_of
from scripts.github.trust import judge
from scripts.iam.engine.documents import Policy, PolicyError, parse_policy
from scripts.iam.trust_lint import Judgement, Setting, lint
from scripts.iam.trust_lint.decide.automata import Operand, text
from scripts.iam.trust_lint.decide.grammar import CLAIMS, JobKind
from scripts.iam.trust_lint.decide.search import Asked, Search
from scripts.iam.trust_lint.decide.statement import trusting
from scripts.names import GITHUB_HOST, GITHUB_ISSUER
from tests import parse_yaml

# Together they take twenty seconds; test_policies.py has a policy of each kind of mistake.
pytestmark = pytest.mark.slow

TABLE = [
    row
    for name in ("collected.yaml", "further.yaml")
    for row in parse_yaml((Path(__file__).parent / name).read_text())
]
NAMES = [row["name"] for row in TABLE]
ROWS = {row["name"]: row for row in TABLE}
READ = [row["name"] for row in TABLE if "refused" not in row]
TOKENS = [name for name in READ if {"admits", "refuses"} & set(ROWS[name])]


def document(row: Mapping[str, Any]) -> str:
    """The policy that a row stands for, as JSON."""
    if "text" in row:
        return str(row["text"])
    statements = [_statement(item) for item in row["statements"]]
    return json.dumps({"Version": row.get("version", "2012-10-17"), "Statement": statements})


def _statement(item: Mapping[str, Any]) -> dict[str, Any]:
    provider = item.get("provider", GITHUB_HOST)
    partition = item.get("partition", "aws")
    arn = f"arn:{partition}:iam::123456789012:oidc-provider/{provider}"
    statement = {
        "Effect": item.get("effect", "Allow"),
        "Principal": item.get("principal", {"Federated": arn}),
        "Action": item.get("action", "sts:AssumeRoleWithWebIdentity"),
    }
    if item["condition"]:
        statement["Condition"] = {
            operator: {
                key if ":" in key else f"{provider}:{key}": value for key, value in keys.items()
            }
            if isinstance(keys, dict)
            else keys
            for operator, keys in item["condition"].items()
        }
    return statement


@functools.cache
def judged(name: str) -> Judgement:
    """What the linter says of a row."""
    return lint(document(ROWS[name]), Setting("trust"))


@functools.cache
def policy(name: str) -> Policy:
    return parse_policy(document(ROWS[name]), name="trust", kind="trust")


def token(claims: Mapping[str, Any]) -> dict[str, Any]:
    """A token of a row with what it leaves out."""
    return {"iss": GITHUB_ISSUER, "aud": AUDIENCE, **claims}


@pytest.mark.parametrize("name", READ)
def test_each_policy_is_judged_as_it_is_right(name: str) -> None:
    row, found = ROWS[name], judged(name)
    reach = found.reach.get("trust")
    assert (None if reach is None else reach.level) == row.get("level")
    assert row.get("who", "") in (reach.who if reach else "")
    by_weight: dict[bool, list[str]] = {False: [], True: []}
    for finding in found.findings:
        by_weight[finding.severity == "note"].append(finding.rule)
    assert sorted(by_weight[False]) == row.get("expect", [])
    assert sorted(by_weight[True]) == row.get("notes", [])
    assert len(found.not_judged) == row.get("not judged", 0)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(READ)))
def test_what_is_no_policy_is_refused_in_words(name: str) -> None:
    with pytest.raises(PolicyError) as refused:
        judged(name)
    assert str(refused.value).endswith(ROWS[name]["refused"])


@pytest.mark.parametrize("name", TOKENS)
def test_engine_and_automata_agree_on_every_token(name: str) -> None:
    for key, expected in (("admits", True), ("refuses", False)):
        for claims in map(token, ROWS[name].get(key, ())):
            assert by_the_engine(name, claims) is expected, claims
            if not ROWS[name].get("not judged"):
                assert by_the_automata(name, claims) is expected, claims


def by_the_engine(name: str, claims: Mapping[str, Any]) -> bool:
    """Ask the judge about the role of the row's account."""
    partition = next(
        (item["partition"] for item in ROWS[name]["statements"] if "partition" in item), "aws"
    )
    return judge(f"arn:{partition}:iam::123456789012:role/ci", policy(name), claims).allowed


def by_the_automata(name: str, claims: Mapping[str, Any]) -> bool:
    """Whether some token with these claims is in the language of a statement."""
    for one in trusting(policy(name)):
        if one.issuer is None or one.host != provider_of(claims):
            continue
        known = {claim: text(str(claims[claim])) for claim in CLAIMS if claim in claims}
        kinds: tuple[JobKind, ...] = ("ref", "pull_request")
        if "environment" in claims or "environment:" in claims["sub"]:
            kinds = ("environment",)
        subject = (Operand(text(claims["sub"])),)
        asked = Asked(kinds=kinds, subject=subject).also(**known)
        if Search(one, one.issuer).find(asked) is not None:
            return True
    return False


@pytest.mark.parametrize("name", READ)
def test_every_witness_gets_in_and_fits_what_is_said(name: str) -> None:
    row, found = ROWS[name], judged(name)
    for finding in found.findings:
        if finding.witness is None:
            continue
        claims = token({"sub": finding.witness, **finding.claims})
        issuers = [f"https://{item.get('provider', GITHUB_HOST)}" for item in row["statements"]]
        audiences = {AUDIENCE, *_values(row, "aud")}
        assert any(
            by_the_engine(name, {**claims, "iss": issuer, "aud": audience})
            for issuer in issuers
            for audience in audiences
        ), finding
    reach = found.reach.get("trust")
    if reach is not None and reach.token is not None:
        assert by_the_engine(name, reach.token.claims)


def _values(row: Mapping[str, Any], claim: str) -> set[str]:
    found: set[str] = set()
    for item in row["statements"]:
        for keys in item["condition"].values():
            value = keys.get(claim, [])
            found.update(value if isinstance(value, list) else [value])
    return found


@pytest.mark.parametrize("name", READ)
def test_who_nobody_is_a_note(name: str) -> None:
    for finding in judged(name).findings:
        if finding.who.startswith("nobody") and not finding.rule.startswith("template"):
            assert finding.severity == "note", finding


def test_the_table_is_what_it_says() -> None:
    assert len(ROWS) == len(TABLE) >= 175
    levels = {row.get("level") for row in TABLE}
    assert levels >= {"nobody", "contexts", "repository", "name", "owner", "anybody"}
    assert sum(len(row.get(key, ())) for row in TABLE for key in ("admits", "refuses")) >= 300
