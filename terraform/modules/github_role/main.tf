# One IAM role that one exact GitHub Actions context may assume.

locals {
  # The provider's address begins every condition key: with an enterprise's slug behind it, for GHE.com, or a server's.
  issuer = split(":oidc-provider/", var.provider_arn)[1]

  # AWS shows aud and sub of a GitHub Enterprise Server's token and none of GitHub's other claims; its subjects have no ids.
  server = endswith(local.issuer, "/_services/token")

  context_kind  = split(":", var.context)[0]
  context_value = join(":", slice(split(":", var.context), 1, length(split(":", var.context))))

  repository = "${var.github.owner}/${var.github.repository}"
  identity = !local.server && var.github.subject_format == "immutable" ? (
    "${var.github.owner}@${var.github.owner_id}/${var.github.repository}@${var.github.repository_id}"
  ) : local.repository

  # Claim -> its value, as a subject template may name it.
  known = {
    environment         = local.context_kind == "environment" ? local.context_value : null
    job_workflow_ref    = var.job_workflow_ref
    ref                 = local.context_kind == "ref" ? local.context_value : var.ref
    repo                = local.identity
    repository          = local.repository
    repository_id       = var.github.repository_id
    repository_owner    = var.github.owner
    repository_owner_id = var.github.owner_id
  }
  values = merge({ for claim, value in local.known : claim => value if value != null }, var.template_values)

  # GitHub sends a colon inside a value as %3A, so that a value cannot pose as another part.
  # https://docs.github.com/en/actions/reference/security/oidc
  encoded = { for claim, value in local.values : claim => replace(value, ":", "%3A") }
  context = local.context_value == "" ? local.context_kind : "${local.context_kind}:${replace(local.context_value, ":", "%3A")}"

  subject = join(":", [
    for claim in var.subject_template : claim == "context" ? local.context : "${claim}:${lookup(local.encoded, claim, "")}"
  ])
  in_subject = toset(var.subject_template)

  # Claim -> value that it must equal. Every one is compared with StringEquals.
  claims = merge(
    {
      aud = var.audience
      sub = local.subject
    },
    local.server ? {} : { repository_id = var.github.repository_id },
    local.server || var.ref == null ? {} : { ref = var.ref },
    local.server || var.job_workflow_ref == null ? {} : { job_workflow_ref = var.job_workflow_ref },
    # A template without context hides the environment: it is a condition of its own then.
    local.server || local.context_kind != "environment" || length(setintersection(local.in_subject, ["context", "environment"])) > 0 ? {} : {
      environment = local.context_value
    },
  )
}

data "aws_iam_policy_document" "trust" {
  #checkov:skip=CKV_AWS_358:it refuses subjects with immutable ids and lets repo:org/* pass; `keyless lint-trust` reads the policy
  statement {
    sid     = "OneExactGitHubContext"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.provider_arn]
    }

    dynamic "condition" {
      for_each = local.claims
      content {
        test     = "StringEquals"
        variable = "${local.issuer}:${condition.key}"
        values   = [condition.value]
      }
    }

    # The queue's branch has a new name in each run. GitHub makes it; a ruleset keeps people from making one.
    dynamic "condition" {
      for_each = var.merge_queue == null ? [] : [var.merge_queue]
      content {
        test     = "StringLike"
        variable = "${local.issuer}:ref"
        values   = ["refs/heads/gh-readonly-queue/${condition.value}/pr-*"]
      }
    }
  }
}

resource "aws_iam_role" "github" {
  name                 = var.name
  description          = "GitHub Actions: ${local.subject}"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 3600 # the least IAM knows; OIDC does not protect a session inside a compromised job
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "github" {
  for_each = var.policies

  name   = each.key
  role   = aws_iam_role.github.name
  policy = each.value
}

resource "aws_iam_role_policy_attachment" "github" {
  for_each = var.policy_arns

  role       = aws_iam_role.github.name
  policy_arn = each.value
}
