"""What IAM refuses whoever asks, where moto does not."""

from scripts.iam.engine.documents import PolicyError, parse_policy
from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.gateway import Check
from scripts.localcloud.sts.trust_checks import check_trust_policy


def _check_role_trust(reading: Reading) -> None:
    parameters = reading.parameters
    document = parameters.get("AssumeRolePolicyDocument") or parameters.get("PolicyDocument")
    if not document:
        return
    try:
        trust = parse_policy(document, name=parameters.get("RoleName", "role"), kind="trust")
    except PolicyError as error:
        raise AwsError("MalformedPolicyDocument", str(error)) from error
    check_trust_policy(trust)


CHECKS: dict[tuple[str, str], Check] = {
    ("iam", "CreateRole"): _check_role_trust,
    ("iam", "UpdateAssumeRolePolicy"): _check_role_trust,
}
