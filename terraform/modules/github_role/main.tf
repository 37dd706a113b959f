# One IAM role that one exact GitHub Actions context may assume.

locals {
  issuer = "token.actions.githubusercontent.com"

  # GitHub sends a colon inside a value as %3A, so that a value cannot pose as another part.
  # https://docs.github.com/en/actions/reference/security/oidc
  context_kind  = split(":", var.context)[0]
  context_value = join("%3A", slice(split(":", var.context), 1, length(split(":", var.context))))
  context       = local.context_value == "" ? local.context_kind : "${local.context_kind}:${local.context_value}"

  repository = "${var.github.owner}/${var.github.repository}"
  identity = {
    immutable = "${var.github.owner}@${var.github.owner_id}/${var.github.repository}@${var.github.repository_id}"
    names     = local.repository
  }[var.github.subject_format]

  subject = "repo:${local.identity}:${local.context}"

  # Claim -> value that it must equal. Every one is compared with StringEquals.
  claims = merge(
    {
      aud           = var.audience
      sub           = local.subject
      repository_id = var.github.repository_id
    },
    var.ref == null ? {} : { ref = var.ref },
    var.job_workflow_ref == null ? {} : { job_workflow_ref = var.job_workflow_ref },
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
