"""Global condition keys: what AWS adds to the context of every request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from scripts.localcloud.access.principals import Caller
from scripts.localcloud.access.signatures import Signature

Keys = dict[str, tuple[str, ...]]
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
_PRINCIPAL_TYPES = {
    "assumed-role": "AssumedRole",
    "user": "User",
    "root": "Account",
    "anonymous": "Anonymous",
}


@dataclass(frozen=True)
class Connection:
    """What the server itself saw of a request; nothing here comes from a header."""

    source_ip: str
    secure: bool
    tls_version: str | None = None


def caller_keys(caller: Caller, tags: Mapping[str, str]) -> Keys:
    """The keys of the principal; `tags` are those of its role or user.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    principal = caller.principal
    keys: Keys = {
        "aws:PrincipalType": (_PRINCIPAL_TYPES.get(principal.kind, principal.kind),),
        "aws:userid": (caller.user_id,),
    }
    if principal.kind == "anonymous":
        return keys
    keys["aws:PrincipalAccount"] = (principal.account,)
    keys["aws:PrincipalArn"] = (principal.role_arn or principal.arn,)
    keys["aws:PrincipalIsAWSService"] = ("false",)
    for name, value in tags.items():
        keys[f"aws:PrincipalTag/{name}"] = (value,)
    if caller.user_name is not None:
        keys["aws:username"] = (caller.user_name,)
    if caller.session is not None:
        keys["aws:TokenIssueTime"] = (f"{caller.session.issued:%Y-%m-%dT%H:%M:%SZ}",)
        # Only temporary credentials carry this key, and no session here is made with MFA.
        keys["aws:MultiFactorAuthPresent"] = ("false",)
        keys.update(caller.session.keys)
    return keys


def request_keys(
    connection: Connection, headers: Mapping[str, str], region: str, now: datetime
) -> Keys:
    """The keys of the request itself."""
    keys: Keys = {
        "aws:SourceIp": (connection.source_ip,),
        "aws:SecureTransport": (str(connection.secure).lower(),),
        "aws:CurrentTime": (f"{now:%Y-%m-%dT%H:%M:%SZ}",),
        "aws:EpochTime": (str(int(now.timestamp())),),
        "aws:RequestedRegion": (region,),
        "aws:ViaAWSService": ("false",),
    }
    # Both are what the caller says of itself, on AWS as here.
    if "user-agent" in headers:
        keys["aws:UserAgent"] = (headers["user-agent"],)
    if "referer" in headers:
        keys["aws:Referer"] = (headers["referer"],)
    return keys


def s3_keys(connection: Connection, signature: Signature | None, headers: Mapping[str, str],
            now: datetime) -> Keys:  # fmt: skip
    """The keys that S3 derives from how a request is signed and sent.

    https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html
    """
    keys: Keys = {}
    if connection.tls_version is not None:
        keys["s3:TlsVersion"] = (connection.tls_version.removeprefix("TLSv"),)
    if signature is None:
        return keys
    keys["s3:signatureversion"] = ("AWS4-HMAC-SHA256",)
    if signature.kind == "form":
        keys["s3:authType"] = ("POST",)
    elif signature.kind == "query":
        keys["s3:authType"] = ("REST-QUERY-STRING",)
        # In milliseconds.
        keys["s3:signatureAge"] = (str(signature.age(now) // timedelta(milliseconds=1)),)
    else:
        keys["s3:authType"] = ("REST-HEADER",)
    if "x-amz-content-sha256" in headers:
        keys["s3:x-amz-content-sha256"] = (headers["x-amz-content-sha256"],)
    return keys


# Keys of the way by which a request came.
OF_THE_WAY = ("aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce", "aws:VpcSourceIp")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-resourceaccount
_WITHOUT_ACCOUNT = frozenset(
    {
        "ec2:CreateVolume", "ec2:CreateVpcEndpoint", "route53:AssociateVPCWithHostedZone",
        "route53:DisassociateVPCFromHostedZone",
    }
)  # fmt: skip


def resource_keys(action: str, resource: str, account_id: str) -> Keys:
    """Whose the resource is: the account that its ARN names, and of what has no ARN this one.

    Some ARNs name none (images, AWS's own documents), and for some actions AWS does not say.
    """
    parts = resource.split(":", 5)
    ours = resource == "*" or parts[2:3] == ["s3"]
    account = account_id if ours else parts[4] if len(parts) == 6 else ""
    if not account.isdigit() or action in _WITHOUT_ACCOUNT:
        return {}
    keys: Keys = {"aws:ResourceAccount": (account,)}
    if parts[2:3] == ["s3"]:
        keys["s3:ResourceAccount"] = (account,)
    return keys
