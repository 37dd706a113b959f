output "artifact_root" {
  description = "URI under which MLflow keeps artifacts."
  value       = local.artifact_root
}

output "autoscaling_group_name" {
  description = "Auto Scaling group of the server, known at plan time."
  value       = local.group_name
}

output "instance_tags" {
  description = "Tags by which clients find the instance."
  value       = local.instance_tags
}

output "log_group_name" {
  description = "CloudWatch group of the server's log; null without one."
  value       = one(aws_cloudwatch_log_group.server[*].name)
}

output "role_arn" {
  description = "Role of the instance, known at plan time."
  value       = "arn:${local.partition}:iam::${local.account}:role/${local.role_name}"
}

output "role_policies" {
  description = "The rendered inline policies of the instance's role, by name."
  value = {
    agent    = data.aws_iam_policy_document.agent.json
    database = data.aws_iam_policy_document.database.json
    server   = data.aws_iam_policy_document.server.json
  }
}

output "security_group_id" {
  description = "Security group of the server."
  value       = aws_security_group.server.id
}

output "session_documents" {
  description = "Names of the session documents, known at plan time: database, and MLflow's by permission set."
  value       = merge({ database = "${var.name}-database-session" }, local.mlflow_documents)
}

output "user_data" {
  description = "The instance's user data: base64 of the compressed cloud-config."
  value       = local.user_data
}
