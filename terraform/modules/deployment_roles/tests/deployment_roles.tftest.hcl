# Who may plan and apply one environment, and what bounds them, offline.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_region" {
    defaults = { id = "us-east-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/made" }
  }
}

variables {
  environment  = "dev"
  provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  state        = { bucket_name = "keyless-state", key = "dev/platform.tfstate" }
  github = {
    owner         = "octo-org"
    owner_id      = "1001"
    repository    = "keyless-mlops"
    repository_id = "2002"
  }
  roles = {
    apply     = { root = "bootstrap", context = "environment:{environment}", policies = ["apply", "read"] }
    plan      = { root = "bootstrap", context = "pull_request", policies = ["read"] }
    plan-main = { root = "bootstrap", context = "environment:{environment}-plan", policies = ["read"] }
    train     = { root = "platform", context = "environment:{environment}-train" }
    server    = { root = "platform", service = "ec2.amazonaws.com" }
    flow-logs = { root = "platform", service = "vpc-flow-logs.amazonaws.com" }
  }
}

run "only_its_own_environment_and_pull_requests_get_a_role" {
  command = plan

  assert {
    condition = output.role_subjects == {
      apply     = "repo:octo-org@1001/keyless-mlops@2002:environment:dev"
      plan      = "repo:octo-org@1001/keyless-mlops@2002:pull_request"
      plan-main = "repo:octo-org@1001/keyless-mlops@2002:environment:dev-plan"
    }
    error_message = "subjects are ${jsonencode(output.role_subjects)}"
  }
}

run "apply_makes_the_platforms_roles_and_passes_each_to_its_service" {
  command = plan

  assert {
    condition     = one([for statement in data.aws_iam_policy_document.apply_identity.statement : statement.resources if statement.sid == "RolesInsideTheBoundary"]) == toset([for name in ["flow-logs", "server", "train"] : "arn:aws:iam::123456789012:role/keyless-dev-${name}"])
    error_message = "apply makes other roles than the platform's"
  }
  assert {
    condition = {
      for statement in data.aws_iam_policy_document.apply_identity.statement : one(statement.resources) => one(one(statement.condition).values) if startswith(statement.sid, "Pass")
      } == {
      "arn:aws:iam::123456789012:role/keyless-dev-flow-logs" = "vpc-flow-logs.amazonaws.com"
      "arn:aws:iam::123456789012:role/keyless-dev-server"    = "ec2.amazonaws.com"
    }
    error_message = "apply passes a role to another service than its own"
  }
}

run "a_role_of_nobody_is_refused" {
  command = plan

  variables {
    roles = { train = { root = "platform" } }
  }

  expect_failures = [var.roles]
}

run "data_stays_unless_the_environment_is_disposable" {
  command = plan

  assert {
    condition     = !contains(flatten([for statement in data.aws_iam_policy_document.apply_data.statement : statement.actions]), "s3:DeleteObjectVersion")
    error_message = "apply may delete versions of a bucket that is not disposable"
  }
}

run "a_disposable_environment_can_be_emptied" {
  command = plan

  variables {
    allow_data_deletion = true
  }

  assert {
    condition = [
      for statement in data.aws_iam_policy_document.apply_data.statement : statement.resources if contains(statement.actions, "s3:DeleteObjectVersion")
      ] == [toset([
        "arn:aws:s3:::keyless-dev-artifacts-123456789012-us-east-1/*",
        "arn:aws:s3:::keyless-dev-access-logs-123456789012-us-east-1/*",
    ])]
    error_message = "apply must empty both buckets of the environment and nothing else"
  }
}

run "the_state_is_the_environments_own" {
  command = plan

  assert {
    condition = toset(flatten([
      for statement in data.aws_iam_policy_document.apply_data.statement : tolist(statement.resources) if contains(statement.actions, "s3:PutObject")
      ])) == toset([
      "arn:aws:s3:::keyless-state/dev/platform.tfstate",
      "arn:aws:s3:::keyless-state/dev/platform.tfstate.tflock",
    ])
    error_message = "apply writes other objects of the state bucket"
  }
}

run "an_environment_that_is_no_name_is_refused" {
  command = plan

  variables {
    environment = "Dev*"
  }

  expect_failures = [var.environment]
}

