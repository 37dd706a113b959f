variable "apply_immediately" {
  description = "Change the database at once, in place of the next maintenance window."
  type        = bool
  default     = false
}

variable "backup" {
  description = "Days that backups are kept (any moment in them can be restored), the UTC window they are made in, and whether destroy leaves a final snapshot."
  type = object({
    retention_days = optional(number, 7)
    window         = optional(string, "02:00-03:00")
    final_snapshot = optional(bool, true)
  })
  default = {}

  validation {
    condition     = var.backup.retention_days >= 1 && var.backup.retention_days <= 35
    error_message = "backup.retention_days must be 1 to 35 (RDS's limits): 0 would switch backups and point-in-time recovery off."
  }

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$", var.backup.window))
    error_message = "backup.window must be UTC times such as \"02:00-03:00\"."
  }
}

variable "client_security_group_ids" {
  description = "Security groups that may connect, by a name of your choice. Nothing else can."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.client_security_group_ids) : can(regex("^[A-Za-z0-9 ._:/@+=-]{1,64}$", name))])
    error_message = "client_security_group_ids must be named in at most 64 letters, digits, blanks and ._:/@+=-, since EC2 takes nothing else in descriptions and tags."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the database until this is switched off in a change of its own."
  type        = bool
  default     = true
}

variable "engine_version" {
  description = "PostgreSQL version: a major (minor upgrades come by themselves) or a whole one to pin it."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^1[5-9](\\.[0-9]+)?$", var.engine_version))
    error_message = "engine_version must be a PostgreSQL major such as \"17\" (15 or newer, where rds.force_ssl is on by default) or a release such as \"17.6\"."
  }
}

variable "instance_class" {
  description = "Instance class of the database. A t4g.micro carries an MLflow server with a handful of users."
  type        = string
  default     = "db.t4g.micro"

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.instance_class))
    error_message = "instance_class must be an RDS class such as \"db.t4g.micro\", with its \"db.\"."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts storage, snapshots and the master secret. null: AWS's own keys for RDS and Secrets Manager. It cannot be changed later without replacing the database."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "log_retention_days" {
  description = "Days that the database's logs are kept in CloudWatch."
  type        = number
  default     = 30
}

variable "maintenance_window" {
  description = "UTC window for upgrades, apart from the backup window."
  type        = string
  default     = "sun:03:30-sun:04:30"

  validation {
    condition     = can(regex("^(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]-(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]$", var.maintenance_window))
    error_message = "maintenance_window must be such as \"sun:03:30-sun:04:30\" (UTC)."
  }
}

variable "monitoring" {
  description = "Seconds between enhanced-monitoring samples (0: off), and whether Performance Insights keeps its free seven days. role_boundary_arn bounds the role that delivers the samples."
  type = object({
    interval_seconds     = optional(number, 0)
    performance_insights = optional(bool, false)
    role_boundary_arn    = optional(string)
  })
  default = {}

  validation {
    condition     = contains([0, 1, 5, 10, 15, 30, 60], var.monitoring.interval_seconds)
    error_message = "monitoring.interval_seconds must be 0 (off), 1, 5, 10, 15, 30 or 60."
  }
}

variable "multi_az" {
  description = "Keep a standby in a second zone. Doubles the price; a zone's loss costs a minute in place of the day's restore."
  type        = bool
  default     = false
}

variable "name" {
  description = "Identifier of the database and prefix of what belongs to it, for example \"keyless-dev\"."
  type        = string

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9])*$", var.name)) && length(var.name) <= 48
    error_message = "name must be at most 48 lower-case letters, digits and single hyphens, starting with a letter: RDS allows nothing else in identifiers."
  }
}

variable "parameters" {
  description = "PostgreSQL parameters beside rds.force_ssl, which is always 1. Static ones take effect at the next restart. Leave out what equals RDS's default: RDS reports it as static, and an immediate one would change in every plan."
  type = map(object({
    value  = string
    static = optional(bool, false)
  }))
  default = {}

  validation {
    condition     = !contains(keys(var.parameters), "rds.force_ssl")
    error_message = "parameters cannot hold rds.force_ssl: TLS is not optional here."
  }

  # RDS's default follows from the class's memory and is never below 80; the server's pools hold up to 44.
  validation {
    condition     = try(tonumber(var.parameters["max_connections"].value), 60) >= 60
    error_message = "parameters sets max_connections below 60: the MLflow server holds up to 44 connections and RDS keeps some for itself. Leave it out, and RDS chooses by the instance class."
  }
}

variable "parking" {
  description = "When the database runs, if not always: days in cron's words, UTC offsets by IANA time zone, times as HH:MM. role_boundary_arn bounds the role that starts and stops it."
  type = object({
    days              = optional(string, "MON-FRI")
    start             = optional(string, "07:30")
    stop              = optional(string, "19:30")
    time_zone         = optional(string, "Etc/UTC")
    role_boundary_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.parking == null || try(alltrue([for time in [var.parking.start, var.parking.stop] : can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", time))]) && var.parking.start != var.parking.stop, false)
    error_message = "parking.start and parking.stop must be two different times such as \"07:30\"."
  }

  validation {
    condition     = var.parking == null || can(regex("^(MON|TUE|WED|THU|FRI|SAT|SUN)([-,](MON|TUE|WED|THU|FRI|SAT|SUN))*$", var.parking.days))
    error_message = "parking.days must be such as \"MON-FRI\" or \"MON,WED,FRI\"."
  }
}

variable "storage" {
  description = "GiB of gp3 storage at first, and how far RDS may grow it by itself."
  type = object({
    allocated_gib = optional(number, 20)
    maximum_gib   = optional(number, 100)
  })
  default = {}

  validation {
    condition     = var.storage.allocated_gib >= 20 && var.storage.maximum_gib <= 65536
    error_message = "storage must be 20 (gp3's least) to 65536 GiB."
  }

  validation {
    condition     = var.storage.maximum_gib >= var.storage.allocated_gib * 1.1
    error_message = "storage.maximum_gib must be at least a tenth above allocated_gib, or RDS refuses to grow the storage by itself."
  }
}

variable "subnet_ids" {
  description = "Private subnets in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids must hold subnets of at least two zones: RDS's subnet groups need them even for a single instance."
  }
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}
