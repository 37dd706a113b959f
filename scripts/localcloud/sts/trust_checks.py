"""What IAM itself refuses in a trust policy, whoever asks."""

from scripts.iam.engine.documents import Policy, Statement
from scripts.localcloud.access.errors import AwsError
from scripts.names import GITHUB_HOST

# One of these must be evaluated.
_REQUIRED = (f"{GITHUB_HOST}:sub", f"{GITHUB_HOST}:job_workflow_ref")
_FOR_ALL = "forallvalues:"


def check_trust_policy(trust: Policy) -> None:
    """Raise AwsError for a trust policy that lets GitHub's provider in without a subject.

    IAM refuses to create or update such a role: anybody's workflow could assume it.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html
    """
    for statement in trust.statements:
        if statement.effect == "Allow" and _names_github(statement) and not _evaluates(statement):
            raise AwsError(
                "MalformedPolicyDocument",
                f"The trust policy of a role for {GITHUB_HOST} must evaluate the condition key "
                f"{' or '.join(_REQUIRED)}",
            )


def _names_github(statement: Statement) -> bool:
    federated = (statement.principals or {}).get("Federated", ())
    return any(arn.endswith(f":oidc-provider/{GITHUB_HOST}") for arn in federated)


def _evaluates(statement: Statement) -> bool:
    """Whether a condition needs the subject to be there.

    `ForAllValues:` and `...IfExists` are true without it, and a negation says what it is not.
    """
    for condition in statement.conditions:
        operator = condition.operator.lower()
        if condition.key.lower() not in _REQUIRED or operator.startswith(_FOR_ALL):
            continue
        if any(not value.strip("*?") for value in condition.values):
            continue  # it would be anything
        name = operator.rpartition(":")[2]
        if name in ("stringequals", "stringlike", "stringequalsignorecase"):
            return True
    return False
