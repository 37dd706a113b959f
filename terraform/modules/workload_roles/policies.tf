# What the roles may do, by topic. A role names the documents that it gets in terraform/roles.yaml.

locals {
  documents = {
    champion-read      = data.aws_iam_policy_document.champion_read.json
    champion-write     = data.aws_iam_policy_document.champion_write.json
    contract           = data.aws_iam_policy_document.contract.json
    database           = data.aws_iam_policy_document.database.json
    metrics            = data.aws_iam_policy_document.metrics.json
    rollout            = one(data.aws_iam_policy_document.rollout[*].json)
    third-party-secret = one(data.aws_iam_policy_document.third_party_secret[*].json)
  }
}

data "aws_iam_policy_document" "contract" {
  statement {
    sid       = "ReadTheContract"
    actions   = ["ssm:GetParameter"]
    resources = ["${local.parameter_arn}${var.platform_parameter_name}"]
  }
}

# The bucket's name is made of account id and region, so a stranger may have registered it first, or after a teardown:
# only a bucket of this account is read or written.
data "aws_iam_policy_document" "storage" {
  for_each = local.storage

  dynamic "statement" {
    for_each = length(each.value.read) > 0 ? [each.value.read] : []
    content {
      sid       = "ReadItsInputs"
      actions   = ["s3:GetObject"]
      resources = [for prefix in statement.value : local.objects[prefix]]

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceAccount"
        values   = [local.account]
      }
    }
  }

  dynamic "statement" {
    for_each = length(each.value.versions) > 0 ? [each.value.versions] : []
    content {
      sid       = "ReadRecordedVersions"
      actions   = ["s3:GetObjectVersion"]
      resources = [for prefix in statement.value : local.objects[prefix]]

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceAccount"
        values   = [local.account]
      }
    }
  }

  dynamic "statement" {
    for_each = length(each.value.write) > 0 ? [each.value.write] : []
    content {
      sid       = "WriteItsOutputs"
      actions   = ["s3:PutObject"]
      resources = [for prefix in statement.value : local.objects[prefix]]

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceAccount"
        values   = [local.account]
      }
    }
  }

  # Only who looks for files lists them. Without this right, a file that is not there answers 403.
  dynamic "statement" {
    for_each = length(each.value.list) > 0 ? [each.value.list] : []
    content {
      sid       = "ListItsPrefixes"
      actions   = ["s3:ListBucket"]
      resources = [local.bucket_arn]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = [for prefix in statement.value : "${local.prefixes[prefix]}*"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceAccount"
        values   = [local.account]
      }
    }
  }

  dynamic "statement" {
    for_each = var.artifacts.kms_key_arn[*]
    content {
      sid       = "UseTheArtifactKeyThroughS3"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${local.region}.${local.dns_suffix}"]
      }
    }
  }
}

# SessionDocumentAccessCheck: without it, StartSession without a document opens a shell.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-sessiondocumentaccesscheck.html
data "aws_iam_policy_document" "tunnel" {
  for_each = local.tunnels

  statement {
    sid       = "FindTheInstance"
    actions   = ["ec2:DescribeInstances"]
    resources = ["*"] # ec2:DescribeInstances has no resource type
  }

  statement {
    sid       = "OpenOneDocument"
    actions   = ["ssm:StartSession"]
    resources = ["arn:${local.partition}:ssm:${local.region}:${local.account}:document/${each.value}"]

    condition {
      test     = "BoolIfExists"
      variable = "ssm:SessionDocumentAccessCheck"
      values   = ["true"]
    }
  }

  statement {
    sid       = "OnTheServerOfThisEnvironment"
    actions   = ["ssm:StartSession"]
    resources = ["arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"]

    condition {
      test     = "BoolIfExists"
      variable = "ssm:SessionDocumentAccessCheck"
      values   = ["true"]
    }

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/Environment"
      values   = [var.environment]
    }

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/Role"
      values   = [var.server.role_tag]
    }
  }

  # session-manager-plugin signs the session's data channel since 1.2.764.0; without this StartSession succeeds and
  # the tunnel fails with 403. A channel takes the token that StartSession gave, so it opens no session of others.
  # https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html
  statement {
    sid       = "OpenTheDataChannel"
    actions   = ["ssmmessages:OpenDataChannel"]
    resources = ["*"] # no ssmmessages action has a resource type
  }

  statement {
    sid       = "EndAndResumeItsOwnSessions"
    actions   = ["ssm:ResumeSession", "ssm:TerminateSession"]
    resources = ["arn:${local.partition}:ssm:${local.region}:${local.account}:session/*"]

    # The id of a role's session begins with the session's name, which another role may use too; AWS
    # tags it with the caller's own id.
    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/aws:ssmmessages:session-id"
      values   = ["$${aws:userid}"]
    }
  }
}

# Empty where Secrets Manager's own key encrypts the secret.
data "aws_iam_policy_document" "secret_key" {
  for_each = {
    database    = var.database.kms_key_arn[*]
    third_party = try(var.third_party_secret.kms_key_arn, null)[*]
  }

  dynamic "statement" {
    for_each = each.value
    content {
      sid       = "UseTheSecretsKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${local.region}.${local.dns_suffix}"]
      }
    }
  }
}

