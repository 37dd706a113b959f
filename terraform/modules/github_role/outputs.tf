output "arn" {
  description = "ARN of the role."
  value       = aws_iam_role.github.arn
}

output "name" {
  description = "Name of the role."
  value       = aws_iam_role.github.name
}

output "subject" {
  description = "The whole subject that may assume the role."
  value       = local.subject
}

output "trust_policy" {
  description = "The rendered trust policy."
  value       = data.aws_iam_policy_document.trust.json
}
