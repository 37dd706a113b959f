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

  # Role -> what it does with which part of the bucket. Nobody here deletes.
  storage = {
    ingest = {
      read     = ["contracts"]
      list     = []
      versions = []
      write    = ["contracts", "holdout", "inputs", "raw", "train"]
    }
    train = {
      read     = ["train"]
      list     = []
      versions = []
      write    = ["models"]
    }
    promote = {
      read     = ["decisions", "holdout", "models"]
      list     = []
      versions = ["decisions", "models"]
      write    = ["decisions", "references"]
    }
    predict = {
      read     = ["inputs", "models"]
      list     = []
      versions = ["models"]
      write    = ["predictions"]
    }
    monitor = {
      read     = ["predictions", "references"]
      list     = ["predictions"]
      versions = []
      write    = ["reports"]
    }
  }

  tunnels = { database = var.server.database_document, promote = var.server.mlflow_document, train = var.server.mlflow_document }

  policies = {
    for role in ["database", "ingest", "monitor", "predict", "promote", "train"] : role => merge(
      # `keyless database` runs before there is a contract.
      role == "database" ? {} : { contract = data.aws_iam_policy_document.contract.json },
      contains(keys(local.storage), role) ? { storage = data.aws_iam_policy_document.storage[role].json } : {},
      contains(keys(local.tunnels), role) ? { tunnel = data.aws_iam_policy_document.tunnel[role].json } : {},
      {
        database = { database = data.aws_iam_policy_document.database.json }
        ingest   = var.third_party_secret == null ? {} : { third-party-secret = one(data.aws_iam_policy_document.third_party_secret[*].json) }
        monitor  = { metrics = data.aws_iam_policy_document.metrics.json }
        predict  = { champion = data.aws_iam_policy_document.champion_read.json, metrics = data.aws_iam_policy_document.metrics.json }
        promote  = { champion = data.aws_iam_policy_document.champion_write.json }
        train    = {}
      }[role],
    )
  }
}

module "role" {
  source   = "../github_role"
  for_each = local.policies

  name                     = "${var.name}-${each.key}"
  context                  = "environment:${var.environment}-${each.key}"
  github                   = var.github
  job_workflow_ref         = lookup(var.job_workflow_refs, each.key, null)
  permissions_boundary_arn = var.permissions_boundary_arn
  policies                 = each.value
  provider_arn             = var.provider_arn
  ref                      = var.ref
  tags                     = var.tags
}
