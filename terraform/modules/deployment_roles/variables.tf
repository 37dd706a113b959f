variable "allow_data_deletion" {
  description = "Let the apply role empty the environment's buckets, so that destroy leaves nothing: for disposable environments only."
  type        = bool
  default     = false
}

variable "environment" {
  description = "Name of the environment: \"keyless-<environment>\" begins every name, and the Environment tag holds it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "environment must be 2 to 12 lower-case letters and digits, starting with a letter, for example \"dev\"."
  }
}

variable "github" {
  description = "Repository whose workflows plan and apply; see the github_role module."
  type = object({
    owner          = string
    owner_id       = string
    repository     = string
    repository_id  = string
    subject_format = optional(string, "immutable")
  })
}

variable "kms_key_arn" {
  description = "Key of the environment's data, by its ARN; see the environment_key module. null: AWS's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not of an alias: an alias can be moved to another key."
  }
}

variable "model_servers" {
  description = "Let the platform have model servers: what plan, apply and the boundary need for a load balancer and two more Auto Scaling groups."
  type        = bool
  default     = false
}

variable "provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub Actions."
  type        = string
}

variable "roles" {
  description = "The platform's roles by name: the root that makes each (bootstrap: here; platform: with this environment's apply role), who may assume it (GitHub's subject context, in which {environment} is the environment's name, or an AWS service), and which policies the roles made here get (apply, read)."
  type = map(object({
    root     = string
    context  = optional(string)
    needs    = optional(string)
    policies = optional(list(string), [])
    service  = optional(string)
  }))

  validation {
    condition     = alltrue([for role in values(var.roles) : contains(["bootstrap", "platform"], role.root)])
    error_message = "Each role's root must be \"bootstrap\" or \"platform\"."
  }

  validation {
    condition     = alltrue([for role in values(var.roles) : (role.context == null) != (role.service == null)])
    error_message = "Each role needs a context (GitHub's jobs assume it) or a service (an AWS service does), and not both."
  }
}

variable "state" {
  description = "Where the environment's state is, the key that encrypts it (null: S3's own), and the prefix of Pulumi's state (null: there is none)."
  type = object({
    bucket_name   = string
    key           = string
    kms_key_arn   = optional(string)
    pulumi_prefix = optional(string)
  })
}
