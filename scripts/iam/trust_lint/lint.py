"""Lints trust policies: who is trusted at all, and every rule on each statement of GitHub's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scripts.github.issuers import Issuer
from scripts.iam.engine.documents import Policy, PolicyError, Statement, parse_policy
from scripts.iam.engine.patterns import glob, tokens
from scripts.iam.trust_lint.claims import CLAIM_CHECKS, DEAD_CHECKS, names_with_ids
from scripts.iam.trust_lint.contexts import CONTEXT_CHECKS, contradicted
from scripts.iam.trust_lint.decide.automata import TooComplex
from scripts.iam.trust_lint.decide.grammar import TOKEN_CLAIMS
from scripts.iam.trust_lint.decide.statement import NotJudged, Trusting, trusting
from scripts.iam.trust_lint.decide.who import Reach, together
from scripts.iam.trust_lint.findings import Finding
from scripts.iam.trust_lint.principals import (
    NOT_ACTIONS,
    poses_as_github,
    principals,
    speaks_of_github,
)
from scripts.iam.trust_lint.reading.literals import texts
from scripts.iam.trust_lint.reading.names import ACCOUNT
from scripts.iam.trust_lint.rules import IDENTITY_CHECKS, Linted, Setting, refused_intent
from scripts.iam.trust_lint.unfilled import (
    ANY_SUBJECT,
    Filled,
    Open,
    claims_of,
    filled,
    left_in,
    with_one,
    without,
)
from scripts.iam.trust_lint.written import refusals
from scripts.names import GITHUB_HOST

Document = Mapping[str, Any] | str | bytes

# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
STS_ACTIONS = (
    "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot",
    "DecodeAuthorizationMessage", "GetAccessKeyInfo", "GetCallerIdentity", "GetFederationToken",
    "GetServiceBearerToken", "GetSessionToken", "GetWebIdentityToken", "SetContext",
    "SetSourceIdentity", "TagGetWebIdentityToken", "TagSession",
)  # fmt: skip
_NO_ACCOUNT = "0" * 12
_PROVIDERS_ACCOUNT = re.compile(
    r"(arn:aws[a-z-]*:iam::)(?!\d{12}:)(\$?\{+[^}\"]*\}+|[^:\"/]*)(?=:(?:oidc|saml)-provider/)"
)
# A number that is the role's own account's whatever it is.
_OWN_ACCOUNT = re.compile(
    rf"{re.escape(ACCOUNT)}|\$\{{account\}}"
    r"|\$\{data\.aws_caller_identity\.\w+\.(?:account_)?id\}"
    r"|.*(?:get-caller-identity|Stack\.of\(this\)\.account|this\.account|Aws\.ACCOUNT_ID).*"
)


# IAM's message names the keys, one of which a policy has to compare.
_KEY_TO_COMPARE = re.compile(r"must evaluate, .* or StringEqualsIgnoreCase, (\S+) ")


@dataclass(frozen=True)
class Judgement:
    """What was found in some policies, what was not judged and why, and whom each lets in.

    `reach` is by origin; a policy that lets in nobody through GitHub is in it too.
    """

    findings: tuple[Finding, ...] = ()
    not_judged: tuple[str, ...] = ()
    reach: Mapping[str, Reach] = field(default_factory=dict)

    def __add__(self, other: Judgement) -> Judgement:
        return Judgement(
            self.findings + other.findings,
            self.not_judged + other.not_judged,
            {**self.reach, **other.reach},
        )

    def quoting(self, quoted: Callable[[str], str]) -> Judgement:
        """The same with what each text quotes as it was written."""
        findings = tuple(
            replace(
                one,
                message=quoted(one.message),
                who=quoted(one.who),
                fix=quoted(one.fix),
                witness=None if one.witness is None else quoted(one.witness),
                claims={name: quoted(value) for name, value in one.claims.items()},
            )
            for one in self.findings
        )
        reach = {
            origin: replace(one, who=quoted(one.who), token=one.token and one.token.quoting(quoted))
            for origin, one in self.reach.items()
        }
        return Judgement(findings, tuple(map(quoted, self.not_judged)), reach)


def lint(document: Document, setting: Setting) -> Judgement:
    """Judge a trust policy.

    Raises PolicyError where the document is not a trust policy that IAM would take; NotPrincipal,
    which IAM refuses as well, is a finding because it is found in the wild.
    """
    document, hidden = _with_accounts(document)
    if hidden and _OWN_ACCOUNT.fullmatch(hidden[0]):
        return lint(document, setting).quoting(lambda text: text.replace(_NO_ACCOUNT, "ACCOUNT"))
    if hidden:
        what = (
            f"{hidden[0]} is no number of an account" if hidden[0] else "the account is not given"
        )
        if re.fullmatch(r"\d*|aws[a-z-]*", hidden[0]):
            what += (
                ", and AWS has no such provider; another service with IAM's API, as Ceph, may have "
                "it. It was judged as the provider of the role's own account"
            )
        else:
            what = (
                f"{hidden[0]} is not filled in, so whether the provider is the role's own "
                "account's is not judged; who gets in through it hangs on the rest"
            )
        told = f"{setting.origin}: in the provider's ARN {what}"
        found = lint(document, setting) + Judgement(not_judged=(told,))
        # What is quoted has the account as it is written.
        return found.quoting(lambda text: text.replace(_NO_ACCOUNT, hidden[0]))
    decoded = _decoded(document)
    if isinstance(decoded, Mapping) and left_in(decoded):
        return _with_names(decoded, setting)
    if (without_empty := _without_empty(decoded)) != decoded:
        return lint(without_empty, setting)
    rest, refused = _without_not_principal(decoded, setting)
    found = Judgement(tuple(refused))
    if refused and not rest:
        return found
    policy = parse_policy(rest or document, name=setting.origin, kind="trust")
    for statement in policy.statements:
        _known_actions(statement, setting.origin)
    return found + lint_policy(policy, setting)


def lint_policy(policy: Policy, setting: Setting) -> Judgement:
    """Judge a parsed trust policy."""
    found: list[Finding] = []
    not_judged: list[str] = []
    reaches: list[Reach] = []
    github: list[Linted] = []
    for statement in policy.statements:
        if statement.effect == "Allow":
            found += principals(statement, setting)
    found += [_refused(statement, message, setting) for statement, message in refusals(policy)]
    for one in trusting(policy):
        try:
            issuer = _issuer(one, setting)
            if issuer is not None:
                github.append(linted := Linted(one, issuer, setting))
                found += _statement(linted)
                if one.statement.label not in setting.unknown:
                    reaches.append(linted.reach)
        except (NotJudged, TooComplex) as reason:
            not_judged.append(f"{setting.origin}, statement {one.statement.label}: {reason}")
    if len(reaches) == len(github) and not setting.unknown:  # each was judged
        found += refused_intent(github)
    if setting.subjects and not github and not not_judged:
        # The job that is meant gets in by nothing else, so the wrong provider is no mere note.
        found = [replace(one, weight=None) if one.rule == "other-provider" else one
                 for one in found]  # fmt: skip
    if not setting.github_only:
        not_judged += _built_in(policy, setting)
    some = reaches or not (not_judged or setting.unknown)
    known = {setting.origin: together(reaches)} if some else {}
    return Judgement(tuple(found), tuple(not_judged), known)


def _built_in(policy: Policy, setting: Setting) -> Iterator[str]:
    """Providers that AWS knows by their name alone, such as Cognito's identity pools."""
    for statement in policy.statements:
        for provider in (statement.principals or {}).get("Federated", ()):
            known = ":" in provider or speaks_of_github(statement)  # other rules say so
            if statement.effect == "Allow" and not known:
                yield (
                    f"{setting.origin}, statement {statement.label}: the provider {provider} is "
                    "not one of GitHub's"
                )


