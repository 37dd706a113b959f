# Alarms that mean something, where they go, what the month may cost, and one page to look at.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.id

  topic_arn = "arn:${data.aws_partition.current.partition}:sns:${local.region}:${local.account}:${var.name}-alerts"
  cost_tag  = format("user:Environment$%s", var.environment)

  notifications = var.budget == null ? [] : concat(
    [for percent in var.budget.actual_percentages : { kind = "ACTUAL", percent = percent }],
    [for percent in [var.budget.forecast_percentage] : { kind = "FORECASTED", percent = percent } if percent > 0],
  )
}

resource "aws_sns_topic" "alerts" {
  #checkov:skip=CKV_AWS_26:without a key of one's own, SNS's managed key would keep CloudWatch from publishing
  name              = "${var.name}-alerts"
  kms_master_key_id = var.kms_key_arn
  tags              = var.tags
}

data "aws_iam_policy_document" "alerts" {
  statement {
    sid       = "AlarmsAndBudgetsOfThisAccount"
    actions   = ["sns:Publish"]
    resources = [local.topic_arn]

    principals {
      type        = "Service"
      identifiers = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sns_topic_policy" "alerts" {
  arn    = aws_sns_topic.alerts.arn
  policy = data.aws_iam_policy_document.alerts.json
}

resource "aws_sns_topic_subscription" "emails" {
  for_each = toset(var.alert_emails)

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.value
}

# Counted by the environment's tag, once "Environment" is a cost allocation tag of the account.
resource "aws_budgets_budget" "month" {
  count = var.budget == null ? 0 : 1

  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.budget.limit_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  tags         = var.tags

  cost_filter {
    name   = "TagKeyValue"
    values = [local.cost_tag]
  }

  dynamic "notification" {
    for_each = local.notifications
    content {
      comparison_operator       = "GREATER_THAN"
      notification_type         = notification.value.kind
      threshold                 = notification.value.percent
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [aws_sns_topic.alerts.arn]
    }
  }
}
