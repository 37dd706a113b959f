"""What S3, STS, EC2, CloudFormation and others refuse without asking any policy of IAM."""

# The words, and what they mean, with the named groups of the words put in.
TABLE = (
    # https://cloud.google.com/storage/docs/access-control/iam-permissions
    (
        r"does not have (?P<right>storage\.\w+\.\w+) (?:access|permission)",
        "the right that lacks ({right}) is one of Google Cloud's IAM, and no policy of AWS's",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html
    (
        r"<Message>Request has expired|AccessDenied\W+Request has expired",
        "the presigned URL has expired, and no policy was asked: make a new one. It lasts as long "
        "as it says (X-Amz-Expires), and never longer than the credentials that signed it, so one "
        "of a role's session ends with the session",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    (
        r"headers present in the request which were not signed",
        "S3 refused the request for its signature, and no policy: it carries headers (x-amz-...) "
        "that were not signed. Whoever makes the presigned URL has to name them (an ACL, tags, "
        "encryption), or the request has to leave them out",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
    (
        r"Invalid according to Policy: Policy (?P<why>Condition failed: \[[^\]]*\]|[\w ]+)",
        "S3 refused the form's upload by the POST policy that the form itself carries ({why}), and "
        "no policy of IAM: the fields sent have to be as that policy says, and in time",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    (
        r"Anonymous users cannot|No AWSAccessKey was presented"
        r"|Anonymous access is forbidden for this operation",
        "the request was not signed, and S3 takes this call from nobody without a signature, "
        "whatever the bucket's policy says: find out why the SDK had no credentials (or was told "
        "to send none, --no-sign-request)",
    ),
    (
        r"AllAccessDisabled|All access to this object has been disabled",
        "S3 has disabled all access to what was asked for, and no policy: most often the bucket's "
        "name is not one's own (a sample's name, such as bucket or test). Compare the name; of "
        "one's own bucket ask AWS Support",
    ),
    (
        r"InvalidObjectState|operation is not valid for the object's storage class",
        "the object is archived, and no policy refused: restore it first (aws s3api "
        "restore-object, which needs s3:RestoreObject) and read it once that is done",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/MultiFactorAuthenticationDelete.html
    (
        r"Mfa Authentication must be used for this request",
        "the bucket has MFA Delete, and no policy refused: to delete a version or to change the "
        "versioning the request has to carry an MFA code (--mfa), which the root user's device "
        "alone gives",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
    (
        r"(?:because )?object protected by object lock|Object is WORM protected",
        "S3 Object Lock keeps that version, and no policy refused: until its retention ends or its "
        "legal hold is off it cannot be deleted or overwritten. In governance mode whoever has "
        "s3:BypassGovernanceRetention may (--bypass-governance-retention), in compliance mode "
        "nobody",
    ),
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    (
        r"Roles may not be assumed by root accounts",
        "the root user cannot assume a role, whatever the policies say: ask as a user or a role",
    ),
    (
        r"DurationSeconds exceeds the MaxSessionDuration",
        "no policy refused: the session was asked for longer than the role allows. Ask for less "
        "(role-duration-seconds, duration_seconds), or raise the role's MaxSessionDuration (an "
        "hour by default, 12 at most; aws iam update-role --max-session-duration)",
    ),
    (
        r"exceeds the 1 hour session limit for roles assumed by role chaining",
        "no policy refused: a role that another role's session assumes lasts an hour at most. Ask "
        "for an hour, or assume it from a user's or an identity provider's credentials",
    ),
    (
        r"Cannot call Get(?:SessionToken|FederationToken) with session credentials",
        "STS takes that call with a user's own access key alone, whatever the policies say: leave "
        "out AWS_SESSION_TOKEN, or assume a role instead",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_mfa.html
    (
        r"MultiFactorAuthentication failed",
        "the MFA code was refused, and no policy: the serial number (ARN) has to be the caller's "
        "own device, the code fresh and not used before, and the device's clock right",
    ),
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html
    (
        r"may not be terminated\. Modify its 'disableApiTermination'",
        "the instance is protected against termination, and no policy refused: switch that off "
        "(aws ec2 modify-instance-attribute --no-disable-api-termination, which needs "
        "ec2:ModifyInstanceAttribute)",
    ),
    (
        r"Invalid IAM Instance Profile (?:name|ARN)",
        "EC2 found no such instance profile, and no policy refused: a role is not its profile (aws "
        "iam list-instance-profiles-for-role), and one that was just made needs some seconds",
    ),
    # https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
    (
        r"[Yy]our authorization token has expired|Your Authorization Token is invalid",
        "the registry's token has expired, and no policy was asked: sign in again (aws ecr "
        "get-login-password, of the public registry aws ecr-public in us-east-1); a token lasts 12 "
        "hours. What is public at public.ecr.aws needs none: docker logout public.ecr.aws",
    ),
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/protect-stack-resources.html
    (
        r"[Dd]enied by stack policy",
        "the stack's own stack policy refused the update, and no policy of IAM: give another one "
        "for this update (aws cloudformation update-stack --stack-policy-during-update-body) or "
        "change it (set-stack-policy, which needs cloudformation:SetStackPolicy)",
    ),
    # https://docs.aws.amazon.com/cloudformation-cli/latest/hooks-userguide/what-is-cloudformation-hooks.html
    (
        r"The following hook\(s\)(?:/validation)? failed: \[(?P<hooks>[^\]]*)\]",
        "a CloudFormation hook refused the resource ({hooks}), and no policy of IAM: what is made "
        "has to be as the hook's rule wants it (aws cloudformation describe-stack-events tells "
        "HookStatusReason); of Control Tower it is a proactive control, which whoever keeps the "
        "landing zone can name",
    ),
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/control-access-with-iam.html
    (
        r"Requires capabilities ?: ?\[?(?P<capability>\w+)",
        "no policy refused: CloudFormation wants to be told that the template makes roles or uses "
        "macros (--capabilities {capability})",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
    (
        r"on the protected role '?(?P<role>[\w+=,.@-]+)'?",
        "{role} is AWS's own to edit, and no policy refused: a service-linked role is deleted by "
        "its service or with aws iam delete-service-linked-role once nothing uses it, and a role "
        "of IAM Identity Center is changed by its permission set",
    ),
    (
        r"Need to perform AWS calls for account (?P<account>\S+), but no credentials (?:have been "
        r")?(?:configured|found)",
        "the CDK found no credentials for account {account}, so AWS was asked nothing: sign in, "
        "name a profile of that account (--profile), or let the roles of cdk bootstrap there trust "
        "the account that asks (--trust)",
    ),
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-troubleshooting.html
    (
        r"\(TargetNotConnected\)|TargetNotConnected: ",
        "SSM took the call, so no policy of the caller's refused it: the instance's agent is not "
        "connected. The instance's role needs AmazonSSMManagedInstanceCore, the agent has to run, "
        "and it has to reach ssm and ssmmessages; compare instance and region",
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
    (
        r"KMS Exception: UnrecognizedClientException ?KMS Message",
        "Lambda could not use the key of the function's environment with its execution role: most "
        "often that role was deleted and made again under the same name, and the key's grant names "
        "the old one. Give the function another role and this one again (aws lambda "
        "update-function-configuration --role), which makes a new grant; whoever does that needs "
        "kms:CreateGrant on the key, if it is one of the account's",
    ),
)
