terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

data "aws_caller_identity" "current" {}

locals {
  github = "token.actions.githubusercontent.com"
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
  name               = "lab-exports"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "trust" {
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
      values = [
        "repo:acme@1001/pipeline@2002:ref:refs/heads/main",
        "repo:acme@1001/reports@2004:ref:refs/heads/main",
        "repo:acme@1001/dashboard@2005:ref:refs/heads/main",
      ]
    }
  }
}

resource "aws_iam_role_policy" "exports" {
  name   = "exports"
  role   = aws_iam_role.exports.name
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
