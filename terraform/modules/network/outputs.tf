output "availability_zones" {
  description = "Zones the subnets lie in."
  value       = [for subnet in aws_subnet.private : subnet.availability_zone]
}

output "endpoint_security_group_id" {
  description = "Security group of the interface endpoints; null without any."
  value       = one(aws_security_group.endpoints[*].id)
}

output "flow_log_group_name" {
  description = "CloudWatch log group of the flow logs; null without any."
  value       = one(aws_cloudwatch_log_group.flow_logs[*].name)
}

output "private_subnet_ids" {
  description = "Private subnets, one for each zone."
  value       = [for subnet in aws_subnet.private : subnet.id]
}

output "public_subnet_ids" {
  description = "Public subnets, one for each zone; empty with egress = \"endpoints\"."
  value       = [for subnet in aws_subnet.public : subnet.id]
}

output "s3_prefix_list_id" {
  description = "Prefix list of the S3 gateway endpoint, for security group rules."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}

output "server_subnet_ids" {
  description = "Where the server belongs: public subnets with egress = \"public_ip\", private ones otherwise."
  value       = [for subnet in var.egress == "public_ip" ? aws_subnet.public : aws_subnet.private : subnet.id]
}

output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.main.id
}
