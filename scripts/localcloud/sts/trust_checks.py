"""What IAM itself refuses in a trust policy, whoever asks."""

from scripts.iam.engine.documents import Policy
from scripts.iam.trust_lint.written import refusals
from scripts.localcloud.access.errors import AwsError


def check_trust_policy(trust: Policy) -> None:
    """Raise AwsError for a trust policy that lets a shared provider in without naming whom.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html
    """
    for _, message in refusals(trust):
        raise AwsError("MalformedPolicyDocument", message)