# What a service asks in the caller's name is no call of Terraform's own, so no plan shows it missing.
run "dependent_actions_are_granted_and_only_through_their_service" {
  command = plan

  assert {
    condition = [
      for statement in data.aws_iam_policy_document.apply_data.statement : [tolist(statement.resources), [for condition in statement.condition : [condition.variable, condition.values[0]]]]
      if contains(statement.actions, "kms:DescribeKey") && length(statement.actions) == 1
    ] == [[tolist(["arn:aws:kms:us-east-1:123456789012:key/*"]), [["kms:ViaService", "rds.us-east-1.amazonaws.com"]]]]
    error_message = "RDS cannot look up aws/secretsmanager's key, or the role can without RDS"
  }
  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.apply_network.statement :
      toset(statement.actions) == toset(["route53:AssociateVPCWithHostedZone", "route53:DisassociateVPCFromHostedZone"]) &&
      toset(statement.resources) == toset(["arn:aws:route53:::hostedzone/*", "arn:aws:ec2:us-east-1:123456789012:vpc/*"]) &&
      anytrue([for condition in statement.condition : condition.variable == "aws:ViaAWSService" && condition.values == tolist(["true"])])
    ])
    error_message = "EC2 cannot tie an endpoint's private names to the VPC, or the role can without EC2"
  }
  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.read_named.statement :
      contains(statement.actions, "billing:GetBillingViewData") && toset(statement.resources) == toset(["arn:aws:billing::123456789012:billingview/primary"])
    ])
    error_message = "the budget's billing view cannot be read"
  }
}

run "an_association_that_ended_names_no_address" {
  command = plan

  assert {
    condition     = one([for statement in data.aws_iam_policy_document.apply_network.statement : [one(statement.resources), one(statement.condition).test, one(statement.condition).variable, one(one(statement.condition).values)] if statement.sid == "EndEndedAssociations"]) == ["arn:aws:ec2:us-east-1:123456789012:elastic-ip/*", "Null", "ec2:AllocationId", "true"]
    error_message = "apply cannot end the association of a NAT gateway that is gone, or can end others"
  }
}

# Whoever may tag a key, or write its policy, may claim every key of the account that delegates to IAM.
run "no_role_makes_tags_or_rewrites_a_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition = toset([
      for action in flatten([for document in [data.aws_iam_policy_document.apply_data, data.aws_iam_policy_document.read_region, data.aws_iam_policy_document.read_named] : [for statement in document.statement : tolist(statement.actions)]]) :
      action if startswith(action, "kms:")
    ]) == toset(["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ListAliases"])
    error_message = "a deployment role may do more with keys than use its environment's"
  }
  assert {
    condition     = alltrue([for action in data.aws_iam_policy_document.deploy_boundary.statement[0].actions : !can(regex("^kms:.*[*]$", action))])
    error_message = "a verb of KMS in the boundary covers PutKeyPolicy or CreateKey"
  }
}

run "the_environments_key_is_named_by_its_arn_everywhere" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition = alltrue(flatten([
      for document in [data.aws_iam_policy_document.apply_data, data.aws_iam_policy_document.read_region, data.aws_iam_policy_document.boundary] : [
        for statement in document.statement : tolist(statement.resources) == tolist([var.kms_key_arn])
        if length(setintersection(statement.actions, ["kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"])) > 0
      ]
    ]))
    error_message = "a right on a key does not name the key"
  }
  assert {
    condition = one([
      for statement in data.aws_iam_policy_document.apply_data.statement : toset([for condition in statement.condition : condition.variable]) if contains(statement.actions, "kms:CreateGrant")
    ]) == toset(["kms:GrantIsForAWSResource", "kms:ViaService"])
    error_message = "a grant must be made by a service, for a resource of AWS"
  }
}

run "without_a_key_of_its_own_an_environment_has_no_right_on_any" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for document in [data.aws_iam_policy_document.apply_data, data.aws_iam_policy_document.read_region, data.aws_iam_policy_document.boundary] : [
        for statement in document.statement : length(setintersection(statement.actions, ["kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey", "kms:ListAliases"])) == 0
      ]
    ]))
    error_message = "there is no key to use"
  }
}

run "the_state_is_read_and_written_in_this_account_alone" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for document in [data.aws_iam_policy_document.apply_data, data.aws_iam_policy_document.read_named] : [
        for statement in document.statement : contains([for condition in statement.condition : condition.variable], "aws:ResourceAccount")
        if anytrue([for resource in statement.resources : startswith(resource, "arn:aws:s3:::keyless-state")])
      ]
    ]))
    error_message = "a state would be written into a stranger's bucket of our name"
  }
}
