"""What the linter can find: one rule for each pitfall, with its severity and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from scripts.iam.trust_lint.fixes import Fix

Severity = Literal["error", "warning", "note"]

GITHUB_OIDC = "https://docs.github.com/en/actions/reference/security/oidc"
_IAM = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
AWS_GITHUB = f"{_IAM}id_roles_providers_oidc_secure-by-default.html"
AWS_KEYS = f"{_IAM}reference_policies_iam-condition-keys.html"
AWS_SETS = f"{_IAM}reference_policies_condition-single-vs-multi-valued-context-keys.html"
AWS_OPERATORS = f"{_IAM}reference_policies_elements_condition_operators.html"
AWS_LOGIC = f"{_IAM}reference_policies_condition-logic-multiple-context-keys-or-values.html"
AWS_PRINCIPAL = f"{_IAM}reference_policies_elements_principal.html"
AWS_NOT_PRINCIPAL = f"{_IAM}reference_policies_elements_notprincipal.html"
AWS_WEB_IDENTITY = (
    "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"
)
GITHUB_TEMPLATES = f"{GITHUB_OIDC}#customizing-the-token-claims"
GITHUB_EVENTS = "https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows"
GITHUB_HARDENING = "https://docs.github.com/en/actions/reference/security/secure-use"


@dataclass(frozen=True)
class Rule:
    """A pitfall: its severity, what it is in one line, and the page it stems from.

    A note is shown and does not change the exit status.
    """

    severity: Severity
    title: str
    page: str


RULES: dict[str, Rule] = {
    "no-subject": Rule("error", "nothing requires a particular subject", AWS_GITHUB),
    "any-owner": Rule("error", "other owners' repositories are accepted", GITHUB_OIDC),
    "any-id": Rule("error", "the immutable id is a wildcard", GITHUB_OIDC),
    "any-repository": Rule("error", "other repositories of the owner are accepted", GITHUB_OIDC),
    "any-context": Rule("error", "every branch, tag and pull request is accepted", GITHUB_OIDC),
    "any-ref": Rule("error", "more refs than one are accepted", GITHUB_OIDC),
    "any-environment": Rule("error", "more environments than one are accepted", GITHUB_OIDC),
    "template-decides": Rule(
        "warning", "the subject's template decides who gets in", GITHUB_TEMPLATES
    ),
    "not-the-intended": Rule("error", "the accepted subjects are not the intended", GITHUB_OIDC),
    "never-matches": Rule("note", "no token fulfils the conditions", GITHUB_OIDC),
    "wrong-action": Rule("note", "no action of a web identity", AWS_WEB_IDENTITY),
    "stale-id-form": Rule("error", "the ids are joined by - in place of @", GITHUB_OIDC),
    "literal-wildcard": Rule("note", "a wildcard under an exact operator", AWS_OPERATORS),
    "unknown-key": Rule("error", "the condition key is never present", AWS_KEYS),
    "for-all-values": Rule("error", "ForAllValues in an Allow", AWS_SETS),
    "if-exists": Rule("error", "...IfExists on a claim", AWS_OPERATORS),
    "negated": Rule("error", "a claim is only compared by what it is not", AWS_OPERATORS),
    "equals-and-like": Rule("note", "exact and like on one key must both hold", AWS_LOGIC),
    "ignores-case": Rule("warning", "the comparison ignores case", AWS_OPERATORS),
    "no-audience": Rule("error", "nothing requires the audience", AWS_GITHUB),
    "other-audience": Rule("warning", "an audience that is not sts.amazonaws.com", GITHUB_OIDC),
    "no-repository-id": Rule("warning", "the repository's id is not compared", GITHUB_OIDC),
    "other-repository-id": Rule("note", "subject and repository_id disagree", GITHUB_OIDC),
    "names-only-subject": Rule("warning", "names where ids are available", GITHUB_OIDC),
    "claim-pattern": Rule("warning", "a claim is compared with a pattern", GITHUB_OIDC),
    "merge-queue": Rule("note", "every run of a merge queue is accepted", GITHUB_EVENTS),
    "no-ref": Rule("warning", "an environment hides the ref, and it is not compared", GITHUB_OIDC),
    "movable-workflow": Rule("warning", "the workflow's ref can be moved", GITHUB_HARDENING),
    "pull-request": Rule("error", "pull requests may assume a role that writes", GITHUB_HARDENING),
    "pull-request-unknown": Rule("note", "pull requests may assume this role", GITHUB_HARDENING),
    "other-provider": Rule("error", "the provider is not GitHub's", AWS_PRINCIPAL),
    "any-principal": Rule("error", "everybody on AWS is trusted", AWS_PRINCIPAL),
    "any-session": Rule("warning", "every session of a provider is trusted", AWS_PRINCIPAL),
    "not-principal": Rule("error", "NotPrincipal in a trust policy", AWS_NOT_PRINCIPAL),
    "broad-action": Rule("warning", "more actions than the provider needs", AWS_GITHUB),
    "refused-when-written": Rule("note", "IAM refuses to store this policy", AWS_GITHUB),
}


@dataclass(frozen=True)
class Finding:
    """One weakness: which policy and statement, who could use it, and what to write instead.

    `witness` is a subject that is accepted and should not be, where there is one; `claims` are
    those of its token beside the subject that the policy compares. `origin` is the file, the
    plan's address or the role's ARN. `weight` is the severity where it is not the rule's own: what
    lets nobody in is a note. `change` is what `fix` says, where it is a change of one statement.
    """

    rule: str
    origin: str
    statement: str
    message: str
    who: str
    fix: str
    witness: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    weight: Severity | None = None
    change: Fix | None = None

    @property
    def severity(self) -> Severity:
        """The rule's severity, or the finding's own."""
        return self.weight or RULES[self.rule].severity

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        found = {"severity": self.severity, **asdict(self), "page": RULES[self.rule].page}
        del found["weight"], found["change"]
        return found
