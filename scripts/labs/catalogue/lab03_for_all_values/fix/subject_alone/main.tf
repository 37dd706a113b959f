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
  bucket        = "lab-models-${data.aws_caller_identity.current.account_id}"
  force_destroy = true
}

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "deploy" {
  name               = "lab-deploy"
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
      values   = ["repo:acme@1001/pipeline@2002:environment:prod"]
    }
  }
}

resource "aws_iam_role_policy" "models" {
  name   = "models"
  role   = aws_iam_role.deploy.name
  policy = data.aws_iam_policy_document.models.json
}

data "aws_iam_policy_document" "models" {
  statement {
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/models/*"]
  }
}

output "bucket" {
  value = aws_s3_bucket.data.bucket
}

output "role" {
  value = aws_iam_role.deploy.name
}
