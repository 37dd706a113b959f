"""Policy documents, checked at every call that stores one, with each service's own code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from scripts.iam.engine.documents import Policy, PolicyError, PolicyKind, parse_policy
from scripts.iam.requests import Reading
from scripts.localcloud.access import public_access
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.sts.trust_checks import check_trust_policy

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
LARGEST_BUCKET_POLICY = 20 * 1024
# https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
LARGEST_KEY_POLICY = 32 * 1024


def _parsed(document: Any, name: str, kind: PolicyKind, code: str, status: int = 400) -> Policy:
    try:
        return parse_policy(document, name=name, kind=kind)
    except PolicyError as error:
        raise AwsError(code, str(error), status) from error


def identity(reading: Reading, _: Backends) -> None:
    """A policy of a role, user or group, or a managed one."""
    document = reading.parameters.get("PolicyDocument")
    _parsed(document, "policy", "identity", "MalformedPolicyDocument")


def trust(reading: Reading, backends: Backends) -> None:
    """A role's trust policy; that for GitHub must say which jobs it is for."""
    given = reading.parameters
    document = given.get("AssumeRolePolicyDocument") or given.get("PolicyDocument")
    policy = _parsed(document, given.get("RoleName", "role"), "trust", "MalformedPolicyDocument")
    check_trust_policy(policy)
    _principals_exist(policy, backends, "MalformedPolicyDocument", "Invalid principal in policy")


def bucket(reading: Reading, backends: Backends) -> None:
    """A bucket's policy: about this bucket, and by principals that exist."""
    document, name = reading.parameters.get("Policy"), reading.parameters["Bucket"]
    if len(str(document).encode()) > LARGEST_BUCKET_POLICY:
        raise AwsError("MalformedPolicy", "Policy exceeds the maximum allowed document size.")
    policy = _parsed(document, f"arn:aws:s3:::{name}", "resource", "MalformedPolicy")
    for statement in policy.statements:
        resources = statement.resources or statement.not_resources
        if resources is None:
            raise AwsError("MalformedPolicy", "Missing required field Resource")
        for resource in resources:
            if not _of_bucket(resource, name):
                raise AwsError("MalformedPolicy", "Policy has invalid resource")
        for action in statement.actions or statement.not_actions or ():
            if action != "*" and not action.lower().startswith("s3:"):
                raise AwsError("MalformedPolicy", "Policy has invalid action")
    _principals_exist(policy, backends, "MalformedPolicy", "Invalid principal in policy")


def _of_bucket(resource: str, name: str) -> bool:
    if resource == "*":
        return False
    arn, _, _ = resource.removeprefix("arn:aws:s3:::").partition("/")
    return resource.startswith("arn:aws:s3:::") and arn == name


def key(reading: Reading, backends: Backends) -> None:
    """A KMS key's policy."""
    document = reading.parameters.get("Policy")
    if document is None:
        return
    code = "MalformedPolicyDocumentException"
    if len(str(document).encode()) > LARGEST_KEY_POLICY:
        raise AwsError("LimitExceededException", "The key policy is larger than 32768 bytes.")
    policy = _parsed(document, "key policy", "resource", code)
    wrong = "Policy contains a statement with one or more invalid principals."
    _principals_exist(policy, backends, code, wrong)


def secret(reading: Reading, backends: Backends) -> None:
    """A secret's policy."""
    document = reading.parameters.get("ResourcePolicy")
    code = "MalformedPolicyDocumentException"
    policy = _parsed(document, "policy", "resource", code)
    wrong = "This resource policy contains an unsupported principal"
    _principals_exist(policy, backends, code, wrong)
    if reading.parameters.get("BlockPublicPolicy") and public_access.is_public(policy):
        raise AwsError(
            "PublicPolicyException",
            "BlockPublicPolicy refuses a resource policy that grants broad access.",
        )


def not_of_aws(reading: Reading, _: Backends) -> None:
    """AWS's own documents are AWS's to make and to change: their names are reserved."""
    name = str(reading.parameters.get("Name", "")).rpartition(":document/")[2]
    if name.lower().startswith(("aws", "amazon", "amzn")):
        raise AwsError(
            "ValidationException",
            f"{name} is not a valid name: the prefixes aws, amazon and amzn are reserved.",
        )


