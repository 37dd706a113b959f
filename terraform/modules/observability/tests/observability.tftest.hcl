# Which alarms there are and where they go, offline.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_region" {
    defaults = { id = "us-east-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_default_tags" {
    defaults = { tags = { Project = "keyless-mlops" } }
  }
}

variables {
  name                   = "keyless-dev"
  autoscaling_group_name = "keyless-dev-mlflow"
  database               = { identifier = "keyless-dev" }
  environment            = "dev"
  metrics_namespace      = "Keyless/dev"
}

run "server_and_database_by_default" {
  command = plan

  assert {
    condition     = sort(output.alarm_names) == sort(["keyless-dev-server-unhealthy", "keyless-dev-database-connections", "keyless-dev-database-cpu", "keyless-dev-database-storage"])
    error_message = "alarms are ${join(", ", output.alarm_names)}"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.database["storage"].threshold == 4294967296 && aws_cloudwatch_metric_alarm.database["storage"].comparison_operator == "LessThanThreshold"
    error_message = "four GiB in bytes, or less"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.database["cpu"].evaluation_periods == 6 && aws_cloudwatch_metric_alarm.database["connections"].evaluation_periods == 3
    error_message = "half an hour of CPU, a quarter of connections"
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.database : alarm.dimensions["DBInstanceIdentifier"] == "keyless-dev" && alarm.namespace == "AWS/RDS"])
    error_message = "each watches this database"
  }
  assert {
    condition     = length(aws_budgets_budget.month) == 0 && length(aws_cloudwatch_dashboard.overview) == 1
    error_message = "a budget only when asked for"
  }
}

run "the_whole_pipeline" {
  command = plan
  variables {
    alert_emails          = ["ml-team@example.com"]
    budget                = { limit_usd = 35 }
    parked                = true
    pipeline              = { models = ["breast-cancer"], days_without_training = 3 }
    flow_log_group_name   = "/keyless-dev/flow-logs"
    server_log_group_name = "/keyless-dev/mlflow"
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.server_unhealthy) == 0
    error_message = "a parked server is no alarm"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.no_training["breast-cancer"].evaluation_periods == 3 && aws_cloudwatch_metric_alarm.no_training["breast-cancer"].metric_name == "TrainingsDone"
    error_message = "three days without a training that ended well, whether or not it made a model"
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.server_silent) == 0 && length(aws_cloudwatch_metric_alarm.server_not_serving) == 0 && length(aws_cloudwatch_metric_alarm.flow_log_silent) == 0
    error_message = "what is parked is silent at night"
  }
  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.rejected_rows) == ["breast-cancer"] && keys(aws_cloudwatch_metric_alarm.drift) == ["breast-cancer"]
    error_message = "one of each for a model"
  }
  assert {
    condition     = aws_budgets_budget.month[0].limit_amount == "35" && local.cost_tag == "user:Environment$dev" && length(local.notifications) == 3
    error_message = "35 dollars of this environment, three warnings"
  }
  assert {
    condition     = one(one(data.aws_iam_policy_document.alerts.statement).condition).variable == "aws:SourceAccount"
    error_message = "no other account's alarms"
  }
}

# Time: before the first data there is nothing to alarm about, and what ends says so once it has begun.
run "no_alarm_is_on_from_the_first_day_and_none_misses_an_end" {
  command = plan
  variables {
    flow_log_group_name   = "/keyless-dev/flow-logs"
    pipeline              = { models = ["breast-cancer"] }
    server_log_group_name = "/keyless-dev/mlflow"
  }
  assert {
    condition = alltrue([
      for alarm in concat(
        aws_cloudwatch_metric_alarm.server_unhealthy, aws_cloudwatch_metric_alarm.server_silent,
        aws_cloudwatch_metric_alarm.server_not_serving, aws_cloudwatch_metric_alarm.flow_log_silent,
        values(aws_cloudwatch_metric_alarm.database), values(aws_cloudwatch_metric_alarm.no_training),
        values(aws_cloudwatch_metric_alarm.rejected_rows), values(aws_cloudwatch_metric_alarm.drift),
      ) : alarm.treat_missing_data != "breaching"
    ])
    error_message = "an alarm without data would be on from the first minute"
  }
  assert {
    condition = alltrue([
      for alarm in concat(aws_cloudwatch_metric_alarm.server_silent, aws_cloudwatch_metric_alarm.flow_log_silent, values(aws_cloudwatch_metric_alarm.no_training)) :
      length(alarm.insufficient_data_actions) == 1
    ]) && length(aws_cloudwatch_metric_alarm.server_silent) == 1 && length(aws_cloudwatch_metric_alarm.flow_log_silent) == 1
    error_message = "a dead installation, agent, flow log or training would end in silence"
  }
  assert {
    condition     = aws_cloudwatch_log_metric_filter.heartbeat[0].pattern == "\"watchdog: MLflow is healthy\"" && one(aws_cloudwatch_log_metric_filter.heartbeat[0].metric_transformation).default_value == null
    error_message = "only a line of a healthy server counts"
  }
}

run "bad_values_are_refused" {
  command = plan
  variables {
    alert_emails = ["nobody"]
    budget       = { limit_usd = 0 }
    database     = { identifier = "keyless-dev", cpu_percent = 120 }
    name         = "k"
    pipeline     = { days_without_training = 30, rejected_row_percent = 101 }
  }
  expect_failures = [var.alert_emails, var.budget, var.database, var.name, var.pipeline]
}
