# VPC with private subnets, a closed default security group and one way out of three.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:two names are taken, not all, and a subnet stays where it is; availability_zones pins them
  state = "available"

  filter { # Local Zones and Wavelength have no RDS
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

# Not every zone has every type: use1-az3, for one, has no t4g.
data "aws_ec2_instance_type_offerings" "zones" {
  count = length(var.instance_types) > 0 ? 1 : 0

  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = var.instance_types
  }
}

locals {
  region  = data.aws_region.current.id
  account = data.aws_caller_identity.current.account_id

  # Instance type -> zones that offer it. A type that EC2 does not know says nothing about zones.
  offered = { for index, type in flatten(data.aws_ec2_instance_type_offerings.zones[*].instance_types) : type => flatten(data.aws_ec2_instance_type_offerings.zones[*].locations)[index]... }
  fitting = [
    for zone in sort(data.aws_availability_zones.available.names) : zone
    if alltrue([for zones in values(local.offered) : contains(zones, zone)])
  ]

  zones  = coalesce(var.availability_zones, slice(local.fitting, 0, min(2, length(local.fitting))))
  public = var.egress != "endpoints"

  private_cidrs = var.private_subnet_cidrs != null ? var.private_subnet_cidrs : [for index, _ in local.zones : cidrsubnet(var.cidr_block, 4, index)]
  public_cidrs  = var.public_subnet_cidrs != null ? var.public_subnet_cidrs : [for index, _ in local.zones : cidrsubnet(var.cidr_block, 4, 8 + index)]
  # By their number, not by their zone: which zone a number got is decided once.
  private_subnets = { for index, zone in local.zones : index + 1 => { zone = zone, cidr = local.private_cidrs[index] } if index < length(local.private_cidrs) }
  public_subnets  = { for index, zone in local.zones : index + 1 => { zone = zone, cidr = local.public_cidrs[index] } if local.public && index < length(local.public_cidrs) }
  subnet_cidrs    = concat(local.private_cidrs, local.public ? local.public_cidrs : [])

  # Two networks overlap exactly when they agree on the shorter of their prefixes.
  overlapping = [
    for pair in concat(
      setproduct(range(length(local.subnet_cidrs)), range(length(local.subnet_cidrs)))
      ) : "${local.subnet_cidrs[pair[0]]} and ${local.subnet_cidrs[pair[1]]}" if pair[0] < pair[1] && (
      cidrhost("${split("/", local.subnet_cidrs[pair[0]])[0]}/${min([for index in pair : tonumber(split("/", local.subnet_cidrs[index])[1])]...)}", 0) ==
      cidrhost("${split("/", local.subnet_cidrs[pair[1]])[0]}/${min([for index in pair : tonumber(split("/", local.subnet_cidrs[index])[1])]...)}", 0)
    )
  ]
  vpc_prefix = tonumber(split("/", var.cidr_block)[1])
  outside = [
    for cidr in local.subnet_cidrs : cidr
    if tonumber(split("/", cidr)[1]) < local.vpc_prefix || cidrhost("${split("/", cidr)[0]}/${local.vpc_prefix}", 0) != cidrhost(var.cidr_block, 0)
  ]
  taken = [
    for cidr in var.reserved_cidrs : cidr
    if cidrhost("${split("/", cidr)[0]}/${min(local.vpc_prefix, tonumber(split("/", cidr)[1]))}", 0) ==
    cidrhost("${split("/", var.cidr_block)[0]}/${min(local.vpc_prefix, tonumber(split("/", cidr)[1]))}", 0)
  ]
}

resource "aws_vpc" "main" {
  cidr_block           = var.cidr_block
  enable_dns_hostnames = var.egress == "endpoints" # their private names need it; nothing else does, and it costs an apply ten seconds
  enable_dns_support   = true
  tags                 = merge(var.tags, { Name = var.name })

  lifecycle {
    ignore_changes = [cidr_block] # another VPC would take everything along, and stop half-way at the database

    postcondition {
      condition     = self.cidr_block == var.cidr_block
      error_message = "The VPC has the range ${self.cidr_block} and is to have ${var.cidr_block}. AWS changes no range, and everything is in this VPC: keep the range, or destroy the environment and apply it again."
    }
    precondition {
      condition     = length(local.zones) >= 2
      error_message = "The region has fewer than two zones${length(var.instance_types) > 0 ? " with ${join(" and ", var.instance_types)}" : ""}; choose another region or type, or name two zones in availability_zones."
    }
    precondition {
      condition     = length(local.private_cidrs) == length(local.zones) && (!local.public || length(local.public_cidrs) == length(local.zones))
      error_message = "private_subnet_cidrs and public_subnet_cidrs need one range for each of the ${length(local.zones)} zones."
    }
    precondition {
      condition     = length(local.overlapping) == 0
      error_message = "Subnets overlap: ${join("; ", local.overlapping)}. Give each a range of its own, or leave private_subnet_cidrs and public_subnet_cidrs out."
    }
    precondition {
      condition     = length(local.outside) == 0
      error_message = "Subnets lie outside cidr_block ${var.cidr_block}: ${join(", ", local.outside)}. Choose ranges inside it."
    }
    precondition {
      condition     = length(local.taken) == 0
      error_message = "cidr_block ${var.cidr_block} overlaps reserved_cidrs ${join(", ", local.taken)}. Choose a free range."
    }
  }
}

# Nothing uses it; without rules, nothing can by mistake.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.main.id
  tags   = merge(var.tags, { Name = "${var.name}-default-closed" })
}

resource "aws_subnet" "private" {
  for_each = local.private_subnets

  vpc_id                  = aws_vpc.main.id
  availability_zone       = each.value.zone
  cidr_block              = each.value.cidr
  map_public_ip_on_launch = false
  tags                    = merge(var.tags, { Name = "${var.name}-private-${each.key}" })

  lifecycle {
    # A zone that appears later moves nothing; neither does another range, in the middle of what uses it.
    ignore_changes = [availability_zone, cidr_block]

    postcondition {
      condition     = var.availability_zones == null || self.availability_zone == try(var.availability_zones[each.key - 1], "")
      error_message = "The subnet is in ${self.availability_zone} and availability_zones names another zone for it. Moving it replaces what is in it: name the zone it is in, or plan with -replace for its address."
    }

    postcondition {
      condition     = self.cidr_block == each.value.cidr
      error_message = "The subnet has the range ${self.cidr_block} and is to have ${each.value.cidr}. AWS changes no range, and refuses to delete a subnet that the database is in: keep the range, or destroy the environment and apply it again."
    }
  }
}

resource "aws_route_table" "private" {
  for_each = aws_subnet.private

  vpc_id = aws_vpc.main.id
  tags   = merge(var.tags, { Name = "${var.name}-private-${each.key}" })
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  route_table_id = aws_route_table.private[each.key].id
  subnet_id      = each.value.id
}
