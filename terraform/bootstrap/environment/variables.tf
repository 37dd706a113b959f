variable "allow_data_deletion" {
  description = "Let the apply role empty the environment's buckets."
  type        = bool
}

variable "environment" {
  description = "Name of the environment."
  type        = string
}

variable "github" {
  description = "Repository whose workflows plan and apply; see modules/github_role."
  type = object({
    owner          = string
    owner_id       = string
    repository     = string
    repository_id  = string
    subject_format = string
  })
}

variable "provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub."
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
