"""The ledger: what each role used of what it is granted, held against the reviewed tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.iam.account.decision_log import Record
from scripts.iam.account.identities import Identities, Identity
from scripts.iam.engine.errors import Unsupported
from scripts.iam.engine.evaluation import Principal
from scripts.iam.engine.statements import Facts
from scripts.iam.ledger.actions import possible
from scripts.iam.ledger.grants import Grant, grants, within
from scripts.iam.ledger.reviewed import Documented, Reviewed
from scripts.names import prefix
from scripts.names import roles as listed_roles


@dataclass(frozen=True)
class Weak:
    """A grant that is wider than it must be, though it may be used."""

    grant: Grant
    why: str


@dataclass
class Ledger:
    """One role: its grants by set, its denied needs, and what is wrong beside that.

    `by_others` counts the used grants that another role used, through a policy that both have.
    """

    role: str
    used: list[Grant] = field(default_factory=list)
    documented: list[tuple[Grant, Documented]] = field(default_factory=list)
    unused: list[Grant] = field(default_factory=list)
    denied: list[Record] = field(default_factory=list)
    weak: list[Weak] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    denied_probes: int = 0
    by_others: int = 0


@dataclass(frozen=True)
class Measured:
    """Every role's ledger, and what was measured: how many decisions over how many seconds."""

    ledgers: tuple[Ledger, ...]
    decisions: int
    seconds: float

    @property
    def unused(self) -> int:
        """How many rights of all roles were not used."""
        return sum(len(ledger.unused) for ledger in self.ledgers)


def measure(records: Sequence[Record], roles: Iterable[Identity], reviewed: Reviewed) -> Measured:
    """Sort every grant of the roles into used, documented or unused, and every denial."""
    by_role: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.role:
            by_role[record.role].append(record)
    members = sorted(roles, key=lambda role: role.name)
    used = {role.name: _used(role, by_role[role.name]) for role in members}
    # Roles that share a managed policy exercise it together: the plan roles read what apply reads.
    shared = {
        (grant.policy, grant.statement, grant.action, grant.resource)
        for found in used.values()
        for grant in found
        if grant.policy.startswith("arn:")
    }
    ledgers = [
        _ledger(
            role, by_role[role.name], {grant.key for grant in used[role.name]}, shared, reviewed
        )
        for role in members
    ]
    times = [record.time for record in records]
    return Measured(tuple(ledgers), len(records), max(times) - min(times) if times else 0.0)


def _used(role: Identity, records: Sequence[Record]) -> list[Grant]:
    """The grants without which a request would have been denied, or that fit one best.

    A wide grant beside a narrower one that allows the same requests is not used by them.
    """
    mine = grants(role)
    exact: dict[str, list[Grant]] = defaultdict(list)
    wild = []
    for grant in mine:
        if grant.exact is None:
            wild.append(grant)
        else:
            exact[grant.exact].append(grant)
    found: dict[tuple[str, ...], Grant] = {}
    for facts in _facts(role, records):
        fitting = [
            grant
            for grant in (*exact.get(facts.action.lower(), ()), *wild)
            if _matches(grant, facts)
        ]
        for grant in fitting:
            if grant.key in found:
                continue
            if not any(other.narrower_than(grant) for other in fitting if other is not grant):
                found[grant.key] = grant
    return list(found.values())


def _matches(grant: Grant, facts: Facts) -> bool:
    try:
        return grant.matches(facts)
    except Unsupported:
        return False


def _facts(role: Identity, records: Sequence[Record]) -> list[Facts]:
    """The allowed requests of a role, each distinct one once."""
    wanted = frozenset().union(*(policy.condition_keys for policy in role.identity))
    found: dict[tuple[Any, ...], Facts] = {}
    for record in records:
        if not record.allowed or record.probe:
            continue
        keys = record.keys
        read = tuple(sorted((key, value) for key, value in keys.items() if key.lower() in wanted))
        mark = (record.action, record.resource, read)
        if mark in found:
            continue
        principal = Principal(record.principal, role.account, "assumed-role", role_arn=role.arn)
        found[mark] = Facts(
            principal,
            record.action,
            record.resource,
            keys,
            bounded=role.boundary is not None,
        )
    return list(found.values())


def _ledger(
    role: Identity,
    records: Sequence[Record],
    used: set[tuple[str, str, str, str, str]],
    shared: set[tuple[str, str, str, str]],
    reviewed: Reviewed,
) -> Ledger:
    ledger = Ledger(role.name)
    for grant in filter(possible, grants(role)):
        entry = next((one for one in reviewed.documented if one.covers(grant)), None)
        if grant.key in used or grant.key[1:] in shared:
            ledger.used.append(grant)
            ledger.by_others += grant.key not in used
        elif entry is not None:
            ledger.documented.append((grant, entry))
        else:
            ledger.unused.append(grant)
        ledger.weak += _weak(grant, reviewed)
    for record in records:
        if record.allowed:
            continue
        if record.probe:
            ledger.denied_probes += 1
        else:
            ledger.denied.append(record)
    ledger.outside = outside(role, reviewed.names)
    return ledger


def _weak(grant: Grant, reviewed: Reviewed) -> list[Weak]:
    found = []
    if grant.odd:
        found.append(Weak(grant, f"{grant.odd} grants everything that it does not name"))
    if set("*?") & set(grant.action):
        found.append(Weak(grant, "the action is a pattern; write the actions that are needed"))
    if not any(one.covers(grant) for one in reviewed.wide):
        if set("*?") & set(grant.resource):
            found.append(Weak(grant, "the resource is a pattern that nobody reviewed, or lacks "
                                     "the condition that limits it"))  # fmt: skip
        elif reviewed.foreign(grant):
            found.append(Weak(grant, "the resource is not this environment's"))
    for rule in reviewed.needed:
        found += [
            Weak(grant, f"no condition limits {key.replace('|', ' or ')}: {rule.why}")
            for key in rule.missing(grant)
        ]
    return found


def outside(role: Identity, names: Mapping[str, str]) -> list[str]:
    """What of a role is not inside its permissions boundary, or that it has none of ours."""
    made = listed_roles().get(role.name.removeprefix(f"{names['prefix']}-"))
    kind = "deploy-boundary" if made and made.root == "bootstrap" else "boundary"
    expected = f"arn:aws:iam::{names['account']}:policy/{names['prefix']}-{kind}"
    if role.boundary is None:
        return ["it has no permissions boundary"]
    found = []
    if role.boundary_arn != expected:
        found.append(f"its boundary is {role.boundary_arn}, not {expected}")
    found += [
        f"{grant.action} on {grant.resource} ({grant.policy} {grant.statement})"
        for grant in grants(role)
        if not _inside(grant, role)
    ]
    return found


def _inside(grant: Grant, role: Identity) -> bool:
    """Whether the boundary's Allow statements for the action hold the whole resource pattern."""
    if grant.odd:
        return False
    patterns: list[str] = []
    for policy in role.boundary or ():
        for compiled in policy.allows:
            statement = compiled.source
            actions = tuple(action.lower() for action in statement.actions or ())
            if statement.resources is None or not within(grant.action.lower(), actions):
                continue
            patterns += statement.resources
    return within(grant.resource, tuple(patterns))


def in_scope(members: Identities, environment: str) -> list[Identity]:
    """The platform's roles of one environment."""
    return [role for role in members.roles if role.name.startswith(f"{prefix(environment)}-")]
