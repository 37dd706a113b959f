variable "artifacts" {
  description = "The artifact bucket: its name, the key that encrypts it (null: S3's own), and its prefixes, each with its slash."
  type = object({
    bucket_name = string
    kms_key_arn = optional(string)
    prefixes = object({
      contracts   = string
      decisions   = string
      holdout     = string
      inputs      = string
      models      = string
      predictions = string
      raw         = string
      references  = string
      reports     = string
      rollouts    = string
      train       = string
    })
  })

  validation {
    condition     = alltrue([for prefix in values(var.artifacts.prefixes) : can(regex("^[A-Za-z0-9_-][A-Za-z0-9_/-]*/$", prefix))])
    error_message = "artifacts.prefixes must each end with a slash and not begin with one, for example \"data/train/\"."
  }

  validation {
    condition = alltrue([
      for pair in setproduct(values(var.artifacts.prefixes), values(var.artifacts.prefixes)) :
      pair[0] == pair[1] || !startswith(pair[0], pair[1])
    ]) && length(distinct(values(var.artifacts.prefixes))) == length(var.artifacts.prefixes)
    error_message = "artifacts.prefixes must not contain one another, or a role that may write one could write the other."
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

variable "database" {
  description = "Identifier of the database, and the key that encrypts its master secret (null: Secrets Manager's own)."
  type = object({
    identifier  = string
    kms_key_arn = optional(string)
  })
}

variable "environment" {
  description = "Environment of the roles; also the first part of the GitHub environments' names."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "environment must be 2 to 12 lower-case letters and digits, starting with a letter, for example \"dev\"."
  }
}

variable "github" {
  description = "Repository whose workflows run the pipeline; see the github_role module."
  type = object({
    owner          = string
    owner_id       = string
    repository     = string
    repository_id  = string
    subject_format = optional(string, "immutable")
  })
}

variable "job_workflow_refs" {
  description = "Workflow file that must run a role's job, by role; a role that is not named takes any workflow of its environment."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.job_workflow_refs), keys(var.roles))) == 0
    error_message = "job_workflow_refs takes names of roles as keys: ${join(", ", keys(var.roles))}."
  }
}

variable "metrics_namespace" {
  description = "The one CloudWatch namespace that predict and monitor may publish to."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._/#-]+$", var.metrics_namespace)) && !startswith(var.metrics_namespace, "AWS/")
    error_message = "metrics_namespace must be a namespace of your own such as \"Keyless/dev\", not one of AWS's."
  }
}

variable "name" {
  description = "Prefix of the roles' names, for example \"keyless-dev\"."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,46}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 48 lower-case letters, digits and hyphens, for example \"keyless-dev\"."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds every role."
  type        = string
  default     = null
}

variable "platform_parameter_name" {
  description = "SSM parameter with the platform's contract, which every role may read."
  type        = string
}

variable "provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub Actions."
  type        = string
}

variable "ref" {
  description = "Git ref whose workflows may assume the roles."
  type        = string
  default     = "refs/heads/main"
}

variable "roles" {
  description = "The roles by name: GitHub's subject context ({environment} is the environment's name), policies by name (see policies.tf), prefixes of the bucket, and the session document that it may open, by its key in server.session_documents."
  type = map(object({
    context  = string
    policies = optional(list(string), [])
    session  = optional(string)
    storage = optional(object({
      list     = optional(list(string), [])
      read     = optional(list(string), [])
      versions = optional(list(string), [])
      write    = optional(list(string), [])
    }))
  }))

  validation {
    condition     = alltrue([for role in values(var.roles) : startswith(role.context, "environment:{environment}")])
    error_message = "Each role's context must begin with \"environment:{environment}\", for example \"environment:{environment}-train\": the pipeline's roles are for jobs of one GitHub environment."
  }

  validation {
    condition     = length(distinct([for role in values(var.roles) : role.context])) == length(var.roles)
    error_message = "Each role needs a context of its own; two with the same one could be exchanged for each other."
  }

  validation {
    condition     = var.serving != null || alltrue([for role in values(var.roles) : !contains(role.policies, "rollout")])
    error_message = "The policy \"rollout\" needs serving: it names the load balancer and the groups that it may change."
  }
}

variable "server" {
  description = "What a tunnel goes to: the tag that the instance carries beside Environment, and the names of the session documents."
  type = object({
    role_tag          = optional(string, "mlflow")
    session_documents = map(string)
  })
}

variable "serving" {
  description = "The model servers whose traffic a role with the policy \"rollout\" moves: names of load balancer, Auto Scaling groups and session document, the listener's TLS policy, and the Role tag of the instances. null: there are none."
  type = object({
    autoscaling_group_names = list(string)
    balancer_name           = string
    role_tag                = optional(string, "serve")
    session_document        = string
    ssl_policy              = string
  })
  default = null
}

variable "tags" {
  description = "Tags of every role, beside the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "third_party_secret" {
  description = "Secret that ingest may read (a data provider's key), by its whole ARN, and its key (null: Secrets Manager's own). null: none."
  type = object({
    arn         = string
    kms_key_arn = optional(string)
  })
  default = null
}
