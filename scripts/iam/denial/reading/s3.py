"""What S3 refused, which seldom says more than that it did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import unquote

from scripts.iam.denial.reading import prose
from scripts.iam.denial.reading.by_name import services
from scripts.iam.denial.reading.calls import Call, called
from scripts.iam.reference import judged, of_call, of_service

_BUCKET = "the bucket itself, arn:aws:s3:::BUCKET"
_OBJECTS = "the objects, arn:aws:s3:::BUCKET/KEY"
# What an operation of S3 needs where the action has another name, and on what.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_ACTIONS = {
    "HeadBucket": ("ListBucket", _BUCKET),
    "ListObjects": ("ListBucket", _BUCKET),
    "ListObjectsV2": ("ListBucket", _BUCKET),
    "ListObjectVersions": ("ListBucketVersions", _BUCKET),
    "ListMultipartUploads": ("ListBucketMultipartUploads", _BUCKET),
    "ListBuckets": ("ListAllMyBuckets", "*"),
    "ListParts": ("ListMultipartUploadParts", _OBJECTS),
    "GetObject": ("GetObject", _OBJECTS),
    "HeadObject": ("GetObject", _OBJECTS),
    "SelectObjectContent": ("GetObject", _OBJECTS),
    "PutObject": ("PutObject", _OBJECTS),
    "CreateMultipartUpload": ("PutObject", _OBJECTS),
    "UploadPart": ("PutObject", _OBJECTS),
    "UploadPartCopy": ("PutObject", "the new object, and s3:GetObject on the one that is copied"),
    "CompleteMultipartUpload": ("PutObject", _OBJECTS),
    "CopyObject": ("PutObject", "the new object, and s3:GetObject on the one that is copied"),
    "DeleteObject": ("DeleteObject", _OBJECTS),
    "DeleteObjects": ("DeleteObject", _OBJECTS),
    "GetBucketAccelerateConfiguration": ("GetAccelerateConfiguration", _BUCKET),
    "GetBucketCors": ("GetBucketCORS", _BUCKET),
    "PutBucketCors": ("PutBucketCORS", _BUCKET),
    "GetBucketEncryption": ("GetEncryptionConfiguration", _BUCKET),
    "PutBucketEncryption": ("PutEncryptionConfiguration", _BUCKET),
    "GetBucketLifecycleConfiguration": ("GetLifecycleConfiguration", _BUCKET),
    "PutBucketLifecycleConfiguration": ("PutLifecycleConfiguration", _BUCKET),
    "GetBucketNotificationConfiguration": ("GetBucketNotification", _BUCKET),
    "PutBucketNotificationConfiguration": ("PutBucketNotification", _BUCKET),
    "GetBucketReplication": ("GetReplicationConfiguration", _BUCKET),
    "PutBucketReplication": ("PutReplicationConfiguration", _BUCKET),
    "GetObjectLockConfiguration": ("GetBucketObjectLockConfiguration", _BUCKET),
    "PutObjectLockConfiguration": ("PutBucketObjectLockConfiguration", _BUCKET),
    "GetPublicAccessBlock": ("GetBucketPublicAccessBlock", _BUCKET),
    "PutPublicAccessBlock": ("PutBucketPublicAccessBlock", _BUCKET),
    "DeletePublicAccessBlock": ("PutBucketPublicAccessBlock", _BUCKET),
    "DeleteBucketCors": ("PutBucketCORS", _BUCKET),
    "DeleteBucketEncryption": ("PutEncryptionConfiguration", _BUCKET),
    "DeleteBucketLifecycle": ("PutLifecycleConfiguration", _BUCKET),
    "DeleteBucketOwnershipControls": ("PutBucketOwnershipControls", _BUCKET),
    "DeleteBucketReplication": ("PutReplicationConfiguration", _BUCKET),
    "DeleteBucketTagging": ("PutBucketTagging", _BUCKET),
    "PutBucketAccelerateConfiguration": ("PutAccelerateConfiguration", _BUCKET),
} | {
    f"{call}Configuration{many}": (f"{action}{kind}Configuration", _BUCKET)
    for kind in ("Analytics", "IntelligentTiering", "Inventory", "Metrics")
    for call, many, action in (
        (f"DeleteBucket{kind}", "", "Put"),
        (f"GetBucket{kind}", "", "Get"),
        (f"ListBucket{kind}", "s", "Get"),
        (f"PutBucket{kind}", "", "Put"),
    )
}
# Calls of S3's that no other service has.
_ITS_OWN = ("HeadBucket", "HeadObject", "ListObjects", "ListObjectsV2", "ListObjectVersions")
# Names of actions that are no calls'.
_NO_CALLS = ("ListBucket", "ListBucketVersions", "ListBucketMultipartUploads", "ListAllMyBuckets")
# Names that other services' calls have, too, and programs.
_SHORT = ("GetObject", "PutObject", "DeleteObject", "ListBuckets")
_WORD = re.compile(r"\b[A-Za-z]+(?:_[a-z\d]+)*\b")
_WRITES = ("PutObject", "CreateMultipartUpload", "UploadPart", "CopyObject")
_CONTROL = re.compile(r"\bS3 ?Control\b|\bs3-?control\b")
# A tool's words for a call.
_TOOLS = tuple(
    (re.compile(words), operation)
    for words, operation in (
        (
            r"[Ee]rror:? reading (?:Amazon )?S3 (?:\(Simple Storage\) )?Bucket \(\S+\): "
            r"(?:Forbidden|AccessDenied)",
            "HeadBucket",
        ),
        # https://developer.hashicorp.com/terraform/language/backend/s3#permissions-required
        (r"[Ee]rror (?:refreshing|loading) state: ", "GetObject"),
        (
            r"[Ff]ailed to get existing workspaces|inspecting states in the \"s3\" backend"
            r"|[Uu]nable to list objects in S3 bucket",
            "ListObjectsV2",
        ),
        (r"[Ff]ailed to (?:save|upload|persist) state|[Ee]rror saving state", "PutObject"),
        (r"[Ee]rror putting S3 policy|[Pp]utting S3 Bucket \(\S+\) [Pp]olicy", "PutBucketPolicy"),
        (r"(?:creating|putting) S3 (?:bucket )?ACL", "PutBucketAcl"),
        (
            r"creating (?:public access block policy for S3|S3 Bucket Public)",
            "PutPublicAccessBlock",
        ),
        (r"[Ee]rror creating S3 [Bb]ucket:|creating S3 Bucket \(\S+\): ", "CreateBucket"),
        (r"[Pp]utting object in S3 bucket|uploading (?:object|file) to S3", "PutObject"),
        (r"\bAPI: s3:(?P<call>\w+) Access Denied", ""),
        (r"upload failed: \S+ to s3://", "PutObject"),
        (r"(?:copy|move) failed: s3://\S+ to s3://", "CopyObject"),
        # Hadoop's S3A and Terragrunt
        (
            r"(?:innerMkdirs|PUT 0-byte object|Writing Object|initiate MultiPartUpload) on \S+: ",
            "PutObject",
        ),
        (r"\b(?:re)?open s3a://\S+ at \d+", "GetObject"),
        (r"Create S3 bucket with retry \S+ returned an error", "CreateBucket"),
        (r"delete failed: s3://", "DeleteObject"),
        (r"Access Denied .{0,140}?retrieving file at s3://", "GetObject"),  # Glue's crawlers
        (
            r"AWS::S3::BucketPolicy.{0,200}Access Denied \(Service: (?:Amazon )?S3",
            "PutBucketPolicy",
        ),
    )
)
# Terraform's older words for a call name the resource alone.
_TERRAFORM = re.compile(
    r"AccessDenied: Access Denied (?:(?! Error: ).){0,220}? with (?:module\.\S+?\.)?"
    r"(?P<kind>aws_s3_\w+)\."
)
_KINDS = {
    "aws_s3_bucket_acl": "PutBucketAcl",
    "aws_s3_bucket_object": "PutObject",
    "aws_s3_bucket_policy": "PutBucketPolicy",
    "aws_s3_bucket_public_access_block": "PutPublicAccessBlock",
    "aws_s3_object": "PutObject",
}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
_MADE_PUBLIC = {
    "PutBucketAcl": "an ACL that makes it public",
    "PutBucketPolicy": "a policy that makes it public",
    "PutObjectAcl": "an ACL that makes it public",
}
# Words that are S3's, and no other service's.
_IS = re.compile(
    r"Amazon S3\b|\(Service: S3,|operation error S3(?: Control)?:|\bS3Exception\b|A[Ww][Ss]::S3"
    r"|<HostId>"
    r"|\bAmazonS3Exception\b|\bS3ResponseError\b|\bS3 Error:"
    r"|services/s3\.js|client-s3|\bs3fs\b|S3 Extended Request ID|\bhost id: (?!,)|\bS3 error"
    r"|\bForbidden: null|s3 upload: 403|Server: AmazonS3|Amazon\.S3\.|HostID: \w"
    r"|#<Class:\w+>: Access Denied|s3_extended_request_id|AWS Error ACCESS_DENIED|/s3fs/core\.py"
    r"|\.s3[.-][\w.-]*amazonaws\.com/\S*' \(HTTP 403\)|Generic S3 error"
    r"|\bs3(?:[.-][a-z\d-]+)*\.amazonaws\.com|\b[Ss]3 (?:[Bb]uckets?|[Oo]bjects?|[Cc]lient|Save)\b"
)
_URL = re.compile(r"\bs3[an]?://[a-z\d]")
# Stores that speak as S3 does: their hosts, their names, and the form of Ceph's request ids.
_STORE = re.compile(
    r"\b(?:[\w.-]+\.)?(?:r2\.cloudflarestorage|backblazeb2|digitaloceanspaces|linodeobjects"
    r"|wasabisys|aliyuncs|myqcloud|yandexcloud|storage\.googleapis)\.(?:com|net)\b"
    r"|\b(?:[\w.-]+\.)?(?:cloud-object-storage\.appdomain|scw)\.cloud\b"
    r"|\b(?:minio|ceph|radosgw|wasabi|backblaze|seaweedfs|digitalocean spaces"
    r"|cloudflare r2|google cloud storage)\b"
    r"|\btx[\da-f]{20,22}-[\da-f]{10}-[\da-f]+-\w+",
    re.IGNORECASE,
)
_OF_CEPH = re.compile(r"tx[\da-f]{20,22}-")
# Words that S3 uses, and that no other service was seen to use.
_LIKE = re.compile(r"AccessDenied\W{1,3}Access Denied\b|<Message>Access Denied<")
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
# https://docs.aws.amazon.com/lambda/latest/dg/nodejs-package.html
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_OF_NO_CODE = (
    ". The code is not told, only the status (403), which keys that are wrong and a clock that is "
    "wrong get, too"
)
_OF_LAMBDA = (
    ". The paths are those of a Lambda function: the caller is its role, unless the code takes "
    "other credentials"
)
_OF_A_BROWSER = (
    ". A request without a signature (a plain URL) is anybody's, whom the bucket's policy alone "
    "lets in, if Block Public Access leaves that. Behind CloudFront the policy has to allow "
    "cloudfront.amazonaws.com s3:GetObject on BUCKET/* with AWS:SourceArn the distribution's ARN "
    "(origin access control; of an older identity its ARN), and the key's policy kms:Decrypt; of / "
    "without a default root object S3 says the same"
)
_ANOTHERS = re.compile(r"\(Service: (?!Amazon S3|S3\b)|operation error (?!S3)")
_REFUSED = re.compile(
    r"Access ?Denied|ACCESS_DENIED|UnknownError|HTTP 403|Forbidden|StatusCode: 403|\(403\)"
    r"|status code:? 403",
    re.IGNORECASE,
)
_PLACES = (
    re.compile(r"s3[an]?://(?P<bucket>[a-z\d][a-z\d.-]{1,62})/?(?P<key>[^\s\"',;)]*)"),
    re.compile(
        r"https?://(?P<bucket>[a-z\d][a-z\d.-]{1,62}?)\.s3(?:[.-][a-z\d-]+)*\.amazonaws\.com/"
        r"(?P<key>[^\s\"'?;)]*)"
    ),
    re.compile(
        r"(?:https?://|s3:)s3(?:[.-][a-z\d-]+)*\.amazonaws\.com/(?P<bucket>[a-z\d][a-z\d.-]{1,62})"
        r"(?:/(?P<key>[^\s\"'?;)]*))?"
    ),
    re.compile(
        r"S3 (?:\(Simple Storage\) )?[Bb]ucket "
        r"(?:(?:[A-Za-z-]+ ){0,4}\((?P<bucket>[a-z\d][a-z\d.-]{1,62})\)"
        r"|ACL for (?P<of_acl>[a-z\d.-]+))(?P<key>)"
    ),
    re.compile(
        r"\b(?:[Oo]bject|[Ff]ile|[Kk]ey) ['\"`]?(?P<key>(?=\S*[./_\d-])[^\s\"'`,;:]+)['\"`]? "
        r"(?:from|in|into|to|of) (?:the )?(?:S3 )?[Bb]ucket ['\"`]?"
        r"(?P<bucket>[a-z\d][a-z\d.-]{1,61}[a-z\d])"
    ),
    re.compile(
        r"\b[Bb]ucket:? (?P<bucket>(?=[a-z]+(?:\d|[.-]\w))[a-z\d][a-z\d.-]{1,61}[a-z\d])"
        r"(?P<key>)(?=[:,;)'\"]|\.?(?:\s|$)(?![a-z]))"
    ),
    # https://boto3.amazonaws.com/v1/documentation/api/latest/guide/s3-uploading-files.html
    re.compile(r"Failed to upload \S+ to (?P<bucket>[a-z\d][a-z\d.-]{1,62})/(?P<key>\S+): An err"),
    re.compile(
        r"bucket: (?P<bucket>[a-z\d][a-z\d.-]{1,62}), key: (?P<key>\S+?)(?=\.?Access|[,;\s]|$)"
    ),
    re.compile(r"for key '(?P<key>[^']+)' in bucket '(?P<bucket>[a-z\d.-]+)'"),
    re.compile(r"(?:object \"(?P<key>[^\"]+)\" in )?S3 bucket \"(?P<bucket>[a-z\d.-]+)\""),
    re.compile(
        r"--bucket[= ](?P<bucket>[a-z\d][a-z\d.-]{1,62})(?=\s)(?:.{0,200}? --key[= ](?P<key>\S+))?"
    ),
    re.compile(r"Create S3 bucket with retry (?P<bucket>[a-z\d][a-z\d.-]{1,62}) (?P<key>)"),
    re.compile(r"<BucketName>(?P<bucket>[a-z\d.-]+)</(?P<key>)"),
    re.compile(r"[Aa]ccess to bucket '(?P<bucket>[a-z\d.-]+)' was denied(?P<key>)"),
)
# A program's own word for a bucket, which names none.
_OF_A_PROGRAM = re.compile(
    r"(?:^|\.)(?:args|bucket|config|env|event|options|params|process|props|record|req|request|self"
    r"|this)\.|\.bucket$"
)
_COPIED = re.compile(r"(?:copy|move) failed: s3://(?P<old>\S+) to s3://(?P<new>\S+)")
# https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/directory_markers.html
_DIRECTORY = re.compile(r"innerMkdirs on s3a://")
# What S3 refuses, as it stands in a log; the words around it are searched for the rest.
SENTENCES = (
    r"UnknownError.{0,120}?de_\w+CommandError.{0,200}?httpStatusCode: 403|'403': UnknownError"
    r"|AWS Error ACCESS_DENIED during \w+ operation|PermissionError: (?:Access Denied|Forbidden)"
    r"|HTTP Error: HTTP \w+ error on 'https://\S+' \(HTTP 403\)"
    r"|Generic S3 error: .{0,60}?403 Forbidden"
    r"|\(403\)(?: occurred)? when calling the \w+ operation"
    r"|error:? reading (?:Amazon )?S3 (?:\(Simple Storage\) )?Bucket \(\S+\): Forbidden"
    r"|operation error S3: \w+, https response error StatusCode: 403"
    r"|(?:Access Denied|Forbidden) \(Service: (?:Amazon )?S3[,;]"
    r"|AmazonS3Exception: Error making request with Error Code Forbidden"
    r"|Service returned error code 403: Forbidden"
    r"|(?:code: '|\[|')Forbidden(?:'|: null)"
    r"|\bAPI: s3:\w+ Access Denied"
    r"|#<Class:\w+>: Access Denied"
    r"|s3\.\w*[^\s`]*` resulted in a `403 Forbidden"
    r"|amazonaws\.com\S* resulted in a 403 Forbidden"
)


@dataclass(frozen=True)
class OfS3:
    """A call of S3's that was refused: the action it needs, on what in words, and on which ARN."""

    operation: str
    action: str
    where: str
    arn: str | None = None
    guessed: bool = False
    """Whether words of a tool's alone tell the call, and not its name."""

    def __str__(self) -> str:
        fits = "the words around the refusal fit " * self.guessed
        told = (
            f"{fits}{self.operation}{', which' * self.guessed} needs {self.action} on {self.where}"
            f"; whether {'it was that call, and whether ' * self.guessed}an Allow of it is lacking "
            f"or a policy denies it is not told"
        )
        return f"{told}. {self.also[0].upper()}{self.also[1:]}" if self.also else told

    @property
    def also(self) -> str:
        """What else S3 answers so to, or the call needs; "" if nothing is known."""
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        head = "a HEAD gets no reason, and S3 says the same where the keys are not good"
        too = _too(self.operation, self.action)
        return "; ".join(filter(None, (head * self.operation.startswith("Head"), too)))


