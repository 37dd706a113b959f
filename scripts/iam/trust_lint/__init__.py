"""Lints trust policies for GitHub's OIDC provider: who could use a weakness, and the fix."""

from scripts.iam.trust_lint.findings import RULES, Finding, Rule
from scripts.iam.trust_lint.lint import Judgement, lint, lint_all, lint_policy
from scripts.iam.trust_lint.rules import Setting

__all__ = ["RULES", "Finding", "Judgement", "Rule", "Setting", "lint", "lint_all", "lint_policy"]
