output "policies" {
  description = "The rendered policies: role -> name -> document."
  value       = local.policies
}

output "role_arns" {
  description = "ARNs by role, known at plan time."
  value       = { for role in keys(var.roles) : role => "arn:${local.partition}:iam::${local.account}:role/${var.name}-${role}" }
}

output "subjects" {
  description = "The whole GitHub subject that may assume each role."
  value       = { for role, made in module.role : role => made.subject }
}
