"""Refusals in a service's own words that always mean the same, and what they mean."""

from __future__ import annotations

import re

# The words, and what they tell, with the named groups of the words put in.
_TABLE = (
    # https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html
    (
        "You don't have permissions to access this resource",
        "AWS Organizations answers so to accounts that may not ask: most of its actions work from "
        "the management account or a delegated administrator's alone, and there the caller's own "
        "policies have to allow them (organizations:...)",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
    (
        r"[Uu]nable to assume the service linked role|[Ss]ervice-linked role creation access denied"
        r"|permissions? to create a [Ss]ervice.[Ll]inked.[Rr]ole",
        "the account has no service-linked role for the service yet, and the caller may not make "
        "it: iam:CreateServiceLinkedRole on role/aws-service-role/SERVICE/*, limited by "
        "iam:AWSServiceName, or aws iam create-service-linked-role once",
    ),
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    (
        r"denied by S3, please make sure your request credentials have permission to "
        r"(?P<call>\w+) for (?P<place>[^\s,]*[^\s,.])",
        "Lambda asked S3 in the caller's name for the code: the caller needs s3:{call} on "
        "arn:aws:s3:::{place} (and the use of its key), by its own policies or the bucket's, of "
        "another account's bucket by both; a condition of those on MFA or the network may fail "
        "where Lambda asks. What S3 found lacking is not told",
    ),
    # https://docs.aws.amazon.com/firehose/latest/dg/controlling-access.html
    (
        r"[Vv]erify that the IAM role has access to the \w+ domain:? (?P<domain>arn:\S+)",
        "Firehose tried its delivery role on {domain} and was refused: the role's own policies or "
        "the domain's have to allow es:DescribeDomain, es:DescribeDomains, "
        "es:DescribeDomainConfig, es:ESHttpPost and es:ESHttpPut on {domain} and {domain}/*, and "
        "es:ESHttpGet on {domain}/*; the role's trust policy has to let in firehose.amazonaws.com, "
        "and a role that was just made needs some minutes. Which of them it was is not told",
    ),
    # https://docs.aws.amazon.com/codebuild/latest/userguide/connections-github-app.html
    (
        r"Access denied to connection (?P<connection>arn:\S+)",
        "CodeBuild was refused {connection}: the project's service role needs "
        "codeconnections:GetConnection and codeconnections:GetConnectionToken on it (of a "
        "connection of that name codestar-connections:...), before the project is made, and who "
        "makes the project codeconnections:UseConnection",
    ),
    # https://docs.aws.amazon.com/codepipeline/latest/userguide/how-to-custom-role.html
    (
        "[Pp]rovided role does not have sufficient permissions",
        "CodePipeline refused by the role that the pipeline or its action was given, and does not "
        "say which right it lacks: what the stage uses (of a connection "
        "codeconnections:UseConnection or codestar-connections:UseConnection), the bucket of its "
        "artifacts and that bucket's key",
    ),
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policies-ec2-console.html
    (
        "You are not authorized to describe [A-Z]",
        "the console lists by EC2's Describe actions, which take no resource: they have to be "
        "allowed (ec2:DescribeInstances and so on) on * in a statement without conditions on what "
        "is launched, such as ec2:InstanceType, or on tags: a list carries no such key, so a "
        "statement with one never allows it",
    ),
    # https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html
    (
        r"(?i:efs|elasticfilesystem|mount.target).{0,160}User is not authorized to perform that "
        r"action on the specified resource",
        "EFS names neither right nor caller: a call needs elasticfilesystem:... of its name, and "
        "making a mount target ec2:DescribeSubnets, ec2:DescribeNetworkInterfaces and "
        "ec2:CreateNetworkInterface, too",
    ),
    # https://docs.aws.amazon.com/cognito/latest/developerguide/role-trust-and-permissions.html
    (
        r"Access to Role ['\"]?(?P<role>[^\s'\"]+)['\"]? is forbidden",
        "Cognito was given a role that the caller may not hand on: the caller needs iam:PassRole "
        "on {role}, which has to be there and of its own account",
    ),
    (
        "[Cc]ross-account pass role is not allowed",
        "only a role of one's own account can be passed to a service",
    ),
    # https://docs.aws.amazon.com/lake-formation/latest/dg/lf-permissions-reference.html
    (
        r"Insufficient Lake Formation permission\(?s?\)?:? (?:Required (?P<right>[\w ]+?) )?on "
        r"(?P<what>[\w.*-]+)",
        "Lake Formation refused, and no policy of IAM: on {what} the caller's role has to be "
        "granted {right} there (aws lakeformation grant-permissions), by a data lake "
        "administrator or whoever may grant it; where IAMAllowedPrincipals has Super on it and new "
        "things get that by default, IAM alone decides. The message names no caller",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    (
        "AccessControlListNotSupported",
        "the bucket takes no ACLs (Object Ownership: bucket owner enforced, as every bucket made "
        "since April 2023 is unless it was asked for otherwise): no policy of IAM changes that. "
        "Leave the ACL out of the request (bucket-owner-full-control alone is taken) and let a "
        "bucket policy say who gets in",
    ),
    # https://docs.aws.amazon.com/eks/latest/userguide/grant-k8s-access.html
    (
        "You must be logged in to the server|server has asked for the client to provide credentials"
        r"|current (?:user or role|IAM principal) does(?:n't| not) have access to Kubernetes"
        r"|is forbidden: User \S+ cannot ",
        "Kubernetes refused, and no policy of IAM: a cluster of EKS lets in the role or user (aws "
        "sts get-caller-identity) that an access entry (aws eks create-access-entry) or the "
        "ConfigMap aws-auth maps, beside who made it; what it may there Kubernetes' own roles say "
        "(RBAC). The credentials may also have expired",
    ),
    # https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
    (
        r"KMSInvalidState|InvalidKMSKey\.InvalidState|KMS\.DisabledException"
        r"|arn:[\w-]+:kms:\S+ is (?:disabled|pending)",
        "the state of the KMS key refuses it, and no policy: aws kms describe-key tells KeyState, "
        "which has to be Enabled (aws kms enable-key; of one that is pending deletion first "
        "cancel-key-deletion). When it launches an instance EC2 says so, too, where the key's "
        "policy does not let who launches use it (with Auto Scaling its service-linked role, which "
        "needs kms:CreateGrant, too)",
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    (
        r"specified KMS [Kk]ey .{0,40}?not allowed to be used with (?:Arn|LogGroup)?:? *"
        r"['\"]?(?P<group>arn:[^\s'\"]+)",
        "CloudWatch Logs itself could not use the KMS key for {group}, and no policy of the "
        "caller's changes that: the key has to be there, in the same region, and the key's own "
        "policy has to let in logs.REGION.amazonaws.com (kms:Encrypt*, kms:Decrypt*, "
        "kms:ReEncrypt*, kms:GenerateDataKey* and kms:Describe*); a condition there on "
        "kms:EncryptionContext:aws:logs:arn has to match that group. Which it was is not told",
    ),
    # https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
    (
        r"not authorized to perform:? (?P<call>kms:\w+) on (?:the|this) resource.{0,40}? because "
        r"the resource does not exist in this Region",
        "KMS refused {call} and leaves open which of three it was: no such key in the region that "
        "was asked (a secret, parameter or object may be encrypted with another region's or a "
        "deleted one), a key policy that does not let the caller in, or one that denies it. A key "
        "policy that leaves it to its account wants an Allow of the caller's own policies; of "
        "another account's key both have to allow it. The message names no key and no caller by a "
        "whole ARN",
    ),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html
    (
        r"not authorized to perform the required AWS Marketplace actions \((?P<actions>[^)]+)\)",
        "Bedrock turns the model on for the account at its first use, in the caller's name: the "
        "caller needs {actions} on *, by its own policies and with nothing of the organization's "
        "against it, or whoever has them calls the model once for the whole account; it works "
        "some minutes after. The message names no caller",
    ),
    # https://repost.aws/knowledge-center/athena-output-bucket-error
    (
        "Unable to verify/create output bucket"
        "|Access denied when writing (?:output )?to (?:location|url)",
        "Athena asked S3 in the caller's name for the place of its results, and does not say what "
        "S3 answered: the bucket has to be there, in the query's region, and the caller needs "
        "s3:GetBucketLocation and s3:ListBucket on it and s3:PutObject, s3:GetObject and "
        "s3:AbortMultipartUpload below it, by its own policies, with no Deny of the bucket's, an "
        "endpoint's or the organization's",
    ),
)
_UNTOLD = {"right": "a right that is not told, such as DESCRIBE or CREATE_TABLE,"}
WORDS = tuple(re.sub(r"\(\?P<\w+>", "(?:", words) for words, _ in _TABLE)


def meaning(words: str) -> str | None:
    """What a service's own words mean; None if they are none of these."""
    for pattern, text in _TABLE:
        if found := re.search(pattern, words):
            told = {name: value or _UNTOLD[name] for name, value in found.groupdict().items()}
            return text.format(**told)
    return None
