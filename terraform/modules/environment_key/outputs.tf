output "alias" {
  description = "Alias by which the platform finds the key."
  value       = aws_kms_alias.data.name
}

output "arn" {
  description = "ARN of the key."
  value       = local.arn
}

output "policy" {
  description = "The rendered key policy."
  value       = data.aws_iam_policy_document.key.json
}