data "aws_iam_policy_document" "database" {
  source_policy_documents = [data.aws_iam_policy_document.secret_key["database"].json]

  statement {
    sid       = "FindTheDatabase"
    actions   = ["rds:DescribeDBInstances"]
    resources = [local.database_arn]
  }

  statement {
    sid       = "KeepASnapshotBeforeAnUpgradeOfTheSchema"
    actions   = ["rds:CreateDBSnapshot"]
    resources = [local.database_arn, local.snapshots_arn]
  }

  # RDS gives a snapshot the tags of its database, in the caller's name.
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html
  statement {
    sid       = "TagTheSnapshot"
    actions   = ["rds:AddTagsToResource"]
    resources = [local.snapshots_arn]
  }

  statement {
    sid       = "AwaitTheSnapshot"
    actions   = ["rds:DescribeDBSnapshots"]
    resources = [local.snapshots_arn]
  }

  # RDS names the secret by an id that is not known before the database is; its tag is.
  statement {
    sid       = "ReadTheMasterSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:rds!db-*"]

    condition {
      test     = "StringEquals"
      variable = "secretsmanager:ResourceTag/aws:rds:primaryDBInstanceArn"
      values   = [local.database_arn]
    }
  }
}

data "aws_iam_policy_document" "third_party_secret" {
  count = var.third_party_secret == null ? 0 : 1

  source_policy_documents = [data.aws_iam_policy_document.secret_key["third_party"].json]

  statement {
    sid       = "ReadTheOneThirdPartySecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.third_party_secret.arn]
  }
}

data "aws_iam_policy_document" "champion_read" {
  statement {
    sid       = "ReadTheChampionOfRecord"
    actions   = ["ssm:GetParameter"]
    resources = [local.champions_arn]
  }
}

data "aws_iam_policy_document" "champion_write" {
  statement {
    sid       = "KeepTheChampionOfRecord"
    actions   = ["ssm:GetParameter", "ssm:GetParameterHistory", "ssm:PutParameter"]
    resources = [local.champions_arn]
  }
}

data "aws_iam_policy_document" "metrics" {
  statement {
    sid       = "PublishInOneNamespace"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # cloudwatch:PutMetricData is scoped by namespace, not by resource

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [var.metrics_namespace]
    }
  }
}

# The controller of a rollout: it reads what was counted, switches the traffic, and fills the idle set.
data "aws_iam_policy_document" "rollout" {
  count = var.serving == null ? 0 : 1

  statement {
    sid       = "LookAtTheRollout"
    actions   = ["autoscaling:DescribeAutoScalingGroups", "cloudwatch:GetMetricData", "elasticloadbalancing:DescribeListeners"]
    resources = ["*"] # listings, and metrics that have no ARN: only the region limits them

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }

  statement {
    sid       = "SwitchTheTraffic"
    actions   = ["elasticloadbalancing:ModifyListener"]
    resources = ["arn:${local.partition}:elasticloadbalancing:${local.region}:${local.account}:listener/app/${var.serving.balancer_name}/*"]

    # The weights alone: neither plain HTTP nor an older TLS. Both keys are absent where they stay.
    condition {
      test     = "ForAnyValue:StringEqualsIfExists"
      variable = "elasticloadbalancing:ListenerProtocol"
      values   = ["HTTPS"]
    }

    condition {
      test     = "ForAnyValue:StringEqualsIfExists"
      variable = "elasticloadbalancing:SecurityPolicy"
      values   = [var.serving.ssl_policy]
    }
  }

  statement {
    sid       = "SizeTheSets"
    actions   = ["autoscaling:UpdateAutoScalingGroup"]
    resources = [for name in var.serving.autoscaling_group_names : "arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${name}"]

    # Sizes alone: not what is launched, nor where, nor more than Terraform allows.
    dynamic "condition" {
      for_each = toset(["LaunchConfigurationName", "LaunchTemplateVersionSpecified", "MaxSize", "VPCZoneIdentifiers"])
      content {
        test     = "Null"
        variable = "autoscaling:${condition.value}"
        values   = ["true"]
      }
    }
  }

  # The idle set gets no traffic, so its check goes through a session to one of its servers.
  statement {
    sid       = "OpenTheModelServersPort"
    actions   = ["ssm:StartSession"]
    resources = ["arn:${local.partition}:ssm:${local.region}:${local.account}:document/${var.serving.session_document}"]

    condition {
      test     = "BoolIfExists"
      variable = "ssm:SessionDocumentAccessCheck"
      values   = ["true"]
    }
  }

  statement {
    sid       = "OnTheModelServersOfThisEnvironment"
    actions   = ["ssm:StartSession"]
    resources = ["arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"]

    condition {
      test     = "BoolIfExists"
      variable = "ssm:SessionDocumentAccessCheck"
      values   = ["true"]
    }

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/Environment"
      values   = [var.environment]
    }

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/Role"
      values   = [var.serving.role_tag]
    }
  }
}
