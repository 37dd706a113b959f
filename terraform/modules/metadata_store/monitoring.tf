# The role that RDS writes enhanced-monitoring samples with.

locals {
  monitoring = var.monitoring.interval_seconds > 0 ? 1 : 0
}

data "aws_iam_policy_document" "monitoring_trust" {
  statement {
    sid     = "ThisDatabaseAlone"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.arn]
    }
  }
}

# What the managed policy AmazonRDSEnhancedMonitoringRole holds.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
data "aws_iam_policy_document" "monitoring" {
  statement {
    sid       = "CreateTheLogGroup"
    actions   = ["logs:CreateLogGroup", "logs:PutRetentionPolicy"]
    resources = ["arn:${data.aws_partition.current.partition}:logs:${local.region}:${local.account}:log-group:RDS*"]
  }

  statement {
    sid       = "WriteSamples"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents"]
    resources = ["arn:${data.aws_partition.current.partition}:logs:${local.region}:${local.account}:log-group:RDS*:log-stream:*"]
  }
}

resource "aws_iam_role" "monitoring" {
  count = local.monitoring

  name                 = "${var.name}-database-monitoring"
  description          = "RDS enhanced monitoring of ${var.name}"
  assume_role_policy   = data.aws_iam_policy_document.monitoring_trust.json
  permissions_boundary = var.monitoring.role_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "monitoring" {
  count = local.monitoring

  name   = "write"
  role   = aws_iam_role.monitoring[0].name
  policy = data.aws_iam_policy_document.monitoring.json
}