@lru_cache(64)
def operation_of_s3(words: str) -> OfS3 | None:
    """The call that S3 refused; None if the words do not tell it."""
    operation, guessed = _operation(words)
    action, where = _ACTIONS.get(operation, ("", ""))
    if action.endswith("BucketPublicAccessBlock") and _CONTROL.search(words):
        action, where = action.replace("Bucket", "Account"), "*"
    if not action and judged(f"s3:{operation}"):
        action = operation
        where = _BUCKET if "Bucket" in operation else _OBJECTS if "Object" in operation else ""
    if not where:
        return None
    if operation == "CopyObject" and (both := _COPIED.search(words)):
        where = (
            f"the new object, arn:aws:s3:::{both['new']}, and s3:GetObject on the one that is "
            f"copied, arn:aws:s3:::{both['old']}"
        )
    arn = _place(words, of_object=where == _OBJECTS) if where in (_BUCKET, _OBJECTS) else None
    if arn and guessed and "/" in arn and not arn.endswith("*"):
        where = f"{arn} or what is below it"
    elif arn:
        where = arn if "/" in arn else f"the bucket itself, {arn}"
    return OfS3(operation, f"s3:{action}", where, "*" if where == "*" else arn, guessed)


@lru_cache(64)
def of_s3_alone(words: str) -> str | None:
    """What S3's words tell where they do not tell the call."""
    is_its = bool(_IS.search(words) or _URL.search(words))
    store = another_store(words)
    sure = is_its and not store
    if not (is_its or _LIKE.search(words)) or not _REFUSED.search(words) or _ANOTHERS.search(words):
        return None
    who = "S3 refused a call" if sure else "in S3's words a call was refused"
    place = _place(words, of_object=True) or ""
    on = f" on {place}" * bool(place)
    if place.endswith("/*"):
        on = f" on {place.removesuffix('/*')} or what is in it"
    refused = _REFUSED.search(words)
    done = prose.about(words, refused.start()) if refused else ""
    where = done[:1].upper() + done[1:] or (
        "If anything tells the call, the lines before it do, or the program's own lines in the "
        "stack behind it"
    )
    return (
        f"{who}{on}, and neither its caller nor an action is named. "
        f"{where}. S3 answers so where no policy allows the call, where one denies it (the "
        "caller's, the bucket's, an endpoint's or the organization's), where Block Public Access "
        "refuses what would be public, where a KMS key may not be used, and of an object that is "
        "not there to whoever lacks s3:ListBucket"
        + _OF_NO_CODE * (not re.search("access_?denied", words.replace(" ", ""), re.IGNORECASE))
        + _OF_LAMBDA * bool(re.search(r"/var/(?:runtime|task)/", words))
        + _OF_A_BROWSER * (not store and "<Code>AccessDenied" in words and "botocore" not in words)
    )


