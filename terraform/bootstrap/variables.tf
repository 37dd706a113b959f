variable "environments" {
  description = "Environments to prepare, by name. allow_data_deletion lets the apply role empty the environment's buckets, so that destroy leaves nothing: for disposable ones only. customer_managed_key makes a key for its data (null: unless it is disposable); kms_key_arn uses one that is there. model_servers lets the platform have them: a load balancer, two Auto Scaling groups, and the rollout role. pulumi lets CI keep Pulumi's state of the environment in the bucket, below NAME/pulumi."
  type = map(object({
    allow_data_deletion  = optional(bool, false)
    customer_managed_key = optional(bool)
    kms_key_arn          = optional(string)
    model_servers        = optional(bool, false)
    pulumi               = optional(bool, false)
  }))

  validation {
    condition     = length(var.environments) > 0 && alltrue([for name in keys(var.environments) : can(regex("^[a-z][a-z0-9]{1,11}$", name))])
    error_message = "environments must hold at least one name of 2 to 12 lower-case letters and digits, for example { dev = { allow_data_deletion = true }, prod = {} }."
  }

  validation {
    condition     = !try(var.environments["prod"].allow_data_deletion, false)
    error_message = "environments.prod.allow_data_deletion must be false: nothing that runs in CI may delete prod's data."
  }
}

variable "github" {
  description = "Repository whose workflows plan and apply; see modules/github_role."
  type = object({
    owner          = string
    owner_id       = string
    repository     = string
    repository_id  = string
    subject_format = optional(string, "immutable")
  })
}

variable "github_provider" {
  description = "\"create\" the account's OIDC provider for GitHub, or use the \"existing\" one. An account has one: it is never imported, so that destroy cannot take it from others."
  type        = string
  default     = "create"

  validation {
    condition     = contains(["create", "existing"], var.github_provider)
    error_message = "github_provider must be \"create\" or \"existing\"; `aws iam list-open-id-connect-providers` shows whether the account has token.actions.githubusercontent.com."
  }
}

variable "state" {
  description = "The bucket of Terraform's state: its key (null: S3's own), whether destroy may empty it, and days that replaced versions are kept (null: for ever; a rule costs an apply a minute)."
  type = object({
    kms_key_arn              = optional(string)
    force_destroy            = optional(bool, false)
    expire_old_versions_days = optional(number)
  })
  default = {}

  validation {
    condition     = var.state.expire_old_versions_days == null || try(var.state.expire_old_versions_days >= 30, false)
    error_message = "state.expire_old_versions_days must be at least 30, or null to keep every version: state is brought back from them."
  }
}

variable "tags" {
  description = "Tags of every resource, beside Environment and Project."
  type        = map(string)
  default     = {}

  # IAM takes two keys that differ in case for one, and refuses both.
  # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules_creating
  validation {
    condition     = length(distinct([for key in concat(keys(var.tags), ["Environment", "Project"]) : lower(key)])) == length(var.tags) + 2
    error_message = "tags cannot hold Environment or Project, nor one key in two spellings of upper and lower case: the kit sets them, and roles are scoped by the first."
  }

  # What every service takes.
  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html
  validation {
    condition = length(var.tags) <= 48 && alltrue([
      for key, value in var.tags :
      can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{1,128}$", key)) && can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{0,256}$", value)) && !startswith(lower(key), "aws:")
    ])
    error_message = "tags must be of letters, digits, blanks and _.:/=+-@, with keys of at most 128 that do not begin with \"aws:\", values of at most 256, and 50 together with the kit's own: a service refuses others in the middle of an apply."
  }
}