def topic(reading: Reading, backends: Backends) -> None:
    """A topic's policy, given as one of its attributes."""
    given = reading.parameters
    attributes = given.get("Attributes") or {
        given.get("AttributeName"): given.get("AttributeValue")
    }
    document = attributes.get("Policy")
    if document:
        policy = _parsed(document, "policy", "resource", "InvalidParameter")
        wrong = "Invalid parameter: Policy Error: PrincipalNotFound"
        _principals_exist(policy, backends, "InvalidParameter", wrong)


def log_delivery(reading: Reading, _: Backends) -> None:
    """A policy by which services and accounts write logs; it names accounts by their numbers.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutResourcePolicy.html
    """
    document, code = reading.parameters.get("policyDocument") or "", "InvalidParameterException"
    policy = _parsed(document, "policy", "resource", code)
    for kind, name in _named(policy):
        if kind == "AWS" and name.startswith("arn:"):
            raise AwsError(code, "Principal section of policy contains ARN instead of account ID")
        if not _well_formed(kind, name):
            raise AwsError(code, f"Invalid principal: {name}")


def grant(reading: Reading, backends: Backends) -> None:
    """Whom a grant is for, and who may retire it.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html
    """
    for parameter in ("GranteePrincipal", "RetiringPrincipal"):
        name = reading.parameters.get(parameter)
        if name is None or _SERVICE.fullmatch(name):
            continue
        if not _PRINCIPAL.fullmatch(name) or not _exists(name, backends):
            raise AwsError(
                "InvalidArnException", f"ARN does not refer to a valid principal: {name}"
            )


def endpoint(reading: Reading, _: Backends) -> None:
    """A VPC endpoint's policy."""
    document = reading.parameters.get("PolicyDocument")
    if document:
        _parsed(document, "policy", "resource", "InvalidPolicyDocument")


# A service's name; which services there are is in no list that AWS publishes.
_SERVICE = re.compile(
    r"[\w.-]+\.(amazonaws\.com(\.cn)?|amazon\.com|aws\.internal|api\.aws)", re.ASCII
)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/finding-canonical-user-id.html
# Half as long is the one that moto's listing of buckets shows.
_CANONICAL = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_PRINCIPAL = re.compile(
    r"arn:aws:(iam::\d{12}:(root|role/.+|user/.+)|sts::\d{12}:(assumed-role/.+/.+|federated-user/.+))",
    re.ASCII,
)


def _named(policy: Policy) -> Iterator[tuple[str, str]]:
    """Kind and name of each principal."""
    for statement in policy.statements:
        for group in (statement.principals or {}, statement.not_principals or {}):
            for kind, names in group.items():
                for name in names:
                    yield kind, name


def _well_formed(kind: str, name: str) -> bool:
    """Whether somebody in this partition could be called that."""
    if kind == "Service":
        return _SERVICE.fullmatch(name) is not None
    if kind == "CanonicalUser":
        return _CANONICAL.fullmatch(name) is not None
    return kind != "AWS" or not name.startswith("arn:") or name.startswith("arn:aws:")


def _exists(name: str, backends: Backends) -> bool:
    """Whether a role or user of this account is there, by ARN or id: AWS stores ids."""
    iam = backends("iam")
    own = f"arn:aws:iam::{iam.account_id}:"
    if not name.startswith((f"{own}role/", f"{own}user/", "AIDA", "AROA")):
        return True
    there = (*list(iam.roles.values()), *list(iam.users.values()))
    return any(name in (one.arn, one.id) for one in there)


def _principals_exist(policy: Policy, backends: Backends, code: str, message: str) -> None:
    """Refuse roles and users of this account that are not there, ids that nobody has, and names
    that none of their kind has.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    for kind, name in _named(policy):
        if not _well_formed(kind, name) or not (kind != "AWS" or _exists(name, backends)):
            shown = "SERVICE" if kind == "Service" else kind
            raise AwsError(code, f'{message}: "{shown}":"{name}"')


def size(document: str) -> int:
    """The characters of a policy that IAM counts: all but white space.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    try:
        text = json.dumps(json.loads(document), separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        text = document
    return len("".join(text.split()))
