"""Refusals of what a service reads from or writes to for its caller, in the service's own words."""

from __future__ import annotations

# The words, and what they tell, with the named groups of the words put in.
TABLE = (
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
    (
        r"Unable to validate the following destination configurations",
        "S3 tried the bucket's notifications and a destination did not let it in, whatever the "
        "caller may: a queue's or topic's policy has to allow s3.amazonaws.com sqs:SendMessage or"
        " sns:Publish, a function's lambda:InvokeFunction (aws lambda add-permission), with "
        "conditions that hold (aws:SourceArn the bucket's ARN, aws:SourceAccount), a KMS key of "
        "the queue or topic kms:GenerateDataKey* and kms:Decrypt; it has to be there, in the "
        "bucket's region, before the notification (Terraform: depends_on) and be no FIFO queue. "
        "Which destination it was is not told",
    ),
    # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html
    (
        r"Access Denied for LogDestination:? (?P<where>[^\s.'\"]+)",
        "the delivery of logs was refused at {where}: a bucket's policy has to allow "
        "delivery.logs.amazonaws.com s3:GetBucketAcl on the bucket and s3:PutObject on "
        "BUCKET/PREFIX/AWSLogs/ACCOUNT/* (s3:x-amz-acl bucket-owner-full-control, "
        "aws:SourceAccount, aws:SourceArn), and who makes the flow log needs "
        "logs:CreateLogDelivery and, where that policy is to be written for it, "
        "s3:GetBucketPolicy and s3:PutBucketPolicy",
    ),
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    (
        r"Access Denied for bucket:? (?P<bucket>[\w.-]*\w)\. Please check S3bucket permission",
        "the load balancer may not write its logs to {bucket}, whatever the caller may: the "
        "bucket's policy has to allow s3:PutObject on "
        "arn:aws:s3:::{bucket}/PREFIX/AWSLogs/ACCOUNT/* to "
        "logdelivery.elasticloadbalancing.amazonaws.com (in older regions to the regional account"
        " of Elastic Load Balancing, of a network load balancer to delivery.logs.amazonaws.com), "
        "the bucket has to be in its region, and to be encrypted with S3's own keys (of a network"
        " load balancer also a KMS key that lets the delivery in)",
    ),
    # https://docs.aws.amazon.com/redshift/latest/mgmt/db-auditing.html
    (
        r"Cannot read ACLs of bucket (?P<bucket>[\w.-]*\w)",
        "Redshift may not write its audit log to {bucket}, whatever the caller may: the bucket's "
        "policy has to allow redshift.amazonaws.com s3:GetBucketAcl on the bucket and s3:PutObject "
        "on its objects, and the bucket has to be in the cluster's region",
    ),
    # https://docs.aws.amazon.com/waf/latest/developerguide/logging-destinations.html
    (
        r"WAFLogDestinationPermissionIssueException|Unable to deliver logs to the configured "
        r"destination",
        "AWS WAF cannot deliver to the destination of its log: who makes it needs "
        "wafv2:PutLoggingConfiguration and the right to set that up (of a log group "
        "logs:CreateLogDelivery, logs:PutResourcePolicy, logs:DescribeResourcePolicies, "
        "logs:DescribeLogGroups; of a bucket s3:PutBucketPolicy and s3:GetBucketPolicy; of "
        "Firehose iam:CreateServiceLinkedRole), and the destination's name has to begin with "
        "aws-waf-logs-. Which it was is not told",
    ),
    # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/createdomain-configure-slow-logs.html
    (
        r"Resource Access Policy specified for the CloudWatch Logs log group (?P<group>\S+)",
        "CloudWatch Logs does not let the service write to {group}, whatever the caller may: the "
        "account's log resource policy (aws logs put-resource-policy) has to allow "
        "es.amazonaws.com logs:PutLogEvents, logs:PutLogEventsBatch and logs:CreateLogStream on "
        "the group's ARN with :* behind it",
    ),
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/query-logs.html
    (
        r"InsufficientCloudWatchLogsResourcePolicy",
        "CloudWatch Logs does not let Route 53 write, whatever the caller may: the account's log "
        "resource policy in us-east-1 has to allow route53.amazonaws.com logs:CreateLogStream and "
        "logs:PutLogEvents on the group's ARN with :* behind it",
    ),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-troubleshooting-lambda.html
    (
        r"Invalid permissions on Lambda function",
        "API Gateway may not call the function: the function's own policy has to allow "
        "apigateway.amazonaws.com lambda:InvokeFunction, with the method's ARN (or its API's with "
        "a star) as aws:SourceArn (aws lambda add-permission, for the alias, too, if that is "
        "called), or the integration has to name a role that may",
    ),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
    (
        r"CloudWatch Logs role ARN must be set in account settings",
        "API Gateway has no role for its logs in this region: name one in the account's settings "
        "(aws apigateway update-account, /cloudwatchRoleArn) that lets in apigateway.amazonaws.com "
        "and has AmazonAPIGatewayPushToCloudWatchLogs; no right of the caller's lacks",
    ),
    # https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pool-sms-settings.html
    (
        r"InvalidSmsRole(?:TrustRelationship|AccessPolicy)Exception|Role does not have a trust "
        r"relationship allowing Cognito|does not have permission to publish with SNS",
        "Cognito cannot send texts with the pool's SMS role: the role needs sns:Publish on * (a "
        "text goes to a number, which has no ARN), and its trust policy has to let in "
        "cognito-idp.amazonaws.com with the sts:ExternalId that the pool names, and with "
        "aws:SourceAccount and aws:SourceArn only as they are the pool's",
    ),
    (
        r"must be allowed to use the passed role",
        "the service cannot become the role that was passed to it: of OpenSearch with Cognito the "
        "role's trust policy has to let in es.amazonaws.com (opensearchservice.amazonaws.com), the "
        "role needs AmazonOpenSearchServiceCognitoAccess, and who sets it up iam:PassRole on it",
    ),
    (
        r"Unable to assume role, role ARN:? (?P<role>arn:\S*\w)",
        "the service cannot become {role}: of a rule of AWS IoT its trust policy has to let in "
        "iot.amazonaws.com, and its conditions have to hold; the role has to be there, and one "
        "that was just made needs some seconds",
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
    (
        r"unable to decrypt the environment variables because KMS access was denied",
        "Lambda could not decrypt the function's environment with its execution role: the role "
        "needs kms:Decrypt on the function's key (KMSKeyArn of aws lambda "
        "get-function-configuration; with AWS's own key aws/lambda Lambda gives the role a grant). "
        "A role that was deleted and made anew under its name is another one to that grant: give "
        "the function another role and then this one again. Rights of who invokes change nothing",
    ),
    # https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html
    (
        r"Service role (?P<role>arn:\S+) does not allow AWS CodeBuild to create Amazon CloudWatch "
        r"Logs",
        "CodeBuild's service role {role} needs logs:CreateLogGroup, logs:CreateLogStream and "
        "logs:PutLogEvents on the project's log group (/aws/codebuild/PROJECT, or the one that the "
        "project names, with :* behind it), with nothing against it",
    ),
    # https://docs.aws.amazon.com/codepipeline/latest/userguide/troubleshooting.html
    (
        r"(?:service|action) role doesn.t have the permissions required to access the (?:Amazon )?"
        r"S3 bucket named (?P<bucket>[\w.-]*\w)",
        "the role of the pipeline or of its action may not use the artifacts' bucket {bucket}: it "
        "needs s3:GetObject, s3:GetObjectVersion, s3:PutObject and s3:GetBucketVersioning there "
        "and the use of the bucket's key (kms:Decrypt, kms:GenerateDataKey), of another account's "
        "by the bucket's and the key's policy, too. Which lacks is not told",
    ),
    # https://docs.aws.amazon.com/codedeploy/latest/userguide/getting-started-create-service-role.html
    (
        r"IAM role (?P<role>arn:\S+) does not give you permission to perform operations in the "
        r"following AWS service: (?P<service>\w+)",
        "CodeDeploy's service role {role} lacks rights of {service}, or CodeDeploy cannot become "
        "it: it needs AWS's policy for its platform (AWSCodeDeployRole, AWSCodeDeployRoleForECS or "
        "AWSCodeDeployRoleForLambda), with a launch template also ec2:RunInstances, ec2:CreateTags "
        "and iam:PassRole, and a trust policy that lets in codedeploy.amazonaws.com. The caller's "
        "policies change nothing",
    ),
    # https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html
    (
        r"Permission denied on S3 path:? (?P<path>s3://[^\s'\"]*\w)",
        "Athena reads the table's data in the caller's name and was refused at {path}: the caller "
        "needs s3:GetObject and s3:ListBucket there and the use of its key, by its own policies "
        "and, of another account's bucket, that one's; a location that is registered with Lake "
        "Formation is read with the role that it was registered with, which then needs them",
    ),
    # https://docs.aws.amazon.com/lake-formation/latest/dg/security-iam-troubleshoot.html
    (
        r"Principal does not have any privilege on specified resource"
        r"|not allowed from relation that has no columns",
        "Lake Formation lets the caller see nothing of it: grant its role the right there (aws "
        "lakeformation grant-permissions: DESCRIBE, and SELECT on the columns); of IAM it needs "
        "lakeformation:GetDataAccess and glue:GetTable, too",
    ),
    # https://docs.aws.amazon.com/datasync/latest/userguide/create-s3-location.html
    (
        r"could not perform s3:(?P<call>\w+) (?:in|on) bucket (?P<bucket>[\w.-]*\w)",
        "DataSync tried {bucket} with the location's access role and was refused: that role needs "
        "s3:GetBucketLocation, s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, "
        "s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload, "
        "s3:ListMultipartUploadParts, s3:GetObjectTagging and s3:PutObjectTagging on its objects, "
        "and the use of its key, of another account's bucket by that bucket's policy, too. The "
        "call that was tried needs {call}'s right",
    ),
    # https://docs.aws.amazon.com/rekognition/latest/dg/troubleshooting-rekognition-video.html
    (
        r"Unable to get object metadata from S3\. Check object key, region",
        "the service asked S3 in the caller's name for the object: the caller needs s3:GetObject "
        "on it and the use of its key, by its own policies, of another account's bucket by that "
        "one's, too; the object has to be there, spelled so, and its bucket in the region that "
        "was called. Which it was is not told",
    ),
    # https://docs.aws.amazon.com/transcribe/latest/dg/API_StartTranscriptionJob.html
    (
        r"The S3 URI that you provided can.t be accessed",
        "Transcribe asked S3 for the file in the caller's name (or with the job's data access "
        "role): that needs s3:GetObject on it and the use of its key; the file has to be there, in "
        "the region that was called. Which it was is not told",
    ),
    (
        r"Insufficient privileges for accessing data in S3",
        "the service reads the data with the role that it was given, and by the bucket's policy: "
        "the role needs s3:GetObject and s3:ListBucket there and the use of its key, and of "
        "Personalize the bucket's policy has to allow personalize.amazonaws.com the same",
    ),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/kb-permissions.html
    (
        r"Bedrock Knowledge Base was unable to assume the given role",
        "Bedrock cannot become the knowledge base's role: its trust policy has to let in "
        "bedrock.amazonaws.com (aws:SourceAccount and aws:SourceArn, if it asks for them, have to "
        "fit), and a role that was just made needs some seconds; whoever makes the knowledge base "
        "needs iam:PassRole on it",
    ),
    (
        r"Access denied when calling Bedrock\. Check your request permissions",
        "the agent's role may not call its model: it needs bedrock:InvokeModel (and "
        "bedrock:InvokeModelWithResponseStream) on the model, and of an inference profile "
        "bedrock:GetInferenceProfile and those on the profile and on the model in each of its "
        "regions; its trust policy has to let in bedrock.amazonaws.com, and the account needs "
        "access to the model",
    ),
    # https://docs.aws.amazon.com/servicecatalog/latest/adminguide/troubleshooting.html
    (
        r"No launch paths found for resource:? (?P<product>[\w-]+)",
        "Service Catalog knows no way for this caller to {product}: its user, group or role has to "
        "be associated with a portfolio that has the product (aws servicecatalog "
        "associate-principal-with-portfolio), in that region; rights of IAM alone do not do it",
    ),
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/hosted-zone-private-associate-vpcs-different-accounts.html
    (
        r"has not authorized to associate with your hosted zone|has not been authorized to be "
        r"associated with",
        "another account's VPC joins a private zone once the zone's account has authorized it (aws "
        "route53 create-vpc-association-authorization), and then the VPC's account associates it: "
        "of IAM the one needs route53:CreateVPCAssociationAuthorization, the other "
        "route53:AssociateVPCWithHostedZone and ec2:DescribeVpcs",
    ),
    # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/slr.html
    (
        r"must enable a service-linked role to give Amazon",
        "the account has no service-linked role for the service yet: aws iam "
        "create-service-linked-role --aws-service-name once (of OpenSearch "
        "opensearchservice.amazonaws.com), which needs iam:CreateServiceLinkedRole; of one that "
        "was just made try again",
    ),
    # https://docs.aws.amazon.com/ses/latest/dg/receiving-email-permissions.html
    (
        r"InvalidS3Configuration|Could not write to bucket:? ?[\w.-]*",
        "SES may not write mail to the bucket, whatever the caller may: the bucket's policy has to "
        "allow ses.amazonaws.com s3:PutObject on its objects (aws:SourceAccount, and aws:SourceArn "
        "the receipt rule), and its key kms:GenerateDataKey* and kms:Decrypt",
    ),
    # https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/control-access-billing.html
    (
        r"don.t have permission to access billing information",
        "the Billing console opens for users and roles only once the root user has activated IAM "
        "access to it (Account, IAM user and role access to Billing information); then they need "
        "billing:..., ce:... and the like by their own policies, and in an organization the "
        "management account may keep members out",
    ),
    # https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-iam-roles.html
    (
        r"[Ss]ervice role (?P<role>\S+) has insufficient EC2 permissions|Failed to authorize "
        r"instance profile|EMR_DefaultRole is invalid",
        "EMR's roles do not do: the service role has to let in elasticmapreduce.amazonaws.com and"
        " needs AmazonEMRServicePolicy_v2 (which counts for what is tagged "
        "for-use-with-amazon-emr-managed-policies = true alone) and iam:PassRole on the "
        "instances' role, and the instance profile has to be there with a role that lets in "
        "ec2.amazonaws.com (aws emr create-default-roles makes both). A boundary or an "
        "organization's policy may keep the rights away",
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    (
        r"(?:Failed to execute action (?P<topic>arn:\S+:sns:\S+?)\.? Received error: .{0,40}AWSKMS"
        r"|CloudWatch Alarms does not have authorization to access the SNS topic encryption key)",
        "KMS refused the key of the alarm's topic ({topic}), whatever the caller may: "
        "CloudWatch asks KMS itself, so the key's policy has to allow cloudwatch.amazonaws.com "
        "kms:Decrypt and kms:GenerateDataKey* (on *, aws:SourceAccount and aws:SourceArn limit "
        "it). The key alias/aws/sns lets CloudWatch in by no policy: take a key of your own for "
        "the topic, or none",
    ),
    # https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html
    (
        r"status code: 403.{0,160}? for (?:primary|secondary) source(?: and source version "
        r"(?P<object>arn:\S*\w))?",
        "CodeBuild fetched its source from S3 with the project's service role, and S3 refused it "
        "({object}): that role needs s3:GetObject and s3:GetObjectVersion on it and the use of "
        "its key (kms:Decrypt, which S3 does not tell apart from a right of its own), of another "
        "account's bucket by the bucket's and the key's policy, too, and an object that another "
        "account wrote has to belong to the bucket's owner. Of one that is not there S3 says the "
        "same to whoever lacks s3:ListBucket; rights of who started the build change nothing",
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
    (
        r"Cannot access stream (?P<stream>arn:\S*\w)",
        "the function's execution role may not read {stream}: of Kinesis it needs "
        "kinesis:GetRecords, kinesis:GetShardIterator, kinesis:DescribeStream, "
        "kinesis:DescribeStreamSummary, kinesis:ListShards and kinesis:ListStreams, of DynamoDB "
        "dynamodb:GetRecords, dynamodb:GetShardIterator, dynamodb:DescribeStream and "
        "dynamodb:ListStreams, and the use of the stream's key; rights of who makes the mapping "
        "change nothing, and what a role was just given needs some seconds",
    ),
    # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
    (
        r"SageMaker is unable to use your associated ExecutionRole \[(?P<role>[^\]]*)\]"
        r".{0,160}?permission for ['\"](?P<action>[\w-]+:\w+)",
        "the execution role of the domain or of the user's profile ({role}) needs {action} by its "
        "own policies, on the domain's apps (arn:aws:sagemaker:REGION:ACCOUNT:app/DOMAIN/*), with "
        "no condition (on tags) that the call does not meet, no boundary and no policy of the "
        "organization's against it, and its trust policy has to let in sagemaker.amazonaws.com; "
        "rights of who opened it change nothing",
    ),
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-type-schemas.html
    (
        r"Access denied for operation '(?P<type>[A-Z]\w+::\w+::\w+)'",
        "CloudFormation made, changed or read {type} with the rights of the stack's role, or else "
        "of the caller's, and the service refused one of its calls: aws cloudformation "
        "describe-type --type RESOURCE --type-name {type} tells in Schema under handlers which "
        "rights each operation needs. CloudTrail names the call that was refused; where those "
        "rights are there, a service with rights of its own (QuickSight: of users and groups on "
        "data sets and themes that it names) or the organization's policies refuse",
    ),
    # https://docs.aws.amazon.com/waf/latest/developerguide/security_iam_service-with-iam.html
    (
        r"not authorized to access the web ACL",
        "WAF refused a caller that it does not name, of a web ACL that it does not name: to see "
        "and attach one its caller needs wafv2:GetWebACL, wafv2:GetWebACLForResource, "
        "wafv2:AssociateWebACL and wafv2:DisassociateWebACL on the ACL and on what it is attached "
        "to (of WAF Classic waf-regional:... of the same names and waf:GetWebACL), and the right "
        "of what it is attached to (elasticloadbalancing:SetWebAcl, apigateway:SetWebACL, "
        "appsync:SetWebACL). Which lacks, or whether a policy denies it, is not told",
    ),
    # https://docs.aws.amazon.com/lexv2/latest/dg/security_iam_service-with-iam.html
    (
        r"Access denied while invoking (?P<service>\w+) ?(?P<call>[\w ]*?) API",
        "the service called {service} ({call}) with the role that the bot was given, and that was "
        "refused: the role needs {service}'s right by its own policies (of Amazon Lex "
        "polly:SynthesizeSpeech, comprehend:DetectSentiment, lambda:InvokeFunction), with nothing "
        "against it; rights of who talks to the bot change nothing",
    ),
    # https://docs.aws.amazon.com/codecommit/latest/userguide/encryption.html
    (
        r"EncryptionKeyAccessDeniedException",
        "CodeCommit asked KMS in the caller's name for the repository's key and was refused: "
        "nothing may deny the caller kms:Encrypt, kms:Decrypt, kms:ReEncrypt*, "
        "kms:GenerateDataKey* and kms:DescribeKey there (of a key of your own it needs them "
        "allowed, too, by its own policies or the key's), and the key has to be enabled",
    ),
    # https://docs.aws.amazon.com/elasticbeanstalk/latest/dg/iam-instanceprofile.html
    (
        r"Insufficient IAM privileges\. Unable to (?P<what>\w+)[\w ]*? instance profile "
        r"['\"]?(?P<profile>[\w+=,.@-]+)",
        "the EB CLI asked IAM about the instance profile {profile} ({what}), was refused, and "
        "went on as if it existed: its caller needs iam:ListInstanceProfiles and "
        "iam:GetInstanceProfile, and to have it made iam:CreateInstanceProfile, iam:CreateRole, "
        "iam:AttachRolePolicy, iam:AddRoleToInstanceProfile and iam:PassRole, too; or somebody who "
        "may makes the profile once",
    ),
    # https://docs.aws.amazon.com/efs/latest/ug/troubleshooting-efs-mounting.html
    (
        r"(?:webidentity:(?P<role>arn:[^,\s]*).{0,400}?)?mount\.nfs4?: access denied by server",
        "EFS refused the mount: the file system's policy or the client's own ({role}) have to "
        "allow elasticfilesystem:ClientMount on the file system (to write ClientWrite, as root "
        "ClientRootAccess). A condition on elasticfilesystem:AccessPointArn there lets in mounts "
        "over that access point alone. A client that mounts without iam is nobody, and let in by "
        "the file system's policy alone, if there is one; over an access point or with iam the "
        "mount has to use TLS (-o tls,iam). EFS says the same of a path that is not there",
    ),
    # https://docs.aws.amazon.com/fsx/latest/LustreGuide/create-dra-linked-data-repo.html
    (
        r"Amazon FSx is unable to validate access to the S3 bucket",
        "FSx tried the bucket in the caller's name: the caller needs s3:Get*, s3:List* and "
        "s3:PutObject on the bucket and what is under the prefix, and, so that FSx gets a role of "
        "its own, iam:CreateServiceLinkedRole, iam:AttachRolePolicy and iam:PutRolePolicy on "
        "role/aws-service-role/s3.data-source.lustre.fsx.amazonaws.com/*; the bucket's policy and "
        "its key may refuse, too, and the bucket has to be there, spelled so",
    ),
    # https://docs.aws.amazon.com/sns/latest/api/API_GetSubscriptionAttributes.html
    (
        r"Not authorized to access this subscription",
        "SNS shows a subscription to its owner alone, the account that subscribed, whatever that "
        "of the topic allows: ask with credentials of that account (there the caller's own "
        "policies need sns:GetSubscriptionAttributes), or leave out subscriptions of others. One "
        "that nobody has confirmed yet has no owner but its topic's account",
    ),
    # https://docs.aws.amazon.com/amplify/latest/userguide/permissions-amplify-iam-managed-policies.html
    (
        r"[Tt]he user does not have permissions? to call (?P<service>\w+) (?P<call>\w+)",
        "Amplify called {service} ({call}) in the caller's name and was refused: who signed in to "
        "the console, or the role that Amplify was given, needs that right, which "
        "AdministratorAccess-Amplify has (and iam:PassRole on the roles that it hands on), with no "
        "boundary and no policy of the organization's against it",
    ),
    # https://github.com/uswitch/kiam/blob/master/docs/IAM.md
    (
        r"error fetching credentials: rpc error: .{0,60}?AccessDenied.{0,200}?"
        r"security-credentials/(?P<name>[\w+=,.@/-]+)",
        "kiam's server asked STS for the role {name} and was refused (sts:AssumeRole): the "
        "server's own role or user needs sts:AssumeRole on it, and its trust policy has to let in"
        " the server's role (not the nodes', unless the server runs with that). The annotation "
        "iam.amazonaws.com/role has to spell the role as it is called, and of one that is not "
        "there STS says the same",
    ),
    # https://docs.aws.amazon.com/iot/latest/developerguide/iot-policies.html
    (
        r"CONNACK:? ?Client is not authenticated/authorized|AWS_ERROR_MQTT_UNEXPECTED_HANGUP"
        r"|\"reason\": ?\"AUTHORIZATION_FAILURE\"",
        "AWS IoT refused or closed the connection. Of a client with a certificate the policy of "
        "AWS IoT decides that is attached to it (aws iot attach-policy), of one that signs "
        "(WebSocket) the caller's own policies of IAM, of a Cognito identity that signed in both: "
        "iot:Connect on arn:aws:iot:REGION:ACCOUNT:client/CLIENT_ID with the client's own ID "
        "(further clients of Greengrass are THING#2 and on), iot:Publish and iot:Receive on "
        "topic/TOPIC, iot:Subscribe on topicfilter/FILTER. Variables of the thing hold only where "
        "the certificate is attached to it, and it has to be active; two clients of one ID close "
        "each other. The log of AWS IoT (AWSIotLogsV2) tells which it was",
    ),
    # https://docs.aws.amazon.com/config/latest/developerguide/evaluate-config_develop-rules_lambda-functions.html
    (
        r"AWS Lambda function (?P<function>arn:\S+?|.{1,80}?) cannot be invoked",
        "AWS Config may not call {function}, whatever the caller may: the function's own policy "
        "has to allow config.amazonaws.com lambda:InvokeFunction (aws lambda add-permission, with"
        " --source-account) before the rule is made (Terraform: depends_on), of another account's"
        " function too, and the function has to be there, spelled so and in the rule's region",
    ),
)
