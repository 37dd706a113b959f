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

run "an_enterprises_own_issuer_is_in_every_key" {
  command = plan
  variables {
    provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com/octo-enterprise"
  }
  assert {
    condition     = alltrue([for condition in one(data.aws_iam_policy_document.trust.statement).condition : startswith(condition.variable, "token.actions.githubusercontent.com/octo-enterprise:")])
    error_message = "a key without the slug is never in a request of this provider"
  }
}

run "ghe_com_has_keys_of_its_own" {
  command = plan
  variables {
    provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.octocorp.ghe.com"
  }
  assert {
    condition     = toset([for condition in one(data.aws_iam_policy_document.trust.statement).condition : condition.variable]) == toset([for claim in ["aud", "sub", "repository_id", "ref"] : "token.actions.octocorp.ghe.com:${claim}"])
    error_message = "keys must begin with the subdomain's issuer"
  }
}

run "a_server_sends_names_and_aws_shows_the_subject_alone" {
  command = plan
  variables {
    provider_arn = "arn:aws:iam::123456789012:oidc-provider/github.example.internal/_services/token"
    ref          = null
  }
  assert {
    condition     = output.subject == "repo:octo-org/keyless-mlops:environment:dev-train"
    error_message = "subject is ${output.subject}"
  }
  assert {
    condition     = toset([for condition in one(data.aws_iam_policy_document.trust.statement).condition : condition.variable]) == toset([for claim in ["aud", "sub"] : "github.example.internal/_services/token:${claim}"])
    error_message = "any other condition would let nobody in"
  }
}

run "a_ref_that_a_server_would_not_compare_is_refused" {
  command = plan
  variables {
    provider_arn = "arn:aws:iam::123456789012:oidc-provider/github.example.internal/_services/token"
  }
  expect_failures = [var.subject_template]
}

run "a_servers_ref_can_stand_in_the_subject" {
  command = plan
  variables {
    provider_arn     = "arn:aws:iam::123456789012:oidc-provider/github.example.internal/_services/token"
    subject_template = ["repo", "context", "ref"]
  }
  assert {
    condition     = output.subject == "repo:octo-org/keyless-mlops:environment:dev-train:ref:refs/heads/main"
    error_message = "subject is ${output.subject}"
  }
}

run "a_template_names_claims_in_its_own_order" {
  command = plan
  variables {
    job_workflow_ref = "octo-org/workflows/.github/workflows/train.yml@refs/heads/main"
    subject_template = ["ref", "repo", "job_workflow_ref", "repository_owner"]
  }
  assert {
    condition     = output.subject == "ref:refs/heads/main:repo:octo-org@1001/keyless-mlops@2002:job_workflow_ref:octo-org/workflows/.github/workflows/train.yml@refs/heads/main:repository_owner:octo-org"
    error_message = "subject is ${output.subject}"
  }
  assert {
    condition     = contains([for condition in one(data.aws_iam_policy_document.trust.statement).condition : "${condition.variable}=${one(condition.values)}"], "token.actions.githubusercontent.com:environment=dev-train")
    error_message = "a template without context hides the environment"
  }
}

run "pull_requests_into_one_branch" {
  command = plan
  variables {
    context          = "pull_request"
    ref              = null
    subject_template = ["repo", "context", "base_ref"]
    template_values  = { base_ref = "main" }
  }
  assert {
    condition     = output.subject == "repo:octo-org@1001/keyless-mlops@2002:pull_request:base_ref:main"
    error_message = "subject is ${output.subject}"
  }
}

run "a_merge_queue_has_a_new_ref_each_time" {
  command = plan
  variables {
    context     = "environment:dev-queue"
    merge_queue = "main"
    ref         = null
  }
  assert {
    condition     = { for condition in one(data.aws_iam_policy_document.trust.statement).condition : condition.test => one(condition.values)... if endswith(condition.variable, ":ref") } == { StringLike = ["refs/heads/gh-readonly-queue/main/pr-*"] }
    error_message = "the queue's branches must be compared by a pattern, and nothing else by it"
  }
}

run "a_merge_queue_needs_an_environment" {
  command = plan
  variables {
    context     = "pull_request"
    merge_queue = "main"
    ref         = null
  }
  expect_failures = [var.merge_queue]
}

run "a_claim_without_a_value_is_refused" {
  command = plan
  variables {
    subject_template = ["repo", "context", "base_ref", "repo"]
  }
  expect_failures = [var.subject_template]
}

run "a_pattern_for_a_claim_is_refused" {
  command = plan
  variables {
    template_values = { workflow = "*" }
  }
  expect_failures = [var.template_values]
}

run "a_provider_that_is_none_of_githubs_is_refused" {
  command = plan
  variables {
    provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com/octo-enterprise/octo-enterprise"
  }
  expect_failures = [var.provider_arn]
}

run "inline_policies_beyond_iams_quota_are_refused" {
  command = plan

  variables {
    policies = {
      read  = jsonencode({ Statement = [for number in range(100) : format("%064d", number)] })
      write = jsonencode({ Statement = [for number in range(100) : format("%064d", number)] })
    }
  }
  expect_failures = [var.policies]
}

run "white_space_in_a_policy_is_not_counted" {
  command = plan

  variables {
    policies = {
      read  = jsonencode({ Statement = [for number in range(100) : format("%064d", number)] })
      write = "{\"Statement\": [${format("%4000s", "")}]}"
    }
  }
}
