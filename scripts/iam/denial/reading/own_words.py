"""Refusals in a service's own words that always mean the same, and what they mean."""

from __future__ import annotations

import re
from functools import lru_cache

from scripts.iam.denial.reading.tables import core_words, targets
from scripts.iam.denial.reading.tables.whose import attributed
from scripts.iam.reference import resources

# The words, and what they tell, with the named groups of the words put in.
_TABLE = (
    (
        r"not authorized to perform:? (?P<service>[\w-]+):?\w* ?\(truncated",
        "the client cut AWS's sentence in the middle of the action, which is one of {service}:...; "
        "PHP's HTTP client cuts what it shows of an answer at 120 characters: print the "
        "exception's own message or the answer's whole body, and paste that",
    ),
    # https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-access-permissions.html
    (
        r"(?:(?P<place>['\"]s3://[^'\"\s]+['\"]) iam_role ['\"](?P<role>arn:[^'\"\s]+)['\"]"
        r".{0,200}?)?"
        r"S3ServiceException: ?(?:Access Denied|Forbidden)"
        r"(?:.{0,400}?error: +S3ServiceException: ?(?:Access Denied|Forbidden))?"
        r"(?:.{0,400}?S3 key being read(?P<key> : s3://\S+\w))?",
        "Redshift asked S3 with the role (iam_role {role}) or keys that the COPY, UNLOAD or "
        "external table names, at {place}{key}, and not in the database user's name: to read it "
        "needs s3:GetObject on the objects and s3:ListBucket on the bucket, to write s3:PutObject"
        " (and s3:GetBucketLocation), the use of the key that they are encrypted with, of another"
        " account's bucket by that bucket's policy, too, and no Deny there. Of an object that is "
        "not there S3 says the same to whoever may not list",
    ),
    # https://docs.aws.amazon.com/redshift/latest/mgmt/copy-unload-iam-role.html
    (
        r"(?:User (?P<user>arn:\S+:dbuser:\S+) is not authorized to assume IAM Role"
        r"|Not authorized to get credentials of role) (?P<role>arn:[^\s'\",]+)",
        "Redshift could not become {role}: the role has to be associated with the cluster or "
        "namespace (aws redshift modify-cluster-iam-roles --add-iam-roles), its trust policy has "
        "to let in redshift.amazonaws.com (of Redshift Serverless also "
        "redshift-serverless.amazonaws.com), with a condition on sts:ExternalId for this very "
        "database user if it has one, and who runs the statement needs ASSUMEROLE where that was "
        "revoked. The policies of the person who signed in change nothing",
    ),
    # https://github.com/kubernetes-sigs/aws-iam-authenticator
    (
        r"could not get token: AccessDenied: (?!Not auth|User)",
        "the authenticator of an EKS kubeconfig asked STS for the role that it was given (-r or "
        "--role), and STS refused: the caller's own policies have to allow sts:AssumeRole on it "
        "and its trust policy has to let the caller in; of a role that is not there STS says the "
        "same. Without that option the caller's own credentials sign the token",
    ),
    # https://docs.aws.amazon.com/msk/latest/developerguide/iam-access-control.html
    (
        r"SASL Authentication failed.{0,60}?Access denied|(?i:sasl\w*authenticat\w*).{0,120}?"
        r"Access denied",
        "MSK let the client not even connect: the caller needs kafka-cluster:Connect on the "
        "cluster (arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID; kafka:... is another service's "
        "prefix), with nothing against it, and credentials that are good and are those that the "
        "client really uses (awsDebugCreds=true shows them in Java's client). Which it was is not "
        "told",
    ),
    (
        r"not authorized to access this topic|Topic ?[Aa]uthorization ?(?:[Ff]ailed|Exception)"
        r"|Not authorized to access topics?",
        "Kafka refused the topic. On MSK with IAM the caller needs kafka-cluster:DescribeTopic and "
        "ReadData or WriteData (to make it CreateTopic) on "
        "arn:aws:kafka:REGION:ACCOUNT:topic/CLUSTER/UUID/TOPIC, and kafka-cluster:Connect on the "
        "cluster; of a topic that is not there it may say the same. With other ways to sign in "
        "Kafka's own ACLs decide",
    ),
    (
        r"not authorized to access this group|GroupAuthorizationException|Not authorized to access "
        r"group",
        "Kafka refused the consumer group. On MSK with IAM the caller needs "
        "kafka-cluster:AlterGroup and kafka-cluster:DescribeGroup on "
        "arn:aws:kafka:REGION:ACCOUNT:group/CLUSTER/UUID/GROUP. With other ways to sign in Kafka's "
        "own ACLs decide",
    ),
    (
        r"ClusterAuthorizationException|Cluster authorization failed",
        "Kafka refused something on the cluster itself. On MSK with IAM that is "
        "kafka-cluster:DescribeCluster or AlterCluster, their ...DynamicConfiguration, or "
        "WriteDataIdempotently (a producer with enable.idempotence, which is the default) on "
        "arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID. With other ways to sign in Kafka's own "
        "ACLs decide",
    ),
    # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/serverless-data-access.html
    (
        r"aoss\..{0,300}?(?:403|Forbidden)|AuthorizationException\(403, ['\"]Forbidden['\"]\)"
        r"|['\"]reason['\"]: ?['\"]403 Forbidden['\"]",
        "OpenSearch Serverless answers so, and names neither caller nor right: the caller's own "
        "policies have to allow aoss:APIAccessAll on the collection, a data access policy of the "
        "collection has to name the caller's role or user with the aoss: rights on collection and "
        "index, the network policy has to let the request in, and the signature has to be for the "
        "service aoss. Which of them it was is not told",
    ),
    # https://docs.aws.amazon.com/appsync/latest/devguide/security-authz.html
    (
        r"(?i:not |un)[Aa]uthorized to (?:access )?(?P<field>\w+) on type (?P<type>\w+)",
        "AppSync refused the field {field} ({type}), and does not say by what: the schema's rules "
        "(@aws_iam, @aws_cognito_user_pools and so on; of Amplify @auth, which for other roles "
        "than the app's own wants them in its list of admin roles), a resolver "
        "(util.unauthorized()), or, of a caller that signs, no Allow of appsync:GraphQL on "
        "arn:aws:appsync:REGION:ACCOUNT:apis/API_ID/types/TYPE/fields/FIELD",
    ),
    (
        r"UnauthorizedException['\"]?,? ?['\"]?(?:message)?['\"]?:? ?['\"]?Permission denied",
        "AppSync refused the caller: its role or user has no Allow of appsync:GraphQL on the API "
        "(arn:aws:appsync:REGION:ACCOUNT:apis/API_ID/*), something denies it, or IAM is none of "
        "the API's modes of authorization. The message names no caller",
    ),
    # https://docs.aws.amazon.com/step-functions/latest/dg/service-integration-iam-templates.html
    (
        r"(?P<role>[^\s'\"`]{3,300})['\"]? is not authorized to create managed-rule",
        "Step Functions wants to wait for what the state machine starts (.sync), by a rule of "
        "EventBridge that it makes with {role}: that role needs events:PutTargets, events:PutRule "
        "and events:DescribeRule on arn:aws:events:REGION:ACCOUNT:rule/StepFunctionsGetEvent* "
        "(of executions rule/StepFunctionsGetEventsForStepFunctionsExecutionRule), by its own "
        "policies and with no boundary or organization's policy against it",
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
    (
        r"Insufficient permissions to enable logging",
        "API Gateway could not have the access log delivered: who deploys the API needs on * "
        "logs:CreateLogDelivery, logs:GetLogDelivery, logs:UpdateLogDelivery, "
        "logs:DeleteLogDelivery, logs:ListLogDeliveries, logs:PutResourcePolicy, "
        "logs:DescribeResourcePolicies and logs:DescribeLogGroups, or the account's log resource "
        "policy (aws logs describe-resource-policies, AWSLogDeliveryWrite20150319) has reached its "
        "5,120 characters: a log group whose name begins with /aws/vendedlogs/ keeps it short. "
        "Which it was is not told",
    ),
    # https://docs.aws.amazon.com/athena/latest/ug/workgroups-iam-policy.html
    (
        r"not authorized to perform: (?P<action>athena:\w+) on the resource",
        "Athena refused {action}: the caller's own policies have to allow it on the workgroup that "
        "the call names, and one that names none means primary "
        "(arn:aws:athena:REGION:ACCOUNT:workgroup/primary): name yours (WorkGroup, --work-group, "
        "the driver's setting) if you may use another one alone. Whether an Allow is lacking or a "
        "policy denies it is not told",
    ),
    # https://docs.aws.amazon.com/lake-formation/latest/dg/permissions-reference.html
    (
        r"Insufficient Glue permissions to access (?P<kind>\w+) (?P<what>[\w.-]*\w)",
        "Lake Formation asked Glue in the caller's name for the {kind} {what}: the caller's own "
        "policies have to allow glue:GetDatabase and glue:GetTable on the catalog, its database "
        "and the table (arn:aws:glue:REGION:ACCOUNT:catalog, database/NAME, table/NAME/TABLE), of "
        "another account's catalog that one's policy, too; Lake Formation's own rights are another "
        "matter",
    ),
    # https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
    (
        r"EKS does not have permissions to assume the associated role",
        "EKS Pod Identity cannot become the role of the association: the role's trust policy has "
        "to let in pods.eks.amazonaws.com with sts:AssumeRole and sts:TagSession both, and its "
        "conditions (on the tags that EKS sends) have to hold. The pod's and the node's rights "
        "change nothing",
    ),
    # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
    (
        r"Incorrect S3 bucket policy is detected for bucket:? (?P<bucket>[\w.-]*\w)",
        "CloudTrail tried to write to {bucket} and its policy does not let it: it has to allow "
        "cloudtrail.amazonaws.com s3:GetBucketAcl on arn:aws:s3:::{bucket} and s3:PutObject on "
        "arn:aws:s3:::{bucket}/PREFIX/AWSLogs/ACCOUNT/* (of an organization's trail also "
        "AWSLogs/ORGANIZATION_ID/*), with conditions that hold (s3:x-amz-acl "
        "bucket-owner-full-control, aws:SourceArn the trail's ARN), and has to be there before the "
        "trail (Terraform: depends_on the bucket's policy). The caller's policies change nothing",
    ),
    (
        r"InsufficientEncryptionPolicyException"
        r"|Insufficient permissions to access S3 bucket \S+ or KMS key",
        "CloudTrail may not use the trail's key: the key has to be in the bucket's region, and its "
        "policy has to allow cloudtrail.amazonaws.com kms:GenerateDataKey* (with the trail's "
        "kms:EncryptionContext:aws:cloudtrail:arn and aws:SourceArn) and kms:DescribeKey; or the "
        "bucket's policy does not let it in. The caller's policies change nothing",
    ),
    # https://docs.aws.amazon.com/config/latest/developerguide/s3-bucket-policy.html
    (
        r"Insufficient delivery policy to s3 bucket:? (?P<bucket>[\w.-]*\w), unable to assume "
        r"role:? (?P<role>arn:[^\s]*\w)",
        "AWS Config cannot become {role}: it has to be a role's ARN (.../role/NAME), be there, and "
        "its trust policy has to let in config.amazonaws.com. Whether it may write to {bucket} was "
        "not reached",
    ),
    (
        r"Insufficient delivery policy to s3 bucket:? (?P<bucket>[\w.-]*\w)",
        "AWS Config could not write to {bucket} with the recorder's role: that role needs "
        "s3:PutObject on arn:aws:s3:::{bucket}/PREFIX/AWSLogs/ACCOUNT/Config/* and s3:GetBucketAcl "
        "on the bucket (and the use of its key). With the service-linked role, or another "
        "account's bucket, the bucket's policy has to allow config.amazonaws.com those and "
        "s3:ListBucket, and the key's policy kms:GenerateDataKey and kms:Decrypt. A Deny there may "
        "do it, too. The caller's policies change nothing",
    ),
    # https://docs.aws.amazon.com/iot/latest/developerguide/diagnosing-connectivity-issues.html
    (
        r"Service: AWSIotData; Status Code: 403|iotdata.{0,120}?Forbidden",
        "AWS IoT's data endpoint refused, and names neither caller nor right: the caller needs the "
        "iot: action (iot:GetThingShadow, iot:UpdateThingShadow on thing/NAME, iot:Publish on "
        "topic/TOPIC) by its policies of IAM; an identity of Cognito that signed in needs, beside "
        "its role's, a policy of AWS IoT attached to it (aws iot attach-policy --target "
        "IDENTITY_ID)",
    ),
    (
        r"AWS_ERROR_MQTT_UNEXPECTED_HANGUP",
        "AWS IoT closed the connection and MQTT 3 carries no reason: the policy of AWS IoT that is "
        "attached to the certificate (or to Cognito's identity, or the caller's own of IAM) does "
        "not allow iot:Connect on client/CLIENT_ID, or iot:Publish on topic/..., iot:Subscribe on "
        "topicfilter/... for what was sent; the certificate is not active; or another client took "
        "the same client ID. AWS IoT's logs in CloudWatch tell which",
    ),
    # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
    (
        r"Could not access model data at (?P<where>\S+?)\. Please ensure that the role "
        r"['\"]?(?P<role>[^\s'\"]+)",
        "SageMaker could not read {where} with {role}, and does not say why: the role has to be "
        "there and let in sagemaker.amazonaws.com, and needs s3:GetObject on the object (of a "
        "prefix, or several models, s3:ListBucket on the bucket) and the use of its key, with no "
        "Deny of the bucket's; the object has to be there, in the endpoint's region (a file is "
        "named without a slash behind it)",
    ),
    (
        r"execution role used to create the model has permissions to access them",
        "SageMaker could not pull the model's image with its execution role: the role needs "
        "ecr:GetAuthorizationToken on * and ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and "
        "ecr:BatchCheckLayerAvailability on the repository, of another account's the repository's "
        "policy, too; the image has to be there with that tag, in the endpoint's region. Which it "
        "was is not told",
    ),
    # https://docs.aws.amazon.com/codeartifact/latest/ug/tokens-authentication.html
    (
        r"(?:E401|\b401\b|need: Bearer realm).{0,300}?\.d\.codeartifact\."
        r"|\.d\.codeartifact\..{0,300}?(?:E401|\b401\b|[Uu]nauthorized)",
        "CodeArtifact got no token that it takes, and no policy was asked: a token lasts 12 hours "
        "at most, and no longer than the session that made it. Get a new one (aws codeartifact "
        "login, or get-authorization-token into the registry's setting), for that very registry's "
        "address with its last slash. Who gets it needs codeartifact:GetAuthorizationToken and "
        "sts:GetServiceBearerToken",
    ),
    (
        r"\.d\.codeartifact\..{0,300}?(?:E403|\b403\b|Forbidden)"
        r"|(?:E403|\b403\b|Forbidden).{0,300}?\.d\.codeartifact\.",
        "CodeArtifact refused the package, in the name of whoever made the token: to read that "
        "needs codeartifact:ReadFromRepository on the repository (to publish "
        "codeartifact:PublishPackageVersion on the package), by its own policies, of another "
        "account by the repository's and the domain's, too. Which lacks is not told",
    ),
    # https://docs.aws.amazon.com/codecommit/latest/userguide/troubleshooting-ch.html
    (
        r"git-codecommit\.(?P<region>[\w-]+)\.amazonaws\.com/v1/repos/(?P<name>[\w.-]+)\S*:? "
        r".{0,60}?403",
        "CodeCommit refused {name}: the caller needs codecommit:GitPull or codecommit:GitPush on "
        "arn:aws:codecommit:{region}:ACCOUNT:{name}, or Git sent old credentials: those of a "
        "keychain or credential manager that kept them in place of AWS's credential helper, or of "
        "a session that has expired. Which it was is not told",
    ),
    # https://docs.aws.amazon.com/dms/latest/userguide/security-iam.html
    (
        r"IAM Role (?P<role>arn:[^\s]*\w) is not configured properly",
        "DMS cannot use {role}: it has to be there under that very name (dms-vpc-role, "
        "dms-cloudwatch-logs-role or dms-access-for-endpoint), let in dms.amazonaws.com by its "
        "trust policy and have its managed policy (of dms-vpc-role AmazonDMSVPCManagementRole); of "
        "one that was just made DMS says so, too, for some time. The caller's policies change "
        "nothing",
    ),
    # https://docs.aws.amazon.com/aws-backup/latest/devguide/access-control.html
    (
        r"(?:creating Backup Vault|CreateBackupVault|BackupVault).{0,120}?"
        r"AccessDeniedException: +(?:status code|\()",
        "AWS gives the code without a sentence. If this made a vault of AWS Backup, its caller "
        "needs backup:CreateBackupVault on it, backup-storage:MountCapsule on *, and for the "
        "vault's key kms:CreateGrant, kms:GenerateDataKey, kms:Decrypt, kms:RetireGrant and "
        "kms:DescribeKey",
    ),
    (
        r"AWS Backup does not have permission to describe resource (?P<what>arn:[^\s]*\w)",
        "AWS Backup asked about {what} with the role of the plan's selection, which may not: give "
        "that role AWS's policy for backups (AWSBackupServiceRolePolicyForBackup; of S3 also "
        "AWSBackupServiceRolePolicyForS3Backup), and let no Deny of the resource's policy or a "
        "boundary keep it out. The caller's policies change nothing",
    ),
    (
        r"consult the permissions associated with your AWS Backup role",
        "the role that the restore or backup job was given lacks a right that is not told: of a "
        "restore it needs AWSBackupServiceRolePolicyForRestores, of an instance with a profile "
        "also iam:PassRole on the role in it. The job's encoded message, if it has one, tells more "
        "(aws sts decode-authorization-message)",
    ),
    # https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html
    (
        "You don't have permissions to access this resource",
        "AWS Organizations answers so to accounts that may not ask: most of its actions work from "
        "the management account or a delegated administrator's alone, and there the caller's own "
        "policies have to allow them (organizations:...)",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
    (
        r"[Uu]nable to assume the service linked role|calling CreateServiceLinkedRole operation"
        r"|[Ss]ervice-linked role creation access denied"
        r"|permissions? to create (?:a )?[Ss]ervice.[Ll]inked.[Rr]ole"
        r"|ServiceLinkedRoleNotFoundFault"
        r"|create new role using IAM API CreateServiceLinkedRole"
        r"|authorized to (?:create|assume)[\w ]{0,20} service.linked role",
        "the account may have no service-linked role for the service yet, and the caller may not "
        "make it: iam:CreateServiceLinkedRole on role/aws-service-role/SERVICE/*, limited by "
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
        r"[Pp]rovided role (?:\S+ )?does not have sufficient permissions",
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
        r"not authorized to perform the required AWS Marketplace actions"
        r"(?: \((?P<actions>aws-[^)]+)\))?",
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
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html
    (
        r"not authorized to use launch template:? ?(?P<template>[\w./-]*\w)?",
        "EC2 Auto Scaling tried whether its caller may launch by the template {template}: the "
        "caller needs ec2:RunInstances on all that the template launches (and on the template), "
        "ec2:CreateTags where it tags, and iam:PassRole on the instance profile's role; the right "
        "to the group itself is not what lacks. Whether an Allow is lacking or a policy denies it "
        "is not told",
    ),
    *core_words.TABLE,
    *targets.TABLE,
)
_UNTOLD = dict.fromkeys(("topic", "object", "role", "template"), "which is not named") | {
    "place": "the place that the command names",
    "actions": "aws-marketplace:ViewSubscriptions and aws-marketplace:Subscribe",
}
WORDS = tuple(re.sub(r"\(\?P<\w+>", "(?:", words) for words, _ in _TABLE)
_KIND = re.compile(r"arn:aws:[\w-]+:REGION:ACCOUNT:[a-z-]+/")


@lru_cache(1)
def _rows() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), text) for pattern, text in _TABLE)


@lru_cache(64)
def meaning(words: str) -> str | None:
    """What a service's own words mean; None if they are none of these."""
    for pattern, text in _rows():
        found = pattern.search(words)
        if found and _is_about(found.groupdict().get("action"), text):
            told = {name: one or _UNTOLD.get(name, "") for name, one in found.groupdict().items()}
            return attributed(text.format(**told), words)
    return None


def _is_about(action: str | None, text: str) -> bool:
    """Whether a row is about a call, where its words have the action: the row names what AWS's
    reference has the action on, and that is all of it."""
    forms = resources(action) if action else ()
    return action is None or (
        bool(forms) and all(form.startswith(tuple(_KIND.findall(text))) for form in forms)
    )
