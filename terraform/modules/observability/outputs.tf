output "alarm_names" {
  description = "Names of the alarms."
  value = concat(
    aws_cloudwatch_metric_alarm.flow_log_silent[*].alarm_name,
    aws_cloudwatch_metric_alarm.server_not_serving[*].alarm_name,
    aws_cloudwatch_metric_alarm.server_silent[*].alarm_name,
    aws_cloudwatch_metric_alarm.server_unhealthy[*].alarm_name,
    [for alarm in aws_cloudwatch_metric_alarm.database : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.drift : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.no_training : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.rejected_rows : alarm.alarm_name],
  )
}

output "topic_arn" {
  description = "Topic that alarms and the budget write to."
  value       = aws_sns_topic.alerts.arn
}
