"""S3's Block Public Access: which bucket policies are public, and what is then refused.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_network

from scripts.iam.engine.documents import Condition, Policy, PolicyError, Statement, parse_policy
from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError

# Keys with which a statement for everybody names somebody all the same, if the value is fixed.
_NAMING = frozenset(
    {
        "aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:sourceaccount",
        "aws:sourcearn", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce", "aws:userid",
        "s3:dataaccesspointaccount", "s3:dataaccesspointarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    }
)  # fmt: skip
_EQUALS = frozenset({"arnequals", "arnlike", "stringequals", "stringequalsignorecase",
                     "stringlike"})  # fmt: skip
# Wider ranges than these count as everybody's.
_NARROWEST = {4: 8, 6: 32}


def is_public(policy: Policy) -> bool:
    """Whether a bucket policy grants something to everybody."""
    return any(map(_grants_to_all, policy.statements))


def _grants_to_all(statement: Statement) -> bool:
    if statement.effect != "Allow":
        return False
    named = [name for names in (statement.principals or {}).values() for name in names]
    return "*" in named and not any(map(_names_somebody, statement.conditions))


def _names_somebody(condition: Condition) -> bool:
    operator, key = condition.operator.lower().removeprefix("foranyvalue:"), condition.key.lower()
    if key == "aws:sourceip":
        return operator == "ipaddress" and all(map(_narrow, condition.values))
    fixed = not any(set("*?$") & set(value) for value in condition.values)
    return key in _NAMING and operator in _EQUALS and fixed


def _narrow(text: str) -> bool:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return False
    return network.is_private or network.prefixlen >= _NARROWEST[network.version]


@lru_cache(maxsize=256)
def stored_is_public(document: str) -> bool:
    """Whether the policy in this text is public; what does not parse counts as such."""
    try:
        return is_public(parse_policy(document, name="policy", kind="resource", stored=True))
    except PolicyError:
        return True


def restricted(bucket: object, document: str) -> bool:
    """Whether a bucket's policy is public, and counts for nobody outside the account."""
    block = getattr(bucket, "public_access_block", None)
    return bool(block and block.restrict_public_buckets) and stored_is_public(document)


_ONLY_SIGNED = {
    "CopyObject": "Anonymous users cannot copy objects.  Please authenticate.",
    "UploadPartCopy": "Anonymous users cannot copy objects.  Please authenticate.",
    "CreateMultipartUpload": "Anonymous users cannot initiate multipart uploads.  Please "
    "authenticate.",
}


def check_anonymous(reading: Reading) -> None:
    """What nobody may do unsigned, whatever a bucket's policy says.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketPolicy.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    if reading.operation.endswith("BucketPolicy"):
        raise AwsError(
            "MethodNotAllowed", "The specified method is not allowed against this resource.", 405
        )
    if reading.operation in _ONLY_SIGNED:
        raise AwsError("AccessDenied", _ONLY_SIGNED[reading.operation], 403)
    if any(name.startswith("Response") for name in reading.parameters):
        raise AwsError(
            "InvalidRequest",
            "Request specific response headers cannot be used for anonymous GET requests.",
        )
