# The pipeline's roles, each with only what its step does and for one exact GitHub environment.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account    = data.aws_caller_identity.current.account_id
  dns_suffix = data.aws_partition.current.dns_suffix
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id

  bucket_arn = "arn:${local.partition}:s3:::${var.artifacts.bucket_name}"
  prefixes   = var.artifacts.prefixes
  objects    = { for name, prefix in local.prefixes : name => "${local.bucket_arn}/${prefix}*" }

  parameter_arn = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter"
  database_arn  = "arn:${local.partition}:rds:${local.region}:${local.account}:db:${var.database.identifier}"
  snapshots_arn = "arn:${local.partition}:rds:${local.region}:${local.account}:snapshot:${var.database.identifier}-schema-*"
  champions_arn = "${local.parameter_arn}${var.champion_parameter_prefix}*"

  storage = { for role, given in var.roles : role => given.storage if given.storage != null }
  tunnels = { for role, given in var.roles : role => var.server.session_documents[given.session] if given.session != null }

  policies = {
    for role, given in var.roles : role => merge(
      # Without a third-party secret there is no policy to read it.
      { for name in given.policies : name => local.documents[name] if name != "third-party-secret" || var.third_party_secret != null },
      given.storage == null ? {} : { storage = data.aws_iam_policy_document.storage[role].json },
      given.session == null ? {} : { tunnel = data.aws_iam_policy_document.tunnel[role].json },
    )
  }
}

module "role" {
  source   = "../github_role"
  for_each = local.policies

  name                     = "${var.name}-${each.key}"
  context                  = replace(var.roles[each.key].context, "{environment}", var.environment)
  github                   = var.github
  job_workflow_ref         = lookup(var.job_workflow_refs, each.key, null)
  permissions_boundary_arn = var.permissions_boundary_arn
  policies                 = each.value
  provider_arn             = var.provider_arn
  ref                      = var.ref
  tags                     = var.tags
}
