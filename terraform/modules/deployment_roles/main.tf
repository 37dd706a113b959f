# One environment's permissions boundaries and the roles that plan and apply it.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account    = data.aws_caller_identity.current.account_id
  dns_suffix = data.aws_partition.current.dns_suffix
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id
  prefix     = "keyless-${var.environment}"
  tags       = { Environment = var.environment }

  iam          = "arn:${local.partition}:iam::${local.account}"
  ec2          = "arn:${local.partition}:ec2:${local.region}:${local.account}"
  rds          = "arn:${local.partition}:rds:${local.region}:${local.account}"
  ssm          = "arn:${local.partition}:ssm:${local.region}:${local.account}"
  logs         = "arn:${local.partition}:logs:${local.region}:${local.account}"
  secrets      = "arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret"
  keys         = "arn:${local.partition}:kms:${local.region}:${local.account}:key/*"
  groups       = "arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.prefix}"
  scaling      = "${local.groups}-mlflow"
  alarms       = "arn:${local.partition}:cloudwatch:${local.region}:${local.account}:alarm:${local.prefix}-*"
  dashboard    = "arn:${local.partition}:cloudwatch::${local.account}:dashboard/${local.prefix}"
  topic        = "arn:${local.partition}:sns:${local.region}:${local.account}:${local.prefix}-alerts"
  budget       = "arn:${local.partition}:budgets::${local.account}:budget/${local.prefix}"
  billing_view = "arn:${local.partition}:billing::${local.account}:billingview/primary"
  schedules    = "arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule/default/${local.prefix}-*"
  state        = "arn:${local.partition}:s3:::${var.state.bucket_name}"
  artifacts    = "arn:${local.partition}:s3:::${local.prefix}-artifacts-${local.account}-${local.region}"
  access_logs  = "arn:${local.partition}:s3:::${local.prefix}-access-logs-${local.account}-${local.region}"

  # Parameters without a secret that the platform root makes.
  plain_parameters = ["${local.ssm}:parameter/keyless/${var.environment}/platform", "${local.ssm}:parameter/keyless/${var.environment}/server/*"]

  database        = "${local.rds}:db:${local.prefix}"
  managed_secrets = "${local.secrets}:rds!db-*"
  third_party     = "${local.secrets}:${local.prefix}-third-party-*"
  log_groups      = ["${local.logs}:log-group:/${local.prefix}/*", "${local.logs}:log-group:/aws/rds/instance/${local.prefix}/*"]

  # Roles that the platform makes: each by its whole name, so that none of those made here is among them.
  roles          = { for name, role in var.roles : name => role if role.needs == null || (role.needs == "model_server" && var.model_servers) }
  platform_roles = [for name, role in local.roles : "${local.iam}:role/${local.prefix}-${name}" if role.root == "platform"]
  passed_roles   = { for name, role in local.roles : name => role.service if role.root == "platform" && role.service != null }

  deployment_roles = { for name, role in local.roles : name => role if role.root == "bootstrap" }
  own_roles        = [for name in keys(local.deployment_roles) : "${local.iam}:role/${local.prefix}-${name}"]
  boundaries       = [for boundary in ["boundary", "deploy-boundary"] : "${local.iam}:policy/${local.prefix}-${boundary}"]
}

locals {
  policy_groups = { apply = aws_iam_policy.apply, read = aws_iam_policy.read }
}

# A pull request's plan is information only: it runs the pull request's code.
module "role" {
  source   = "../github_role"
  for_each = local.deployment_roles

  name                     = "${local.prefix}-${each.key}"
  context                  = replace(each.value.context, "{environment}", var.environment)
  github                   = var.github
  permissions_boundary_arn = aws_iam_policy.deploy_boundary.arn
  policy_arns              = { for name, policy in merge([for group in each.value.policies : local.policy_groups[group]]...) : name => policy.arn }
  provider_arn             = var.provider_arn
  ref                      = each.value.context == "pull_request" ? null : "refs/heads/main"
  tags                     = local.tags
}

moved {
  from = module.plan
  to   = module.role["plan"]
}

moved {
  from = module.plan_main
  to   = module.role["plan-main"]
}

moved {
  from = module.apply
  to   = module.role["apply"]
}

resource "aws_iam_policy" "read" {
  for_each = merge(
    {
      read-region = data.aws_iam_policy_document.read_region.json
      read-named  = data.aws_iam_policy_document.read_named.json
    },
    var.model_servers ? { read-serving = data.aws_iam_policy_document.read_serving[0].json } : {},
  )

  name        = "${local.prefix}-${each.key}"
  description = "Read the configuration of ${local.prefix}: no secret value, no object data"
  policy      = each.value
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = length(replace(each.value, "/\\s/", "")) <= 6144
      error_message = "Policy ${each.key} is over IAM's 6,144 characters; split it by topic."
    }
  }
}

resource "aws_iam_policy" "apply" {
  for_each = merge(
    {
      apply-compute   = data.aws_iam_policy_document.apply_compute.json
      apply-data      = data.aws_iam_policy_document.apply_data.json
      apply-identity  = data.aws_iam_policy_document.apply_identity.json
      apply-network   = data.aws_iam_policy_document.apply_network.json
      apply-operation = data.aws_iam_policy_document.apply_operation.json
    },
    var.model_servers ? { apply-serving = data.aws_iam_policy_document.apply_serving[0].json } : {},
  )

  name        = "${local.prefix}-${each.key}"
  description = "Create and change the platform of ${local.prefix}"
  policy      = each.value
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = length(replace(each.value, "/\\s/", "")) <= 6144
      error_message = "Policy ${each.key} is over IAM's 6,144 characters; split it by topic."
    }
  }
}
