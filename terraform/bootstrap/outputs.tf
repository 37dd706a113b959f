output "environments" {
  description = "Per environment: boundary, roles and the key of its data (null: AWS's own keys), by ARN, and where its state is."
  value = {
    for name, made in module.environment : name => {
      boundary_arn  = made.boundary_arn
      kms_key_arn   = one([for at, key in module.environment_key : key.arn if at == name])
      role_arns     = made.role_arns
      role_subjects = made.role_subjects
      state_key     = local.state_keys[name]
    }
  }
}

output "github_provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub."
  value       = local.provider_arn
}

output "state_bucket_name" {
  description = "Bucket of Terraform's state."
  value       = aws_s3_bucket.state.id
}
