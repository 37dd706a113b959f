terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

data "aws_caller_identity" "current" {}

locals {
  github = "token.actions.githubusercontent.com"
  jobs = {
    train   = "repo:acme@1001/pipeline@2002:ref:refs/heads/main"
    promote = "repo:acme@1001/pipeline@2002:environment:prod"
  }
}

resource "aws_s3_bucket" "data" {
  bucket        = "lab-models-${data.aws_caller_identity.current.account_id}"
  force_destroy = true
}

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "job" {
  for_each           = local.jobs
  name               = "lab-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

data "aws_iam_policy_document" "trust" {
  for_each = local.jobs

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

resource "aws_iam_role_policy" "train" {
  name   = "train"
  role   = aws_iam_role.job["train"].name
  policy = data.aws_iam_policy_document.train.json
}

data "aws_iam_policy_document" "train" {
  statement {
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]
  }

  statement {
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/artifacts/runs/*"]
  }
}

resource "aws_iam_role_policy" "promote" {
  name   = "promote"
  role   = aws_iam_role.job["promote"].name
  policy = data.aws_iam_policy_document.promote.json
}

data "aws_iam_policy_document" "promote" {
  statement {
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]
  }

  statement {
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/artifacts/champion/*"]
  }
}

# MLflow runs with a session of this role, which the account's operations start.
resource "aws_iam_role" "mlflow" {
  name               = "lab-mlflow"
  assume_role_policy = data.aws_iam_policy_document.operations.json
}

data "aws_iam_policy_document" "operations" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
}

resource "aws_ssm_parameter" "artifacts" {
  name  = "/lab/mlflow/artifacts"
  type  = "String"
  value = "direct"
}

output "bucket" {
  value = aws_s3_bucket.data.bucket
}

output "role" {
  value = aws_iam_role.job["train"].name
}

output "promote_role" {
  value = aws_iam_role.job["promote"].name
}
