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
  bucket        = "lab-models-${local.account}"
  force_destroy = true
}

resource "aws_ssm_parameter" "tuning" {
  name  = "/lab/tuning"
  type  = "String"
  value = "depth=3"

  lifecycle {
    ignore_changes = [value] # the training job writes it
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "train" {
  name                 = "lab-train"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = aws_iam_policy.boundary.arn
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
      values   = ["repo:acme@1001/pipeline@2002:ref:refs/heads/main"]
    }
  }
}

resource "aws_iam_policy" "train" {
  name   = "lab-train"
  policy = data.aws_iam_policy_document.train.json
}

resource "aws_iam_role_policy_attachment" "train" {
  role       = aws_iam_role.train.name
  policy_arn = aws_iam_policy.train.arn
}

data "aws_iam_policy_document" "train" {
  statement {
    sid       = "Data"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/train/*"]
  }

  statement {
    sid       = "Tuning"
    actions   = ["ssm:GetParameter", "ssm:PutParameter"]
    resources = [aws_ssm_parameter.tuning.arn]
  }

  statement {
    sid       = "OwnPolicy" # "so that the pipeline can ask for what it needs"
    actions   = ["iam:CreatePolicyVersion", "iam:ListPolicyVersions", "iam:DeletePolicyVersion"]
    resources = ["arn:aws:iam::${local.account}:policy/lab-*"]
  }

  statement {
    sid       = "Experiments" # "a role for each experiment"
    actions   = ["iam:CreateRole", "iam:PutRolePolicy", "sts:AssumeRole"]
    resources = ["arn:aws:iam::${local.account}:role/lab-experiment-*"]
  }

  statement {
    sid       = "Machines" # "a big machine for a long training"
    actions   = ["ec2:RunInstances", "iam:PassRole"]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "boundary" {
  name   = "keep-lab-train" # not lab-*: the training job may rewrite those
  policy = data.aws_iam_policy_document.boundary.json
}

# The most that the role may ever do, whatever its own policy says.
data "aws_iam_policy_document" "boundary" {
  statement {
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/train/*"]
  }

  statement {
    actions   = ["ssm:GetParameter", "ssm:PutParameter"]
    resources = [aws_ssm_parameter.tuning.arn]
  }
}

# Another team's: its machines read and write everything.
resource "aws_iam_role" "operations" {
  name               = "lab-operations"
  assume_role_policy = data.aws_iam_policy_document.operations_trust.json
}

data "aws_iam_policy_document" "operations_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "operations" {
  name   = "operations"
  role   = aws_iam_role.operations.name
  policy = data.aws_iam_policy_document.operations.json
}

data "aws_iam_policy_document" "operations" {
  statement {
    sid       = "Everything"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/*"]
  }
}

resource "aws_iam_instance_profile" "operations" {
  name = "lab-operations"
  role = aws_iam_role.operations.name
}

output "bucket" {
  value = aws_s3_bucket.data.bucket
}

output "role" {
  value = aws_iam_role.train.name
}