def action_of_s3(operation: str) -> str:
    """The action that a call of S3's needs, by its name; "" if that is its own."""
    action = _ACTIONS.get(operation, ("",))[0]
    return f"s3:{action}" * bool(action)


def another_store(words: str) -> str:
    """What the words name that is no store of AWS's and may have answered; "" if nothing."""
    found = _STORE.search(words)
    if found is None:
        return ""
    return f"a request id of Ceph's form ({found[0]})" if _OF_CEPH.match(found[0]) else found[0]


def _is_s3s(call: Call, words: str) -> bool:
    if call.service or call.operation in _ITS_OWN:
        return call.service in ("", "s3")
    return bool(_IS.search(words) or _LIKE.search(words))


def _operation(words: str) -> tuple[str, bool]:
    """The call, and whether it is not named but fits the words."""
    for pattern, operation in _TOOLS:
        if found := pattern.search(words):
            return operation or found["call"], False
    call = called(words)
    if call and _is_s3s(call, words):
        return call.operation if _REFUSED.search(words) else "", False
    if call and "calling the" in words and re.search(r"operation: (?:Access Denied|Forbid)", words):
        return call.operation, False
    if own := _named(words):
        return own if _REFUSED.search(words) else "", False
    if terraform := _TERRAFORM.search(words):
        return _KINDS.get(terraform["kind"], ""), True
    return _in_prose(words), True


