# State, buckets, the database, secrets, and the use of the key.

locals {
  key_users = [for service in ["rds", "secretsmanager"] : "${service}.${local.region}.${local.dns_suffix}"]
}

data "aws_iam_policy_document" "apply_data" {
  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject"]
    resources = ["${local.state}/${var.state.key}"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
    }
  }

  statement {
    sid       = "LockState"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.state}/${var.state.key}.tflock"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [local.account]
    }
  }

  dynamic "statement" {
    for_each = var.state.pulumi_prefix[*]
    content {
      sid       = "WriteAndLockPulumiState"
      actions   = ["s3:DeleteObject", "s3:PutObject"]
      resources = ["${local.state}/${statement.value}/.pulumi/*"]

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
      sid       = "EncryptState"
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
    sid = "Buckets"
    actions = [
      "s3:CreateBucket",
      "s3:DeleteBucket",
      "s3:DeleteBucketPolicy",
      "s3:PutBucketLogging",
      "s3:PutBucketOwnershipControls",
      "s3:PutBucketPolicy",
      "s3:PutBucketPublicAccessBlock",
      "s3:PutBucketTagging",
      "s3:PutBucketVersioning",
      "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
      "s3:TagResource",
      "s3:UntagResource",
    ]
    resources = [local.artifacts, local.access_logs]
  }

  dynamic "statement" {
    for_each = var.allow_data_deletion ? [1] : []
    content {
      sid       = "EmptyDisposableBuckets"
      actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      resources = ["${local.artifacts}/*", "${local.access_logs}/*"]
    }
  }

  dynamic "statement" {
    for_each = var.allow_data_deletion ? [1] : []
    content {
      sid       = "ListWhatIsToBeDeleted"
      actions   = ["s3:ListBucketVersions"]
      resources = [local.artifacts, local.access_logs]
    }
  }

  statement {
    sid     = "CreateDatabase"
    actions = ["rds:CreateDBInstance"]
    resources = [
      local.database,
      "${local.rds}:og:default:*",
      "${local.rds}:pg:${local.prefix}-*",
      "${local.rds}:subgrp:${local.prefix}",
    ]

    condition {
      test     = "Bool"
      variable = "rds:ManageMasterUserPassword"
      values   = ["true"]
    }

    condition {
      test     = "Bool"
      variable = "rds:PubliclyAccessible"
      values   = ["false"]
    }
  }

  statement {
    sid     = "ChangeAndDeleteDatabase"
    actions = ["rds:CreateDBSnapshot", "rds:DeleteDBInstance", "rds:ModifyDBInstance", "rds:RebootDBInstance"]
    resources = [
      local.database,
      "${local.rds}:og:default:*",
      "${local.rds}:pg:${local.prefix}-*",
      "${local.rds}:snapshot:${local.prefix}-final",
      "${local.rds}:subgrp:${local.prefix}",
    ]
  }

  statement {
    sid     = "DatabaseGroups"
    actions = ["rds:CreateDBParameterGroup", "rds:CreateDBSubnetGroup", "rds:DeleteDBParameterGroup", "rds:DeleteDBSubnetGroup", "rds:ModifyDBParameterGroup", "rds:ModifyDBSubnetGroup", "rds:ResetDBParameterGroup"]
    resources = [
      "${local.rds}:pg:${local.prefix}-*",
      "${local.rds}:subgrp:${local.prefix}",
    ]
  }

  statement {
    sid     = "DatabaseTags"
    actions = ["rds:AddTagsToResource", "rds:RemoveTagsFromResource"]
    resources = [
      local.database,
      "${local.rds}:pg:${local.prefix}-*",
      "${local.rds}:snapshot:${local.prefix}-final",
      "${local.rds}:subgrp:${local.prefix}",
    ]
  }

  # RDS makes the master's secret in the caller's name. Nobody can make a secret of that name by hand.
  # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
  statement {
    sid       = "ManagedMasterSecret"
    actions   = ["secretsmanager:CreateSecret", "secretsmanager:TagResource"]
    resources = [local.managed_secrets]
  }

  # RDS then looks up the account's aws/secretsmanager key in the caller's name, whichever key encrypts the
  # secret. That key has no tag and, in a fresh account, no id yet; what is read is a key's description.
  statement {
    sid       = "FindTheSecretsKeyThroughRds"
    actions   = ["kms:DescribeKey"]
    resources = [local.keys]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["rds.${local.region}.${local.dns_suffix}"]
    }
  }

  # RDS looks at the account's limits in the caller's name, and so does Elastic Load Balancing before it has its own role.
  # https://repost.aws/knowledge-center/rds-iam-least-privileges
  # https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html
  statement {
    sid       = "LimitsOfThisAccount"
    actions   = ["ec2:DescribeAccountAttributes"]
    resources = ["*"] # only the region limits a listing

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }

  statement {
    sid = "ThirdPartySecretWithoutValue"
    actions = [
      "secretsmanager:CreateSecret",
      "secretsmanager:DeleteSecret",
      "secretsmanager:TagResource",
      "secretsmanager:UntagResource",
      "secretsmanager:UpdateSecret",
    ]
    resources = [local.third_party]
  }

  # RDS and Secrets Manager use the key in the caller's name when they make what it encrypts. Nothing here makes,
  # tags or rewrites a key: whoever could would own every key of the account that it can claim.
  dynamic "statement" {
    for_each = var.kms_key_arn[*]
    content {
      sid       = "OurKeyThroughServices"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = local.key_users
      }
    }
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]
    content {
      sid       = "GrantsOfOurKeyToAwsResources"
      actions   = ["kms:CreateGrant"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = local.key_users
      }

      condition {
        test     = "Bool"
        variable = "kms:GrantIsForAWSResource"
        values   = ["true"]
      }
    }
  }
}
