# Who may use the key, and that nothing here loses it, offline.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  name = "keyless-prod"
}

run "a_key_that_rotates_and_waits_as_long_as_aws_allows_before_it_goes" {
  command = plan

  assert {
    condition     = aws_kms_key.data[0].enable_key_rotation && aws_kms_key.data[0].deletion_window_in_days == 30
    error_message = "the key must rotate, and its deletion must wait for 30 days"
  }
  assert {
    condition     = aws_kms_alias.data.name == "alias/keyless-prod"
    error_message = "the platform looks for alias/keyless-prod, not ${aws_kms_alias.data.name}"
  }
}

# CloudWatch Logs asks for GenerateDataKey* and ReEncrypt*, written out here.
run "logs_may_do_all_that_they_ask_for_and_only_for_this_environment" {
  command = plan

  assert {
    condition = toset([for statement in data.aws_iam_policy_document.key.statement : statement.actions if statement.sid == "LogsOfThisEnvironment"][0]) == toset([
      "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo",
      "kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext",
    ])
    error_message = "log groups cannot be encrypted with the key"
  }
  assert {
    condition = one([for statement in data.aws_iam_policy_document.key.statement : one(statement.condition).values if statement.sid == "LogsOfThisEnvironment"]) == tolist([
      "arn:aws:logs:eu-central-1:123456789012:log-group:/keyless-prod/*",
      "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/rds/instance/keyless-prod/*",
    ])
    error_message = "log groups of others could use the key"
  }
}

# An account condition that the service does not answer would silence every alarm.
run "alerts_of_another_account_are_refused_and_of_none_in_particular_are_not" {
  command = plan

  assert {
    condition = one([
      for statement in data.aws_iam_policy_document.key.statement : [one(statement.condition).test, one(statement.condition).variable, one(one(statement.condition).values)]
      if statement.sid == "AlertsOfThisAccount"
    ]) == ["StringEqualsIfExists", "aws:SourceAccount", "123456789012"]
    error_message = "CloudWatch and Budgets must be able to publish, and for this account alone"
  }
}

run "a_key_that_is_there_gets_the_alias_and_nothing_else" {
  command = plan

  variables {
    existing_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = length(aws_kms_key.data) == 0 && output.arn == var.existing_arn && aws_kms_alias.data.target_key_id == var.existing_arn
    error_message = "an existing key must be used as it is"
  }
}

run "an_alias_is_no_key" {
  command = plan

  variables {
    existing_arn = "arn:aws:kms:eu-central-1:123456789012:alias/my-key"
    name         = "K"
  }

  expect_failures = [var.existing_arn, var.name]
}
