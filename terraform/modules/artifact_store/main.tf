# The bucket that holds data, models, decisions and predictions.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.id

  # Known before the bucket is, so that policies elsewhere need not wait for it.
  bucket_name = "${var.name}-artifacts-${local.account}-${local.region}"
  bucket_arn  = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket_name}"

  # S3 refuses an empty set of rules.
  lifecycle = max(var.lifecycle_rules.abort_uploads_after_days, var.lifecycle_rules.expire_old_versions_days, var.lifecycle_rules.infrequent_access_days) > 0
}

resource "aws_s3_bucket" "artifacts" {
  #checkov:skip=CKV_AWS_144:versions undo mistakes; a second region doubles the price and is for those who need it to add
  #checkov:skip=CKV2_AWS_62:nothing listens; the pipeline's steps start by schedule or by hand
  bucket        = local.bucket_name
  force_destroy = var.force_destroy
  tags          = var.tags

  lifecycle {
    precondition {
      condition     = length(local.bucket_name) <= 63
      error_message = "Bucket name ${local.bucket_name} is longer than S3's 63 characters; choose a shorter name than \"${var.name}\"."
    }
    precondition {
      condition     = var.kms_key_arn == null || try(split(":", var.kms_key_arn)[3] == local.region, false)
      error_message = "kms_key_arn must be a key of the bucket's region, ${local.region}."
    }
  }
}

resource "aws_s3_bucket_versioning" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "artifacts" {
  count = local.lifecycle ? 1 : 0

  bucket = aws_s3_bucket.artifacts.id

  dynamic "rule" {
    for_each = var.lifecycle_rules.abort_uploads_after_days > 0 ? [var.lifecycle_rules.abort_uploads_after_days] : []
    content {
      id     = "drop-unfinished-uploads"
      status = "Enabled"

      filter {}

      abort_incomplete_multipart_upload {
        days_after_initiation = rule.value
      }
    }
  }

  dynamic "rule" {
    for_each = var.lifecycle_rules.expire_old_versions_days > 0 ? [var.lifecycle_rules.expire_old_versions_days] : []
    content {
      id     = "expire-replaced-versions"
      status = "Enabled"

      filter {}

      noncurrent_version_expiration {
        noncurrent_days           = rule.value
        newer_noncurrent_versions = var.lifecycle_rules.kept_old_versions_per_file
      }
    }
  }

  dynamic "rule" {
    for_each = var.lifecycle_rules.infrequent_access_days > 0 ? [var.lifecycle_rules.infrequent_access_days] : []
    content {
      id     = "move-to-infrequent-access"
      status = "Enabled"

      filter {}

      transition {
        days          = rule.value
        storage_class = "STANDARD_IA"
      }
    }
  }

  # Versioning first: rules on versions make no sense without.
  depends_on = [aws_s3_bucket_versioning.artifacts]
}
