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
  description = "As in the mlflow_server module: with \"proxied\" the pinned files are copies beside the decisions."
  type        = string
  default     = "direct"

  validation {
    condition     = contains(["direct", "proxied"], var.artifact_access)
    error_message = "artifact_access must be \"direct\" or \"proxied\"."
  }
}

variable "artifacts" {
  description = "The artifact bucket: its name, the key that encrypts it (null: S3's own), and the prefixes that the servers read or write, each with its slash."
  type = object({
    bucket_name = string
    kms_key_arn = optional(string)
    prefixes = object({
      decisions   = string
      models      = string
      predictions = string
      rollouts    = string
      wheelhouse  = string
    })
  })

  validation {
    condition     = alltrue([for prefix in values(var.artifacts.prefixes) : can(regex("^[A-Za-z0-9_-][A-Za-z0-9_/-]*/$", prefix))])
    error_message = "artifacts.prefixes must each end with a slash and not begin with one, for example \"predictions/\"."
  }
}

variable "associate_public_ip_address" {
  description = "Give the instances a public address (egress only: nobody but the load balancer is let in). For networks with neither NAT nor endpoints."
  type        = bool
  default     = false
}

variable "balancer_subnet_ids" {
  description = "Subnets of the load balancer, in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.balancer_subnet_ids) >= 2
    error_message = "balancer_subnet_ids must name subnets in at least two zones: an Application Load Balancer needs them."
  }
}

variable "capacity" {
  description = "Instances of the set that answers: at least, at most, and the CPU load that scaling keeps. The idle set has none unless a rollout fills it."
  type = object({
    minimum     = optional(number, 1)
    maximum     = optional(number, 4)
    cpu_percent = optional(number, 60)
  })
  default = {}

  validation {
    condition     = var.capacity.minimum >= 1 && var.capacity.maximum >= var.capacity.minimum && var.capacity.cpu_percent >= 10 && var.capacity.cpu_percent <= 90
    error_message = "capacity needs minimum >= 1, maximum >= minimum, and cpu_percent from 10 to 90."
  }
}

variable "certificate_arn" {
  description = "Certificate of the listener, in ACM and this region, for the name under which clients reach the load balancer."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of an ACM certificate of this region, arn:aws:acm:REGION:ACCOUNT:certificate/ID."
  }
}

variable "champion_parameter_prefix" {
  description = "SSM prefix of the champions of record, with its slashes."
  type        = string

  validation {
    condition     = can(regex("^/[A-Za-z0-9_./-]+/$", var.champion_parameter_prefix))
    error_message = "champion_parameter_prefix must begin and end with a slash, for example \"/keyless/dev/champion/\"."
  }
}

variable "clients" {
  description = "Who may reach the load balancer, by a name of your choice: IPv4 networks and security groups. Nobody by default."
  type = object({
    cidrs              = optional(map(string), {})
    security_group_ids = optional(map(string), {})
  })
  default = {}

  validation {
    condition     = alltrue([for cidr in values(var.clients.cidrs) : can(cidrnetmask(cidr)) && cidr != "0.0.0.0/0"])
    error_message = "clients.cidrs must be IPv4 networks such as \"10.40.0.0/16\", and not the whole internet: the servers know no login."
  }

  validation {
    condition     = alltrue([for name in concat(keys(var.clients.cidrs), keys(var.clients.security_group_ids)) : can(regex("^[A-Za-z0-9 ._:/@+=-]{1,64}$", name))])
    error_message = "clients must be named in at most 64 letters, digits, blanks and ._:/@+=-, since EC2 takes nothing else in descriptions and tags."
  }
}

variable "cpu_credits" {
  description = "What a burstable instance does when its CPU credits are used up: \"unlimited\" bills more, 0.04 USD for each hour of a vCPU above the type's baseline (t4g.small: 20 %); \"standard\" holds it at its baseline, so that it never reaches capacity.cpu_percent and nothing scales out."
  type        = string
  default     = "unlimited"

  validation {
    condition     = contains(["standard", "unlimited"], var.cpu_credits)
    error_message = "cpu_credits must be \"standard\" or \"unlimited\"."
  }
}

variable "deletion_protection" {
  description = "Keep the load balancer from being deleted."
  type        = bool
  default     = false
}

variable "egress" {
  description = "Where the servers may connect to, by a name of your choice: security groups and prefix lists with their port, and address ranges for HTTPS."
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
  description = "Environment that the servers belong to; clients find the instances by it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "environment must be 2 to 12 lower-case letters and digits, starting with a letter, for example \"dev\"."
  }
}

variable "instance_type" {
  description = "Graviton instance type. A server with one model takes about 200 MiB, with a challenger and during a swap twice that."
  type        = string
  default     = "t4g.small"

  validation {
    condition     = can(regex("^[a-z]+[0-9]+g[a-z]*\\.[a-z0-9]+$", var.instance_type)) && !can(regex("\\.nano$", var.instance_type))
    error_message = "instance_type must be a Graviton type with at least 1 GiB of memory, such as \"t4g.small\": image and packages are for arm64."
  }
}

variable "logs" {
  description = "CloudWatch group of the servers' log: whether, days it is kept, and its key."
  type = object({
    enabled        = optional(bool, true)
    retention_days = optional(number, 30)
    kms_key_arn    = optional(string)
  })
  default = {}
}

variable "metrics_namespace" {
  description = "The one CloudWatch namespace that the servers may publish to."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._/#-]+$", var.metrics_namespace)) && !startswith(var.metrics_namespace, "AWS/")
    error_message = "metrics_namespace must be a namespace of your own such as \"Keyless/dev\", not one of AWS's."
  }
}

variable "model" {
  description = "Name of the one model that is served, as in its settings."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,62}$", var.model))
    error_message = "model must be a model's name such as \"breast-cancer\": no wildcard, no slash."
  }
}

variable "name" {
  description = "Prefix of every name, for example \"keyless-dev\"."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 20 lower-case letters, digits and hyphens, for example \"keyless-dev\": a target group's name has 32 characters at most."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the instances' role."
  type        = string
  default     = null
}

variable "platform_parameter_name" {
  description = "SSM parameter with the platform's contract, from which the servers learn where things lie."
  type        = string

  validation {
    condition     = can(regex("^/[A-Za-z0-9_./-]+$", var.platform_parameter_name))
    error_message = "platform_parameter_name must be a whole parameter name such as \"/keyless/dev/platform\"."
  }
}

variable "port" {
  description = "Port of the servers, which the load balancer alone may reach."
  type        = number
  default     = 8080

  validation {
    condition     = var.port >= 1024 && var.port <= 65535 && var.port == floor(var.port)
    error_message = "port must be from 1024 to 65535: the server runs without the right to lower ones."
  }
}

variable "subnet_ids" {
  description = "Subnets the instances may start in."
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

variable "trusted_types" {
  description = "Types that skops may load beyond those of the built-in model families; each must be reviewed, see serialization.trusted_types."
  type        = list(string)
  default     = []
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
    error_message = "volume.size_gib must be at least 8: Amazon Linux and the packages need that much."
  }
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}
