# What Python needs to know of this environment: one object, as an output and as a parameter.

locals {
  # Only where there are model servers, so that an older reader takes the contract of a platform without them.
  serving = { for server in module.model_server : "serving" => {
    model            = var.model_server.model
    address          = server.address
    listener_arn     = server.listener_arn
    port             = server.port
    session_document = server.session_document
    instance_tags    = server.instance_tags
    blue             = server.sets["blue"]
    green            = server.sets["green"]
  } }

  platform = merge(local.serving, {
    schema_version = 1
    environment    = var.environment
    region         = local.region
    account_id     = local.account
    prefix         = local.prefix
    artifact_store = {
      bucket      = module.artifact_store.bucket_name
      kms_key_arn = local.kms_key_arn
      prefixes    = local.prefixes
    }
    database = {
      identifier        = local.prefix
      address           = module.metadata_store.address
      port              = module.metadata_store.port
      name              = "mlflow"
      user              = "mlflow"
      resource_id       = module.metadata_store.resource_id
      master_secret_arn = module.metadata_store.master_secret_arn
    }
    mlflow = {
      autoscaling_group_name = module.mlflow_server.autoscaling_group_name
      ports                  = { for name, one in local.permission_sets : name => one.port }
      artifact_root          = module.mlflow_server.artifact_root
      artifact_access        = var.artifact_access
      instance_tags          = module.mlflow_server.instance_tags
    }
    sessions = { documents = module.mlflow_server.session_documents }
    roles = merge(
      { for name, role in local.deployment_roles : name => "${local.iam}:role/${local.prefix}-${name}" },
      { server = module.mlflow_server.role_arn },
      { for arn in local.serve_role_arns : "serve" => arn },
      module.workload_roles.role_arns,
    )
    parameters        = { platform = local.platform_parameter, champion_prefix = local.champion_prefix }
    secrets           = { third_party_arn = aws_secretsmanager_secret.third_party.arn }
    metrics_namespace = local.metrics_namespace
    github            = var.github
  })
}

resource "aws_ssm_parameter" "platform" {
  #checkov:skip=CKV2_AWS_34:names and addresses, no secret; a key would only widen each reader's rights
  name        = local.platform_parameter
  description = "What pipeline and server need to know of ${local.prefix}"
  type        = "String"
  value       = jsonencode(local.platform)

  lifecycle {
    precondition {
      condition     = length(jsonencode(local.platform)) <= 4096
      error_message = "The contract is over a standard parameter's 4 kB; shorten names, or set tier = \"Advanced\"."
    }
    precondition {
      condition     = var.image == null || try(var.image.region == local.region, false)
      error_message = "The image is one of ${try(var.image.region, "")}, and this is ${local.region}: run keyless image --aws -e ${var.environment}."
    }
  }
}
