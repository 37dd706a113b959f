# What the instance may do: read its contract, its packages and artifacts, write its log, reach its database.

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "Ec2"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "server" {
  statement {
    sid       = "ReadTheContract"
    actions   = ["ssm:GetParameter"]
    resources = ["arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.platform_parameter_name}"]
  }

  statement {
    sid       = "ReadItsCode"
    actions   = ["ssm:GetParameter"]
    resources = ["arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${local.code_prefix}/*"]
  }

  statement {
    sid     = "ReadPackagesAndArtifacts"
    actions = ["s3:GetObject"]
    resources = [
      "${local.bucket_arn}/${var.artifacts.wheelhouse_prefix}*",
      "${local.bucket_arn}/${var.artifacts.models_prefix}*",
    ]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
    }
  }

  statement {
    sid       = "ListPackagesAndArtifacts"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.artifacts.wheelhouse_prefix}*", "${var.artifacts.models_prefix}*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
    }
  }

  dynamic "statement" {
    for_each = var.artifact_access == "proxied" ? [1] : []
    content {
      sid       = "WriteArtifactsForClients"
      actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
      resources = ["${local.bucket_arn}/${var.artifacts.models_prefix}*"]

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
      actions   = var.artifact_access == "proxied" ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${local.region}.${local.dns_suffix}"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.logs.enabled ? [1] : []
    content {
      sid       = "WriteItsLog"
      actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      resources = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${local.log_group}:*"]
    }
  }

  statement {
    sid       = "ReportItsHealth"
    actions   = ["autoscaling:SetInstanceHealth"]
    resources = ["arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.group_name}"]
  }
}

# What the SSM agent needs for sessions, and no more: the managed policy reads every parameter.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
data "aws_iam_policy_document" "agent" {
  statement {
    sid       = "RegisterThisInstance"
    actions   = ["ssm:UpdateInstanceInformation"]
    resources = ["arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"]

    condition {
      test     = "StringLike"
      variable = "ec2:SourceInstanceARN" # ssm:SourceInstanceARN is absent with an instance profile
      values   = ["arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"]
    }
  }

  statement {
    sid = "CarrySessions"
    actions = [
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"] # no ssmmessages action has a resource type
  }
}

# Alone, since this one waits for the database.
data "aws_iam_policy_document" "database" {
  statement {
    sid       = "ConnectAsOneUser"
    actions   = ["rds-db:connect"]
    resources = ["arn:${local.partition}:rds-db:${local.region}:${local.account}:dbuser:${var.database_resource_id}/${var.database.user}"]
  }
}

resource "aws_iam_role" "server" {
  name                 = local.role_name
  description          = "MLflow server of ${var.name}"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "server" {
  name   = "server"
  role   = aws_iam_role.server.name
  policy = data.aws_iam_policy_document.server.json
}

resource "aws_iam_role_policy" "agent" {
  name   = "ssm-agent"
  role   = aws_iam_role.server.name
  policy = data.aws_iam_policy_document.agent.json
}

resource "aws_iam_role_policy" "database" {
  name   = "database"
  role   = aws_iam_role.server.name
  policy = data.aws_iam_policy_document.database.json
}

resource "aws_iam_instance_profile" "server" {
  name = local.role_name
  role = aws_iam_role.server.name
  tags = var.tags
}
