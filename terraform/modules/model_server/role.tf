# What the instances may do: read one model and its policy, put predictions and metrics. Nothing else.

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

data "aws_iam_policy_document" "serve" {
  statement {
    sid     = "ReadTheContractAndTheChampionOfRecord"
    actions = ["ssm:GetParameter"]
    resources = [
      "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.platform_parameter_name}",
      "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.champion_parameter_prefix}${var.model}",
    ]
  }

  # Each right on the bucket is for one of this account: a stranger may own the name.
  # By version: what the champion's record or the policy names, never what was written last.
  statement {
    sid       = "ReadOneModelByVersion"
    actions   = ["s3:GetObjectVersion"]
    resources = ["${local.bucket_arn}/${var.artifacts.prefixes.models}${var.model}/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
    }
  }

  # With proxied artifacts the pinned copies lie beside the decisions, under their digests.
  dynamic "statement" {
    for_each = var.artifact_access == "proxied" ? [1] : []
    content {
      sid       = "ReadPinnedCopies"
      actions   = ["s3:GetObject"]
      resources = ["${local.bucket_arn}/${var.artifacts.prefixes.decisions}${var.model}/files/*"]

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceAccount"
        values   = [local.account]
      }
    }
  }

  statement {
    sid     = "ReadItsPolicyAndPackages"
    actions = ["s3:GetObject"]
    resources = [
      "${local.bucket_arn}/${var.artifacts.prefixes.rollouts}${var.model}/policy.json",
      "${local.bucket_arn}/${local.wheelhouse}*",
    ]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
    }
  }

  # Without it, a policy that is not there yet would answer 403 in place of 404.
  statement {
    sid       = "FindItsPolicyAndPackages"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.artifacts.prefixes.rollouts}${var.model}/*", "${local.wheelhouse}*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
    }
  }

  statement {
    sid       = "PutPredictionsAndFeedback"
    actions   = ["s3:PutObject"]
    resources = ["${local.bucket_arn}/${var.artifacts.prefixes.predictions}${var.model}/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
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

  statement {
    sid       = "CountInOneNamespace"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # scoped by namespace, not by resource

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [var.metrics_namespace]
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
}

# What the SSM agent needs for sessions, by which the rollout's controller reaches the idle set.
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

resource "aws_iam_role" "serve" {
  name                 = local.role_name
  description          = "Model servers of ${var.name}"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "serve" {
  name   = "serve"
  role   = aws_iam_role.serve.name
  policy = data.aws_iam_policy_document.serve.json
}

resource "aws_iam_role_policy" "agent" {
  name   = "ssm-agent"
  role   = aws_iam_role.serve.name
  policy = data.aws_iam_policy_document.agent.json
}

resource "aws_iam_instance_profile" "serve" {
  name = local.role_name
  role = aws_iam_role.serve.name
  tags = var.tags
}

# The way to one server for the check of an idle set: its port, and nothing else.
resource "aws_ssm_document" "serve" {
  name            = local.session_document
  document_type   = "Session"
  document_format = "JSON"
  tags            = var.tags

  content = jsonencode({
    schemaVersion = "1.0"
    description   = "Port forwarding to a model server of ${var.name}"
    sessionType   = "Port"
    parameters = {
      localPortNumber = {
        type           = "String"
        description    = "Port on the caller's machine; 0 takes a free one"
        default        = "0"
        allowedPattern = "^(0|[1-9][0-9]{0,4})$"
      }
    }
    properties = {
      type            = "LocalPortForwarding"
      portNumber      = tostring(var.port)
      localPortNumber = "{{ localPortNumber }}"
    }
  })
}
