output "access_log_bucket_name" {
  description = "Bucket of the access logs; null without any."
  value       = one(aws_s3_bucket.access_logs[*].id)
}

output "bucket_arn" {
  description = "ARN of the bucket, known at plan time."
  value       = local.bucket_arn
}

output "bucket_name" {
  description = "Name of the bucket, known at plan time."
  value       = local.bucket_name
}

output "bucket_policy" {
  description = "The rendered bucket policy."
  value       = data.aws_iam_policy_document.artifacts.json
}

output "kms_key_arn" {
  description = "Key that encrypts the artifacts; null for S3's own keys."
  value       = var.kms_key_arn
}
