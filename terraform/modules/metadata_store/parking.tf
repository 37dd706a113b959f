# Stopping the database outside working hours. RDS starts a stopped one by itself after a week; the
# next evening's stop takes care of that.

locals {
  parking = var.parking == null ? {} : {
    start = { action = "startDBInstance", time = var.parking.start }
    stop  = { action = "stopDBInstance", time = var.parking.stop }
  }
}

data "aws_iam_policy_document" "parking_trust" {
  statement {
    sid     = "SchedulesOfThisAccount"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "parking" {
  statement {
    sid       = "StartAndStopThisDatabase"
    actions   = ["rds:StartDBInstance", "rds:StopDBInstance"]
    resources = [local.arn]
  }
}

resource "aws_iam_role" "parking" {
  count = var.parking == null ? 0 : 1

  name                 = "${var.name}-parking"
  description          = "Starts and stops the database of ${var.name} by schedule"
  assume_role_policy   = data.aws_iam_policy_document.parking_trust.json
  permissions_boundary = var.parking.role_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "parking" {
  count = var.parking == null ? 0 : 1

  name   = "start-and-stop"
  role   = aws_iam_role.parking[0].name
  policy = data.aws_iam_policy_document.parking.json
}

resource "aws_scheduler_schedule" "parking" {
  #checkov:skip=CKV_AWS_297:a schedule holds no data, only the database's name
  for_each = local.parking

  name                         = "${var.name}-database-${each.key}"
  description                  = "${each.key} the database of ${var.name}"
  schedule_expression          = "cron(${tonumber(split(":", each.value.time)[1])} ${tonumber(split(":", each.value.time)[0])} ? * ${var.parking.days} *)"
  schedule_expression_timezone = var.parking.time_zone

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:${data.aws_partition.current.partition}:scheduler:::aws-sdk:rds:${each.value.action}"
    role_arn = aws_iam_role.parking[0].arn
    input    = jsonencode({ DbInstanceIdentifier = var.name })

    retry_policy {
      maximum_retry_attempts       = 3
      maximum_event_age_in_seconds = 3600
    }
  }
}
