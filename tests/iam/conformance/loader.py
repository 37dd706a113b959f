"""Reads the conformance cases: policies, a request and the answer that AWS documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.iam.engine import (
    Policy,
    PolicyKind,
    PolicySet,
    Principal,
    Request,
    Unsupported,
    evaluate,
    parse_policy,
)
from tests import parse_yaml

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/caller"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/caller/session"
USER = f"arn:aws:iam::{ACCOUNT}:user/bob"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
CALLERS = {
    "session": Principal(SESSION, ACCOUNT, "assumed-role", role_arn=ROLE),
    "user": Principal(USER, ACCOUNT, "user"),
    "root": Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "root"),
    "anonymous": Principal("*", "", "anonymous"),
    "service": Principal("ec2.amazonaws.com", "", "service", service="ec2.amazonaws.com"),
}
NAMES: dict[str, Any] = {
    "session": {"AWS": SESSION},
    "role": {"AWS": ROLE},
    "user": {"AWS": USER},
    "account": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "id": {"AWS": ACCOUNT},
    "everyone": "*",
    "{everyone}": {"AWS": "*"},
    "arn": "*",
    "other-role": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"},
    "other-session": {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/caller/other"},
    "other-account": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
    "service": {"Service": "ec2.amazonaws.com"},
    "other-service": {"Service": "rds.amazonaws.com"},
}
EXPECTED = {
    "allowed": "ALLOWED",
    "denied": "EXPLICIT_DENY",
    "identity": "NO_IDENTITY_ALLOW",
    "boundary": "NO_BOUNDARY_ALLOW",
    "session": "NO_SESSION_ALLOW",
    "resource": "NO_RESOURCE_ALLOW",
    "unsupported": "unsupported",
}
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One conformance case; `documents` maps a kind of policy to its document, if it has one.

    `expected` is the name of a Reason, or "unsupported".
    """

    name: str
    page: str
    request: Request
    documents: Mapping[PolicyKind, Document]
    expected: str

    def policies(self) -> PolicySet:
        parsed = {
            kind: (parse_policy(document, name=kind, kind=kind),)
            for kind, document in self.documents.items()
        }
        none: tuple[Policy, ...] = ()
        return PolicySet(
            identity=parsed.get("identity", none),
            boundary=parsed.get("boundary"),
            session=parsed.get("session"),
            resource=parsed.get("resource", none) + parsed.get("trust", none),
        )

    def answer(self) -> str:
        """What the engine says, in the words of `expected`."""
        try:
            return evaluate(self.request, self.policies()).reason.name
        except Unsupported:
            return "unsupported"


def load_cases() -> list[Case]:
    """Every case of every file."""
    return [*_conditions(), *_elements(), *_decisions(), *_web_identity()]


def _read(name: str) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = parse_yaml(Path(__file__).with_name(name).read_text())
    return content


def _document(statements: list[Document], case: Document) -> Document:
    version = case.get("version", "2012-10-17")
    return {"Statement": statements} | ({"Version": version} if version else {})


def _context(case: Document) -> dict[str, tuple[str, ...]]:
    return {key: tuple(values) for key, values in case.get("has", {}).items()}


def _both_effects(
    group: Document, case: Document, request: Request, elements: Document
) -> Iterator[Case]:
    """The statement as an Allow, and as a Deny beside an Allow of everything."""
    held = case["is"]
    allow = _document([{"Effect": "Allow", **elements}], case)
    deny = _document([EVERYTHING, {"Effect": "Deny", **elements}], case)
    for effect, document, yes, no in (
        ("allow", allow, "allowed", "identity"),
        ("deny", deny, "denied", "allowed"),
    ):
        expected = "unsupported" if held == "unsupported" else (yes if held else no)
        yield Case(
            f"{group['page']}: {case['name']} ({effect})",
            group["page"],
            request,
            {"identity": document},
            EXPECTED[expected],
        )


