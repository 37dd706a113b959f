output "address" {
  description = "DNS name of the database."
  value       = aws_db_instance.database.address
}

output "arn" {
  description = "ARN of the database, known at plan time."
  value       = local.arn
}

output "identifier" {
  description = "Identifier of the database, known at plan time."
  value       = var.name
}

output "master_secret_arn" {
  description = "ARN of the secret that RDS keeps the master's password in."
  value       = one(aws_db_instance.database.master_user_secret[*].secret_arn)
}

output "port" {
  description = "Port of the database."
  value       = 5432
}

output "resource_id" {
  description = "Immutable id of the database, which rds-db:connect names."
  value       = aws_db_instance.database.resource_id
}

output "security_group_id" {
  description = "Security group of the database."
  value       = aws_security_group.database.id
}