def _issuer(one: Trusting, setting: Setting) -> Issuer | None:
    """The statement's issuer; None where a finding says that it is none. Raises NotJudged."""
    if not one.is_for_web_identities and one.issuer is None:
        return None
    issuer = one.issuer
    if issuer is None:
        if one.host.startswith(NOT_ACTIONS):
            raise NotJudged(f"no token of GitHub Actions that is documented comes from {one.host}")
        if poses_as_github(one.host) or speaks_of_github(one.statement):
            return None  # other-provider says so
        if setting.github_only:
            return None
        raise NotJudged(f"the provider {one.host} is not one of GitHub's")
    foreign = [
        claim
        for condition in one.statement.conditions
        if condition.key.lower().startswith(f"{one.host}:".lower())
        for claim in [condition.key.lower().removeprefix(f"{one.host}:".lower())]
        if claim not in TOKEN_CLAIMS and claim not in issuer.claims
    ]
    if issuer.kind == "server" and foreign:
        raise NotJudged(
            f"the provider {one.host} looks like a GitHub Enterprise Server, but its tokens have a "
            f"claim {foreign[0]}, which no token of GitHub's has"
        )
    return issuer


def _statement(linted: Linted) -> list[Finding]:
    checks = [*DEAD_CHECKS]
    if linted.anything is not None:
        checks = [*IDENTITY_CHECKS, *DEAD_CHECKS, *CONTEXT_CHECKS, *CLAIM_CHECKS]
    found = [*_actions(linted), *(item for check in checks for item in check(linted))]
    return [_tried(linted, item) for item in found]


