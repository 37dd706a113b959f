# What egress = "public_ip" and "nat" need: public subnets, the internet gateway, NAT gateways.

locals {
  # Numbers of the public subnets that have a gateway.
  nat_subnets = var.egress != "nat" ? [] : var.nat_gateway_per_zone ? keys(local.public_subnets) : slice(keys(local.public_subnets), 0, 1)
}

resource "aws_internet_gateway" "main" {
  count = local.public ? 1 : 0

  vpc_id = aws_vpc.main.id
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_subnet" "public" {
  for_each = local.public_subnets

  vpc_id                  = aws_vpc.main.id
  availability_zone       = each.value.zone
  cidr_block              = each.value.cidr
  map_public_ip_on_launch = false
  tags                    = merge(var.tags, { Name = "${var.name}-public-${each.key}" })

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

resource "aws_route_table" "public" {
  count = local.public ? 1 : 0

  vpc_id = aws_vpc.main.id
  tags   = merge(var.tags, { Name = "${var.name}-public" })

  lifecycle {
    create_before_destroy = true # S3's endpoint lets go of the table before it is deleted; AWS knows no deleted table
  }
}

resource "aws_route" "internet" {
  count = local.public ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main[0].id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  route_table_id = aws_route_table.public[0].id
  subnet_id      = each.value.id
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_subnets)

  domain = "vpc"
  tags   = merge(var.tags, { Name = "${var.name}-nat-${each.key}" })

  depends_on = [aws_internet_gateway.main]
}

resource "aws_nat_gateway" "main" {
  for_each = aws_eip.nat

  allocation_id = each.value.id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_route" "nat" {
  for_each = var.egress == "nat" ? aws_route_table.private : {}

  route_table_id         = each.value.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.main[var.nat_gateway_per_zone ? each.key : local.nat_subnets[0]].id
}
