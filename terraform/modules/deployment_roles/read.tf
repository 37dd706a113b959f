# What plan, plan-main and apply read: the configuration of what the platform is made of, and its state.

data "aws_iam_policy_document" "read_region" {
  # None of these has a resource type; the region is the only scope there is.
  statement {
    sid = "ListingsOfThisRegion"
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeInstanceRefreshes",
      "autoscaling:DescribeScalingActivities",
      "autoscaling:DescribeScheduledActions",
      "ec2:DescribeAddresses",
      "ec2:DescribeAddressesAttribute",
      "ec2:DescribeAvailabilityZones",
      "ec2:DescribeFlowLogs",
      "ec2:DescribeInstanceTypeOfferings",
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeInstances",
      "ec2:DescribeInternetGateways",
      "ec2:DescribeLaunchTemplateVersions",
      "ec2:DescribeLaunchTemplates",
      "ec2:DescribeNatGateways",
      "ec2:DescribeNetworkAcls",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribePrefixLists",
      "ec2:DescribeRouteTables",
      "ec2:DescribeSecurityGroupRules",
      "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets",
      "ec2:DescribeVpcEndpoints",
      "ec2:DescribeVpcs",
      "logs:DescribeLogGroups",
      "ssm:DescribeParameters",
    ]
    resources = ["*"] # only the region limits a listing

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }

  statement {
    sid       = "AttributesOfOurVpc"
    actions   = ["ec2:DescribeVpcAttribute"]
    resources = ["${local.ec2}:vpc/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }
  }

  # By its alias the platform finds the key's ARN.
  dynamic "statement" {
    for_each = var.kms_key_arn[*]
    content {
      sid       = "FindOurKey"
      actions   = ["kms:ListAliases"]
      resources = ["*"] # only the region limits a listing

      condition {
        test     = "StringEquals"
        variable = "aws:RequestedRegion"
        values   = [local.region]
      }
    }
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]
    content {
      sid       = "OurKey"
      actions   = ["kms:DescribeKey"]
      resources = [statement.value]
    }
  }
}

data "aws_iam_policy_document" "read_named" {
  statement {
    sid       = "State"
    actions   = ["s3:GetObject"]
    resources = ["${local.state}/${var.state.key}"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
    }
  }

  # env:/ is where the backend looks for workspaces, whether there are any or not. IfExists: a HEAD
  # of the state before there is one is authorised as ListBucket without a prefix; denied, it would
  # answer 403 instead of 404. What it gives away is the names of the states, not their content.
  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = [local.state]

    condition {
      test     = "StringEqualsIfExists"
      variable = "s3:prefix"
      values   = ["env:/", var.state.key]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
    }
  }

  # Pulumi keeps more than one object: the stack, its copies, history and locks.
  dynamic "statement" {
    for_each = var.state.pulumi_prefix[*]
    content {
      sid       = "PulumiState"
      actions   = ["s3:GetObject"]
      resources = ["${local.state}/${statement.value}/.pulumi/*"]

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceAccount"
        values   = [local.account]
      }
    }
  }

  dynamic "statement" {
    for_each = var.state.pulumi_prefix[*]
    content {
      sid       = "FindPulumiState"
      actions   = ["s3:ListBucket"]
      resources = [local.state]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = ["${statement.value}/.pulumi/*"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceAccount"
        values   = [local.account]
      }
    }
  }

  dynamic "statement" {
    for_each = var.state.kms_key_arn[*]
    content {
      sid       = "DecryptState"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${local.region}.${local.dns_suffix}"]
      }
    }
  }

  statement {
    sid = "Buckets"
    actions = [
      "s3:GetAccelerateConfiguration",
      "s3:GetBucketAcl",
      "s3:GetBucketCORS",
      "s3:GetBucketLogging",
      "s3:GetBucketObjectLockConfiguration",
      "s3:GetBucketOwnershipControls",
      "s3:GetBucketPolicy",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketRequestPayment",
      "s3:GetBucketTagging",
      "s3:GetBucketVersioning",
      "s3:GetBucketWebsite",
      "s3:GetEncryptionConfiguration",
      "s3:GetLifecycleConfiguration",
      "s3:GetReplicationConfiguration",
      "s3:ListBucket", # what HeadBucket is authorised as; it shows the names of objects
      "s3:ListTagsForResource",
    ]
    resources = [local.artifacts, local.access_logs]
  }

  # The provider finds an instance by its resource id, a filter, which is authorised as all of them.
  statement {
    sid       = "FindDatabase"
    actions   = ["rds:DescribeDBInstances"]
    resources = ["${local.rds}:db:*"]
  }

  statement {
    sid     = "Database"
    actions = ["rds:DescribeDBParameterGroups", "rds:DescribeDBParameters", "rds:DescribeDBSubnetGroups", "rds:ListTagsForResource"]
    resources = [
      local.database,
      "${local.rds}:pg:${local.prefix}-*",
      "${local.rds}:subgrp:${local.prefix}",
    ]
  }

  statement {
    sid = "Roles"
    actions = [
      "iam:GetRole",
      "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies",
      "iam:ListInstanceProfilesForRole",
      "iam:ListRolePolicies",
    ]
    resources = local.platform_roles
  }

  statement {
    sid       = "InstanceProfile"
    actions   = ["iam:GetInstanceProfile"]
    resources = [for name, service in local.passed_roles : "${local.iam}:instance-profile/${local.prefix}-${name}" if service == "ec2.amazonaws.com"]
  }

  statement {
    sid       = "ContractAndImage"
    actions   = ["ssm:GetParameter"]
    resources = concat(local.plain_parameters, ["arn:${local.partition}:ssm:${local.region}::parameter/aws/service/ami-amazon-linux-latest/*"])
  }

  statement {
    sid       = "ParameterTags"
    actions   = ["ssm:ListTagsForResource"]
    resources = local.plain_parameters
  }

  statement {
    sid       = "SessionDocuments"
    actions   = ["ssm:DescribeDocument", "ssm:DescribeDocumentPermission", "ssm:GetDocument", "ssm:ListTagsForResource"]
    resources = ["${local.ssm}:document/${local.prefix}-*"]
  }

  statement {
    sid       = "LogGroups"
    actions   = ["logs:DescribeMetricFilters", "logs:ListTagsForResource"]
    resources = local.log_groups
  }

  # The secret's name and tags; its value is GetSecretValue, which is not here.
  statement {
    sid       = "ThirdPartySecretWithoutValue"
    actions   = ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"]
    resources = [local.third_party]
  }

  statement {
    sid       = "Alarms"
    actions   = ["cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"]
    resources = [local.alarms]
  }

  statement {
    sid       = "Dashboard"
    actions   = ["cloudwatch:GetDashboard"]
    resources = [local.dashboard]
  }

  statement {
    sid       = "Topic"
    actions   = ["sns:GetSubscriptionAttributes", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource"]
    resources = [local.topic]
  }

  statement {
    sid       = "Budget"
    actions   = ["budgets:ListTagsForResource", "budgets:ViewBudget"]
    resources = [local.budget]
  }

  # A budget counts what the account's primary billing view shows; ViewBudget asks for the view too.
  statement {
    sid       = "CostsOfTheBudget"
    actions   = ["billing:GetBillingViewData"]
    resources = [local.billing_view]
  }

  statement {
    sid       = "Schedules"
    actions   = ["scheduler:GetSchedule"]
    resources = [local.schedules]
  }
}
