output "boundary_arn" {
  description = "Permissions boundary of every role that the platform makes."
  value       = aws_iam_policy.boundary.arn
}

output "policies" {
  description = "The rendered policies, by name."
  value = {
    apply-compute   = data.aws_iam_policy_document.apply_compute.json
    apply-data      = data.aws_iam_policy_document.apply_data.json
    apply-identity  = data.aws_iam_policy_document.apply_identity.json
    apply-network   = data.aws_iam_policy_document.apply_network.json
    apply-operation = data.aws_iam_policy_document.apply_operation.json
    boundary        = data.aws_iam_policy_document.boundary.json
    deploy-boundary = data.aws_iam_policy_document.deploy_boundary.json
    read-named      = data.aws_iam_policy_document.read_named.json
    read-region     = data.aws_iam_policy_document.read_region.json
  }
}

output "role_arns" {
  description = "ARNs of the roles that plan and apply, by role."
  value       = { for name, role in module.role : name => role.arn }
}

output "role_subjects" {
  description = "The whole GitHub subject that may assume each role."
  value       = { for name, role in module.role : name => role.subject }
}