@cache
def _letters() -> Mapping[str, str]:
    """The names of S3's calls, by their letters."""
    own = (one for one in of_service("s3") if one not in _NO_CALLS)
    return {one.lower(): one for one in (*own, *_ACTIONS)}


def _named(words: str) -> str:
    """A call of S3's in whatever letters, if no other service may have it or S3 is named."""
    letters = _letters()
    tokens = (one.removesuffix("Async").replace("_", "") for one in _WORD.findall(words))
    found = {letters.get(one.lower(), "") for one in tokens} - {""}
    sure = _is_it(words)
    calls = [
        one for one in found
        if sure or one in _ITS_OWN or of_call(one) == f"s3:{one}"
        or (_LIKE.search(words) and one not in _SHORT)
    ]  # fmt: skip
    return calls[0] if len(calls) == 1 and not _ANOTHERS.search(words) else ""


def _is_it(words: str) -> bool:
    """Whether the words name S3 and no other service."""
    return bool(_IS.search(words)) or services(words) == {"s3"}


def _in_prose(words: str) -> str:
    """A call that a tool tells in words of its own."""
    refused = _REFUSED.search(words)
    if not refused or _ANOTHERS.search(words) or not (_is_it(words) or _LIKE.search(words)):
        return ""
    found = sorted(prose.calls(words, refused.start(), _letters().values()))
    one = found[0] if len({_ACTIONS.get(one, (one,))[0] for one in found}) == 1 else ""
    return one or (prose.moved(words, refused.start()) if _IS.search(words) else "")


