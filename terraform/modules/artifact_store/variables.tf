variable "access_logs" {
  description = "S3 server access logs into a bucket of their own: whether, and for how many days they are kept."
  type = object({
    enabled        = optional(bool, true)
    retention_days = optional(number, 90)
  })
  default = {}

  validation {
    condition     = var.access_logs.retention_days >= 1 && floor(var.access_logs.retention_days) == var.access_logs.retention_days
    error_message = "access_logs.retention_days must be a whole number of days, at least 1."
  }
}

variable "force_destroy" {
  description = "Let destroy delete the buckets with everything in them. Only for environments whose data may vanish."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "Customer-managed key for the artifacts. null: S3's own keys (SSE-S3), free and with no key policy to keep."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not of an alias: an alias can be moved to another key."
  }
}

variable "lifecycle_rules" {
  description = "Days until unfinished uploads are dropped, artifacts move to infrequent access, and replaced versions are deleted; how many replaced versions of a file stay whatever their age. 0 switches a rule off."
  type = object({
    abort_uploads_after_days   = optional(number, 7)
    infrequent_access_days     = optional(number, 90)
    expire_old_versions_days   = optional(number, 365)
    kept_old_versions_per_file = optional(number)
  })
  default = {}

  validation {
    condition     = var.lifecycle_rules.infrequent_access_days == 0 || var.lifecycle_rules.infrequent_access_days >= 30
    error_message = "lifecycle_rules.infrequent_access_days must be at least 30 (S3 refuses less), or 0 to switch it off."
  }

  validation {
    condition = alltrue([
      for days in [var.lifecycle_rules.abort_uploads_after_days, var.lifecycle_rules.expire_old_versions_days] : days >= 0 && floor(days) == days
    ])
    error_message = "lifecycle_rules takes whole days, 0 to switch a rule off."
  }

  validation {
    condition     = var.lifecycle_rules.kept_old_versions_per_file == null || try(var.lifecycle_rules.kept_old_versions_per_file >= 1 && var.lifecycle_rules.kept_old_versions_per_file <= 100, false)
    error_message = "lifecycle_rules.kept_old_versions_per_file must be 1 to 100 (S3's limits), or null to go by age alone."
  }
}

variable "name" {
  description = "Prefix of the buckets' names, for example \"keyless-dev\". Account and region follow it, since bucket names are shared by all of AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]*[a-z0-9]$", var.name))
    error_message = "name must be lower-case letters, digits and hyphens, for example \"keyless-dev\": S3 allows nothing else."
  }

  validation {
    # 63 less "-access-logs-", twelve digits, a hyphen and the longest region's name (14).
    condition     = length(var.name) >= 3 && length(var.name) <= 23
    error_message = "name must be 3 to 23 characters: with \"-access-logs-ACCOUNT-REGION\" behind it, S3 allows 63. Choose a shorter prefix."
  }
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "version_deleter_arns" {
  description = "Roles that may delete object versions, or arn:aws:iam::ACCOUNT:role/aws-reserved/sso.amazonaws.com/* for those of IAM Identity Center, whose names AWS chooses. Everyone else, administrators too, is denied: an overwritten artifact can always be brought back."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.version_deleter_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/(?:aws-reserved/sso\\.amazonaws\\.com/\\*|[A-Za-z0-9+=,.@_/-]+)$", arn))])
    error_message = "version_deleter_arns must be role ARNs (arn:aws:iam::ACCOUNT:role/NAME) without wildcards, but for role/aws-reserved/sso.amazonaws.com/*."
  }
}
