"""The table of what AWS's services refuse: what is checked here, and what is not.

docs/local-cloud.md shows it (a test holds the two together); the gateway runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripts.iam.requests import Reading
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.rules import (
    arrivals,
    belonging,
    compute,
    databases,
    documents,
    identities,
    in_use,
    keys,
    lesser,
    networks,
    storage,
    taken,
    unread,
)

Check = Callable[[Reading, Backends], None]
_AWS = "https://docs.aws.amazon.com/"
_IAM = f"{_AWS}IAM/latest/UserGuide/"
_QUOTAS = f"{_IAM}reference_iam-quotas.html"
_CHANGES_A_ROLE = (
    "AddRoleToInstanceProfile AttachRolePolicy DeleteRole DeleteRolePermissionsBoundary "
    "DeleteRolePolicy DetachRolePolicy PutRolePermissionsBoundary PutRolePolicy "
    "RemoveRoleFromInstanceProfile TagRole UntagRole UpdateAssumeRolePolicy UpdateRole "
    "UpdateRoleDescription"
)


# Where the services describe their parameters.
@dataclass(frozen=True)
class Rule:
    """A rule of a service. Without a `check` it is not enforced here; `operations` are then those
    that AWS may refuse where this cloud does not."""

    what: str
    service: str
    operations: str
    page: str
    check: Check | None = None


RULES = (
    Rule("A policy that does not parse is MalformedPolicyDocument.", "iam",
         "PutRolePolicy PutUserPolicy PutGroupPolicy CreatePolicy CreatePolicyVersion",
         f"{_IAM}reference_policies_grammar.html", documents.identity),
    Rule("A trust policy parses, names principals that exist, and for GitHub a subject or a "
         "workflow.", "iam", "CreateRole UpdateAssumeRolePolicy",
         f"{_IAM}id_roles_providers_oidc_secure-by-default.html", documents.trust),
    Rule("All inline policies together: 10,240 characters a role, 2,048 a user, 5,120 a group.",
         "iam", "PutRolePolicy PutUserPolicy PutGroupPolicy", _QUOTAS, identities.inline),
    Rule("A managed policy has at most 6,144 characters.", "iam",
         "CreatePolicy CreatePolicyVersion", _QUOTAS, identities.managed),
    Rule("A trust policy has at most 2,048 characters (the quota that AWS starts with).", "iam",
         "CreateRole UpdateAssumeRolePolicy", _QUOTAS, identities.trust),
    Rule("An identity has at most ten managed policies (the quota that AWS starts with).", "iam",
         "AttachRolePolicy AttachUserPolicy AttachGroupPolicy", _QUOTAS, identities.attached),
    Rule("Names of one kind differ by more than upper and lower case.", "iam",
         "CreateRole CreateUser CreateGroup CreatePolicy CreateInstanceProfile",
         f"{_IAM}reference_iam-quotas.html#reference_iam-quotas-names", identities.new_name),
    Rule("Roles of Identity Center and service-linked roles are AWS's to change.", "iam",
         _CHANGES_A_ROLE, f"{_IAM}using-service-linked-roles.html", identities.protected),
    Rule("AWS's own managed policies are AWS's to change.", "iam",
         "CreatePolicyVersion DeletePolicy DeletePolicyVersion SetDefaultPolicyVersion TagPolicy "
         "UntagPolicy", f"{_IAM}access_policies_managed-vs-inline.html", identities.aws_policy),
    Rule("A permissions boundary exists.", "iam",
         "CreateRole CreateUser PutRolePermissionsBoundary PutUserPermissionsBoundary",
         f"{_AWS}IAM/latest/APIReference/API_PutRolePermissionsBoundary.html",
         identities.boundary),
    Rule("A policy that is attached, or has several versions, is not deleted.", "iam",
         "DeletePolicy",
         f"{_AWS}IAM/latest/APIReference/API_DeletePolicy.html", in_use.policy),
    Rule("A group with members or policies is not deleted.", "iam", "DeleteGroup",
         f"{_AWS}IAM/latest/APIReference/API_DeleteGroup.html", in_use.group),
    Rule("A user with keys, a password or groups is not deleted.", "iam", "DeleteUser",
         f"{_AWS}IAM/latest/APIReference/API_DeleteUser.html", in_use.user),
    Rule("The paths `/aws-reserved/` and `/aws-service-role/` are AWS's own.", "iam",
         "CreateRole", f"{_IAM}using-service-linked-roles.html", identities.path),
    Rule("Service-linked roles of services whose role's name is not known here, and suffixes: "
         "refused by name.", "iam", "CreateServiceLinkedRole",
         f"{_IAM}using-service-linked-roles.html", identities.linked_role),
    Rule("A subnet that has a route table is not associated with another one.", "ec2",
         "AssociateRouteTable", f"{_AWS}AWSEC2/latest/APIReference/API_AssociateRouteTable.html",
         in_use.subnet),
    Rule("A security group, subnet or network that something needs is not deleted.", "ec2",
         "DeleteSecurityGroup DeleteSubnet DeleteVpc",
         f"{_AWS}AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html", in_use.network),
    Rule("The main route table of a network is not deleted.", "ec2", "DeleteRouteTable",
         f"{_AWS}AWSEC2/latest/APIReference/API_DeleteRouteTable.html", in_use.route_table),
    Rule("A group that has instances is deleted by force alone.", "autoscaling",
         "DeleteAutoScalingGroup",
         f"{_AWS}autoscaling/ec2/APIReference/API_DeleteAutoScalingGroup.html",
         in_use.scaling_group),
    Rule("A network interface that is attached is not deleted.", "ec2", "DeleteNetworkInterface",
         f"{_AWS}AWSEC2/latest/APIReference/API_DeleteNetworkInterface.html", in_use.interface),
    Rule("An address that is associated is not released.", "ec2", "ReleaseAddress",
         f"{_AWS}AWSEC2/latest/APIReference/API_ReleaseAddress.html", in_use.address),
    Rule("An internet gateway is not detached from a network with public addresses.", "ec2",
         "DetachInternetGateway",
         f"{_AWS}AWSEC2/latest/APIReference/API_DetachInternetGateway.html"),
    Rule("A parameter group that an instance has is not deleted.", "rds",
         "DeleteDBParameterGroup",
         f"{_AWS}AmazonRDS/latest/APIReference/API_DeleteDBParameterGroup.html",
         in_use.parameter_group),
    Rule("A subnet group that an instance is in is not deleted.", "rds", "DeleteDBSubnetGroup",
         f"{_AWS}AmazonRDS/latest/APIReference/API_DeleteDBSubnetGroup.html",
         in_use.subnet_group),
    Rule("A load balancer that is protected is not deleted.", "elasticloadbalancing",
         "DeleteLoadBalancer",
         f"{_AWS}elasticloadbalancing/latest/APIReference/API_DeleteLoadBalancer.html",
         in_use.balancer),
    Rule("The default group of schedules is not deleted.", "scheduler", "DeleteScheduleGroup",
         f"{_AWS}scheduler/latest/APIReference/API_DeleteScheduleGroup.html",
         in_use.default_schedules),
    Rule("A bucket with Object Lock keeps its versions.", "s3", "PutBucketVersioning",
         f"{_AWS}AmazonS3/latest/userguide/object-lock-managing.html", storage.suspension),
    Rule("Names of security groups do not look like ids.", "ec2", "CreateSecurityGroup",
         f"{_AWS}AWSEC2/latest/APIReference/API_CreateSecurityGroup.html", taken.reserved),
    Rule("Names that begin with `aws/` are AWS's own.", "logs", "CreateLogGroup",
         f"{_AWS}AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html",
         taken.reserved),
    Rule("Names of parameter groups have letters, digits and single hyphens, so none is a "
         "default's.", "rds", "CreateDBParameterGroup",
         f"{_AWS}AmazonRDS/latest/APIReference/API_CreateDBParameterGroup.html", taken.reserved),
    Rule("No subnet group is called `default`.", "rds", "CreateDBSubnetGroup",
         f"{_AWS}AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html", taken.reserved),
    Rule("Names of secrets have no `!`, which those of other services have.", "secretsmanager",
         "CreateSecret", f"{_AWS}secretsmanager/latest/apireference/API_CreateSecret.html",
         taken.reserved),
    Rule("The right to delete service-linked roles is for no other role.", "iam",
         "DeleteServiceLinkedRole",
         f"{_AWS}IAM/latest/APIReference/API_DeleteServiceLinkedRole.html",
         identities.only_linked),
    Rule("The local route of a network stays.", "ec2", "DeleteRoute",
         f"{_AWS}vpc/latest/userguide/VPC_Route_Tables.html", in_use.local_route),
    Rule("The last entry of a network ACL stays.", "ec2",
         "CreateNetworkAclEntry DeleteNetworkAclEntry",
         f"{_AWS}vpc/latest/userguide/nacl-rules.html", in_use.last_entry),
    Rule("An automated snapshot is not deleted.", "rds", "DeleteDBSnapshot",
         f"{_AWS}AmazonRDS/latest/UserGuide/USER_DeleteSnapshot.html",
         in_use.automated_snapshot),
    Rule("An encrypted snapshot is not shared with everybody.", "rds",
         "ModifyDBSnapshotAttribute",
         f"{_AWS}AmazonRDS/latest/APIReference/API_ModifyDBSnapshotAttribute.html",
         in_use.shared_snapshot),
    Rule("A secret that another service manages is changed by that service alone.",
         "secretsmanager", "DeleteSecret PutSecretValue UpdateSecret UpdateSecretVersionStage",
         f"{_AWS}secretsmanager/latest/userguide/service-linked-secrets.html",
         in_use.managed_secret),
    Rule("A secret without a function is not rotated.", "secretsmanager", "RotateSecret",
         f"{_AWS}secretsmanager/latest/apireference/API_RotateSecret.html", in_use.rotation),
    Rule("A group's desired size lies between its least and its largest.", "autoscaling",
         "CreateAutoScalingGroup UpdateAutoScalingGroup SetDesiredCapacity "
         "PutScheduledUpdateGroupAction",
         f"{_AWS}autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html", compute.sizes),
    Rule("An instance that was terminated is not started.", "ec2", "StartInstances",
         f"{_AWS}AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html", compute.started),
    Rule("Images of instances with encrypted volumes: refused by name.", "ec2", "CreateImage",
         f"{_AWS}AWSEC2/latest/APIReference/API_CreateImage.html", compute.image),
    Rule("A destination has one route, and a local route leads to no gateway.", "ec2",
         "CreateRoute ReplaceRoute", f"{_AWS}AWSEC2/latest/APIReference/API_CreateRoute.html",
         taken.route),
    Rule("The name of a parameter in a hierarchy begins with `/`.", "ssm", "PutParameter",
         f"{_AWS}systems-manager/latest/APIReference/API_PutParameter.html", taken.parameter),
    Rule("Subscriptions other than by e-mail and text message: refused by name.", "sns",
         "Subscribe", f"{_AWS}sns/latest/api/API_Subscribe.html", unread.subscription),
    Rule("Notifications of buckets: refused by name.", "s3",
         "PutBucketNotificationConfiguration",
         f"{_AWS}AmazonS3/latest/userguide/EventNotifications.html", unread.notifications),
    Rule("A secret that waits for its deletion is not changed.", "secretsmanager",
         "PutSecretValue UpdateSecret UpdateSecretVersionStage RotateSecret",
         f"{_AWS}secretsmanager/latest/apireference/API_PutSecretValue.html", in_use.secret),
    Rule("Names of documents that begin with `aws`, `amazon` or `amzn` are AWS's own.", "ssm",
         "CreateDocument UpdateDocument UpdateDocumentDefaultVersion DeleteDocument",
         f"{_AWS}systems-manager/latest/APIReference/API_CreateDocument.html",
         documents.not_of_aws),
    Rule("A user is not renamed to a name that is taken.", "iam", "UpdateUser",
         f"{_AWS}IAM/latest/APIReference/API_UpdateUser.html", taken.user),
    Rule("A name that is taken is not given again.", "autoscaling", "CreateAutoScalingGroup",
         f"{_AWS}autoscaling/ec2/APIReference/API_CreateAutoScalingGroup.html",
         taken.scaling_group),
    Rule("A name that is taken is not given again.", "cloudtrail", "CreateTrail",
         f"{_AWS}awscloudtrail/latest/APIReference/API_CreateTrail.html", taken.trail),
    Rule("A name that is taken is not given again.", "rds", "CreateDBSubnetGroup",
         f"{_AWS}AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html", taken.subnet_group),
    Rule("A name that is taken is not given again.", "elasticloadbalancing",
         "CreateLoadBalancer",
         f"{_AWS}elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html",
         taken.balancer),
    Rule("A load balancer has one listener a port.", "elasticloadbalancing",
         "CreateListener ModifyListener",
         f"{_AWS}elasticloadbalancing/latest/APIReference/API_CreateListener.html",
         taken.listener),
    Rule("A database is not renamed to a name that is taken, or that is none.", "rds",
         "ModifyDBInstance",
         f"{_AWS}AmazonRDS/latest/APIReference/API_ModifyDBInstance.html", taken.database),
    Rule("A name that is taken is not given again.", "scheduler", "CreateScheduleGroup",
         f"{_AWS}scheduler/latest/APIReference/API_CreateScheduleGroup.html",
         taken.schedule_group),
    Rule("Aliases that begin with `alias/aws/` are AWS's own.", "kms",
         "CreateAlias UpdateAlias DeleteAlias",
         f"{_AWS}kms/latest/APIReference/API_CreateAlias.html", identities.alias),
    Rule("A key policy parses, names principals that exist, and has at most 32 KB.", "kms",
         "CreateKey PutKeyPolicy", f"{_AWS}kms/latest/developerguide/key-policy-overview.html",
         documents.key),
    Rule("A bucket policy parses, is about its bucket, names principals that exist, and has at "
         "most 20 KB.", "s3", "PutBucketPolicy",
         f"{_AWS}AmazonS3/latest/userguide/bucket-policies.html", documents.bucket),
    Rule("A public bucket policy is refused where the bucket blocks public policies, as a new "
         "bucket does; one that is there counts for nobody outside the account where the bucket is "
         "restricted.", "s3", "PutBucketPolicy",
         f"{_AWS}AmazonS3/latest/userguide/access-control-block-public-access.html",
         storage.public_policy),
    Rule("An upload in parts is one of the key that it was begun for.", "s3",
         "AbortMultipartUpload CompleteMultipartUpload ListParts UploadPart UploadPartCopy",
         f"{_AWS}AmazonS3/latest/userguide/mpuoverview.html", belonging.upload),
    Rule("A scaling policy is one of its group.", "autoscaling",
         "DeletePolicy PutScalingPolicy",
         f"{_AWS}autoscaling/ec2/APIReference/API_DeletePolicy.html", belonging.scaling_policy),
    Rule("A scheduled action is one of its group.", "autoscaling",
         "DeleteScheduledAction PutScheduledUpdateGroupAction",
         f"{_AWS}autoscaling/ec2/APIReference/API_DeleteScheduledAction.html",
         belonging.scheduled_action),
    Rule("What is encrypted anew or decrypted was encrypted with the key that the call names.",
         "kms", "Decrypt ReEncrypt", f"{_AWS}kms/latest/APIReference/API_ReEncrypt.html",
         belonging.ciphertext),
    Rule("A secret's policy parses, names principals that exist, and is not public where the call "
         "blocks that.",
         "secretsmanager", "PutResourcePolicy",
         f"{_AWS}secretsmanager/latest/apireference/API_PutResourcePolicy.html", documents.secret),
    Rule("A topic's policy parses and names principals that exist.", "sns",
         "CreateTopic SetTopicAttributes",
         f"{_AWS}sns/latest/api/API_SetTopicAttributes.html", documents.topic),
    Rule("An endpoint's policy parses.", "ec2", "CreateVpcEndpoint ModifyVpcEndpoint",
         f"{_AWS}AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html", documents.endpoint),
    Rule("An instance profile is named once; user data is base64 of at most 16 KB.", "ec2",
         "RunInstances CreateLaunchTemplate CreateLaunchTemplateVersion ModifyInstanceAttribute",
         f"{_AWS}AWSEC2/latest/APIReference/API_RunInstances.html", compute.launch),
    Rule("Answers of the metadata service go over 1 to 64 hops; tags that it shows are named "
         "without blanks and slashes.", "ec2",
         "RunInstances CreateLaunchTemplate CreateLaunchTemplateVersion CreateTags "
         "ModifyInstanceMetadataOptions",
         f"{_AWS}AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html", compute.metadata),
    Rule("A database parameter exists, takes the value, and a static one waits for a reboot "
         "(names, types and bounds as PostgreSQL tells them).", "rds", "ModifyDBParameterGroup",
         f"{_AWS}AmazonRDS/latest/APIReference/API_ModifyDBParameterGroup.html",
         databases.parameters),
    Rule("A database is deleted with a final snapshot, or with the word that there is none.",
         "rds", "DeleteDBInstance",
         f"{_AWS}AmazonRDS/latest/APIReference/API_DeleteDBInstance.html", databases.deletion),
    Rule("A client may say whose bucket it means (`x-amz-expected-bucket-owner`).", "s3", "*",
         f"{_AWS}AmazonS3/latest/userguide/bucket-owner-condition.html", storage.expected_owner),
    Rule("A database is restored under an engine that is compatible with its source's.", "rds",
         "RestoreDBInstanceFromDBSnapshot RestoreDBInstanceToPointInTime",
         f"{_AWS}AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html",
         lesser.same_engine),
    Rule("A database without automated backups is not restored to a point in time.", "rds",
         "RestoreDBInstanceToPointInTime",
         f"{_AWS}AmazonRDS/latest/APIReference/API_RestoreDBInstanceToPointInTime.html",
         lesser.backups),
    Rule("A master password is managed or given, never both; a given one has 8 to 128 characters "
         "of those that RDS takes.", "rds", "CreateDBInstance ModifyDBInstance",
         f"{_AWS}AmazonRDS/latest/APIReference/API_ModifyDBInstance.html", lesser.master_password),
    Rule("A master has no name that PostgreSQL or RDS keeps for itself.", "rds",
         "CreateDBInstance", f"{_AWS}AmazonRDS/latest/APIReference/API_CreateDBInstance.html",
         lesser.master_name),
    Rule("A parameter's value has at most 4,096 characters, 8,192 in the advanced tier; "
         "a type that changes: refused by name.", "ssm", "PutParameter",
         f"{_AWS}systems-manager/latest/APIReference/API_PutParameter.html", lesser.parameter),
    Rule("A document's type fits its schema version; types other than Automation, Command, Policy "
         "and Session: refused by name.", "ssm", "CreateDocument",
         f"{_AWS}systems-manager/latest/userguide/documents-schemas-features.html",
         lesser.document),
    Rule("A lock ends in the future.", "s3", "PutObject CopyObject",
         f"{_AWS}AmazonS3/latest/userguide/object-lock-managing.html", lesser.retention),
    Rule("A target group has a weight from 0 to 999.", "elasticloadbalancing",
         "CreateListener ModifyListener",
         f"{_AWS}elasticloadbalancing/latest/APIReference/API_TargetGroupTuple.html",
         lesser.weights),
    Rule("The label AWSCURRENT is moved and never removed.", "secretsmanager",
         "UpdateSecretVersionStage",
         f"{_AWS}secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html",
         lesser.current_stage),
    Rule("Type, user data, kernel and network support of an instance change while it is stopped.",
         "ec2", "ModifyInstanceAttribute",
         f"{_AWS}AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html", lesser.stopped),
    Rule("A network has one internet gateway.", "ec2", "AttachInternetGateway",
         f"{_AWS}vpc/latest/userguide/amazon-vpc-limits.html", lesser.one_gateway),
    Rule("An account has one image of a name.", "ec2", "CreateImage",
         f"{_AWS}AWSEC2/latest/APIReference/API_CreateImage.html", lesser.image_name),
    Rule("A volume has at least 1 GiB.", "ec2",
         "CreateVolume RunInstances CreateLaunchTemplate CreateLaunchTemplateVersion",
         f"{_AWS}AWSEC2/latest/APIReference/API_CreateVolume.html", lesser.volume),
    Rule("Metrics below `AWS/` come from AWS's services alone.", "monitoring", "PutMetricData",
         f"{_AWS}AmazonCloudWatch/latest/APIReference/API_PutMetricData.html", lesser.namespace),
    Rule("Protection of a scaling group's instances from termination and stopping: refused by "
         "name.", "autoscaling", "CreateAutoScalingGroup UpdateAutoScalingGroup",
         f"{_AWS}autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html",
         lesser.protection),
    *(
        Rule("A trial (`DryRun`) changes nothing and tells nothing but whether it is allowed.",
             service, "*", f"{_AWS}{page}", unread.trial)
        for service, page in (
            ("ec2", "AWSEC2/latest/APIReference/API_RunInstances.html"),
            ("kms", "kms/latest/developerguide/testing-permissions.html"),
        )
    ),
    Rule("A lock has a mode and an end.", "s3", "PutObject CopyObject",
         f"{_AWS}AmazonS3/latest/API/API_PutObject.html", lesser.whole_lock),
    Rule("A batch deletes at most 1,000 objects.", "s3", "DeleteObjects",
         f"{_AWS}AmazonS3/latest/API/API_DeleteObjects.html", lesser.batch),
    Rule("A database goes to a newer version alone, to another major one by an explicit word, and "
         "its storage does not shrink.", "rds", "ModifyDBInstance",
         f"{_AWS}AmazonRDS/latest/APIReference/API_ModifyDBInstance.html", databases.upgrade),
    Rule("A log group is encrypted with a key that exists, is enabled and encrypts.", "logs",
         "CreateLogGroup AssociateKmsKey",
         f"{_AWS}AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html", keys.of_log_group),
    Rule("A copy names the source that it means by ETag or time.", "s3",
         "CopyObject UploadPartCopy",
         f"{_AWS}AmazonS3/latest/API/API_CopyObject.html", storage.source),
    Rule("A copy or joined upload may be for a key without an object, or with one of that ETag.",
         "s3", "CompleteMultipartUpload CopyObject",
         f"{_AWS}AmazonS3/latest/userguide/conditional-writes.html", storage.destination),
    Rule("Where the bucket's owner owns its objects, as in a new bucket, no access control list "
         "but the owner's own is set; where public lists are blocked, none that is public.", "s3",
         "CopyObject CreateMultipartUpload PutBucketAcl PutObject PutObjectAcl",
         f"{_AWS}AmazonS3/latest/userguide/object-ownership-error-responses.html",
         storage.listed),
    Rule("Nor one that is written out.", "s3", "PutBucketAcl",
         f"{_AWS}AmazonS3/latest/userguide/object-ownership-error-responses.html",
         storage.written_list),
    Rule("A bucket is made with the list of its owner alone, unless the call says that objects "
         "are their writers', and with no public one.", "s3", "CreateBucket",
         f"{_AWS}AmazonS3/latest/userguide/object-ownership-error-responses.html",
         storage.new_bucket),
    Rule("A bucket whose list grants something to groups does not become its owner's alone.", "s3",
         "PutBucketOwnershipControls",
         f"{_AWS}AmazonS3/latest/userguide/object-ownership-error-responses.html",
         storage.ownership),
    Rule("A service's own role is made once.", "iam", "CreateServiceLinkedRole",
         f"{_AWS}IAM/latest/APIReference/API_CreateServiceLinkedRole.html",
         identities.linked_once),
    Rule("A topic that is made again has the attributes and tags that it had.", "sns",
         "CreateTopic", f"{_AWS}sns/latest/api/API_CreateTopic.html", taken.topic),
    Rule("A key's usage is one that its material has.", "kms", "CreateKey",
         f"{_AWS}kms/latest/APIReference/API_CreateKey.html", keys.creation),
    Rule("Symmetric keys whose material KMS made are rotated.", "kms", "EnableKeyRotation",
         f"{_AWS}kms/latest/APIReference/API_EnableKeyRotation.html", keys.rotation),
    Rule("Logs are kept for one of the numbers of days that the service offers.", "logs",
         "PutRetentionPolicy",
         f"{_AWS}AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html",
         lesser.log_retention),
    Rule("Commands to instances: refused by name.", "ssm", "SendCommand",
         f"{_AWS}systems-manager/latest/APIReference/API_SendCommand.html", unread.command),
    Rule("A role that flow logs, a database's monitoring or a schedule acts with is there and "
         "trusts the service.", "ec2", "CreateFlowLogs",
         f"{_AWS}vpc/latest/userguide/flow-logs-iam-role.html", arrivals.trusted),
    Rule("So is the role of an EventBridge rule.", "events", "PutRule",
         f"{_AWS}eventbridge/latest/APIReference/API_PutRule.html", arrivals.trusted),
    Rule("So is the role by which a trail writes logs.", "cloudtrail", "CreateTrail UpdateTrail",
         f"{_AWS}awscloudtrail/latest/APIReference/API_CreateTrail.html", arrivals.trusted),
    Rule("The roles of a rule's targets, of a bucket's replication and of a topic's delivery "
         "reports are there and trust the service.", "events", "PutTargets",
         f"{_AWS}eventbridge/latest/APIReference/API_PutTargets.html"),
    Rule("A role that flow logs, a database's monitoring or a schedule acts with is there and "
         "trusts the service.", "rds", "CreateDBInstance ModifyDBInstance",
         f"{_AWS}AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html", arrivals.trusted),
    Rule("A role that flow logs, a database's monitoring or a schedule acts with is there and "
         "trusts the service.", "scheduler", "CreateSchedule UpdateSchedule",
         f"{_AWS}scheduler/latest/UserGuide/troubleshooting.html", arrivals.trusted),
    Rule("A subnet group's subnets are of one network, in two zones at least.", "rds",
         "CreateDBSubnetGroup ModifyDBSubnetGroup",
         f"{_AWS}AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html",
         networks.subnet_group),
    Rule("A database's security groups are there, and of its network.", "rds",
         "CreateDBInstance ModifyDBInstance RestoreDBInstanceFromDBSnapshot",
         f"{_AWS}AmazonRDS/latest/UserGuide/Overview.RDSSecurityGroups.html", networks.database),
    Rule("A load balancer's subnets are of one network, in two zones at least (of an application's "
         "load balancer), and its security groups are there, and of that network.",
         "elasticloadbalancing", "CreateLoadBalancer SetSecurityGroups SetSubnets",
         f"{_AWS}elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html",
         networks.balancer),
    Rule("A listener of HTTPS has a certificate, and target groups of its load balancer's network.",
         "elasticloadbalancing", "CreateListener ModifyListener",
         f"{_AWS}elasticloadbalancing/latest/APIReference/API_CreateListener.html",
         networks.listener),
    Rule("A database has a parameter group of its version's family.", "rds",
         "CreateDBInstance ModifyDBInstance",
         f"{_AWS}AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html", databases.family),
    Rule("Backups are kept for at most 35 days; a PostgreSQL database has at least 20 GiB (100 of "
         "provisioned throughput, 5 of magnetic storage).", "rds",
         "CreateDBInstance ModifyDBInstance",
         f"{_AWS}AmazonRDS/latest/APIReference/API_CreateDBInstance.html", lesser.database_sizes),
    Rule("Names of buckets look like no address, and like none that S3 keeps for itself.", "s3",
         "CreateBucket", f"{_AWS}AmazonS3/latest/userguide/bucketnamingrules.html",
         lesser.bucket_name),
    Rule("A rule of a security group has a protocol, and ports from 0 to 65535 in order.", "ec2",
         "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress ModifySecurityGroupRules",
         f"{_AWS}AWSEC2/latest/APIReference/API_IpPermission.html", lesser.group_rule),
    Rule("A rule of a security group names groups of its own network, and prefix lists that are "
         "there.", "ec2",
         "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress ModifySecurityGroupRules",
         f"{_AWS}AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html",
         networks.sources),
    Rule("A route leads to a gateway, interface or instance that is there, in the network of its "
         "table.", "ec2", "CreateRoute ReplaceRoute",
         f"{_AWS}AWSEC2/latest/APIReference/API_CreateRoute.html", networks.route),
    Rule("An endpoint's security groups are there.", "ec2", "CreateVpcEndpoint ModifyVpcEndpoint",
         f"{_AWS}AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html", networks.endpoint),
    Rule("A scaling group's subnets and target groups are of one network.", "autoscaling",
         "AttachLoadBalancerTargetGroups CreateAutoScalingGroup UpdateAutoScalingGroup",
         f"{_AWS}autoscaling/ec2/userguide/attach-load-balancer-asg.html",
         networks.scaling_group),
    Rule("A grant is for principals that exist.", "kms", "CreateGrant",
         f"{_AWS}kms/latest/APIReference/API_CreateGrant.html", documents.grant),
    Rule("A grant allows what its key does.", "kms", "CreateGrant",
         f"{_AWS}kms/latest/APIReference/API_CreateGrant.html", keys.granted),
    Rule("An asymmetric key is named, and knows no context.", "kms", "Decrypt Encrypt ReEncrypt",
         f"{_AWS}kms/latest/APIReference/API_Decrypt.html", keys.asymmetric),
    Rule("A policy for the delivery of logs parses, and names accounts by their numbers.", "logs",
         "PutResourcePolicy",
         f"{_AWS}AmazonCloudWatchLogs/latest/APIReference/API_PutResourcePolicy.html",
         documents.log_delivery),
    Rule("Which services there are that a policy may name: any below `amazonaws.com` is taken.",
         "iam", "CreateRole UpdateAssumeRolePolicy",
         f"{_IAM}reference_policies_elements_principal.html"),
    Rule("Queries of logs by more than `fields`, `sort` and `limit`: refused by name.", "logs",
         "StartQuery", f"{_AWS}AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html",
         lesser.log_query),
    Rule("A filter pattern is one; a search by fields or regular expressions: refused by name.",
         "logs", "FilterLogEvents PutMetricFilter PutSubscriptionFilter",
         f"{_AWS}AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html",
         lesser.log_pattern),
    Rule("A schedule has an expression, a time zone, a window and a target that are such.",
         "scheduler", "CreateSchedule UpdateSchedule",
         f"{_AWS}scheduler/latest/UserGuide/schedule-types.html", lesser.schedule),
    Rule("A topic has attributes that SNS knows.", "sns", "CreateTopic SetTopicAttributes",
         f"{_AWS}sns/latest/api/API_SetTopicAttributes.html", lesser.topic_attributes),
    Rule("One attribute of an instance is changed at a time; network support and ramdisk: refused "
         "by name.", "ec2", "ModifyInstanceAttribute",
         f"{_AWS}AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html",
         lesser.instance_attribute),
    Rule("A snapshot is shared with accounts, by their numbers, or with all.", "rds",
         "ModifyDBSnapshotAttribute",
         f"{_AWS}AmazonRDS/latest/APIReference/API_ModifyDBSnapshotAttribute.html",
         lesser.shared_snapshot),
    Rule("A secret has a text or a binary value, not both.", "secretsmanager",
         "CreateSecret PutSecretValue UpdateSecret",
         f"{_AWS}secretsmanager/latest/apireference/API_CreateSecret.html", lesser.one_value),
    Rule("A subnet has a netmask of 16 to 28 bits.", "ec2", "CreateSubnet",
         f"{_AWS}vpc/latest/userguide/subnet-sizing.html", lesser.subnet_size),
    Rule("An alarm on a metric has one statistic, over 10, 20, 30 or multiples of 60 seconds.",
         "monitoring", "PutMetricAlarm",
         f"{_AWS}AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html",
         lesser.alarm_on_metric),
    Rule("A rule of a bucket's lifecycle has an action, a name of its own, and days that its class "
         "of storage takes.", "s3", "PutBucketLifecycleConfiguration",
         f"{_AWS}AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html"),
    Rule("Which versions and families of an engine RDS offers.", "rds",
         "CreateDBInstance CreateDBParameterGroup ModifyDBInstance",
         f"{_AWS}AmazonRDS/latest/APIReference/API_DescribeDBEngineVersions.html"),
    Rule("Images, key pairs and services of endpoints that are not there are taken.", "ec2",
         "RunInstances CreateVpcEndpoint",
         f"{_AWS}AWSEC2/latest/APIReference/API_RunInstances.html"),
    Rule("A trail's bucket, key and topic let CloudTrail in.", "cloudtrail",
         "CreateTrail UpdateTrail",
         f"{_AWS}awscloudtrail/latest/APIReference/API_CreateTrail.html"),
    Rule("A resource has at most 50 tags, counted over several calls.", "iam", "TagRole TagUser",
         f"{_AWS}IAM/latest/APIReference/API_TagRole.html"),
    Rule("Numbers of roles, policies, buckets, instances, addresses in an account and region.",
         "iam", "CreateRole CreatePolicy", _QUOTAS),
    Rule("Which values a parameter of RDS's own or of an extension takes, and whether "
         "`rds.force_ssl` waits for a reboot in the family.", "rds", "ModifyDBParameterGroup",
         f"{_AWS}AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html"),
    Rule("Request rates: nothing is throttled.", "s3", "GetObject",
         f"{_AWS}AmazonS3/latest/userguide/optimizing-performance.html"),
    Rule("Which instance types and database classes a zone or region offers.", "ec2",
         "RunInstances",
         f"{_AWS}AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html"),
    Rule("A key is deleted after 7 to 30 days.", "kms", "ScheduleKeyDeletion",
         f"{_AWS}kms/latest/APIReference/API_ScheduleKeyDeletion.html", keys.deletion),
    Rule("A key policy that locks its maker out is stored.", "kms", "CreateKey PutKeyPolicy",
         f"{_AWS}kms/latest/developerguide/key-policy-default.html"),
)  # fmt: skip


def checks(backends: Backends) -> Mapping[tuple[str, str], Callable[[Reading], None]]:
    """What the gateway runs before an authorised call is carried out, by service and operation;
    `*` stands for every operation of a service. Each raises AwsError."""
    found: dict[tuple[str, str], list[Check]] = {}
    for rule in RULES:
        if rule.check is not None:
            for operation in rule.operations.split():
                found.setdefault((rule.service, operation), []).append(rule.check)
    return {place: _all_of(tuple(rules), backends) for place, rules in found.items()}


def _all_of(rules: tuple[Check, ...], backends: Backends) -> Callable[[Reading], None]:
    def check(reading: Reading) -> None:
        for rule in rules:
            rule(reading, backends)

    return check


def as_markdown() -> str:
    """The table as docs/local-cloud.md shows it."""
    lines = ["| service | rule | here |", "|---|---|---|"]
    for rule in RULES:
        here = "refused" if rule.check else "**not enforced**"
        lines.append(f"| {rule.service} | [{rule.what}]({rule.page}) | {here} |")
    return "\n".join(lines) + "\n"
