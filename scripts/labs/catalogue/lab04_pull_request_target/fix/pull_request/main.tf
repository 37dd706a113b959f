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

resource "aws_s3_bucket" "state" {
  bucket        = "lab-state-${data.aws_caller_identity.current.account_id}"
  force_destroy = true
}

resource "aws_ssm_parameter" "endpoint" {
  name  = "/lab/endpoint"
  type  = "String"
  value = "api.acme.internal"
}

resource "aws_secretsmanager_secret" "database" {
  name                    = "lab/database" # its value is put by hand, never by Terraform
  recovery_window_in_days = 0
}

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "plan" {
  name               = "lab-plan"
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
      values   = ["repo:acme@1001/pipeline@2002:pull_request"]
    }
  }
}

resource "aws_iam_role_policy" "plan" {
  name   = "plan"
  role   = aws_iam_role.plan.name
  policy = data.aws_iam_policy_document.plan.json
}

data "aws_iam_policy_document" "plan" {
  statement {
    sid       = "State"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.state.arn}/terraform.tfstate"]
  }

  statement {
    sid       = "Deployed"
    actions   = ["ssm:GetParameter"]
    resources = [aws_ssm_parameter.endpoint.arn]
  }

  statement {
    sid       = "SecretsWithoutValues"
    actions   = ["secretsmanager:DescribeSecret"]
    resources = [aws_secretsmanager_secret.database.arn]
  }
}

output "bucket" {
  value = aws_s3_bucket.state.bucket
}

output "role" {
  value = aws_iam_role.plan.name
}
