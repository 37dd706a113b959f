# What Terraform knows only after an apply (a key's ARN, the database's id, the secret's ARN) given as
# values, so that a plan renders the policies that name them. Tests copy it beside terraform/.

locals {
  key  = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  role = "arn:aws:iam::123456789012:role/keyless-dev-server"
}

module "artifact_store" {
  source      = "../terraform/modules/artifact_store"
  name        = "keyless-dev"
  kms_key_arn = local.key
}

module "environment_key" {
  source = "../terraform/modules/environment_key"
  name   = "keyless-dev"
}

module "mlflow_server" {
  source                  = "../terraform/modules/mlflow_server"
  name                    = "keyless-dev"
  ami_id                  = "ami-0123456789abcdef0"
  artifact_access         = "proxied"
  artifacts               = { bucket_name = module.artifact_store.bucket_name, kms_key_arn = local.key }
  database                = { identifier = "keyless-dev" }
  code_parameter_prefix   = "/keyless/dev/server"
  database_resource_id    = "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
  environment             = "dev"
  platform_parameter_name = "/keyless/dev/platform"
  subnet_ids              = ["subnet-1"]
  vpc_id                  = "vpc-1"
}

module "model_server" {
  source          = "../terraform/modules/model_server"
  name            = "keyless-dev"
  ami_id          = "ami-0123456789abcdef0"
  artifact_access = "proxied"
  artifacts = {
    bucket_name = module.artifact_store.bucket_name
    kms_key_arn = local.key
    prefixes    = { decisions = "decisions/", models = "mlflow/", predictions = "predictions/", rollouts = "rollouts/", wheelhouse = "wheelhouse/" }
  }
  balancer_subnet_ids       = ["subnet-1", "subnet-2"]
  certificate_arn           = "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
  champion_parameter_prefix = "/keyless/dev/champion/"
  environment               = "dev"
  metrics_namespace         = "Keyless/dev"
  model                     = "breast-cancer"
  platform_parameter_name   = "/keyless/dev/platform"
  subnet_ids                = ["subnet-1"]
  vpc_id                    = "vpc-1"
}

module "workload_roles" {
  source = "../terraform/modules/workload_roles"
  name   = "keyless-dev"
  artifacts = {
    bucket_name = module.artifact_store.bucket_name
    kms_key_arn = local.key
    prefixes = {
      contracts = "data/contracts/", decisions = "decisions/", holdout = "data/holdout/"
      inputs    = "data/inputs/", models = "mlflow/", predictions = "predictions/"
      raw       = "data/raw/", references = "references/", reports = "reports/", rollouts = "rollouts/"
      train     = "data/train/"
    }
  }
  champion_parameter_prefix = "/keyless/dev/champion/"
  database                  = { identifier = "keyless-dev", kms_key_arn = local.key }
  environment               = "dev"
  github                    = { owner = "octo-org", owner_id = "1001", repository = "keyless-mlops", repository_id = "2002" }
  metrics_namespace         = "Keyless/dev"
  platform_parameter_name   = "/keyless/dev/platform"
  provider_arn              = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  roles                     = { for name, role in yamldecode(file("${path.module}/../terraform/roles.yaml")) : name => role if role.root == "platform" && can(role.context) }
  server                    = { session_documents = { database = "keyless-dev-database-session", read = "keyless-dev-mlflow-read-session", train = "keyless-dev-mlflow-train-session", promote = "keyless-dev-mlflow-promote-session" } }
  serving                   = module.model_server.balancer
  third_party_secret        = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:keyless-dev-third-party-AbCdEf", kms_key_arn = local.key }
}
