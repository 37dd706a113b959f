terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

data "aws_caller_identity" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  github  = "token.actions.githubusercontent.com"
}

resource "aws_s3_bucket" "data" {
  bucket        = "lab-state-${local.account}"
  force_destroy = true
}

resource "aws_ssm_parameter" "endpoint" {
  for_each = toset(["dev", "prod"])

  name  = "/lab/${each.key}/endpoint"
  type  = "String"
  value = "db.${each.key}.acme.internal"
  tags  = { Environment = each.key }

  lifecycle {
    ignore_changes = [value] # the deployment writes it
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "dev" {
  name               = "lab-dev-deploy"
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
      values   = ["repo:acme@1001/pipeline@2002:environment:dev"]
    }
  }
}

resource "aws_iam_role_policy" "dev" {
  name   = "deploy"
  role   = aws_iam_role.dev.name
  policy = data.aws_iam_policy_document.dev.json
}

data "aws_iam_policy_document" "dev" {
  statement {
    sid       = "State"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/dev/*"]
  }

  statement {
    sid       = "OwnParameters"
    actions   = ["ssm:GetParameter"]
    resources = ["arn:aws:ssm:*:${local.account}:parameter/lab/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = ["dev"]
    }
  }

  statement {
    sid       = "WriteParameters"
    actions   = ["ssm:PutParameter"]
    resources = ["arn:aws:ssm:*:${local.account}:parameter/lab/dev/*"]
  }

  statement {
    sid       = "Tags"
    actions   = ["ssm:AddTagsToResource"]
    resources = ["arn:aws:ssm:*:${local.account}:parameter/lab/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = ["dev"]
    }

    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:RequestTag/Environment"
      values   = ["dev"] # a tag may be added, and Environment stays what it is
    }
  }
}

output "bucket" {
  value = aws_s3_bucket.data.bucket
}

output "role" {
  value = aws_iam_role.dev.name
}
