# Who may what: each role's rendered policies, offline.

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
  mock_data "aws_default_tags" {
    defaults = { tags = { Project = "keyless-mlops" } }
  }
}

variables {
  name                      = "keyless-dev"
  champion_parameter_prefix = "/keyless/dev/champion/"
  database                  = { identifier = "keyless-dev" }
  environment               = "dev"
  metrics_namespace         = "Keyless/dev"
  platform_parameter_name   = "/keyless/dev/platform"
  provider_arn              = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  server                    = { session_documents = { database = "keyless-dev-database-session", read = "keyless-dev-mlflow-read-session", train = "keyless-dev-mlflow-train-session", promote = "keyless-dev-mlflow-promote-session" } }
  roles = {
    database = { context = "environment:{environment}-database", policies = ["database"], session = "database" }
    ingest   = { context = "environment:{environment}-ingest", policies = ["contract", "third-party-secret"], storage = { write = ["holdout", "train"] } }
    predict  = { context = "environment:{environment}-predict", policies = ["champion-read", "contract", "metrics"], storage = { read = ["models"], versions = ["models"], write = ["predictions"] } }
    promote  = { context = "environment:{environment}-promote", policies = ["champion-write", "contract"], session = "promote", storage = { read = ["holdout"] } }
    train    = { context = "environment:{environment}-train", policies = ["contract"], session = "train", storage = { read = ["train"], write = ["models"] } }
  }
  github = {
    owner         = "octo-org"
    owner_id      = "1001"
    repository    = "keyless-mlops"
    repository_id = "2002"
  }
  artifacts = {
    bucket_name = "artifacts"
    prefixes = {
      contracts   = "data/contracts/"
      decisions   = "decisions/"
      holdout     = "data/holdout/"
      inputs      = "data/inputs/"
      models      = "mlflow/"
      predictions = "predictions/"
      raw         = "data/raw/"
      references  = "references/"
      reports     = "reports/"
      rollouts    = "rollouts/"
      train       = "data/train/"
    }
  }
}

run "each_role_is_for_one_environment_of_main" {
  command = plan

  assert {
    condition     = output.subjects == { for role in ["database", "ingest", "predict", "promote", "train"] : role => "repo:octo-org@1001/keyless-mlops@2002:environment:dev-${role}" }
    error_message = "subjects are ${jsonencode(output.subjects)}"
  }
  assert {
    condition     = output.role_arns["train"] == "arn:aws:iam::123456789012:role/keyless-dev-train"
    error_message = "ARNs must be known at plan time"
  }
}

run "nobody_deletes_and_training_never_sees_the_holdout" {
  command = plan

  assert {
    condition = !anytrue(flatten([
      for document in data.aws_iam_policy_document.storage : [for statement in document.statement : [for action in statement.actions : can(regex("Delete", action))]]
    ]))
    error_message = "no role may delete"
  }
  assert {
    condition = !anytrue(flatten([
      for statement in data.aws_iam_policy_document.storage["train"].statement : [for resource in statement.resources : can(regex("holdout", resource))]
    ]))
    error_message = "train must not read the holdout"
  }
  assert {
    condition = one([
      for statement in data.aws_iam_policy_document.storage["train"].statement : statement.resources if contains(statement.actions, "s3:PutObject")
    ]) == toset(["arn:aws:s3:::artifacts/mlflow/*"])
    error_message = "train writes artifacts and nothing else"
  }
}

run "a_role_gets_the_policies_that_it_names" {
  command = plan

  assert {
    condition     = { for role, policies in output.policies : role => keys(policies) } == { database = ["database", "tunnel"], ingest = ["contract", "storage"], predict = ["champion-read", "contract", "metrics", "storage"], promote = ["champion-write", "contract", "storage", "tunnel"], train = ["contract", "storage", "tunnel"] }
    error_message = "policies are ${jsonencode({ for role, policies in output.policies : role => keys(policies) })}"
  }
  assert {
    condition     = one(data.aws_iam_policy_document.champion_read.statement).actions == toset(["ssm:GetParameter"])
    error_message = "predict only reads it"
  }
  assert {
    condition     = [for statement in data.aws_iam_policy_document.storage["ingest"].statement : statement.sid] == ["WriteItsOutputs"]
    error_message = "who names no prefix to read reads none"
  }
}