def _place(words: str, *, of_object: bool) -> str | None:
    """The ARN of the bucket or object that the words name, if it is one."""
    named = set()
    for pattern in _PLACES:
        for found in pattern.finditer(words):
            bucket = found["bucket"] or found.groupdict().get("of_acl") or ""
            if not _OF_A_PROGRAM.search(bucket):
                named.add((bucket, unquote(found["key"] or "").rstrip(".,:`")))
    keys = {key for _, key in named if key}
    buckets = {bucket for bucket, _ in named}
    if len(buckets) != 1 or len(keys) > 1 or any("*" in one for one in keys):
        return None
    key = next(iter(keys), "*")
    if _DIRECTORY.search(words) and not key.endswith("/"):
        key += "/"
    return f"arn:aws:s3:::{buckets.pop()}" + (f"/{key}" if of_object else "")


def _too(operation: str, action: str) -> str:
    """What else S3 answers so to, or needs."""
    if public := _MADE_PUBLIC.get(operation):
        return f"S3 Block Public Access answers so, too, to {public}"
    if action == "s3:GetObject":
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        return (
            "of an object that is not there S3 says the same to whoever lacks s3:ListBucket on "
            "the bucket. A version that is asked for by its id needs s3:GetObjectVersion, and what "
            "a KMS key encrypts kms:Decrypt on that key"
        )
    if operation in _WRITES:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
        return (
            "a request with an ACL needs s3:PutObjectAcl, too (and Block Public Access refuses "
            "one that makes it public), one with tags s3:PutObjectTagging, and what a KMS key is "
            "to encrypt kms:GenerateDataKey on that key (in parts kms:Decrypt, too)"
        )
    if action == "s3:DeleteObject":
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
        return "a version that is deleted by its id needs s3:DeleteObjectVersion"
    if action.endswith("BucketPublicAccessBlock"):
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_PutPublicAccessBlock.html
        of_account = action.replace("Bucket", "Account")
        return f"the call of that name for a whole account (S3 Control) needs {of_account} on *"
    return ""
