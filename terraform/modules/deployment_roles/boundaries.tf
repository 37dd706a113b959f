# The most that a role of this environment can ever do, whatever is attached to it.

# For every role that the platform makes. It grants nothing by itself.
data "aws_iam_policy_document" "boundary" {
  source_policy_documents = data.aws_iam_policy_document.boundary_serving[*].json

  statement {
    sid       = "Objects"
    actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:GetObjectVersion", "s3:ListMultipartUploadParts", "s3:PutObject"]
    resources = ["${local.artifacts}/*"]
  }

  statement {
    sid       = "Bucket"
    actions   = ["s3:ListBucket"]
    resources = [local.artifacts]
  }

  statement {
    sid       = "Parameters"
    actions   = ["ssm:GetParameter", "ssm:GetParameterHistory", "ssm:PutParameter"]
    resources = ["${local.ssm}:parameter/keyless/${var.environment}/*"]
  }

  statement {
    sid       = "SessionDocuments"
    actions   = ["ssm:StartSession"]
    resources = ["${local.ssm}:document/${local.prefix}-*"]
  }

  statement {
    sid       = "SessionsOnThisEnvironment"
    actions   = ["ssm:StartSession"]
    resources = ["${local.ec2}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/Environment"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "OwnSessions"
    actions   = ["ssm:ResumeSession", "ssm:TerminateSession"]
    resources = ["${local.ssm}:session/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/aws:ssmmessages:session-id"
      values   = ["$${aws:userid}"]
    }
  }

  statement {
    sid       = "SessionAgent"
    actions   = ["ssm:UpdateInstanceInformation"]
    resources = ["${local.ec2}:instance/*"]
  }

  statement {
    sid = "WithoutResourceTypes"
    actions = [
      "ec2:DescribeInstances",
      "logs:DescribeLogGroups",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"] # none of these has a resource type
  }

  statement {
    sid       = "Database"
    actions   = ["rds:DescribeDBInstances", "rds:StartDBInstance", "rds:StopDBInstance"]
    resources = [local.database]
  }

  statement {
    sid       = "SnapshotsBeforeUpgrades"
    actions   = ["rds:AddTagsToResource", "rds:CreateDBSnapshot", "rds:DescribeDBSnapshots"]
    resources = [local.database, "${local.rds}:snapshot:${local.prefix}-schema-*"]
  }

  # RDS chooses the id; which one is for the role's own policy.
  statement {
    sid       = "DatabaseUser"
    actions   = ["rds-db:connect"]
    resources = ["arn:${local.partition}:rds-db:${local.region}:${local.account}:dbuser:*/mlflow"]
  }

  statement {
    sid       = "MasterSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.managed_secrets]

    condition {
      test     = "StringEquals"
      variable = "secretsmanager:ResourceTag/aws:rds:primaryDBInstanceArn"
      values   = [local.database]
    }
  }

  statement {
    sid       = "ThirdPartySecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.third_party]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]
    content {
      sid       = "KeyThroughServices"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${local.region}.${local.dns_suffix}", "secretsmanager.${local.region}.${local.dns_suffix}"]
      }
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${local.logs}:log-group:/${local.prefix}/*:*"]
  }

  statement {
    sid       = "EnhancedMonitoring"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents", "logs:PutRetentionPolicy"]
    resources = ["${local.logs}:log-group:RDS*"]
  }

  statement {
    sid       = "Health"
    actions   = ["autoscaling:SetInstanceHealth"]
    resources = [local.scaling]
  }

  statement {
    sid       = "Metrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # scoped by namespace, not by resource

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["Keyless/${var.environment}"]
    }
  }
}

resource "aws_iam_policy" "boundary" {
  name        = "${local.prefix}-boundary"
  description = "Permissions boundary of every role that the platform of ${local.prefix} makes"
  policy      = data.aws_iam_policy_document.boundary.json
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = length(replace(data.aws_iam_policy_document.boundary.json, "/\\s/", "")) <= 6144
      error_message = "The boundary is over IAM's 6,144 characters."
    }
  }
}

locals {
  # What RDS and Secrets Manager do in the caller's name with the keys that AWS manages, by those keys' own policies.
  managed_key_actions = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]

  # "ec2:CreateVpc" -> "ec2:Create*": listing every action would not fit a policy. KMS's few are written out, since
  # kms:Create* and kms:Put* decide who owns a key.
  deploy_actions = distinct(concat(local.managed_key_actions, flatten([
    for document in concat(
      [
        data.aws_iam_policy_document.read_region,
        data.aws_iam_policy_document.read_named,
        data.aws_iam_policy_document.apply_compute,
        data.aws_iam_policy_document.apply_data,
        data.aws_iam_policy_document.apply_identity,
        data.aws_iam_policy_document.apply_network,
        data.aws_iam_policy_document.apply_operation,
      ],
      data.aws_iam_policy_document.read_serving,
      data.aws_iam_policy_document.apply_serving,
    ) : [for statement in document.statement : [for action in statement.actions : startswith(action, "kms:") ? action : "${regex("^[a-z0-9-]+:[A-Z][a-z0-9]+", action)}*"]]
  ])))
}

# For the roles that plan and apply: even with AdministratorAccess attached they could not turn on
# themselves, on the boundaries, or on another environment.
data "aws_iam_policy_document" "deploy_boundary" {
  statement {
    sid       = "WhatTerraformDoesByVerb"
    actions   = local.deploy_actions
    resources = ["*"] # a boundary grants nothing; the roles' own policies name resources
  }

  statement {
    sid    = "NeverItself"
    effect = "Deny"
    actions = [
      "iam:AttachRolePolicy",
      "iam:DeleteRole",
      "iam:DeleteRolePermissionsBoundary",
      "iam:DeleteRolePolicy",
      "iam:DetachRolePolicy",
      "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
    ]
    resources = local.own_roles
  }

  statement {
    sid    = "NeverTheBoundaries"
    effect = "Deny"
    actions = [
      "iam:CreatePolicyVersion",
      "iam:DeletePolicy",
      "iam:DeletePolicyVersion",
      "iam:SetDefaultPolicyVersion",
      "iam:TagPolicy",
      "iam:UntagPolicy",
    ]
    resources = ["${local.iam}:policy/${local.prefix}-*"]
  }

  statement {
    sid    = "NeverAnotherEnvironment"
    effect = "Deny"
    # The tags of a role do not tell reliably who may pass it: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    actions   = [for action in local.deploy_actions : action if action != "iam:Pass*"]
    resources = ["*"] # a deny: nothing is granted

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/Environment"
      values   = ["false"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }
  }

  statement {
    sid           = "NeverAnotherEnvironmentsRole"
    effect        = "Deny"
    actions       = ["iam:PassRole"]
    not_resources = ["${local.iam}:role/${local.prefix}-*"]
  }
}

resource "aws_iam_policy" "deploy_boundary" {
  name        = "${local.prefix}-deploy-boundary"
  description = "Permissions boundary of the roles that plan and apply ${local.prefix}"
  policy      = data.aws_iam_policy_document.deploy_boundary.json
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = length(replace(data.aws_iam_policy_document.deploy_boundary.json, "/\\s/", "")) <= 6144
      error_message = "The deploy boundary is over IAM's 6,144 characters."
    }
  }
}