def _tried(linted: Linted, finding: Finding) -> Finding:
    """A finding whose advice was tried: it ends the finding, lets somebody in, and nobody new."""
    if finding.change is None:
        return finding
    after = Linted(finding.change.applied(linted.one), linted.issuer, linted.setting)
    if _helps(linted, after, finding):
        # What nobody was let in by hides what else is in the way.
        more = [f"{one.message}: {one.fix}" for one in contradicted(after)] if (
            linted.anything is None) else []  # fmt: skip
        return replace(finding, fix="; then ".join([finding.fix, *more]))
    if after.anything is not None and linted.anything is None:
        # What nobody was let in by hides how wide the rest of the policy is.
        wide = f"{finding.fix}; alone it would let in {after.reach.who}, so narrow sub with it"
        return replace(finding, fix=wide)
    return replace(
        finding, fix="no change to this condition alone is enough; see the other findings"
    )


def _helps(before: Linted, after: Linted, finding: Finding) -> bool:
    """Whether a changed statement is better: it lets somebody in, no stranger more, and the
    finding is gone."""
    if after.anything is None and before.anything is not None:
        return False
    strangers = ["anybody", "other_repository", "by_any_id", "other_pull_request"]
    if before.anything is not None:
        # A policy that lets nobody in does not show whether names alone were meant.
        strangers.append("by_name")
    if any(getattr(after, name) and not getattr(before, name) for name in strangers):
        return False
    checks = (*DEAD_CHECKS, *CONTEXT_CHECKS, *CLAIM_CHECKS, _actions)
    again = [
        item
        for check in checks
        for item in check(after)
        if (item.rule, item.message) == (finding.rule, finding.message)
    ]
    return not again


def _refused(statement: Statement, message: str, setting: Setting) -> Finding:
    fix = "write sts:AssumeRoleWithWebIdentity"
    if key := _KEY_TO_COMPARE.search(message):
        every = "one that begins with *" if key[1].startswith(GITHUB_HOST) else "* alone"
        fix = f"compare {key[1]} with whole values; {every} does not count"
    return Finding(
        "refused-when-written",
        setting.origin,
        statement.label,
        f"IAM answers MalformedPolicyDocument to CreateRole and UpdateAssumeRolePolicy: {message}",
        "nobody by this finding; a role that has the policy already keeps it",
        fix,
    )


def _with_accounts(document: Document) -> tuple[Document, list[str]]:
    """The policy with a number for each provider's account that is hidden or not filled in."""
    text = json.dumps(document, ensure_ascii=False) if isinstance(document, Mapping) else document
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    hidden = [found[2] for found in _PROVIDERS_ACCOUNT.finditer(text)]
    return (_PROVIDERS_ACCOUNT.sub(rf"\g<1>{'0' * 12}", text) if hidden else document), hidden


