variable "audience" {
  description = "Audience the token is minted for. The GitHub action asks for this one by default."
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

variable "merge_queue" {
  description = "Base branch of the merge queue whose runs may assume the role, such as \"main\". Their ref is a new one each time, so ref must be null, and context an environment that is restricted to branches gh-readonly-queue/**."
  type        = string
  default     = null

  validation {
    condition     = var.merge_queue == null || can(regex("^[^*?$:\\s]+$", var.merge_queue))
    error_message = "merge_queue must be a branch's name without refs/heads/, such as \"main\", and no wildcard."
  }

  validation {
    condition     = var.merge_queue == null || (startswith(var.context, "environment:") && !endswith(var.provider_arn, "/_services/token"))
    error_message = "merge_queue needs context = \"environment:NAME\", and a provider whose ref AWS shows: not a GitHub Enterprise Server's."
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

  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: white space is not counted.
  validation {
    condition     = sum(concat([0], [for policy in values(var.policies) : length(replace(policy, "/\\s/", ""))])) <= 10240
    error_message = "The inline policies of role ${var.name} have ${sum(concat([0], [for policy in values(var.policies) : length(replace(policy, "/\\s/", ""))]))} characters without white space; IAM takes at most 10,240 of a role together, and this quota cannot be raised. Make managed policies of them, and name those in policy_arns."
  }
}

variable "policy_arns" {
  description = "Managed policies by a name of your choice."
  type        = map(string)
  default     = {}
}

variable "provider_arn" {
  description = "ARN of the account's IAM OIDC provider: for token.actions.githubusercontent.com, with an enterprise's slug behind it if its tokens have an issuer of their own, for token.actions.SUBDOMAIN.ghe.com, or for HOST/_services/token of a GitHub Enterprise Server."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/(token\\.actions\\.githubusercontent\\.com(/[A-Za-z0-9-]+)?|token\\.actions\\.[A-Za-z0-9-]+\\.ghe\\.com(/[A-Za-z0-9-]+)?|[A-Za-z0-9.-]+(:[0-9]+)?/_services/token)$", var.provider_arn)) && !can(regex("(githubusercontent|ghe|github)\\.com/_services/token$", var.provider_arn))
    error_message = "provider_arn must be arn:aws:iam::ACCOUNT:oidc-provider/ and one of token.actions.githubusercontent.com, token.actions.githubusercontent.com/SLUG, token.actions.SUBDOMAIN.ghe.com, HOST/_services/token."
  }
}

variable "ref" {
  description = "Git ref that the workflow must run on. An environment subject hides it, so it is a condition of its own. null leaves it open: for pull requests and merge queues, whose ref is a new one each time, and for a GitHub Enterprise Server, whose ref AWS does not show."
  type        = string
  default     = "refs/heads/main"

  validation {
    condition     = var.ref == null || can(regex("^refs/(heads|tags)/[^*?$]+$", var.ref))
    error_message = "ref must be a whole ref such as \"refs/heads/main\", without wildcards."
  }

  validation {
    condition     = endswith(var.provider_arn, "/_services/token") || (var.ref == null) == (var.context == "pull_request" || var.merge_queue != null)
    error_message = "ref must be null when context is \"pull_request\" (its ref is refs/pull/N/merge) or merge_queue is set, and a whole ref such as \"refs/heads/main\" otherwise: an environment subject does not say which branch asks."
  }
}

variable "subject_template" {
  description = "Claims of the repository's or organisation's subject template in order, as `gh api repos/OWNER/REPOSITORY/actions/oidc/customization/sub` shows them; GitHub's default is repo and context."
  type        = list(string)
  default     = ["repo", "context"]
  nullable    = false

  validation {
    condition     = length(var.subject_template) > 0 && length(distinct(var.subject_template)) == length(var.subject_template) && alltrue([for claim in var.subject_template : can(regex("^[A-Za-z0-9_]+$", claim))])
    error_message = "subject_template must be a list of different claims, such as [\"repo\", \"context\", \"job_workflow_ref\"]."
  }

  validation {
    condition = alltrue([
      for claim in var.subject_template : (
        contains(["context", "repo", "repository", "repository_id", "repository_owner", "repository_owner_id"], claim)
        || contains(keys(var.template_values), claim)
        || (claim == "environment" && startswith(var.context, "environment:"))
        || (claim == "job_workflow_ref" && var.job_workflow_ref != null)
        || (claim == "ref" && (var.ref != null || startswith(var.context, "ref:")))
      )
    ])
    error_message = "each claim of subject_template needs a value: environment and ref from context and ref, job_workflow_ref from its own variable, any other from template_values."
  }

  validation {
    condition     = contains(var.subject_template, "context") || var.context != "pull_request"
    error_message = "a subject without context does not say that a pull request asks: put context into subject_template."
  }

  validation {
    condition     = !endswith(var.provider_arn, "/_services/token") || length(setintersection(var.subject_template, ["repo", "repository", "repository_id"])) > 0 && length(setintersection(var.subject_template, ["context", "environment", "ref"])) > 0
    error_message = "AWS compares nothing but the subject of a GitHub Enterprise Server's token: it must name the repository and the context."
  }

  validation {
    condition     = !endswith(var.provider_arn, "/_services/token") || var.ref == null || contains(var.subject_template, "ref") || var.context == "ref:${coalesce(var.ref, "none")}"
    error_message = "AWS does not show ref of a GitHub Enterprise Server's token, so it would not be compared: set ref = null and restrict the environment to its branches, or put ref into subject_template."
  }

  validation {
    condition     = !endswith(var.provider_arn, "/_services/token") || var.job_workflow_ref == null || contains(var.subject_template, "job_workflow_ref")
    error_message = "AWS does not show job_workflow_ref of a GitHub Enterprise Server's token: put it into subject_template."
  }
}

variable "tags" {
  description = "Tags of the role, beside the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "template_values" {
  description = "Values of further claims that subject_template names, such as { base_ref = \"main\", event_name = \"push\" }."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for value in values(var.template_values) : can(regex("^[^*?$]+$", value))])
    error_message = "template_values must be whole values: no wildcard (* or ?) and no policy variable ($)."
  }

  validation {
    condition     = length(setintersection(keys(var.template_values), ["aud", "context", "environment", "job_workflow_ref", "ref", "repo", "repository", "repository_id", "repository_owner", "repository_owner_id", "sub"])) == 0
    error_message = "template_values must not name what the other variables say: context, ref, job_workflow_ref and github."
  }
}
