# Launch template, Auto Scaling group, session documents, parameters and log groups.

data "aws_iam_policy_document" "apply_compute" {
  statement {
    sid       = "CreateTaggedLaunchTemplate"
    actions   = ["ec2:CreateLaunchTemplate"]
    resources = ["${local.ec2}:launch-template/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "ChangeOurLaunchTemplate"
    actions   = ["ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplate", "ec2:ModifyLaunchTemplate"]
    resources = ["${local.ec2}:launch-template/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }
  }

  # Auto Scaling checks that whoever gives it a launch template may run what the template describes.
  # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html
  statement {
    sid       = "RunTaggedInstancesWithImdsV2"
    actions   = ["ec2:RunInstances"]
    resources = ["${local.ec2}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [var.environment]
    }

    condition {
      test     = "StringEquals"
      variable = "ec2:MetadataHttpTokens"
      values   = ["required"]
    }
  }

  statement {
    sid       = "RunWithTaggedInterfacesAndVolumes"
    actions   = ["ec2:RunInstances"]
    resources = ["${local.ec2}:network-interface/*", "${local.ec2}:volume/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "RunInOurNetworkByOurTemplate"
    actions   = ["ec2:RunInstances"]
    resources = ["${local.ec2}:launch-template/*", "${local.ec2}:security-group/*", "${local.ec2}:subnet/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }
  }

  # Whose image is left open: the variable image may name one of the account's own.
  statement {
    sid       = "RunImages"
    actions   = ["ec2:RunInstances"]
    resources = ["arn:${local.partition}:ec2:${local.region}::image/*"]
  }

  statement {
    sid       = "TagWhatIsBeingMade"
    actions   = ["ec2:CreateTags"]
    resources = [for type in ["instance", "launch-template", "network-interface", "volume"] : "${local.ec2}:${type}/*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:CreateAction"
      values   = ["CreateLaunchTemplate", "RunInstances"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [var.environment]
    }
  }

  # Other tags of ours in EC2 may change, the network's too (its own policy is near IAM's limit);
  # Environment, which all of this rests on, may not.
  statement {
    sid       = "RetagOurs"
    actions   = ["ec2:CreateTags", "ec2:DeleteTags"]
    resources = concat([for type in local.network_types : "${local.ec2}:${type}/*"], ["${local.ec2}:launch-template/*"])

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }

    condition {
      test     = "ForAllValues:StringNotEquals"
      variable = "aws:TagKeys"
      values   = ["Environment"]
    }

    condition {
      test     = "Null"
      variable = "aws:TagKeys"
      values   = ["false"]
    }
  }

  statement {
    sid = "AutoScalingGroup"
    actions = [
      "autoscaling:CancelInstanceRefresh",
      "autoscaling:CreateAutoScalingGroup",
      "autoscaling:CreateOrUpdateTags",
      "autoscaling:DeleteAutoScalingGroup",
      "autoscaling:DeleteScheduledAction",
      "autoscaling:DeleteTags",
      "autoscaling:DisableMetricsCollection",
      "autoscaling:EnableMetricsCollection",
      "autoscaling:PutScheduledUpdateGroupAction",
      "autoscaling:StartInstanceRefresh",
      "autoscaling:UpdateAutoScalingGroup",
    ]
    resources = [local.scaling]
  }

  statement {
    sid = "SessionDocuments"
    actions = [
      "ssm:AddTagsToResource",
      "ssm:CreateDocument",
      "ssm:DeleteDocument",
      "ssm:RemoveTagsFromResource",
      "ssm:UpdateDocument",
      "ssm:UpdateDocumentDefaultVersion",
    ]
    resources = ["${local.ssm}:document/${local.prefix}-*"]
  }

  statement {
    sid       = "ContractAndServerCode"
    actions   = ["ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:PutParameter", "ssm:RemoveTagsFromResource"]
    resources = local.plain_parameters
  }

  statement {
    sid = "LogGroups"
    actions = [
      "logs:AssociateKmsKey",
      "logs:CreateLogGroup",
      "logs:DeleteLogGroup",
      "logs:DeleteMetricFilter",
      "logs:DisassociateKmsKey",
      "logs:PutMetricFilter",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
    ]
    resources = local.log_groups
  }
}
