"""What S3, ECR, EC2, RDS and tools around them say in words of their own, and what it means."""

# The words, and what they tell, with the named groups of the words put in.
TABLE = (
    # https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
    (
        "Lambda does not have permission to access the ECR image"
        "|function does not have permission to access the specified image",
        "the ECR repository's policy has to let in lambda.amazonaws.com (ecr:BatchGetImage and "
        "ecr:GetDownloadUrlForLayer), of another account's repository the function's account, too; "
        "the repository has to be in the function's region. To a repository of its own account "
        "Lambda adds that by itself where who makes the function may ecr:GetRepositoryPolicy and "
        "ecr:SetRepositoryPolicy. The function's role is not asked",
    ),
    # https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
    (
        r"(?:POST|PUT|PATCH) request to \S+?(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\."
        r"amazonaws\.com/v2/(?P<name>[\w./-]+?)/(?:manifests|blobs)/\S*: 403 Forbidden",
        "ECR refused to take the image and names no caller: whoever pushes it needs "
        "ecr:BatchCheckLayerAvailability, ecr:InitiateLayerUpload, ecr:UploadLayerPart, "
        "ecr:CompleteLayerUpload, ecr:PutImage and ecr:BatchGetImage on "
        "arn:aws:ecr:{region}:{account}:repository/{name}, and ecr:GetAuthorizationToken on *, by "
        "its own policies; of another account's repository that repository's policy has to let it "
        "in, too. A token of more than 12 hours is over",
    ),
    (
        r"(?P<account>[\w*<>{}$-]{1,40})\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com/"
        r"(?:v2/)?(?P<name>[\w./-]+?)(?:/(?:manifests|blobs)/|[@:\s\"']).{0,400}?403 Forbidden",
        "ECR refused the image and names no caller: whoever pulls it (of a task of ECS its "
        "execution role, of EKS the node's role) needs ecr:BatchGetImage, "
        "ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability on "
        "arn:aws:ecr:{region}:{account}:repository/{name}, and ecr:GetAuthorizationToken on *, by "
        "its own policies; of another account's repository that repository's policy has to let it "
        "in, too. A VPC endpoint's policy may refuse it, and a token of more than 12 hours is over",
    ),
    # https://docs.aws.amazon.com/AmazonECR/latest/public/public-registry-auth.html
    (
        r"https://public\.ecr\.aws/v2/\"?(?: failed with status)?: "
        r"(?:denied: |unauthorized: |40[013] )",
        "ECR Public refused the sign-in, before any policy of a repository was asked: the password "
        "is no token of ECR Public, or an old one (they count for 12 hours). Private ECR's token "
        "(aws ecr get-login-password) and an access key are none: aws ecr-public "
        "get-login-password --region us-east-1 | docker login --username AWS --password-stdin "
        "public.ecr.aws, in the same place. Who makes it needs ecr-public:GetAuthorizationToken "
        "and sts:GetServiceBearerToken on *; who made it is not told, nor whether that lacks",
    ),
    # https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
    (
        r"https://(?P<account>[\w*<>{}$-]{1,40})\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com"
        r"(?:\.cn)?/v2/\"?(?: failed with status)?: (?:denied: |unauthorized: |40[03] )",
        "ECR refused the sign-in, before any policy of a repository was asked: the password is no "
        "token of this registry, or an old one (they count for 12 hours). Neither ECR Public's "
        "token nor an access key is one: aws ecr get-login-password --region {region} | docker "
        "login --username AWS --password-stdin of this very host, in the same place. Who makes it "
        "needs ecr:GetAuthorizationToken on *; who made it is not told, nor whether that lacks",
    ),
    (
        r"dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com"
        r".{0,300}?(?:no basic auth credentials|\b401 Unauthorized\b"
        r"|\b401\b.{0,20}Not Authorized|unauthorized: authentication required)",
        "no token that the registry takes came with the request, so no policy was asked yet: sign "
        "in to this very registry (aws ecr get-login-password --region {region} | docker login "
        "--username AWS --password-stdin ACCOUNT.dkr.ecr.{region}.amazonaws.com, by the registry's "
        "account; what runs in a cluster does so by its credential helper, with its own role's "
        "credentials); that needs ecr:GetAuthorizationToken on *, and a token counts for 12 hours",
    ),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    (
        r"KMS\.?AccessDenied\w*['\")]* when calling the (?P<call>(?:Send|Receive|Publish)\w*) "
        r"operation: (?!User: )",
        "KMS refused what it was asked for in the caller's name, for the key of the queue or topic "
        "that was called ({call}): the caller needs kms:Decrypt on that key, and to send or "
        "publish kms:GenerateDataKey, too, by its own policies or by the key's, and of another "
        "account's key by both; a condition of the key's policy may keep it out. The queue's or "
        "topic's own policy is not enough",
    ),
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html
    *(
        (
            rf"unable to retrieve secrets? from {store}(?!.{{0,600}}?"
            r"(?:RequestError|RequestCanceled|deadline exceeded|not authorized to perform))",
            "ECS could not get a secret of the task's, which it asks for as the task's execution "
            "role (executionRoleArn), and not as the task's own: if it was refused, that role "
            f"needs {needs}, and kms:Decrypt on its key where that is one of the account's own. "
            "Where no answer came (a timeout) the task has no way to the service, and no policy "
            "was asked",
        )
        for store, needs in (
            ("asm", "secretsmanager:GetSecretValue on the secret"),
            ("ssm", "ssm:GetParameters on the parameter"),
        )
    ),
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
    (
        r"do not have permission to create the service-linked role for EC2 Spot Instances",
        "the account has no service-linked role for Spot yet, and the caller may not make it: the "
        "caller needs iam:CreateServiceLinkedRole on the role "
        "aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot (with iam:AWSServiceName "
        "spot.amazonaws.com), or somebody who may makes it once for the account (aws iam "
        "create-service-linked-role --aws-service-name spot.amazonaws.com)",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_roles.html
    (
        r"\b[Rr]ole \(?\"?(?P<role>arn:[^\s\"()]+)\"?\)? cannot be assumed(?! by )",
        "STS gave no credentials of {role} to who asked for them, and the tool leaves its answer "
        "out: the caller's credentials have to be good, its own policies have to allow "
        "sts:AssumeRole on that role, and the role's trust policy has to let the caller in, with "
        "what it asks for (an external id, MFA, tags); a role that is not there is refused in the "
        "same way. STS's own sentence names the caller (Terraform prints it with TF_LOG=debug, aws "
        "sts assume-role as the same caller, too)",
    ),
    # https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
    (
        r"could not be used to assume '?(?P<role>arn:[^\s']+?)'?,",
        "the CDK may not become {role}: the caller needs sts:AssumeRole on it by its own policies "
        "and the role's trust policy, which trusts its own account and those of cdk bootstrap "
        "--trust; it has to be there (cdk bootstrap in that account and region, with the same "
        "qualifier). Where the CDK proceeds anyway it goes on with the caller's own rights, and "
        "what those lack is refused behind it",
    ),
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-explicit.html
    (
        r"Not authorized for images:? \[?(?P<image>ami-\w+)",
        "the account may not launch {image}, and no policy of IAM changes that: it is another "
        "account's and not shared with this one, is gone, or is another region's. Its owner shares "
        "it (aws ec2 modify-image-attribute --launch-permission), with its snapshots and key",
    ),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
    (
        "KMS key access denied",
        "the table is encrypted with a KMS key of the account's, which DynamoDB asks for in the "
        "caller's name, and KMS refused: the caller needs kms:Decrypt on the table's key (aws "
        "dynamodb describe-table: SSEDescription), by its own policies where the key's policy "
        "leaves it to the account, and else by the key's; of another account's key by both. The "
        "message names neither caller nor key",
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
    (
        r"IAM role (?:provided is not valid|ARN value is invalid or does not include the required "
        r"permissions)",
        "RDS may not use the role that it was given: the role has to be there, its trust policy "
        "has to let in the service that uses it (for a directory rds.amazonaws.com, and "
        "directoryservice.rds.amazonaws.com; for Enhanced Monitoring monitoring.rds.amazonaws.com) "
        "and AWS's policy for it has to be attached (AmazonRDSDirectoryServiceAccess, "
        "AmazonRDSEnhancedMonitoringRole); a role that was just made needs some seconds",
    ),
    # https://github.com/s3fs-fuse/s3fs-fuse/wiki/FAQ
    (
        r"s3fs.{0,60}?invalid credentials|s3fs: Failed to access bucket",
        "s3fs lists the bucket when it mounts it, and S3 refused, without a reason: its keys or "
        "role need s3:ListBucket on the bucket itself and s3:GetObject, s3:PutObject and "
        "s3:DeleteObject on its objects (arn:aws:s3:::BUCKET/*), with no Deny of the bucket's or "
        "an endpoint's; s3fs says so of wrong keys, too, and of a bucket in another region than "
        "its url and endpoint",
    ),
    # https://rclone.org/s3/#s3-permissions
    (
        r"Failed to copy: (?:AccessDenied|s3 upload: 403|operation error S3: \w+, https response "
        r"error StatusCode: 403)",
        "rclone was refused by its store, S3 or another one of that API, and does not tell which "
        "call it was. On AWS it needs s3:ListBucket on the bucket itself, on its objects "
        "s3:PutObject, s3:GetObject and s3:PutObjectAcl (it sends an ACL where one is set), to "
        "delete s3:DeleteObject; of a single file it may first try s3:CreateBucket, which "
        "--s3-no-check-bucket leaves out",
    ),
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-concepts.html
    (
        "S3 error: (?:Access Denied|You are not authorized)",
        "CloudFormation asked S3 in the caller's name for the template (or one that it nests), and "
        "S3 refused: the caller needs s3:GetObject on the template's object and the use of its "
        "key, by its own policies or the bucket's, of another account's bucket by both, with no "
        "Deny of the bucket's or the organization's (one on the network, aws:SourceIp or "
        "aws:SourceVpce, holds, as CloudFormation asks from elsewhere: except calls by "
        "aws:CalledVia or aws:ViaAWSService). Of an object that is not there S3 says the same to "
        "whoever may not list",
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/share-encrypted-snapshot.html
    (
        r"KMSKeyNotAccessible|KMS key (?:\[[^\]]*\] )?does not exist, is not enabled or you do not "
        r"have permissions? to access it",
        "RDS asked KMS in the caller's name for the key, and does not say what it found: the "
        "key has to be there, enabled and of the region that is meant (another region's or "
        "account's by its ARN), and the caller needs kms:DescribeKey and kms:CreateGrant on it, to "
        "copy also kms:Decrypt, kms:GenerateDataKey* and kms:ReEncrypt*, by its own policies; of "
        "another account's key that key's policy has to allow them, too, kms:CreateGrant among "
        "them. AWS's own key (aws/rds) serves no other account",
    ),
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
    (
        "TargetNotConnectedException",
        "ECS took the call, so no policy refused it: the agent in the task is not connected to "
        "SSM. The task's role (not its execution role) needs ssmmessages:CreateControlChannel, "
        "ssmmessages:CreateDataChannel, ssmmessages:OpenControlChannel and "
        "ssmmessages:OpenDataChannel on *, with nothing against it; the task has to reach SSM (an "
        "endpoint ssmmessages or a way out), and to have started with enableExecuteCommand after "
        "its role had that. Credentials in the container's environment take the role's place",
    ),
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
    (
        r"calling the RegisterTaskDefinition operation: Role is not valid|ClientException: Role is "
        r"not valid",
        "ECS did not take the task's role or execution role: it has to be there, be named by its "
        "ARN or its plain name, and its trust policy has to let in ecs-tasks.amazonaws.com; one "
        "that was just made needs some seconds",
    ),
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html
    (
        r"Role (?P<role>arn:\S+) is invalid or cannot be assumed",
        "CloudFormation cannot become {role}: its trust policy has to let in "
        "cloudformation.amazonaws.com (sts:AssumeRole), and it has to be there. The stack keeps "
        "that role: give another one (--role-arn) if it was deleted. The caller needs iam:PassRole "
        "on it",
    ),
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
    (
        r"Did not have IAM permissions to process tags on AWS::(?P<service>\w+)::(?P<kind>\w+)",
        "CloudFormation puts the stack's tags on AWS::{service}::{kind}, with the caller's or the "
        "stack's role, which lacks the service's action for tags (of IAM iam:TagRole and its like) "
        "on what it makes; the message names no caller. Leave the stack's tags out if none are "
        "needed",
    ),
    (
        r"Access denied for operation '(?P<kind>AWS::\w+::\w+)'",
        "CloudFormation was denied while it made {kind}, with the caller's or the stack's role, "
        "and does not say which right lacks: aws cloudformation describe-type --type RESOURCE "
        "--type-name {kind} lists what each handler needs, and CloudTrail has the call. A Deny of "
        "the organization's or a boundary may do it, too",
    ),
    # https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html
    (
        r"Bucket named '(?P<bucket>[\w.-]+)' exists, but (?:we dont have access|not in account)",
        "the CDK may not use {bucket}: the file-publishing role of cdk bootstrap (or, where that "
        "cannot be assumed, the caller) needs s3:GetBucketLocation on it, s3:ListBucket, "
        "s3:GetObject*, s3:PutObject* and its key, with no Deny of the bucket's; a bucket of that "
        "name may also be another account's, so compare account and region",
    ),
    (
        r"Could not assume role in target account using current credentials(?! .{0,200}User: arn)",
        "the CDK may not become a role of cdk bootstrap in the target account: it has to be there "
        "(cdk bootstrap, same qualifier), trust the account that asks (--trust), and the caller "
        "needs sts:AssumeRole on it by its own policies. The message names no role",
    ),
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html
    (
        r"Secrets Manager cannot invoke the specified Lambda function",
        "the function's own policy has to let in secretsmanager.amazonaws.com "
        "(lambda:InvokeFunction; aws lambda add-permission, with aws:SourceAccount or the secret "
        "as aws:SourceArn), and the function has to be there. The caller's policies change nothing",
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html
    (
        r"Access denied for user '(?P<user>[^']*)'@"
        r".{0,200}?(?:rds\.amazonaws|AWSAuthenticationPlugin)"
        r"|(?:rds\.amazonaws|AWSAuthenticationPlugin).{0,200}?"
        r"Access denied for user '(?P<who>[^']*)'@",
        "MySQL did not take what {user}{who} signed in with, and does not say why. A user that was "
        "made with AWSAuthenticationPlugin signs in with a token of IAM's alone (15 minutes, for "
        "that very host, port and user), over TLS and with the cleartext plugin; whoever makes the "
        "token needs rds-db:connect on "
        "arn:aws:rds-db:REGION:ACCOUNT:dbuser:RESOURCE_ID/{user}{who}. Any other user signs in "
        "with its password, and IAM is not asked",
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    (
        r"(?P<caller>arn:\S+:(?:role|user)/\S+) is not authorized to perform AssumeRole on role "
        r"(?P<role>arn:[^\s(]+)",
        "{caller} asked to become {role}: its own policies have to allow sts:AssumeRole on that, "
        "and the role's trust policy has to let it in",
    ),
    # https://developer.hashicorp.com/terraform/internals/debugging
    (
        r"Eval(?:Refresh|Sequence(?=.*walkRefresh)), err: (?:module\.\S+?\.)?"
        r"(?P<kind>aws_\w+)\.(?P<name>\S+): UnauthorizedOperation",
        "Terraform was reading {kind}.{name}, and EC2 refused one of the calls for it, which one "
        "is not told: mostly an ec2:Describe... that takes * alone; TF_LOG=DEBUG logs each "
        "(Request ec2/...), and the one that is answered 403 is the one that lacks",
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    (
        r"denied by EC2, please make sure your request credentials ha(?:ve|s) permission to "
        r"(?P<call>\w+)",
        "Lambda asked EC2 with the rights of its caller: whoever makes or changes the function "
        "needs ec2:{call} on *, by its own policies, and for a VPC ec2:DescribeSecurityGroups, "
        "ec2:DescribeSubnets and ec2:DescribeVpcs. The function's role is not asked for these",
    ),
    (
        r"denied by EC2, please make sure your function execution role ha(?:ve|s) permission to "
        r"(?P<call>\w+)",
        "Lambda asked EC2 with the rights of the function's role: for a VPC the role needs "
        "ec2:CreateNetworkInterface, ec2:DescribeNetworkInterfaces, ec2:DescribeSubnets, "
        "ec2:DeleteNetworkInterface, ec2:AssignPrivateIpAddresses and "
        "ec2:UnassignPrivateIpAddresses on * (AWSLambdaVPCAccessExecutionRole has them); refused "
        "was ec2:{call}. A policy attached just before counts after some seconds, so a second "
        "attempt may go through",
    ),
    # https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
    (
        "Given key ID is not accessible",
        "EC2 asked KMS in the caller's name (of a copy by AWS Backup: its role's) for the key of "
        "the snapshot or of the copy, and may not use it: the caller needs kms:DescribeKey, "
        "kms:CreateGrant, kms:Decrypt, kms:ReEncrypt* and kms:GenerateDataKeyWithoutPlaintext on "
        "both keys, by its own policies or the keys'; of another account's snapshot that account's "
        "key policy has to let it in, too, and AWS's own key (aws/ebs) serves no other account. "
        "The key has to be there, enabled and of that region",
    ),
)
