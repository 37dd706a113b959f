variable "alert_emails" {
  description = "Addresses that alarms and the budget write to. Each must confirm the message SNS sends it once."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alert_emails must be addresses such as \"ml-team@example.com\"."
  }
}

variable "autoscaling_group_name" {
  description = "Auto Scaling group of the MLflow server."
  type        = string
}

variable "budget" {
  description = "Monthly limit in USD for what carries the environment's tag, and the percentages of it that raise an alert: actual and forecast (0: none). null: no budget. Cost allocation by tag must be switched on in the account's billing."
  type = object({
    limit_usd           = number
    actual_percentages  = optional(list(number), [80, 100])
    forecast_percentage = optional(number, 100)
  })
  default = null

  validation {
    condition     = var.budget == null || try(var.budget.limit_usd > 0, false)
    error_message = "budget.limit_usd must be above 0, or leave budget out."
  }
}

variable "dashboard_enabled" {
  description = "Whether to make a CloudWatch dashboard (the first three of an account are free)."
  type        = bool
  default     = true
}

variable "database" {
  description = "Database to watch, and when it alarms: GiB of free storage, percent of CPU, connections."
  type = object({
    identifier          = string
    free_storage_gib    = optional(number, 4)
    cpu_percent         = optional(number, 80)
    maximum_connections = optional(number, 60)
  })

  validation {
    condition     = var.database.free_storage_gib > 0 && var.database.cpu_percent > 0 && var.database.cpu_percent <= 100 && var.database.maximum_connections > 0
    error_message = "database needs free_storage_gib and maximum_connections above 0, and cpu_percent from 1 to 100."
  }
}

variable "environment" {
  description = "Environment whose tag the budget counts."
  type        = string
}

variable "flow_log_group_name" {
  description = "CloudWatch group of a VPC's flow logs whose silence is an alarm; null: none. For traffic that never ends alone."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "Key that encrypts the topic (null: none, its messages name resources and no data). The key's policy must let CloudWatch and Budgets use it."
  type        = string
  default     = null
}

variable "metrics_namespace" {
  description = "Namespace of the pipeline's own metrics."
  type        = string
}

variable "name" {
  description = "Prefix of every name, for example \"keyless-dev\"."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,46}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 48 lower-case letters, digits and hyphens, for example \"keyless-dev\"."
  }
}

variable "parked" {
  description = "The server is stopped by schedule: a missing instance is then no alarm."
  type        = bool
  default     = false
}

variable "pipeline" {
  description = "When the pipeline alarms: days without a training that ended well (1 to 7, CloudWatch's longest look back; more than lie between two trainings), and percent of a day's rows that predict may reject. 0 days and 100 percent switch them off. Per-model alarms need the models' names."
  type = object({
    days_without_training = optional(number, 7)
    models                = optional(list(string), [])
    rejected_row_percent  = optional(number, 1)
  })
  default = {}

  validation {
    condition     = contains([0, 1, 2, 3, 4, 5, 6, 7], var.pipeline.days_without_training)
    error_message = "pipeline.days_without_training must be 1 to 7 (CloudWatch evaluates no longer range), or 0 to switch it off."
  }

  validation {
    condition     = var.pipeline.rejected_row_percent >= 0 && var.pipeline.rejected_row_percent <= 100
    error_message = "pipeline.rejected_row_percent must be 0 (any rejected row alarms) to 100 (off)."
  }
}

variable "server_log_group_name" {
  description = "CloudWatch group of mlflow_server's log, in which the watchdog's line is awaited; null: no alarm on a server that serves nothing."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
