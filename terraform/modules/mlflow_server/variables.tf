variable "ami_id" {
  description = "Image to pin. null: the newest Amazon Linux 2023 for arm64, from its public SSM parameter."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null || can(regex("^ami-[0-9a-f]+$", var.ami_id))
    error_message = "ami_id must be an image id such as \"ami-0123456789abcdef0\", or null for the newest Amazon Linux 2023."
  }
}

variable "artifact_access" {
  description = "Who talks to S3: \"direct\" (clients do, each with its own role's rights) or \"proxied\" (the server does for everyone in the tunnel)."
  type        = string
  default     = "direct"

  validation {
    condition     = contains(["direct", "proxied"], var.artifact_access)
    error_message = "artifact_access must be \"direct\" or \"proxied\"."
  }
}

variable "artifacts" {
  description = "The artifact bucket: its name, the key that encrypts it (null: S3's own), and the prefixes of models and of the wheelhouse, each with its slash."
  type = object({
    bucket_name       = string
    kms_key_arn       = optional(string)
    models_prefix     = optional(string, "mlflow/")
    wheelhouse_prefix = optional(string, "wheelhouse/")
  })

  validation {
    condition     = alltrue([for prefix in [var.artifacts.models_prefix, var.artifacts.wheelhouse_prefix] : can(regex("^[A-Za-z0-9_-][A-Za-z0-9_/-]*/$", prefix))])
    error_message = "artifacts.models_prefix and wheelhouse_prefix must end with a slash and not begin with one, for example \"mlflow/\"."
  }
}

variable "associate_public_ip_address" {
  description = "Give the instance a public address (egress only: there is no ingress rule). For networks with neither NAT nor endpoints."
  type        = bool
  default     = false
}

variable "code_parameter_prefix" {
  description = "Prefix of the SSM parameters that hold the server's code, such as \"/my-team/dev/server\". null: \"/<name>/server\"."
  type        = string
  default     = null

  validation {
    condition     = var.code_parameter_prefix == null || can(regex("^(/[A-Za-z0-9_.-]+)+$", var.code_parameter_prefix))
    error_message = "code_parameter_prefix begins with a slash and ends without one."
  }
}

variable "cpu_credits" {
  description = "What a burstable instance does when its CPU credits are used up: \"standard\" slows it down, \"unlimited\" (EC2's own default) bills more."
  type        = string
  default     = "standard"

  validation {
    condition     = contains(["standard", "unlimited"], var.cpu_credits)
    error_message = "cpu_credits must be \"standard\" or \"unlimited\"."
  }
}

variable "database" {
  description = "What the server connects to: identifier (for the session document), user (for rds-db:connect) and port."
  type = object({
    identifier = string
    port       = optional(number, 5432)
    user       = optional(string, "mlflow")
  })

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9])*$", var.database.identifier)) && can(regex("^[a-z_][a-z0-9_]*$", var.database.user))
    error_message = "database.identifier must be an RDS identifier such as \"keyless-dev\", and database.user a PostgreSQL role such as \"mlflow\": no wildcard."
  }
}

variable "database_resource_id" {
  description = "Immutable id of the database (db-...), for rds-db:connect. A variable of its own: the one thing here that has to wait for the database."
  type        = string

  validation {
    condition     = !can(regex("[*?]", var.database_resource_id))
    error_message = "database_resource_id must be one id such as \"db-ABCDEFGHIJKL01234\": a wildcard would let the server into every database of the account."
  }
}

variable "egress" {
  description = "Where the server may connect to, by a name of your choice: security groups and prefix lists with their port, and address ranges for HTTPS."
  type = object({
    security_groups = optional(map(object({ id = string, port = number })), {})
    prefix_lists    = optional(map(object({ id = string, port = number })), {})
    https_cidrs     = optional(map(string), {})
  })
  default = { https_cidrs = { anywhere = "0.0.0.0/0" } }

  validation {
    condition     = alltrue([for cidr in values(var.egress.https_cidrs) : can(cidrnetmask(cidr))])
    error_message = "egress.https_cidrs must be IPv4 networks such as \"0.0.0.0/0\"."
  }
}

variable "environment" {
  description = "Environment that the server belongs to; clients find the instance by it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "environment must be 2 to 12 lower-case letters and digits, starting with a letter, for example \"dev\"."
  }
}

