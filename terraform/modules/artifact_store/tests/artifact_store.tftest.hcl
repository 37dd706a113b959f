# Buckets, their policy and refusals, offline.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_region" {
    defaults = { id = "us-east-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  name = "keyless-dev"
}

run "safe_by_default" {
  command = plan

  assert {
    condition     = output.bucket_name == "keyless-dev-artifacts-123456789012-us-east-1"
    error_message = "bucket is ${output.bucket_name}"
  }
  assert {
    condition = alltrue([
      for block in [aws_s3_bucket_public_access_block.artifacts, aws_s3_bucket_public_access_block.access_logs[0]] :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ])
    error_message = "all four blocks, on both buckets"
  }
  assert {
    condition     = aws_s3_bucket_versioning.artifacts.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.artifacts.force_destroy
    error_message = "versioned, and not destroyed with its content"
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.artifacts.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "S3's own keys by default"
  }
  assert {
    condition     = one(aws_s3_bucket_ownership_controls.artifacts.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "access lists must be off"
  }
  assert {
    condition = one([
      for statement in data.aws_iam_policy_document.artifacts.statement : statement.resources if statement.sid == "DenyWithoutTls"
    ]) == toset(["arn:aws:s3:::keyless-dev-artifacts-123456789012-us-east-1", "arn:aws:s3:::keyless-dev-artifacts-123456789012-us-east-1/*"])
    error_message = "TLS on the bucket and on its objects"
  }
  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.artifacts.statement : statement.effect == "Deny"])
    error_message = "the bucket's policy must only deny"
  }
  assert {
    condition     = length(one([for statement in data.aws_iam_policy_document.artifacts.statement : statement.condition if statement.sid == "DenyDeletingVersions"])) == 0
    error_message = "with nobody named, nobody deletes versions"
  }
  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.artifacts[0].rule) == 3
    error_message = "uploads, old versions, infrequent access"
  }
  assert {
    condition     = aws_s3_bucket_logging.artifacts[0].target_prefix == "artifacts/"
    error_message = "access is logged"
  }
}

run "a_key_of_ones_own" {
  command = plan
  variables {
    access_logs          = { enabled = false }
    kms_key_arn          = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    lifecycle_rules      = { infrequent_access_days = 0, abort_uploads_after_days = 0 }
    version_deleter_arns = ["arn:aws:iam::123456789012:role/keyless-dev-apply"]
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.artifacts.rule).bucket_key_enabled
    error_message = "bucket keys save most of KMS's requests"
  }
  assert {
    condition = contains([
      for condition in one([for statement in data.aws_iam_policy_document.artifacts.statement : statement.condition if statement.sid == "DenyForeignKeys"]) : one(condition.values)
    ], "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555")
    error_message = "another key must be denied"
  }
  assert {
    condition     = one(one([for statement in data.aws_iam_policy_document.artifacts.statement : statement.condition if statement.sid == "DenyDeletingVersions"])).values == tolist(["arn:aws:iam::123456789012:role/keyless-dev-apply"])
    error_message = "one role may delete versions"
  }
  assert {
    condition     = length(aws_s3_bucket.access_logs) == 0 && length(aws_s3_bucket_lifecycle_configuration.artifacts[0].rule) == 1
    error_message = "what is switched off must not be made"
  }
}

run "a_key_of_another_region_is_refused" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }
  expect_failures = [aws_s3_bucket.artifacts]
}

run "bad_values_are_refused" {
  command = plan
  variables {
    access_logs          = { retention_days = 0 }
    kms_key_arn          = "alias/aws/s3"
    lifecycle_rules      = { infrequent_access_days = 7, abort_uploads_after_days = -1, kept_old_versions_per_file = 0 }
    name                 = "Keyless_Dev"
    version_deleter_arns = ["*"]
  }
  expect_failures = [var.access_logs, var.kms_key_arn, var.lifecycle_rules, var.name, var.version_deleter_arns]
}

run "a_name_too_long_for_s3_is_refused" {
  command = plan
  variables {
    name = "a-very-long-prefix-for-a-bucket"
  }
  expect_failures = [var.name]
}
