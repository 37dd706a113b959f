# The platform's roles: by name, only inside the boundary, and none of those that plan and apply.

data "aws_iam_policy_document" "apply_identity" {
  statement {
    sid = "RolesInsideTheBoundary"
    actions = [
      "iam:CreateRole",
      "iam:DeleteRole",
      "iam:DeleteRolePolicy",
      "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = local.platform_roles

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = ["${local.iam}:policy/${local.prefix}-boundary"]
    }
  }

  statement {
    sid       = "RoleTags"
    actions   = ["iam:TagRole", "iam:UntagRole"]
    resources = local.platform_roles
  }

  statement {
    sid = "InstanceProfile"
    actions = [
      "iam:AddRoleToInstanceProfile",
      "iam:CreateInstanceProfile",
      "iam:DeleteInstanceProfile",
      "iam:RemoveRoleFromInstanceProfile",
      "iam:TagInstanceProfile",
      "iam:UntagInstanceProfile",
    ]
    resources = ["${local.iam}:instance-profile/${local.prefix}-server"]
  }

  dynamic "statement" {
    for_each = {
      Server     = { role = "server", service = "ec2.amazonaws.com" }
      FlowLogs   = { role = "flow-logs", service = "vpc-flow-logs.amazonaws.com" }
      Monitoring = { role = "database-monitoring", service = "monitoring.rds.amazonaws.com" }
      Parking    = { role = "parking", service = "scheduler.amazonaws.com" }
    }
    content {
      sid       = "Pass${statement.key}"
      actions   = ["iam:PassRole"]
      resources = ["${local.iam}:role/${local.prefix}-${statement.value.role}"]

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = [statement.value.service]
      }
    }
  }

  # Made by the first database and the first group of an account, in the caller's name.
  dynamic "statement" {
    for_each = {
      Autoscaling = { service = "autoscaling.amazonaws.com", role = "AWSServiceRoleForAutoScaling" }
      Rds         = { service = "rds.amazonaws.com", role = "AWSServiceRoleForRDS" }
    }
    content {
      sid       = "ServiceLinkedRole${statement.key}"
      actions   = ["iam:CreateServiceLinkedRole"]
      resources = ["${local.iam}:role/aws-service-role/${statement.value.service}/${statement.value.role}"]

      condition {
        test     = "StringEquals"
        variable = "iam:AWSServiceName"
        values   = [statement.value.service]
      }
    }
  }
}