def _with_names(document: Mapping[str, Any], setting: Setting) -> Judgement:
    """Judge a policy with placeholders, as far as it hangs on none of them."""
    try:
        policy = filled(document)
    except Open as unknown:
        told = f"{setting.origin}: {unknown}; render the policy, then lint it"
        return _whatever_they_are(document, setting) + Judgement(not_judged=(told,))
    # As text, so that IAM's limits are those of the policy as it is stored.
    found = lint(json.dumps(policy.document), setting)
    if _nobody(found) and _may_agree(policy, setting):
        policy = filled(document, one_repository=True)
        found = lint(json.dumps(policy.document), setting)
    if _nobody(found) and (claims := _may_agree(policy, setting)):
        one = len(policy.names) == 1
        told = (
            f"{setting.origin}: {', '.join(policy.names)} {'is' if one else 'are'} not filled in, "
            "and whether anybody gets in hangs on what "
            f"{'it and the rest' if one else 'they'} have in common in {', '.join(sorted(claims))}"
            "; render the policy, then lint it"
        )
        return Judgement(not_judged=(told,))
    if policy.prefixes:
        # What stands for the beginning of a subject may carry ids.
        kept = tuple(one for one in found.findings if one.rule != "no-repository-id")
        found = replace(found, findings=kept)
    found = found.quoting(policy.quoted)
    if not found.findings and not found.reach:
        return found  # nothing was judged, so nothing was taken for granted
    told = policy.told()
    return found + Judgement(not_judged=(f"{setting.origin}: {told}",) if told else ())


# What is wrong with another claim, or with an operator.
_WHATEVER = (
    "no-audience", "other-audience", "unknown-key", "wrong-action", "for-all-values",
    "broad-action",
)  # fmt: skip


def _whatever_they_are(document: Mapping[str, Any], setting: Setting) -> Judgement:
    """What is wrong with a policy with placeholders that may be anything.

    A statement without one is judged as if it stood alone; a Deny with one may keep anybody out.
    """
    policy = filled(document, whatever=True)
    listed = policy.document["Statement"]
    labels = [str(one.get("Sid") or f"#{index}") for index, one in enumerate(listed)]
    written = document["Statement"] if isinstance(document["Statement"], list) else [document[
        "Statement"]]  # fmt: skip
    unknown = {labels[index] for index in policy.unknown}
    if any(written[index].get("Effect") == "Deny" for index in policy.unknown):
        unknown = set(labels)
    found = _partly(policy, policy.document, setting, unknown)
    if _nobody(found) and policy.claims:  # by names that may agree once they are filled in
        unknown = set(labels)
        found = _partly(policy, policy.document, setting, unknown)
    # Another claim may refuse the subject of our own.
    alone = without(policy.document, claims_of(policy.document) - {"sub"})
    more = _partly(policy, alone, setting, unknown).findings
    known = {(one.rule, one.statement) for one in found.findings}
    more = tuple(one for one in more if one.statement in unknown and
                 one.rule == "no-audience" and (one.rule, one.statement) not in known)  # fmt: skip
    told = policy.told() if found.reach else ""
    lines = (f"{setting.origin}: {told}",) if told else ()
    return found + Judgement(more, lines)


def _partly(
    policy: Filled, document: Mapping[str, Any], setting: Setting, unknown: set[str]
) -> Judgement:
    """What is found in a policy, of the statements that are not known what is wrong anyway."""
    found = lint(json.dumps(document), replace(setting, unknown=frozenset(unknown)))
    found = found.quoting(policy.quoted)
    kept = (
        one if one.statement not in unknown else _anyway(one)
        for one in found.findings
        if one.statement not in unknown
        or (one.rule in _WHATEVER and ANY_SUBJECT not in one.message)
    )
    return replace(found, findings=tuple(kept))


def _anyway(one: Finding) -> Finding:
    """A finding that holds whatever the subject is."""
    return replace(
        one,
        who=one.who
        if one.who.startswith("nobody") or one.rule == "broad-action"
        else "whoever gets in by the subject that is filled in",
        witness=None,
        change=None,
        # A fix that would quote the subject of our own.
        fix=one.fix if ANY_SUBJECT not in one.fix else "write the operator without ForAllValues:",
    )


def _nobody(found: Judgement) -> bool:
    return any(one.level == "nobody" for one in found.reach.values())


