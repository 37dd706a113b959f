variable "artifact_access" {
  description = "Who talks to S3 for artifacts: \"direct\" (each role with its own rights) or \"proxied\" (the server for everyone in the tunnel)."
  type        = string
  default     = "direct"

  validation {
    condition     = contains(["direct", "proxied"], var.artifact_access)
    error_message = "artifact_access must be \"direct\" or \"proxied\"."
  }
}

variable "artifact_store" {
  description = "The artifact bucket; see modules/artifact_store. With force_destroy, destroy deletes the data too, and the apply role and people who signed in through IAM Identity Center may delete versions; version_deleter_arns names other roles that may."
  type = object({
    access_logs          = optional(object({ enabled = optional(bool, true), retention_days = optional(number, 90) }), {})
    force_destroy        = optional(bool, false)
    version_deleter_arns = optional(list(string), [])
    lifecycle_rules      = optional(object({ abort_uploads_after_days = optional(number, 7), infrequent_access_days = optional(number, 90), expire_old_versions_days = optional(number, 365), kept_old_versions_per_file = optional(number) }), {})
  })
  default = {}
}

variable "customer_managed_key" {
  description = "Encrypt artifacts, database, secrets, logs and alerts with the environment's own key (a dollar a month, revocable, audited), which bootstrap makes, in place of AWS's. Switched on later, it replaces the database; switched off, what is new gets AWS's keys."
  type        = bool
  default     = false

  validation {
    condition     = var.environment != "prod" || var.customer_managed_key
    error_message = "prod must keep customer_managed_key = true: without it new objects, logs and secrets would no longer be encrypted with the environment's key."
  }
}

variable "database" {
  description = "The database; see modules/metadata_store."
  type = object({
    apply_immediately   = optional(bool, false)
    backup              = optional(object({ retention_days = optional(number, 7), window = optional(string, "02:00-03:00"), final_snapshot = optional(bool, true) }), {})
    deletion_protection = optional(bool, true)
    engine_version      = optional(string, "17")
    instance_class      = optional(string, "db.t4g.micro")
    log_retention_days  = optional(number, 30)
    maintenance_window  = optional(string, "sun:03:30-sun:04:30")
    monitoring          = optional(object({ interval_seconds = optional(number, 0), performance_insights = optional(bool, false) }), {})
    multi_az            = optional(bool, false)
    parameters          = optional(map(object({ value = string, static = optional(bool, false) })), {})
    storage             = optional(object({ allocated_gib = optional(number, 20), maximum_gib = optional(number, 100) }), {})
  })
  default = {}

  validation {
    condition     = var.environment != "prod" || (var.database.deletion_protection && var.database.backup.final_snapshot)
    error_message = "prod must keep database.deletion_protection = true and database.backup.final_snapshot = true. To tear prod down on purpose, apply once with teardown = true, then destroy."
  }
}

variable "egress" {
  description = "How the server reaches AWS: \"public_ip\" (cheapest), \"endpoints\" (no route to the internet) or \"nat\"."
  type        = string
  default     = "public_ip"

  validation {
    condition     = contains(["public_ip", "endpoints", "nat"], var.egress)
    error_message = "egress must be \"public_ip\", \"endpoints\" or \"nat\"; `keyless cost` shows what each costs."
  }
}

variable "environment" {
  description = "Name of the environment: part of every name, and the value of every resource's Environment tag."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "environment must be 2 to 12 lower-case letters and digits, starting with a letter, for example \"dev\"."
  }
}

variable "github" {
  description = "Repository whose workflows run the pipeline; see modules/github_role."
  type = object({
    owner          = string
    owner_id       = string
    repository     = string
    repository_id  = string
    subject_format = optional(string, "immutable")
  })
}

variable "image" {
  description = "Amazon Linux image of the server, an id of one region. `keyless image` pins it in environments/NAME.image.tfvars.json, and drift-infra proposes the next one. null: the newest at each plan, which replaces the server whenever Amazon releases one."
  type = object({
    id       = string
    region   = string
    released = optional(string)
  })
  default = null
}

variable "job_workflow_refs" {
  description = "Workflow file that must run a role's job, by role; see modules/workload_roles."
  type        = map(string)
  default     = {}
}

