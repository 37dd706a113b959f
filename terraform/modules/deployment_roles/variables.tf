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

variable "provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub Actions."
  type        = string
}

variable "state" {
  description = "Where the environment's state is, and the key that encrypts it (null: S3's own)."
  type = object({
    bucket_name = string
    key         = string
    kms_key_arn = optional(string)
  })
}
