# Each alarm names what broke and what to look at.

locals {
  gibibyte = 1024 * 1024 * 1024

  rejecting_models = var.pipeline.rejected_row_percent == 100 ? [] : var.pipeline.models
  training_models  = var.pipeline.days_without_training > 0 ? var.pipeline.models : []
  heartbeat        = var.server_log_group_name != null && !var.parked ? 1 : 0

  database_alarms = {
    connections = {
      description = "More than ${var.database.maximum_connections} connections: a client leaks them, or the server has too many workers."
      metric      = "DatabaseConnections"
      statistic   = "Maximum"
      comparison  = "GreaterThanThreshold"
      threshold   = var.database.maximum_connections
      minutes     = 15
    }
    cpu = {
      description = "Database above ${var.database.cpu_percent} % CPU for half an hour: a burstable class bills CPU credits beyond its baseline; choose a larger one or look for a heavy query."
      metric      = "CPUUtilization"
      statistic   = "Average"
      comparison  = "GreaterThanThreshold"
      threshold   = var.database.cpu_percent
      minutes     = 30
    }
    storage = {
      description = "Less than ${var.database.free_storage_gib} GiB free although storage grows by itself: raise storage.maximum_gib."
      metric      = "FreeStorageSpace"
      statistic   = "Minimum"
      comparison  = "LessThanThreshold"
      threshold   = var.database.free_storage_gib * local.gibibyte
      minutes     = 15
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "server_unhealthy" {
  count = var.parked ? 0 : 1

  alarm_name          = "${var.name}-server-unhealthy"
  alarm_description   = "No MLflow server in service for 15 minutes: see the group's activity history for why none starts."
  namespace           = "AWS/AutoScaling"
  metric_name         = "GroupInServiceInstances"
  dimensions          = { AutoScalingGroupName = var.autoscaling_group_name }
  statistic           = "Maximum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 300
  evaluation_periods  = 3
  treat_missing_data  = "missing" # before the group's first minute there is none
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
  tags                = var.tags
}

# An instance in service may serve nothing. The watchdog writes a line every few minutes while MLflow answers;
# it is missing when the installation, MLflow, the log agent or the instance is dead.
resource "aws_cloudwatch_log_metric_filter" "heartbeat" {
  count = local.heartbeat

  name           = "${var.name}-server-heartbeat"
  log_group_name = var.server_log_group_name
  pattern        = "\"watchdog: MLflow is healthy\"" # as files/watchdog.py of mlflow_server writes it

  metric_transformation {
    namespace = var.metrics_namespace
    name      = "ServerHeartbeat"
    value     = "1"
  }
}

# An alarm without data does nothing until it has had some, so none is on from the first day; what ends is shown by
# the change to "insufficient data".
resource "aws_cloudwatch_metric_alarm" "server_silent" {
  count = local.heartbeat

  alarm_name                = "${var.name}-server-silent"
  alarm_description         = "Nothing was heard of a healthy MLflow for more than half an hour (the state is then \"insufficient data\"): its installation, MLflow itself, the log agent or the instance is dead. See the log group, and keyless doctor --aws."
  namespace                 = var.metrics_namespace
  metric_name               = "ServerHeartbeat"
  statistic                 = "Sum"
  comparison_operator       = "LessThanThreshold"
  threshold                 = 1
  period                    = 900
  evaluation_periods        = 2
  treat_missing_data        = "missing"
  alarm_actions             = [aws_sns_topic.alerts.arn]
  insufficient_data_actions = [aws_sns_topic.alerts.arn]
  ok_actions                = [aws_sns_topic.alerts.arn]
  tags                      = var.tags

  depends_on = [aws_cloudwatch_log_metric_filter.heartbeat]
}

# A server that never reported has no metric, and an alarm on it alone has no data for ever. The group's own metric shows that
# an instance was in service for the whole period: then no heartbeat counts as none, also where there never was one.
resource "aws_cloudwatch_metric_alarm" "server_not_serving" {
  count = local.heartbeat

  alarm_name          = "${var.name}-server-not-serving"
  alarm_description   = "An instance was in service for an hour and no healthy MLflow was heard, also where there never was one: its installation, MLflow itself or the log agent failed. See the log group, and keyless doctor --aws."
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = 4
  treat_missing_data  = "missing" # a group without metrics yet is no dead server
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
  tags                = var.tags

  metric_query {
    id          = "served"
    expression  = "MAX([FILL(heartbeats, 0), 1 - instances]) + 0 * instances"
    label       = "Heartbeats of a group in service"
    return_data = true
  }

  metric_query {
    id = "heartbeats"

    metric {
      namespace   = var.metrics_namespace
      metric_name = "ServerHeartbeat"
      stat        = "Sum"
      period      = 900
    }
  }

  metric_query {
    id = "instances"

    metric {
      namespace   = "AWS/AutoScaling"
      metric_name = "GroupInServiceInstances"
      dimensions  = { AutoScalingGroupName = var.autoscaling_group_name }
      stat        = "Minimum"
      period      = 900
    }
  }

  depends_on = [aws_cloudwatch_log_metric_filter.heartbeat]
}

# A flow log whose role lacks a right ends in "Access error", and nothing but its silence says so.
resource "aws_cloudwatch_metric_alarm" "flow_log_silent" {
  count = var.flow_log_group_name == null || var.parked ? 0 : 1

  alarm_name                = "${var.name}-flow-log-silent"
  alarm_description         = "No flow log was delivered for more than six hours (the state is then \"insufficient data\"): aws ec2 describe-flow-logs says why."
  namespace                 = "AWS/Logs"
  metric_name               = "IncomingLogEvents"
  dimensions                = { LogGroupName = var.flow_log_group_name }
  statistic                 = "Sum"
  comparison_operator       = "LessThanThreshold"
  threshold                 = 1
  period                    = 3600
  evaluation_periods        = 6
  treat_missing_data        = "missing"
  alarm_actions             = [aws_sns_topic.alerts.arn]
  insufficient_data_actions = [aws_sns_topic.alerts.arn]
  ok_actions                = [aws_sns_topic.alerts.arn]
  tags                      = var.tags
}

resource "aws_cloudwatch_metric_alarm" "database" {
  for_each = local.database_alarms

  alarm_name          = "${var.name}-database-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/RDS"
  metric_name         = each.value.metric
  dimensions          = { DBInstanceIdentifier = var.database.identifier }
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = each.value.minutes / 5
  treat_missing_data  = "missing" # a parked database has no metrics
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
  tags                = var.tags
}

# Training publishes TrainingsDone when it ends well, also when it rightly kept an unchanged model.
resource "aws_cloudwatch_metric_alarm" "no_training" {
  for_each = toset(local.training_models)

  alarm_name                = "${var.name}-no-training-${each.key}"
  alarm_description         = "No training of ${each.key} ended well in more than ${var.pipeline.days_without_training} days (the state is then \"insufficient data\"): see the training workflow's last runs."
  namespace                 = var.metrics_namespace
  metric_name               = "TrainingsDone"
  dimensions                = { Model = each.key }
  statistic                 = "Sum"
  comparison_operator       = "LessThanThreshold"
  threshold                 = 1
  period                    = 86400
  evaluation_periods        = var.pipeline.days_without_training
  datapoints_to_alarm       = var.pipeline.days_without_training
  treat_missing_data        = "missing" # before the first training there is none
  alarm_actions             = [aws_sns_topic.alerts.arn]
  insufficient_data_actions = [aws_sns_topic.alerts.arn]
  tags                      = var.tags
}

resource "aws_cloudwatch_metric_alarm" "rejected_rows" {
  for_each = toset(local.rejecting_models)

  alarm_name          = "${var.name}-rejected-rows-${each.key}"
  alarm_description   = "More than ${var.pipeline.rejected_row_percent} % of a day's rows for ${each.key} were rejected: the manifest beside the predictions says why."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.pipeline.rejected_row_percent
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # no batch that day
  alarm_actions       = [aws_sns_topic.alerts.arn]
  tags                = var.tags

  metric_query {
    id          = "percent"
    expression  = "100 * rejected / (rejected + predicted)"
    label       = "Rejected rows (%)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { predicted = "RowsPredicted", rejected = "RowsRejected" }
    content {
      id = metric_query.key

      metric {
        namespace   = var.metrics_namespace
        metric_name = metric_query.value
        dimensions  = { Model = each.key }
        stat        = "Sum"
        period      = 86400
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "drift" {
  for_each = toset(var.pipeline.models)

  alarm_name          = "${var.name}-drift-${each.key}"
  alarm_description   = "Monitoring asks for a new model of ${each.key}: see its last report."
  namespace           = var.metrics_namespace
  metric_name         = "RetrainNeeded"
  dimensions          = { Model = each.key }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  period              = 86400
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  tags                = var.tags
}