variable "model_server" {
  description = "Servers that answer with one model behind an internal load balancer; see modules/model_server and docs/rollouts.md. They cost money while they run: `keyless cost` shows how much. Bootstrap must have prepared the environment with model_servers = true. null: none."
  type = object({
    certificate_arn     = string
    model               = string
    capacity            = optional(object({ minimum = optional(number, 1), maximum = optional(number, 4), cpu_percent = optional(number, 60) }), {})
    clients             = optional(object({ cidrs = optional(map(string), {}), security_group_ids = optional(map(string), {}) }), {})
    cpu_credits         = optional(string, "unlimited")
    deletion_protection = optional(bool, false)
    instance_type       = optional(string, "t4g.small")
    logs                = optional(object({ enabled = optional(bool, true), retention_days = optional(number, 30) }), {})
    trusted_types       = optional(list(string), [])
    volume              = optional(object({ size_gib = optional(number, 16) }), {})
  })
  default = null
}

variable "network" {
  description = "The VPC; see modules/network."
  type = object({
    availability_zones   = optional(list(string))
    cidr_block           = optional(string, "10.40.0.0/16")
    flow_logs            = optional(object({ enabled = optional(bool, true), traffic = optional(string, "ALL"), retention_days = optional(number, 30) }), {})
    nat_gateway_per_zone = optional(bool, false)
    private_subnet_cidrs = optional(list(string))
    public_subnet_cidrs  = optional(list(string))
    reserved_cidrs       = optional(list(string), [])
  })
  default = {}
}

variable "observability" {
  description = "Alarms, budget and dashboard; see modules/observability."
  type = object({
    alert_emails      = optional(list(string), [])
    budget            = optional(object({ limit_usd = number, actual_percentages = optional(list(number), [80, 100]), forecast_percentage = optional(number, 100) }))
    dashboard_enabled = optional(bool, true)
    database          = optional(object({ free_storage_gib = optional(number, 4), cpu_percent = optional(number, 80), maximum_connections = optional(number, 60) }), {})
    pipeline          = optional(object({ days_without_training = optional(number, 7), models = optional(list(string), ["breast-cancer"]), rejected_row_percent = optional(number, 1) }), {})
  })
  default = {}
}

variable "park" {
  description = "Stop server and database outside working_hours, by schedule."
  type        = bool
  default     = false

  validation {
    condition     = !(var.park && var.database.multi_az)
    error_message = "park must be false with database.multi_az = true: what may be off at night needs no standby."
  }
}

variable "server" {
  description = "The MLflow server; see modules/mlflow_server."
  type = object({
    cpu_credits   = optional(string, "standard")
    instance_type = optional(string, "t4g.small")
    logs          = optional(object({ enabled = optional(bool, true), retention_days = optional(number, 30) }), {})
    port          = optional(number, 5000)
    volume        = optional(object({ size_gib = optional(number, 16) }), {})
    watchdog      = optional(object({ grace_seconds = optional(number, 900), interval_seconds = optional(number, 30), failures = optional(number, 5) }), {})
    workers       = optional(number, 2)
  })
  default = {}
}

variable "tags" {
  description = "Tags of every resource, beside Environment and Project."
  type        = map(string)
  default     = {}

  # IAM takes two keys that differ in case for one, and refuses both.
  # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules_creating
  validation {
    condition     = length(distinct([for key in concat(keys(var.tags), ["Environment", "Project", "Role", "Name"]) : lower(key)])) == length(var.tags) + 4
    error_message = "tags cannot hold Environment, Project, Role or Name, nor one key in two spellings of upper and lower case: roles are scoped by the first, clients find the server by the third, and the kit sets all four."
  }

  # What every service takes.
  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html
  validation {
    condition = length(var.tags) <= 46 && alltrue([
      for key, value in var.tags :
      can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{1,128}$", key)) && can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{0,256}$", value)) && !startswith(lower(key), "aws:")
    ])
    error_message = "tags must be of letters, digits, blanks and _.:/=+-@, with keys of at most 128 that do not begin with \"aws:\", values of at most 256, and 50 together with the kit's own: a service refuses others in the middle of an apply."
  }
}

variable "teardown" {
  description = "Switch deletion protection off and let people who signed in through IAM Identity Center delete versions of objects, so that the next destroy goes through. Apply with it first; data in buckets still has to be deleted on purpose."
  type        = bool
  default     = false
}

variable "working_hours" {
  description = "When a parked environment runs: days in cron's words, times as HH:MM, IANA time zone."
  type = object({
    days      = optional(string, "MON-FRI")
    start     = optional(string, "07:30")
    stop      = optional(string, "19:30")
    time_zone = optional(string, "Etc/UTC")
  })
  default = {}
}
