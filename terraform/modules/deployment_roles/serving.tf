# What model servers add for whoever reads, applies and bounds them: a load balancer and two Auto Scaling groups.

locals {
  balancing      = "arn:${local.partition}:elasticloadbalancing:${local.region}:${local.account}"
  serving_groups = [for set in ["blue", "green"] : "${local.groups}-serve-${set}"]
  balancer       = "${local.balancing}:loadbalancer/app/${local.prefix}-serve/*"
  listener       = "${local.balancing}:listener/app/${local.prefix}-serve/*"
  target_groups  = "${local.balancing}:targetgroup/${local.prefix}-serve-*/*"
}

data "aws_iam_policy_document" "read_serving" {
  count = var.model_servers ? 1 : 0

  statement {
    sid = "ListingsOfThisRegion"
    actions = [
      "autoscaling:DescribePolicies",
      "elasticloadbalancing:DescribeCapacityReservation",
      "elasticloadbalancing:DescribeListenerAttributes",
      "elasticloadbalancing:DescribeListeners",
      "elasticloadbalancing:DescribeLoadBalancerAttributes",
      "elasticloadbalancing:DescribeLoadBalancers",
      "elasticloadbalancing:DescribeTags",
      "elasticloadbalancing:DescribeTargetGroupAttributes",
      "elasticloadbalancing:DescribeTargetGroups",
    ]
    resources = ["*"] # only the region limits a listing

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }
}

data "aws_iam_policy_document" "apply_serving" {
  count = var.model_servers ? 1 : 0

  statement {
    sid = "AutoScalingGroups"
    actions = [
      "autoscaling:AttachLoadBalancerTargetGroups",
      "autoscaling:CancelInstanceRefresh",
      "autoscaling:CreateAutoScalingGroup",
      "autoscaling:CreateOrUpdateTags",
      "autoscaling:DeleteAutoScalingGroup",
      "autoscaling:DeletePolicy",
      "autoscaling:DeleteTags",
      "autoscaling:DetachLoadBalancerTargetGroups",
      "autoscaling:DisableMetricsCollection",
      "autoscaling:EnableMetricsCollection",
      "autoscaling:PutScalingPolicy",
      "autoscaling:StartInstanceRefresh",
      "autoscaling:UpdateAutoScalingGroup",
    ]
    resources = local.serving_groups
  }

  statement {
    sid       = "InternalLoadBalancer"
    actions   = ["elasticloadbalancing:CreateLoadBalancer"]
    resources = [local.balancer]

    condition {
      test     = "StringEquals"
      variable = "elasticloadbalancing:Scheme"
      values   = ["internal"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "ListenersWithTls"
    actions   = ["elasticloadbalancing:CreateListener"]
    resources = [local.balancer]

    condition {
      test     = "ForAnyValue:StringEquals" # a key of several values
      variable = "elasticloadbalancing:ListenerProtocol"
      values   = ["HTTPS"]
    }
  }

  statement {
    sid       = "ChangeListenersWithTls"
    actions   = ["elasticloadbalancing:ModifyListener"]
    resources = [local.listener]

    condition {
      test     = "ForAnyValue:StringEqualsIfExists" # absent where the protocol stays
      variable = "elasticloadbalancing:ListenerProtocol"
      values   = ["HTTPS"]
    }
  }

  statement {
    sid = "LoadBalancer"
    actions = [
      "elasticloadbalancing:DeleteLoadBalancer",
      "elasticloadbalancing:ModifyLoadBalancerAttributes",
      "elasticloadbalancing:SetSecurityGroups",
      "elasticloadbalancing:SetSubnets",
    ]
    resources = [local.balancer]
  }

  statement {
    sid       = "Listener"
    actions   = ["elasticloadbalancing:DeleteListener", "elasticloadbalancing:ModifyListenerAttributes"]
    resources = [local.listener]
  }

  statement {
    sid = "TargetGroups"
    actions = [
      "elasticloadbalancing:CreateTargetGroup",
      "elasticloadbalancing:DeleteTargetGroup",
      "elasticloadbalancing:ModifyTargetGroup",
      "elasticloadbalancing:ModifyTargetGroupAttributes",
    ]
    resources = [local.target_groups]
  }

  statement {
    sid       = "BalancingTags"
    actions   = ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"]
    resources = [local.balancer, local.listener, local.target_groups]
  }

  # Made by an account's first load balancer, in the caller's name.
  statement {
    sid       = "ServiceLinkedRole"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.iam}:role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = ["elasticloadbalancing.amazonaws.com"]
    }
  }
}

# The part of the boundary that only the rollout role uses.
data "aws_iam_policy_document" "boundary_serving" {
  count = var.model_servers ? 1 : 0

  statement {
    sid       = "TrafficOfTheModelServers"
    actions   = ["elasticloadbalancing:ModifyListener"]
    resources = [local.listener]
  }

  statement {
    sid       = "SizeOfTheSets"
    actions   = ["autoscaling:UpdateAutoScalingGroup"]
    resources = local.serving_groups
  }

  statement {
    sid       = "LookAtTheRollout"
    actions   = ["autoscaling:DescribeAutoScalingGroups", "cloudwatch:GetMetricData", "elasticloadbalancing:DescribeListeners"]
    resources = ["*"] # listings, and metrics that have no ARN: only the region limits them

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }
}
