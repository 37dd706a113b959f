output "address" {
  description = "Name under which clients reach the load balancer; point a name of the certificate at it."
  value       = aws_lb.serve.dns_name
}

output "balancer" {
  description = "What a role that moves the traffic must know, all known at plan time: names of load balancer and Auto Scaling groups, session document, TLS policy of the listener, Role tag of the instances."
  value = {
    autoscaling_group_names = values(local.group_names)
    balancer_name           = local.balancer_name
    role_tag                = local.instance_tags.Role
    session_document        = local.session_document
    ssl_policy              = local.ssl_policy
  }
}

output "instance_tags" {
  description = "Tags by which the instances are found; Set is blue or green."
  value       = local.instance_tags
}

output "listener_arn" {
  description = "Listener whose weights a blue/green rollout switches."
  value       = aws_lb_listener.serve.arn
}

output "log_group_name" {
  description = "CloudWatch group of the servers' log; null without one."
  value       = one(aws_cloudwatch_log_group.serve[*].name)
}

output "port" {
  description = "Port of the servers behind the load balancer."
  value       = var.port
}

output "role_arn" {
  description = "Role of the instances, known at plan time."
  value       = "arn:${local.partition}:iam::${local.account}:role/${local.role_name}"
}

output "role_policies" {
  description = "The rendered inline policies of the instances' role, by name."
  value = {
    agent = data.aws_iam_policy_document.agent.json
    serve = data.aws_iam_policy_document.serve.json
  }
}

output "session_document" {
  description = "Session document that opens a model server's port, known at plan time."
  value       = local.session_document
}

output "sets" {
  description = "Both sets: Auto Scaling group and target group."
  value = { for name in local.sets : name => {
    autoscaling_group_name = local.group_names[name]
    target_group_arn       = aws_lb_target_group.serve[name].arn
  } }
}

output "user_data" {
  description = "Each set's user data: base64 of the compressed cloud-config."
  value       = local.user_data
}
