variable "audience" {
  description = "Audience the token is minted for. The GitHub action asks for this one unless told otherwise."
  type        = string
  default     = "sts.amazonaws.com"

  validation {
    condition     = can(regex("^[A-Za-z0-9.:/_-]+$", var.audience))
    error_message = "audience must be one literal value such as \"sts.amazonaws.com\"; wildcards never match under StringEquals."
  }
}

variable "context" {
  description = "Context part of the subject: \"environment:NAME\", \"pull_request\" or \"ref:refs/heads/BRANCH\"."
  type        = string

  validation {
    condition     = can(regex("^(pull_request|environment:[^*?$]+|ref:refs/(heads|tags)/[^*?:$]+)$", var.context))
    error_message = "context must be \"environment:NAME\", \"pull_request\", \"ref:refs/heads/BRANCH\" or \"ref:refs/tags/TAG\", in full: no wildcard (* or ?) and no policy variable ($)."
  }
}

variable "github" {
  description = "Repository whose workflows may assume the role. The ids are numbers: `gh api repos/OWNER/REPOSITORY --jq '.owner.id, .id'`. subject_format is \"immutable\" for repositories created, renamed or transferred after 15 July 2026, \"names\" for older ones."
  type = object({
    owner          = string
    owner_id       = string
    repository     = string
    repository_id  = string
    subject_format = optional(string, "immutable")
  })

  validation {
    condition     = can(regex("^[A-Za-z0-9](?:[A-Za-z0-9]|-[A-Za-z0-9])*$", var.github.owner))
    error_message = "github.owner must be the account's exact name, for example \"octo-org\": letters, digits and single hyphens, no wildcard."
  }

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.github.repository))
    error_message = "github.repository must be the repository's exact name without its owner, for example \"keyless-mlops\": no slash and no wildcard."
  }

  validation {
    condition     = can(regex("^[1-9][0-9]*$", var.github.owner_id)) && can(regex("^[1-9][0-9]*$", var.github.repository_id))
    error_message = "github.owner_id and github.repository_id must be GitHub's numbers; read them with: gh api repos/OWNER/REPOSITORY --jq '.owner.id, .id'."
  }

  validation {
    condition     = contains(["immutable", "names"], var.github.subject_format)
    error_message = "github.subject_format must be \"immutable\" (repositories created, renamed or transferred after 15 July 2026) or \"names\" (older ones)."
  }
}

variable "job_workflow_ref" {
  description = "Workflow file that must run the job, as \"OWNER/REPOSITORY/.github/workflows/FILE@REF\". Tells apart workflows that share an environment; null leaves it open."
  type        = string
  default     = null

  validation {
    condition     = var.job_workflow_ref == null || can(regex("^[^/*?$]+/[^/*?$]+/\\.github/workflows/[^*?$@]+@[^*?$@]+$", var.job_workflow_ref))
    error_message = "job_workflow_ref must be a whole reference such as \"octo-org/keyless-mlops/.github/workflows/train.yml@refs/heads/main\", without wildcards."
  }
}

variable "name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 characters out of letters, digits and +=,.@_-."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the role, whatever else is attached to it."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy: arn:aws:iam::ACCOUNT:policy/NAME."
  }
}

variable "policies" {
  description = "Inline policies: statement-bearing JSON documents by name. Together at most 10,240 characters."
  type        = map(string)
  default     = {}
}

variable "policy_arns" {
  description = "Managed policies by a name of your choice."
  type        = map(string)
  default     = {}
}

variable "provider_arn" {
  description = "ARN of the account's IAM OIDC provider for token.actions.githubusercontent.com."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com(/[A-Za-z0-9._-]+)?$", var.provider_arn))
    error_message = "provider_arn must be arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com."
  }
}

variable "ref" {
  description = "Git ref that the workflow must run on. An environment subject hides it, so it is a condition of its own. null, allowed for pull requests alone, leaves it open."
  type        = string
  default     = "refs/heads/main"

  validation {
    condition     = var.ref == null || can(regex("^refs/(heads|tags)/[^*?$]+$", var.ref))
    error_message = "ref must be a whole ref such as \"refs/heads/main\", without wildcards."
  }

  validation {
    condition     = (var.ref == null) == (var.context == "pull_request")
    error_message = "ref must be null when context is \"pull_request\" (its ref is refs/pull/N/merge) and a whole ref such as \"refs/heads/main\" otherwise: an environment subject does not say which branch asks."
  }
}

variable "tags" {
  description = "Tags of the role, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
