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
    resources = [for name, service in local.passed_roles : "${local.iam}:instance-profile/${local.prefix}-${name}" if service == "ec2.amazonaws.com"]
  }

  dynamic "statement" {
    for_each = local.passed_roles
    content {
      sid       = "Pass${replace(title(replace(statement.key, "-", " ")), " ", "")}"
      actions   = ["iam:PassRole"]
      resources = ["${local.iam}:role/${local.prefix}-${statement.key}"]

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = [statement.value]
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
