terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

data "aws_caller_identity" "current" {}

locals {
  github = "token.actions.githubusercontent.com"

  # Each consumer's subject on GitHub.
  consumers = {
    pipeline  = "repo:acme@1001/pipeline@2002:ref:refs/heads/main"
    reports   = "repo:acme@1001/reports@2004:ref:refs/heads/main"
    dashboard = "repo:acme@1001/dashboard@2005:ref:refs/heads/main"
  }
}

resource "aws_s3_bucket" "data" {
  bucket        = "lab-exports-${data.aws_caller_identity.current.account_id}"
  force_destroy = true
}

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "exports" {
  for_each           = local.consumers
  name               = "lab-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

data "aws_iam_policy_document" "trust" {
  for_each = local.consumers

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github}:sub"
      values   = [each.value]
    }
  }
}

resource "aws_iam_role_policy" "exports" {
  for_each = aws_iam_role.exports

  name   = "exports"
  role   = each.value.name
  policy = data.aws_iam_policy_document.exports.json
}

data "aws_iam_policy_document" "exports" {
  statement {
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/exports/*"]
  }
}

output "bucket" {
  value = aws_s3_bucket.data.bucket
}