def _may_agree(policy: Filled, setting: Setting) -> set[str]:
    """The claims for which nobody gets in only because values differ that may be the same once
    filled in; none where it is for another reason."""
    claims = claims_of(policy.document)
    if len(claims) < 2 or not policy.claims or (len(policy.names) < 2 and len(policy.claims) > 1):
        return set()
    alone = (*with_one(policy.document, claims), without(policy.document, policy.claims))
    return set() if any(_nobody(lint(json.dumps(one), setting)) for one in alone) else claims


def _without_empty(decoded: Any) -> Any:
    """A policy without the empty lists of principals that stand beside others: they name nobody."""
    written = decoded.get("Statement") if isinstance(decoded, Mapping) else None
    if not isinstance(written, list):
        return decoded

    def kept(statement: Any) -> Any:
        named = statement.get("Principal") if isinstance(statement, Mapping) else None
        if not isinstance(named, Mapping) or not any(named.values()):
            return statement
        return {**statement, "Principal": {kind: one for kind, one in named.items() if one != []}}

    return {**decoded, "Statement": [kept(one) for one in written]}


def _without_not_principal(decoded: Any, setting: Setting) -> tuple[dict[str, Any], list[Finding]]:
    """A policy without its statements with NotPrincipal, which no parser takes, and what they do;
    an empty one where there are none of these, or no others."""
    written = decoded.get("Statement") if isinstance(decoded, Mapping) else None
    statements = written if isinstance(written, list) else [written]
    odd = {
        index: one
        for index, one in enumerate(statements)
        if isinstance(one, Mapping) and "NotPrincipal" in one and one.get("Effect") != "Deny"
    }
    found = [
        Finding(
            "not-principal",
            setting.origin,
            str(one.get("Sid") or f"#{index}"),
            "NotPrincipal trusts everybody but those it names",
            "everybody on AWS who is not named",
            "write Principal with the one provider or role that is meant",
        )
        for index, one in odd.items()
    ]
    kept = [one for index, one in enumerate(statements) if index not in odd]
    return ({**decoded, "Statement": kept} if odd and kept else {}), found


def _known_actions(statement: Statement, origin: str) -> None:
    for action in statement.actions or ():
        name = action.partition(":")[2]
        test = glob(tuple(
            token for token in tokens(name.lower(), variables=False)
            if not hasattr(token, "default")
        ))  # fmt: skip
        if not any(test(known.lower()) for known in STS_ACTIONS):
            raise PolicyError(
                f"policy {origin!r}: statement {statement.label!r}: Action: {action!r} is not an "
                "action of STS; write sts:AssumeRoleWithWebIdentity for a web identity"
            )


def _actions(linted: Linted) -> Iterator[Finding]:
    actions = linted.one.statement.actions or ()
    broad = [action for action in actions if "*" in action or "?" in action]
    if broad:
        yield linted.finding(
            "broad-action",
            f"{', '.join(broad)} stands for more than a web identity needs",
            "whoever the statement names, by every other way into the role as well",
            "write sts:AssumeRoleWithWebIdentity",
        )
    tags = [action for action in actions if action.lower() == "sts:tagsession"]
    only_providers = set(linted.one.statement.principals or ()) == {"Federated"}
    if tags and only_providers and linted.one.is_for_web_identities:
        yield linted.finding(
            "broad-action",
            f"{tags[0]} has no use: a token of GitHub's carries no session tags",
            "nobody",
            "write sts:AssumeRoleWithWebIdentity alone",
            weight="note",
        )


def lint_all(documents: Sequence[tuple[Document, Setting]]) -> Judgement:
    """Judge several policies that belong together, such as an account's.

    A repository whose ids stand in one policy's subject has them available in every other one.
    Raises PolicyError where the only policy is none that IAM would take; of several it is named.
    """
    known = names_with_ids(
        subject for document, _ in documents for subject in texts(_decoded(document))
    )
    found = Judgement()
    for document, setting in documents:
        try:
            found += lint(document, replace(setting, with_ids=setting.with_ids | known))
        except PolicyError as refused:
            if len(documents) == 1:
                raise
            found += Judgement(not_judged=(f"{setting.origin}: {refused}",))  # the others are
    return found


def _decoded(document: Document) -> Any:
    if isinstance(document, Mapping):
        return document
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return None  # parse_policy says what is wrong with it
