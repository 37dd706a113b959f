locals {
  issuer = "token.actions.githubusercontent.com"
}

data "aws_iam_openid_connect_provider" "actions" {
  url = "https://${local.issuer}"
}

data "aws_iam_policy_document" "deploy" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [data.aws_iam_openid_connect_provider.actions.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${replace(data.aws_iam_openid_connect_provider.actions.url, "https://", "")}:aud"
      values   = ["sts.amazonaws.com"]
    }

    dynamic "condition" {
      for_each = ["octo-org/app"]
      content {
        test     = "StringLike"
        variable = "${local.issuer}:sub"
        values   = ["repo:octo-org/app:*"]
      }
    }
  }
}
