# One page: server, database, pipeline.

locals {
  charts = concat(
    [
      { title = "MLflow servers in service", metrics = [["AWS/AutoScaling", "GroupInServiceInstances", "AutoScalingGroupName", var.autoscaling_group_name]], stat = "Maximum", period = 300 },
      { title = "Server CPU (%)", metrics = [["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", var.autoscaling_group_name]], stat = "Average", period = 300 },
      { title = "Database CPU (%)", metrics = [["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", var.database.identifier]], stat = "Average", period = 300 },
      { title = "Database connections", metrics = [["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", var.database.identifier]], stat = "Maximum", period = 300 },
      { title = "Database free storage (bytes)", metrics = [["AWS/RDS", "FreeStorageSpace", "DBInstanceIdentifier", var.database.identifier]], stat = "Minimum", period = 300 },
    ],
    [
      for model in var.pipeline.models : {
        title   = "Trainings of ${model}"
        metrics = [[var.metrics_namespace, "TrainingsDone", "Model", model]]
        stat    = "Sum"
        period  = 86400
      }
    ],
    [
      for model in var.pipeline.models : {
        title   = "Rows of ${model}"
        metrics = [[var.metrics_namespace, "RowsPredicted", "Model", model], [var.metrics_namespace, "RowsRejected", "Model", model]]
        stat    = "Sum"
        period  = 86400
      }
    ],
    [
      for model in var.pipeline.models : {
        title   = "Drift of ${model}"
        metrics = [[var.metrics_namespace, "DriftedFraction", "Model", model], [var.metrics_namespace, "RetrainNeeded", "Model", model]]
        stat    = "Maximum"
        period  = 86400
      }
    ],
  )
}

resource "aws_cloudwatch_dashboard" "overview" {
  count = var.dashboard_enabled ? 1 : 0

  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for index, chart in local.charts : {
        type       = "metric"
        x          = index % 3 * 8
        y          = floor(index / 3) * 6
        width      = 8
        height     = 6
        properties = merge(chart, { region = local.region, view = "timeSeries" })
      }
    ]
  })
}
