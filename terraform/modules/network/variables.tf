variable "availability_zones" {
  description = "Zones to spread over, at least two (RDS insists). null: the first two, by name, that offer instance_types; they stay the same when the region gets another."
  type        = list(string)
  default     = null

  validation {
    condition     = var.availability_zones == null || try(length(distinct(var.availability_zones)) == length(var.availability_zones) && length(var.availability_zones) >= 2, false)
    error_message = "availability_zones must name at least two different zones, for example [\"us-east-1a\", \"us-east-1b\"]: a database subnet group needs two."
  }

  validation {
    condition     = var.availability_zones == null || try(length(var.availability_zones) <= 6, false)
    error_message = "availability_zones must name at most six zones."
  }
}

variable "cidr_block" {
  description = "Address range of the VPC, /16 to /24."
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr_block)) && try(cidrhost(var.cidr_block, 0) == split("/", var.cidr_block)[0], false)
    error_message = "cidr_block must be an IPv4 network such as \"10.40.0.0/16\", with no host bits set."
  }

  validation {
    condition     = try(tonumber(split("/", var.cidr_block)[1]) >= 16 && tonumber(split("/", var.cidr_block)[1]) <= 24, false)
    error_message = "cidr_block must be between /16 (AWS's largest VPC) and /24 (four /28 subnets and room to spare)."
  }
}

variable "egress" {
  description = "How the server reaches AWS: \"public_ip\" (an address of its own, no ingress; cheapest), \"endpoints\" (interface endpoints, no route to the internet) or \"nat\"."
  type        = string
  default     = "public_ip"

  validation {
    condition     = contains(["public_ip", "endpoints", "nat"], var.egress)
    error_message = "egress must be \"public_ip\", \"endpoints\" or \"nat\"; `keyless cost` shows what each costs."
  }
}

variable "flow_logs" {
  description = "VPC flow logs to CloudWatch: whether, which traffic (ALL, ACCEPT, REJECT) and for how many days they are kept. role_boundary_arn bounds the role that delivers them."
  type = object({
    enabled           = optional(bool, true)
    traffic           = optional(string, "ALL")
    retention_days    = optional(number, 30)
    kms_key_arn       = optional(string)
    role_boundary_arn = optional(string)
  })
  default = {}

  validation {
    condition     = contains(["ALL", "ACCEPT", "REJECT"], var.flow_logs.traffic)
    error_message = "flow_logs.traffic must be \"ALL\", \"ACCEPT\" or \"REJECT\"."
  }

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.flow_logs.retention_days)
    error_message = "flow_logs.retention_days must be a period CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 and so on."
  }
}

variable "instance_types" {
  description = "EC2 types that every zone must offer; a database class without its \"db.\" is one."
  type        = list(string)
  default     = []
}

variable "interface_endpoints" {
  description = "Interface endpoints of egress = \"endpoints\": service name -> actions that may pass through. Name what is used; each costs by the hour and zone."
  type        = map(list(string))
  default = {
    logs        = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    ssm         = ["ssm:GetParameter", "ssm:UpdateInstanceInformation"]
    ssmmessages = ["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"]
  }

  validation {
    condition     = alltrue([for actions in values(var.interface_endpoints) : length(actions) > 0 && alltrue([for action in actions : can(regex("^[a-z0-9-]+:[A-Za-z]+$", action))])])
    error_message = "interface_endpoints must list whole actions for each service, for example logs = [\"logs:PutLogEvents\"]: no wildcard, no empty list."
  }
}

variable "name" {
  description = "Prefix of every name, for example \"keyless-dev\"."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 32 lower-case letters, digits and hyphens, starting with a letter, for example \"keyless-dev\"."
  }
}

variable "nat_gateway_per_zone" {
  description = "With egress = \"nat\": one gateway in each zone (dearer, survives a zone's loss) in place of one."
  type        = bool
  default     = false
}

variable "private_subnet_cidrs" {
  description = "One range for each zone, inside cidr_block. null: sixteenths of it, from the first."
  type        = list(string)
  default     = null

  validation {
    condition     = var.private_subnet_cidrs == null || try(alltrue([for cidr in var.private_subnet_cidrs : can(cidrnetmask(cidr)) && cidrhost(cidr, 0) == split("/", cidr)[0]]), false)
    error_message = "private_subnet_cidrs must be IPv4 networks such as \"10.40.0.0/20\", with no host bits set."
  }
}

variable "public_subnet_cidrs" {
  description = "One range for each zone, inside cidr_block. null: sixteenths of it, from the ninth. Used with egress \"public_ip\" and \"nat\" only."
  type        = list(string)
  default     = null

  validation {
    condition     = var.public_subnet_cidrs == null || try(alltrue([for cidr in var.public_subnet_cidrs : can(cidrnetmask(cidr)) && cidrhost(cidr, 0) == split("/", cidr)[0]]), false)
    error_message = "public_subnet_cidrs must be IPv4 networks such as \"10.40.128.0/20\", with no host bits set."
  }
}

variable "reserved_cidrs" {
  description = "Ranges in use elsewhere (offices, other VPCs) that this VPC must not overlap, so that it can be peered one day."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.reserved_cidrs : can(cidrnetmask(cidr))])
    error_message = "reserved_cidrs must be IPv4 networks such as \"10.0.0.0/16\"."
  }
}

variable "s3_endpoint" {
  description = "Who may reach which buckets through the S3 gateway endpoint: bucket names, and the role ARNs that may use them. Amazon Linux's package repositories are always reachable."
  type = object({
    bucket_names   = optional(list(string), [])
    principal_arns = optional(list(string), [])
  })
  default = {}

  validation {
    condition     = (length(var.s3_endpoint.bucket_names) == 0) == (length(var.s3_endpoint.principal_arns) == 0)
    error_message = "s3_endpoint needs both bucket_names and principal_arns, or neither: a bucket without principals is of no use, and the reverse."
  }

  validation {
    condition     = alltrue([for name in concat(var.s3_endpoint.bucket_names, var.s3_endpoint.principal_arns) : !can(regex("[*?]", name))])
    error_message = "s3_endpoint takes exact bucket names and role ARNs: no wildcard."
  }
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