EVERYTHING: Document = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def _conditions() -> Iterator[Case]:
    for group in _read("conditions.yaml"):
        for case in group["cases"]:
            request = Request(CALLERS["session"], "s3:GetObject", "*", _context(case))
            elements = {"Action": "*", "Resource": "*", "Condition": case["when"]}
            yield from _both_effects(group, case, request, elements)


def _elements() -> Iterator[Case]:
    for group in _read("elements.yaml"):
        for case in group["cases"]:
            written = case["statement"]
            request = Request(
                CALLERS["session"],
                case.get("action", "s3:GetObject"),
                case.get("resource", "arn:aws:s3:::bucket/key"),
                _context(case),
                resource_account=ACCOUNT,
            )
            elements = dict(written)
            if not {"Action", "NotAction"} & written.keys():
                elements["Action"] = "*"
            if not {"Resource", "NotResource"} & written.keys():
                elements["Resource"] = "*"
            yield from _both_effects(group, case, request, elements)


def _decisions() -> Iterator[Case]:
    for group in _read("decisions.yaml"):
        for row in group["rows"].splitlines()[1:]:
            caller, identity, boundary, session, resource, expected = row.split()
            principal = CALLERS[caller]
            context = {} if caller == "anonymous" else {"aws:PrincipalArn": (_arn(principal),)}
            request = Request(
                principal,
                group.get("action", "s3:GetObject"),
                group.get("resource", "arn:aws:s3:::bucket/key"),
                context,
                resource_account=group["owner"],
            )
            documents: dict[PolicyKind, Document] = {}
            for kind, says in _own(identity, boundary, session).items():
                if says != "-":
                    documents[kind] = {"Version": "2012-10-17", "Statement": _says(says)}
            kind = group.get("kind", "resource")
            if resource != "-":
                statements = [_named(part, kind) for part in resource.split("+")]
                documents[kind] = {"Version": "2012-10-17", "Statement": statements}
            name = f"{group['about']}: {' '.join(row.split())}"
            yield Case(name, group["page"], request, documents, EXPECTED[expected])


def _arn(principal: Principal) -> str:
    return principal.role_arn or principal.arn


def _own(identity: str, boundary: str, session: str) -> dict[PolicyKind, str]:
    return {"identity": identity, "boundary": boundary, "session": session}


def _says(what: str) -> list[Document]:
    if what == "other":
        return [{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}]
    return [{"Effect": what.capitalize(), "Action": "*", "Resource": "*"}]


def _named(part: str, kind: str) -> Document:
    effect, _, whom = part.partition(":")
    statement: dict[str, Any] = {"Effect": effect.partition("-")[0].capitalize()}
    statement |= {"Action": "sts:*"} if kind == "trust" else {"Action": "*", "Resource": "*"}
    if effect == "deny-not":
        names: dict[str, list[str]] = {}
        for name in whom.split(","):
            for type_, value in NAMES[name].items():
                names.setdefault(type_, []).append(value)
        return statement | {"NotPrincipal": names}
    if whom == "arn":
        statement["Condition"] = {"ArnEquals": {"aws:PrincipalArn": [ROLE, USER]}}
    return statement | {"Principal": NAMES[whom]}


def _web_identity() -> Iterator[Case]:
    for group in _read("web_identity.yaml"):
        for case in group["cases"]:
            caller = Principal(
                case.get("provider", PROVIDER),
                ACCOUNT,
                "federated",
                federated_provider=case.get("provider", PROVIDER),
            )
            claims = group["claims"] | case.get("claims", {})
            context = {
                f"token.actions.githubusercontent.com:{claim}": (value,)
                for claim, value in claims.items()
                if value is not None
            }
            action = case.get("action", "sts:AssumeRoleWithWebIdentity")
            role = f"arn:aws:iam::{ACCOUNT}:role/target"
            trust = case.get("trust") or group["trust"]
            document = {"Version": "2012-10-17", "Statement": trust}
            yield Case(
                case["name"],
                group["page"],
                Request(caller, action, role, context),
                {"trust": document},
                EXPECTED[case["expected"]],
            )
