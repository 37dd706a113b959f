# One environment of the platform, out of the modules.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {
  lifecycle {
    postcondition {
      condition     = self.partition == "aws"
      error_message = "This is the partition ${self.partition}. STS compares GitHub's claims (repository_id, ref) in commercial regions alone, so the roles here could not tell one repository from another. Choose a commercial region."
    }
  }
}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  prefix       = "keyless-${var.environment}"
  iam          = "arn:${local.partition}:iam::${local.account}"
  boundary_arn = "${local.iam}:policy/${local.prefix}-boundary" # made by bootstrap
  provider_arn = "${local.iam}:oidc-provider/token.actions.githubusercontent.com"
  kms_key_arn  = one(data.aws_kms_alias.environment[*].target_key_arn)

  # A person is none of the roles that trust GitHub: whoever signs in through IAM Identity Center, and may delete
  # objects by IAM, can take down what is disposable, and what is being torn down.
  people        = "${local.iam}:role/aws-reserved/sso.amazonaws.com/*"
  data_deleters = var.artifact_store.force_destroy ? ["${local.iam}:role/${local.prefix}-apply", local.people] : var.teardown ? [local.people] : []

  platform_parameter = "/keyless/${var.environment}/platform"
  champion_prefix    = "/keyless/${var.environment}/champion/"
  metrics_namespace  = "Keyless/${var.environment}"

  # Roles that an AWS service assumes are made by the module that uses them.
  roles            = yamldecode(file("${path.module}/../roles.yaml"))
  deployment_roles = { for name, role in local.roles : name => role if role.root == "bootstrap" }
  workload_roles   = { for name, role in local.roles : name => role if role.root == "platform" && can(role.context) && (var.model_server != null || try(role.needs, "") != "model_server") }

  # MLflow's permission sets: a port each, and for its refusals who may open a session to it. People
  # sign in through SSO, so no role of this list is theirs.
  set_openers = {
    for name in ["read", "train", "promote", "operate"] : name => concat(
      [for role, given in local.roles : "${local.prefix}-${role}" if try(given.session, null) == name],
      contains(["read", "operate"], name) ? ["an administrator"] : [],
    )
  }
  permission_sets = { for index, name in ["read", "train", "promote", "operate"] : name => { port = var.server.port + index, roles = local.set_openers[name] } }

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
    wheelhouse  = "wheelhouse/"
  }

  # By name: the network is made before the module that makes the role.
  serve_role_arns = var.model_server == null ? [] : ["${local.iam}:role/${local.prefix}-serve"]

  # What the servers call when there is no route to the internet.
  interface_endpoints = merge(
    {
      autoscaling = ["autoscaling:SetInstanceHealth"]
      ssm         = ["ssm:GetParameter", "ssm:UpdateInstanceInformation"]
      ssmmessages = ["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"]
    },
    var.server.logs.enabled || var.model_server != null ? { logs = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"] } : {},
    var.model_server != null ? { monitoring = ["cloudwatch:PutMetricData"] } : {},
  )

  # Where a server may connect to, beside what is its own.
  egress = {
    security_groups = var.egress == "endpoints" ? { endpoints = { id = module.network.endpoint_security_group_id, port = 443 } } : {}
    prefix_lists    = var.egress == "endpoints" ? { s3 = { id = module.network.s3_prefix_list_id, port = 443 } } : {}
    https_cidrs     = var.egress == "endpoints" ? {} : { anywhere = "0.0.0.0/0" }
  }
}

module "network" {
  source = "../modules/network"

  name                 = local.prefix
  availability_zones   = var.network.availability_zones
  cidr_block           = var.network.cidr_block
  egress               = var.egress
  instance_types       = distinct([var.server.instance_type, trimprefix(var.database.instance_class, "db.")])
  flow_logs            = merge(var.network.flow_logs, { kms_key_arn = local.kms_key_arn, role_boundary_arn = local.boundary_arn })
  interface_endpoints  = local.interface_endpoints
  nat_gateway_per_zone = var.network.nat_gateway_per_zone
  private_subnet_cidrs = var.network.private_subnet_cidrs
  public_subnet_cidrs  = var.network.public_subnet_cidrs
  reserved_cidrs       = var.network.reserved_cidrs
  s3_endpoint = {
    bucket_names   = [module.artifact_store.bucket_name]
    principal_arns = concat([module.mlflow_server.role_arn], local.serve_role_arns)
  }
}

module "artifact_store" {
  source = "../modules/artifact_store"

  name                 = local.prefix
  access_logs          = var.artifact_store.access_logs
  force_destroy        = var.artifact_store.force_destroy
  kms_key_arn          = local.kms_key_arn
  lifecycle_rules      = var.artifact_store.lifecycle_rules
  version_deleter_arns = concat(var.artifact_store.version_deleter_arns, local.data_deleters)
}

module "metadata_store" {
  source = "../modules/metadata_store"

  name                      = local.prefix
  apply_immediately         = var.database.apply_immediately
  backup                    = var.database.backup
  client_security_group_ids = { server = module.mlflow_server.security_group_id }
  deletion_protection       = var.database.deletion_protection && !var.teardown
  engine_version            = var.database.engine_version
  instance_class            = var.database.instance_class
  kms_key_arn               = local.kms_key_arn
  log_retention_days        = var.database.log_retention_days
  maintenance_window        = var.database.maintenance_window
  monitoring                = merge(var.database.monitoring, { role_boundary_arn = local.boundary_arn })
  multi_az                  = var.database.multi_az
  parameters                = var.database.parameters
  parking                   = var.park ? merge(var.working_hours, { role_boundary_arn = local.boundary_arn }) : null
  storage                   = var.database.storage
  subnet_ids                = module.network.private_subnet_ids
  vpc_id                    = module.network.vpc_id
}

