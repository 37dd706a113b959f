# The rendered trust policy, offline: the provider is mocked, the document's arguments are not.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name         = "keyless-dev-train"
  context      = "environment:dev-train"
  provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  github = {
    owner         = "octo-org"
    owner_id      = "1001"
    repository    = "keyless-mlops"
    repository_id = "2002"
  }
}

run "an_environment_of_main_with_immutable_ids" {
  command = plan

  assert {
    condition     = output.subject == "repo:octo-org@1001/keyless-mlops@2002:environment:dev-train"
    error_message = "subject is ${output.subject}"
  }
  assert {
    condition = { for condition in one(data.aws_iam_policy_document.trust.statement).condition : condition.variable => one(condition.values) } == {
      "token.actions.githubusercontent.com:aud"           = "sts.amazonaws.com"
      "token.actions.githubusercontent.com:sub"           = "repo:octo-org@1001/keyless-mlops@2002:environment:dev-train"
      "token.actions.githubusercontent.com:repository_id" = "2002"
      "token.actions.githubusercontent.com:ref"           = "refs/heads/main"
    }
    error_message = "the trust policy must compare aud, sub, repository_id and ref, and nothing else"
  }
  assert {
    condition     = alltrue([for condition in one(data.aws_iam_policy_document.trust.statement).condition : condition.test == "StringEquals"])
    error_message = "every condition must be StringEquals"
  }
  assert {
    condition     = one(data.aws_iam_policy_document.trust.statement).actions == toset(["sts:AssumeRoleWithWebIdentity"])
    error_message = "the only action must be AssumeRoleWithWebIdentity"
  }
  assert {
    condition     = aws_iam_role.github.max_session_duration == 3600
    error_message = "sessions must end after an hour"
  }
}

run "names_of_an_older_repository" {
  command = plan
  variables {
    github = {
      owner          = "octo-org"
      owner_id       = "1001"
      repository     = "keyless-mlops"
      repository_id  = "2002"
      subject_format = "names"
    }
  }
  assert {
    condition     = output.subject == "repo:octo-org/keyless-mlops:environment:dev-train"
    error_message = "subject is ${output.subject}"
  }
}

run "a_pull_request_has_no_ref_to_compare" {
  command = plan
  variables {
    context = "pull_request"
    ref     = null
  }
  assert {
    condition     = output.subject == "repo:octo-org@1001/keyless-mlops@2002:pull_request"
    error_message = "subject is ${output.subject}"
  }
  assert {
    condition     = !contains([for condition in one(data.aws_iam_policy_document.trust.statement).condition : condition.variable], "token.actions.githubusercontent.com:ref")
    error_message = "a pull request's ref is refs/pull/N/merge: it cannot be compared"
  }
}

run "a_colon_in_a_name_is_sent_as_percent_3a" {
  command = plan
  variables {
    context = "environment:dev:train"
  }
  assert {
    condition     = endswith(output.subject, ":environment:dev%3Atrain")
    error_message = "subject is ${output.subject}"
  }
}

run "a_workflow_can_be_demanded" {
  command = plan
  variables {
    job_workflow_ref         = "octo-org/keyless-mlops/.github/workflows/train.yml@refs/heads/main"
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/keyless-dev-boundary"
  }
  assert {
    condition     = contains([for condition in one(data.aws_iam_policy_document.trust.statement).condition : condition.variable], "token.actions.githubusercontent.com:job_workflow_ref")
    error_message = "job_workflow_ref must be compared"
  }
  assert {
    condition     = aws_iam_role.github.permissions_boundary == "arn:aws:iam::123456789012:policy/keyless-dev-boundary"
    error_message = "the boundary must be set"
  }
}

run "wildcards_are_refused_everywhere" {
  command = plan
  variables {
    audience                 = "*"
    context                  = "environment:*"
    job_workflow_ref         = "octo-org/*/.github/workflows/train.yml@refs/heads/main"
    name                     = "keyless dev"
    permissions_boundary_arn = "*"
    provider_arn             = "arn:aws:iam::123456789012:oidc-provider/accounts.google.com"
    github = {
      owner          = "octo-*"
      owner_id       = "1001"
      repository     = "*"
      repository_id  = "2002"
      subject_format = "both"
    }
  }
  expect_failures = [var.audience, var.context, var.github, var.job_workflow_ref, var.name, var.permissions_boundary_arn, var.provider_arn]
}

run "ids_must_be_there" {
  command = plan
  variables {
    github = {
      owner         = "octo-org"
      owner_id      = ""
      repository    = "keyless-mlops"
      repository_id = ""
    }
  }
  expect_failures = [var.github]
}

run "a_ref_has_no_wildcard" {
  command = plan
  variables {
    ref = "refs/heads/*"
  }
  expect_failures = [var.ref]
}

run "an_environment_needs_a_ref" {
  command = plan
  variables {
    ref = null
  }
  expect_failures = [var.ref]
}
