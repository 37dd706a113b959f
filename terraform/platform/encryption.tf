# The environment's own key, when AWS's will not do.


data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:a key's policy hands the key to the account's IAM, where each role's own policy decides
  #checkov:skip=CKV_AWS_111:the same; no right is given to anyone by name
  #checkov:skip=CKV_AWS_356:in a key's policy, * is this key
  statement {
    sid = "IamOfThisAccountDecides"
    actions = [
      "kms:CancelKeyDeletion",
      "kms:CreateAlias",
      "kms:CreateGrant",
      "kms:Decrypt",
      "kms:DeleteAlias",
      "kms:DescribeKey",
      "kms:DisableKey",
      "kms:DisableKeyRotation",
      "kms:EnableKey",
      "kms:EnableKeyRotation",
      "kms:Encrypt",
      "kms:GenerateDataKey",
      "kms:GenerateDataKeyWithoutPlaintext",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListAliases",
      "kms:ListGrants",
      "kms:ListKeyPolicies",
      "kms:ListResourceTags",
      "kms:PutKeyPolicy",
      "kms:ReEncryptFrom",
      "kms:ReEncryptTo",
      "kms:RetireGrant",
      "kms:RevokeGrant",
      "kms:ScheduleKeyDeletion",
      "kms:TagResource",
      "kms:UntagResource",
      "kms:UpdateAlias",
      "kms:UpdateKeyDescription",
    ]
    resources = ["*"] # in a key's policy: this key

    principals {
      type        = "AWS"
      identifiers = ["${local.iam}:root"]
    }
  }

  statement {
    sid       = "LogsOfThisEnvironment"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    resources = ["*"] # in a key's policy: this key

    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values = [
        "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/${local.prefix}/*",
        "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/rds/instance/${local.prefix}/*",
      ]
    }
  }

  statement {
    sid       = "AlertsOfThisAccount"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"] # in a key's policy: this key

    principals {
      type        = "Service"
      identifiers = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_kms_key" "environment" {
  count = var.customer_managed_key ? 1 : 0

  description             = "Data of ${local.prefix}"
  deletion_window_in_days = var.artifact_store.force_destroy ? 7 : 30
  enable_key_rotation     = true
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "environment" {
  count = var.customer_managed_key ? 1 : 0

  name          = "alias/${local.prefix}"
  target_key_id = aws_kms_key.environment[0].key_id
}
