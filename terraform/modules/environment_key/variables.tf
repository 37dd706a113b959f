variable "existing_arn" {
  description = "A key that is there already, by its ARN; its policy and its rotation are then yours to keep. null: make one."
  type        = string
  default     = null

  validation {
    condition     = var.existing_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.existing_arn))
    error_message = "existing_arn must be the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not of an alias: an alias can be moved to another key."
  }
}

variable "name" {
  description = "Prefix of the environment's names, for example \"keyless-prod\": the alias, and which log groups the key encrypts."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,46}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 48 lower-case letters, digits and hyphens, for example \"keyless-prod\"."
  }
}

variable "tags" {
  description = "Tags of the key, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
