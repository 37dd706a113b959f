# One internal load balancer with TLS before both sets. The rollout's controller moves the weights.

resource "aws_security_group" "balancer" {
  name        = "${var.name}-serve-balancer"
  description = "Load balancer of the model servers: from the clients, to the servers"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-serve-balancer" })
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = var.clients.cidrs

  security_group_id = aws_security_group.balancer.id
  description       = "HTTPS from ${each.key}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = merge(var.tags, { Name = "${var.name}-serve-from-${each.key}" })
}

resource "aws_vpc_security_group_ingress_rule" "client_groups" {
  for_each = var.clients.security_group_ids

  security_group_id            = aws_security_group.balancer.id
  description                  = "HTTPS from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = merge(var.tags, { Name = "${var.name}-serve-from-${each.key}" })
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "To the model servers"
  referenced_security_group_id = aws_security_group.instances.id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
  tags                         = merge(var.tags, { Name = "${var.name}-serve-balancer-to-servers" })
}

resource "aws_security_group" "instances" {
  name        = "${var.name}-serve"
  description = "Model servers: from the load balancer alone, few ways out"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-serve" })
}

resource "aws_vpc_security_group_ingress_rule" "instances" {
  security_group_id            = aws_security_group.instances.id
  description                  = "From the load balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
  tags                         = merge(var.tags, { Name = "${var.name}-serve-from-balancer" })
}

resource "aws_vpc_security_group_egress_rule" "security_groups" {
  for_each = var.egress.security_groups

  security_group_id            = aws_security_group.instances.id
  description                  = "To ${each.key}"
  referenced_security_group_id = each.value.id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = merge(var.tags, { Name = "${var.name}-serve-${each.key}" })
}

resource "aws_vpc_security_group_egress_rule" "prefix_lists" {
  for_each = var.egress.prefix_lists

  security_group_id = aws_security_group.instances.id
  description       = "To ${each.key}"
  prefix_list_id    = each.value.id
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = merge(var.tags, { Name = "${var.name}-serve-${each.key}" })
}

resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = var.egress.https_cidrs

  security_group_id = aws_security_group.instances.id
  description       = "HTTPS to ${each.key}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = merge(var.tags, { Name = "${var.name}-serve-https-${each.key}" })
}

resource "aws_lb" "serve" {
  #checkov:skip=CKV_AWS_91:requests are logged row by row by the servers, with the variant that answered; access logs would need a bucket policy for another account
  #checkov:skip=CKV2_AWS_28:internal: no request comes from the internet
  name                       = local.balancer_name
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = var.balancer_subnet_ids
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  idle_timeout               = 60
  tags                       = merge(var.tags, { Name = "${var.name}-serve" })
}

resource "aws_lb_target_group" "serve" {
  #checkov:skip=CKV_AWS_378:inside the VPC, between two security groups that let in nobody else; the load balancer ends the clients' TLS
  for_each = local.sets

  name                 = local.group_names[each.key]
  port                 = var.port
  protocol             = "HTTP"
  vpc_id               = var.vpc_id
  deregistration_delay = 30 # the server ends its requests within that
  tags                 = merge(var.tags, { Name = local.group_names[each.key] })

  load_balancing_algorithm_type = "least_outstanding_requests"

  health_check {
    path                = "/ready"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "serve" {
  load_balancer_arn = aws_lb.serve.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = local.ssl_policy
  certificate_arn   = var.certificate_arn
  tags              = merge(var.tags, { Name = "${var.name}-serve" })

  default_action {
    type = "forward"

    forward {
      target_group {
        arn    = aws_lb_target_group.serve["blue"].arn
        weight = 100
      }
      target_group {
        arn    = aws_lb_target_group.serve["green"].arn
        weight = 0
      }
    }
  }

  lifecycle {
    # Blue/green rollouts switch the weights; who may do that is the rollout role alone.
    ignore_changes = [default_action]
  }
}