module "mlflow_server" {
  source = "../modules/mlflow_server"

  name            = local.prefix
  environment     = var.environment
  ami_id          = one(var.image[*].id)
  artifact_access = var.artifact_access
  artifacts = {
    bucket_name       = module.artifact_store.bucket_name
    kms_key_arn       = local.kms_key_arn
    models_prefix     = local.prefixes.models
    wheelhouse_prefix = local.prefixes.wheelhouse
  }
  associate_public_ip_address = var.egress == "public_ip"
  cpu_credits                 = var.server.cpu_credits
  database                    = { identifier = local.prefix }
  database_resource_id        = module.metadata_store.resource_id
  egress = merge(local.egress, {
    security_groups = merge({ database = { id = module.metadata_store.security_group_id, port = 5432 } }, local.egress.security_groups)
  })
  instance_type            = var.server.instance_type
  logs                     = merge(var.server.logs, { kms_key_arn = local.kms_key_arn })
  parking                  = var.park ? var.working_hours : null
  permissions_boundary_arn = local.boundary_arn
  platform_parameter_name  = local.platform_parameter
  code_parameter_prefix    = "/keyless/${var.environment}/server"
  permission_sets          = local.permission_sets
  subnet_ids               = module.network.server_subnet_ids
  volume                   = var.server.volume
  vpc_id                   = module.network.vpc_id
  watchdog                 = var.server.watchdog
  workers                  = var.server.workers
}

# Off by default: a load balancer and an instance cost money; `keyless cost` shows how much.
module "model_server" {
  source = "../modules/model_server"
  count  = var.model_server == null ? 0 : 1

  name            = local.prefix
  environment     = var.environment
  ami_id          = one(var.image[*].id)
  artifact_access = var.artifact_access
  artifacts = {
    bucket_name = module.artifact_store.bucket_name
    kms_key_arn = local.kms_key_arn
    prefixes    = local.prefixes
  }
  associate_public_ip_address = var.egress == "public_ip"
  balancer_subnet_ids         = module.network.private_subnet_ids
  capacity                    = var.model_server.capacity
  certificate_arn             = var.model_server.certificate_arn
  champion_parameter_prefix   = local.champion_prefix
  clients                     = var.model_server.clients
  cpu_credits                 = var.model_server.cpu_credits
  deletion_protection         = var.model_server.deletion_protection && !var.teardown
  egress                      = local.egress
  instance_type               = var.model_server.instance_type
  logs                        = merge(var.model_server.logs, { kms_key_arn = local.kms_key_arn })
  metrics_namespace           = local.metrics_namespace
  model                       = var.model_server.model
  permissions_boundary_arn    = local.boundary_arn
  platform_parameter_name     = local.platform_parameter
  subnet_ids                  = module.network.server_subnet_ids
  trusted_types               = var.model_server.trusted_types
  volume                      = var.model_server.volume
  vpc_id                      = module.network.vpc_id
}

module "workload_roles" {
  source = "../modules/workload_roles"

  name = local.prefix
  artifacts = {
    bucket_name = module.artifact_store.bucket_name
    kms_key_arn = local.kms_key_arn
    prefixes    = { for name, prefix in local.prefixes : name => prefix if name != "wheelhouse" }
  }
  champion_parameter_prefix = local.champion_prefix
  database                  = { identifier = local.prefix, kms_key_arn = local.kms_key_arn }
  environment               = var.environment
  github                    = var.github
  job_workflow_refs         = var.job_workflow_refs
  metrics_namespace         = local.metrics_namespace
  permissions_boundary_arn  = local.boundary_arn
  platform_parameter_name   = local.platform_parameter
  provider_arn              = local.provider_arn
  roles                     = local.workload_roles
  server                    = { session_documents = module.mlflow_server.session_documents }
  serving                   = one(module.model_server[*].balancer)
  third_party_secret        = { arn = aws_secretsmanager_secret.third_party.arn, kms_key_arn = local.kms_key_arn }
}

module "observability" {
  source = "../modules/observability"

  name                   = local.prefix
  alert_emails           = var.observability.alert_emails
  autoscaling_group_name = module.mlflow_server.autoscaling_group_name
  budget                 = var.observability.budget
  dashboard_enabled      = var.observability.dashboard_enabled
  database               = merge(var.observability.database, { identifier = local.prefix })
  environment            = var.environment
  kms_key_arn            = local.kms_key_arn
  metrics_namespace      = local.metrics_namespace
  parked                 = var.park
  pipeline               = var.observability.pipeline
  server_log_group_name  = module.mlflow_server.log_group_name

  # Rejected traffic alone may be none for hours.
  flow_log_group_name = var.network.flow_logs.traffic == "ALL" ? module.network.flow_log_group_name : null
}

# For a data provider's key. An administrator puts the value; Terraform never has it.
resource "aws_secretsmanager_secret" "third_party" {
  #checkov:skip=CKV2_AWS_57:someone else's key, which only they can renew; an administrator puts the new value
  name        = "${local.prefix}-third-party"
  description = "Key of a data provider, read by ingest alone"
  kms_key_id  = local.kms_key_arn

  # A disposable environment is made again under the same names.
  recovery_window_in_days = var.artifact_store.force_destroy ? 0 : 30
}