run "a_tunnel_is_one_document_on_tagged_instances" {
  command = plan

  assert {
    condition     = { for role, document in data.aws_iam_policy_document.tunnel : role => one(flatten([for statement in document.statement : tolist(statement.resources) if statement.sid == "OpenOneDocument"])) } == { database = "arn:aws:ssm:us-east-1:123456789012:document/keyless-dev-database-session", promote = "arn:aws:ssm:us-east-1:123456789012:document/keyless-dev-mlflow-promote-session", train = "arn:aws:ssm:us-east-1:123456789012:document/keyless-dev-mlflow-train-session" }
    error_message = "each role opens its one document"
  }
  assert {
    condition = alltrue(flatten([
      for document in data.aws_iam_policy_document.tunnel : [
        for statement in document.statement : contains([for condition in statement.condition : condition.variable], "ssm:SessionDocumentAccessCheck") if contains(statement.actions, "ssm:StartSession")
      ]
    ]))
    error_message = "without SessionDocumentAccessCheck a bare StartSession opens a shell"
  }
  assert {
    condition     = one(flatten([for statement in data.aws_iam_policy_document.tunnel["train"].statement : [for condition in statement.condition : "${condition.variable} = ${one(condition.values)}"] if statement.sid == "EndAndResumeItsOwnSessions"])) == "ssm:resourceTag/aws:ssmmessages:session-id = $${aws:userid}"
    error_message = "only its own sessions"
  }
}

# The near end of a session is the client's: the plugin signs it with the client's own rights.
run "both_ends_of_a_session_are_allowed" {
  command = plan

  assert {
    condition = alltrue([
      for role, document in data.aws_iam_policy_document.tunnel : anytrue([
        for statement in document.statement : toset(statement.actions) == toset(["ssmmessages:OpenDataChannel"]) && toset(statement.resources) == toset(["*"])
      ])
    ])
    error_message = "a role that may start a session cannot open its data channel"
  }
}

# Names: whoever registers the bucket's name before us, or after a teardown, would be read and written.
run "only_a_bucket_of_this_account_is_used" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for document in data.aws_iam_policy_document.storage : [
        for statement in document.statement : contains([for condition in statement.condition : "${condition.test} ${condition.variable} ${one(condition.values)}" if length(condition.values) == 1], "StringEquals aws:ResourceAccount 123456789012")
        if length([for action in statement.actions : action if startswith(action, "s3:")]) > 0
      ]
    ]))
    error_message = "a stranger's bucket of our name would do"
  }
}

run "with_a_key_and_a_secret" {
  command = plan
  variables {
    artifacts = {
      bucket_name = "artifacts"
      kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
      prefixes = {
        contracts   = "data/contracts/", decisions = "decisions/", holdout = "data/holdout/", inputs = "data/inputs/", models = "mlflow/",
        predictions = "predictions/", raw = "data/raw/", references = "references/", reports = "reports/", rollouts = "rollouts/", train = "data/train/"
      }
    }
    job_workflow_refs  = { train = "octo-org/keyless-mlops/.github/workflows/train.yml@refs/heads/main" }
    database           = { identifier = "keyless-dev", kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
    third_party_secret = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:kaggle-AbCdEf" }
  }
  assert {
    condition     = one(one(data.aws_iam_policy_document.secret_key["database"].statement).condition).values == tolist(["secretsmanager.us-east-1.amazonaws.com"]) && length(data.aws_iam_policy_document.secret_key["third_party"].statement) == 0
    error_message = "a secret's key is used through Secrets Manager alone, and only where there is one"
  }
  assert {
    condition = alltrue(flatten([
      for document in data.aws_iam_policy_document.storage : [
        for statement in document.statement : one(statement.condition).variable == "kms:ViaService" if contains(statement.actions, "kms:Decrypt")
      ]
    ]))
    error_message = "the key is used through S3 alone"
  }
  assert {
    condition     = [for role, policies in output.policies : role if contains(keys(policies), "third-party-secret")] == ["ingest"]
    error_message = "the data provider's key is for ingest alone"
  }
}

run "bad_values_are_refused" {
  command = plan
  variables {
    champion_parameter_prefix = "champion"
    environment               = "dev-1"
    job_workflow_refs         = { apply = "x" }
    metrics_namespace         = "AWS/EC2"
    name                      = "k"
    artifacts = {
      bucket_name = "artifacts"
      prefixes = {
        contracts   = "data/contracts/", decisions = "decisions/", holdout = "data/", inputs = "data/inputs/", models = "mlflow",
        predictions = "predictions/", raw = "data/raw/", references = "references/", reports = "reports/", rollouts = "rollouts/", train = "data/train/"
      }
    }
  }
  expect_failures = [var.artifacts, var.champion_parameter_prefix, var.environment, var.job_workflow_refs, var.metrics_namespace, var.name]
}

run "a_role_for_pull_requests_is_refused" {
  command = plan
  variables {
    roles = { plan = { context = "pull_request" } }
  }
  expect_failures = [var.roles]
}

run "two_roles_for_one_context_are_refused" {
  command = plan
  variables {
    roles = {
      other = { context = "environment:{environment}-train" }
      train = { context = "environment:{environment}-train" }
    }
  }
  expect_failures = [var.roles]
}
