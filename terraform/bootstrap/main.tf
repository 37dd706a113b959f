# Once for an account, by an administrator: what Terraform and CI need before there is a platform.

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

  provider_arn = "arn:${local.partition}:iam::${local.account}:oidc-provider/token.actions.githubusercontent.com"
  state_bucket = "keyless-state-${local.account}-${local.region}"
  keyed        = { for name, environment in var.environments : name => environment.kms_key_arn != null || coalesce(environment.customer_managed_key, !environment.allow_data_deletion) }
  state_keys   = { for name in keys(var.environments) : name => "${name}/platform.tfstate" }
}

# No thumbprint: AWS trusts GitHub's certificate through its own store of authorities.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_provider == "create" ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]

  lifecycle {
    # Others in the account may use it by now. `keyless bootstrap --github-provider existing` lets go of it.
    prevent_destroy = true
  }
}

# Stops here, with AWS's own words, when the account has none.
data "aws_iam_openid_connect_provider" "github" {
  count = var.github_provider == "existing" ? 1 : 0

  arn = local.provider_arn

  lifecycle {
    postcondition {
      condition     = contains(self.client_id_list, "sts.amazonaws.com")
      error_message = "The account's GitHub provider does not accept the audience sts.amazonaws.com; add it: aws iam add-client-id-to-open-id-connect-provider --client-id sts.amazonaws.com --open-id-connect-provider-arn ${local.provider_arn}"
    }
  }
}

# The key of an environment's data. Nothing that runs in CI may make, tag or rewrite a key.
module "environment_key" {
  source   = "../modules/environment_key"
  for_each = { for name, environment in var.environments : name => environment if local.keyed[name] }

  existing_arn = each.value.kms_key_arn
  name         = "keyless-${each.key}"
  tags         = { Environment = each.key }
}

module "environment" {
  source   = "../modules/deployment_roles"
  for_each = var.environments

  allow_data_deletion = each.value.allow_data_deletion
  environment         = each.key
  github              = var.github
  kms_key_arn         = local.keyed[each.key] ? module.environment_key[each.key].arn : null
  model_servers       = each.value.model_servers
  provider_arn        = local.provider_arn
  roles               = yamldecode(file("${path.module}/../roles.yaml"))
  state = {
    bucket_name   = local.state_bucket
    key           = local.state_keys[each.key]
    kms_key_arn   = var.state.kms_key_arn
    pulumi_prefix = each.value.pulumi ? "${each.key}/pulumi" : null
  }
}
