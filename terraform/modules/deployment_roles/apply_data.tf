# State, buckets, the database, secrets and the key.

data "aws_iam_policy_document" "apply_data" {
  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject"]
    resources = ["${local.state}/${var.state.key}"]
  }

  statement {
    sid       = "LockState"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.state}/${var.state.key}.tflock"]
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

  statement {
    sid       = "CreateTaggedKey"
    actions   = ["kms:CreateKey"]
    resources = ["*"] # kms:CreateKey has no resource type

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "TagNewKey" # kms:CreateKey with tags
    actions   = ["kms:TagResource"]
    resources = [local.keys]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [var.environment]
    }
  }

  statement {
    sid = "OurKey"
    actions = [
      "kms:CreateAlias",
      "kms:DeleteAlias",
      "kms:EnableKeyRotation",
      "kms:PutKeyPolicy",
      "kms:ScheduleKeyDeletion",
      "kms:UntagResource",
      "kms:UpdateKeyDescription",
    ]
    resources = [local.keys]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "OurAlias"
    actions   = ["kms:CreateAlias", "kms:DeleteAlias"]
    resources = [local.key_alias]
  }

  # RDS and Secrets Manager use the key in the caller's name when they make what it encrypts.
  statement {
    sid       = "OurKeyThroughServices"
    actions   = ["kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"]
    resources = [local.keys]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["rds.${local.region}.${local.dns_suffix}", "secretsmanager.${local.region}.${local.dns_suffix}"]
    }
  }
}
