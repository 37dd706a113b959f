terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

data "aws_caller_identity" "current" {}

resource "aws_s3_bucket" "data" {
  bucket        = "lab-exports-${data.aws_caller_identity.current.account_id}"
  force_destroy = true
}

resource "aws_iam_user" "pipeline" {
  name          = "lab-pipeline"
  force_destroy = true # goes with every key that it has by then
}

resource "aws_iam_access_key" "pipeline" {
  user = aws_iam_user.pipeline.name
}

resource "aws_iam_user_policy" "exports" {
  name   = "exports"
  user   = aws_iam_user.pipeline.name
  policy = data.aws_iam_policy_document.exports.json
}

data "aws_iam_policy_document" "exports" {
  statement {
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]
  }

  statement {
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/exports/*"]
  }
}

output "bucket" {
  value = aws_s3_bucket.data.bucket
}

output "access_key_id" {
  value = aws_iam_access_key.pipeline.id
}

output "secret_access_key" {
  value     = aws_iam_access_key.pipeline.secret
  sensitive = true
}