variable "instance_type" {
  description = "Graviton instance type. Two MLflow workers need 0.8 GB."
  type        = string
  default     = "t4g.small"

  validation {
    condition     = can(regex("^[a-z]+[0-9]+g[a-z]*\\.[a-z0-9]+$", var.instance_type))
    error_message = "instance_type must be a Graviton type such as \"t4g.small\": image and wheelhouse are for arm64."
  }

  validation {
    condition     = !can(regex("\\.nano$|\\.micro$", var.instance_type))
    error_message = "instance_type must have at least 2 GiB of memory, for example \"t4g.small\": the operating system and two workers do not fit less."
  }
}

variable "logs" {
  description = "CloudWatch group of the server's log: whether, days it is kept, and its key."
  type = object({
    enabled        = optional(bool, true)
    retention_days = optional(number, 30)
    kms_key_arn    = optional(string)
  })
  default = {}
}

variable "name" {
  description = "Prefix of every name, for example \"keyless-dev\"."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,46}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 48 lower-case letters, digits and hyphens, for example \"keyless-dev\"."
  }
}

variable "parking" {
  description = "When the server runs, if not always: days in cron's words, UTC offsets by IANA time zone, times as HH:MM."
  type = object({
    days      = optional(string, "MON-FRI")
    start     = optional(string, "07:30")
    stop      = optional(string, "19:30")
    time_zone = optional(string, "Etc/UTC")
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

variable "permission_sets" {
  description = "MLflow's permission sets, each with its port on the instance's loopback and the roles that may open a session to it, as a refusal names them. The sets are those of files/server/permissions.toml."
  type        = map(object({ port = number, roles = optional(list(string), []) }))
  default = {
    read    = { port = 5000 }
    train   = { port = 5001 }
    promote = { port = 5002 }
    operate = { port = 5003 }
  }

  validation {
    condition = (
      length(distinct([for one in var.permission_sets : one.port])) == length(var.permission_sets) &&
      alltrue([for one in var.permission_sets : one.port >= 1024 && one.port <= 65535 && one.port == floor(one.port)]) &&
      contains(keys(var.permission_sets), "read")
    )
    error_message = "permission_sets needs \"read\", and for each set a port of its own, 1024 to 65535."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the instance's role."
  type        = string
  default     = null
}

variable "platform_parameter_name" {
  description = "SSM parameter with the platform's contract, from which the server learns its database."
  type        = string

  validation {
    condition     = can(regex("^/[A-Za-z0-9_./-]+$", var.platform_parameter_name))
    error_message = "platform_parameter_name must be a whole parameter name such as \"/keyless/dev/platform\"."
  }
}

variable "subnet_ids" {
  description = "Subnets the instance may start in."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids must name at least one subnet."
  }
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "volume" {
  description = "Root volume: GiB, and the key that encrypts it (null: the account's EBS key). A customer-managed key must let the Auto Scaling service-linked role use it."
  type = object({
    size_gib    = optional(number, 16)
    kms_key_arn = optional(string)
  })
  default = {}

  validation {
    condition     = var.volume.size_gib >= 8
    error_message = "volume.size_gib must be at least 8: Amazon Linux and MLflow's dependencies need that much."
  }
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}

variable "watchdog" {
  description = "Seconds a new instance has before it is judged, seconds between probes, and failed probes in a row until the instance is replaced."
  type = object({
    grace_seconds    = optional(number, 900)
    interval_seconds = optional(number, 30)
    failures         = optional(number, 5)
  })
  default = {}

  validation {
    condition     = var.watchdog.grace_seconds >= 300 && var.watchdog.interval_seconds >= 5 && var.watchdog.failures >= 2
    error_message = "watchdog needs grace_seconds >= 300 (installation takes minutes), interval_seconds >= 5 and failures >= 2: less replaces healthy instances."
  }
}

variable "workers" {
  description = "MLflow's worker processes. Two serve 35 runs a second in 0.8 GB."
  type        = number
  default     = 2

  validation {
    condition     = var.workers >= 1 && var.workers <= 7
    error_message = "workers must be 1 to 7: each needs six connections, and all together stay below 44 (files/server/worker.py)."
  }
}
