# Subnets, ways out and refusals, offline.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }
  mock_data "aws_region" {
    defaults = { id = "us-east-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  name = "keyless-dev"
}

run "the_cheapest_way_out_by_default" {
  command = plan

  assert {
    condition     = length(aws_subnet.private) == 2 && length(aws_subnet.public) == 2
    error_message = "two zones, each with a private and a public subnet"
  }
  assert {
    condition     = length(aws_nat_gateway.main) == 0 && length(aws_vpc_endpoint.interface) == 0 && length(aws_internet_gateway.main) == 1
    error_message = "public_ip pays for neither NAT nor interface endpoints"
  }
  assert {
    condition     = aws_flow_log.vpc[0].traffic_type == "ALL"
    error_message = "flow logs are on"
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.map_public_ip_on_launch == false])
    error_message = "a subnet must not give addresses to whatever starts in it"
  }
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "S3 is reached through its free gateway"
  }
}

# Without DescribeLogGroups AWS calls the delivery an "Access error", and no log line ever comes.
run "what_flow_logs_deliver_with_is_all_that_aws_asks_for" {
  command = plan

  assert {
    condition = toset(flatten([for statement in data.aws_iam_policy_document.flow_logs.statement : tolist(statement.actions)])) == toset([
      "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents",
    ])
    error_message = "the delivery role lacks a right, or has one too many"
  }
}

run "endpoints_leave_no_route_to_the_internet" {
  command = plan
  variables {
    egress = "endpoints"
    s3_endpoint = {
      bucket_names   = ["keyless-dev-artifacts"]
      principal_arns = ["arn:aws:iam::123456789012:role/keyless-dev-server"]
    }
  }
  assert {
    condition     = length(aws_internet_gateway.main) + length(aws_nat_gateway.main) + length(aws_subnet.public) + length(aws_route.internet) + length(aws_route.nat) == 0
    error_message = "nothing may lead to the internet"
  }
  assert {
    condition     = keys(aws_vpc_endpoint.interface) == ["logs", "ssm", "ssmmessages"]
    error_message = "only the services that are named"
  }
  assert {
    condition     = aws_vpc.main.enable_dns_hostnames
    error_message = "private names of endpoints need DNS host names"
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.s3_endpoint.statement : statement.resources if statement.sid == "AnyoneReadsAmazonLinuxRepositories"]) == toset(["arn:aws:s3:::al2023-repos-us-east-1-de612dc2/*"])
    error_message = "Amazon Linux's repositories must be readable unsigned"
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.s3_endpoint.statement :
      { for condition in statement.condition : condition.variable => one(condition.values) } == { "aws:PrincipalArn" = "arn:aws:iam::123456789012:role/keyless-dev-server", "aws:ResourceAccount" = "123456789012" }
      if statement.sid != "AnyoneReadsAmazonLinuxRepositories"
    ])
    error_message = "buckets are for named roles, and only those of this account: a stranger may own the name"
  }
}

run "one_nat_gateway_serves_both_zones" {
  command = plan
  variables {
    egress = "nat"
  }
  assert {
    condition     = length(aws_nat_gateway.main) == 1 && length(aws_route.nat) == 2
    error_message = "one gateway, a route from each zone"
  }
}

run "a_nat_gateway_in_each_zone" {
  command = plan
  variables {
    availability_zones   = ["us-east-1a", "us-east-1b", "us-east-1c"]
    egress               = "nat"
    nat_gateway_per_zone = true
    flow_logs            = { enabled = false }
  }
  assert {
    condition     = length(aws_nat_gateway.main) == 3 && length(aws_flow_log.vpc) == 0
    error_message = "three zones, three gateways, no flow logs"
  }
}

# Names and places: the first two zones may lack the instance types, and a region gets new zones.
run "zones_are_chosen_by_what_they_offer" {
  command = plan
  variables {
    instance_types = ["t4g.small", "t4g.micro", "a1.unheard-of"]
  }
  override_data {
    target = data.aws_ec2_instance_type_offerings.zones
    values = {
      instance_types = ["t4g.small", "t4g.small", "t4g.micro", "t4g.micro", "t4g.micro"]
      locations      = ["us-east-1b", "us-east-1c", "us-east-1a", "us-east-1b", "us-east-1c"]
    }
  }
  assert {
    condition     = [for subnet in values(aws_subnet.private) : subnet.availability_zone] == ["us-east-1b", "us-east-1c"]
    error_message = "us-east-1a has no t4g.small"
  }
}

run "a_region_without_two_fitting_zones_is_refused" {
  command = plan
  variables {
    instance_types = ["t4g.small"]
  }
  override_data {
    target = data.aws_ec2_instance_type_offerings.zones
    values = { instance_types = ["t4g.small"], locations = ["us-east-1c"] }
  }
  expect_failures = [aws_vpc.main]
}

run "a_first_apply_takes_the_first_two_zones" {
  command = apply
  variables {
    flow_logs = { enabled = false }
  }
  assert {
    condition     = [for subnet in values(aws_subnet.private) : subnet.availability_zone] == ["us-east-1a", "us-east-1b"]
    error_message = "the first two, by name"
  }
}

run "a_zone_that_appears_later_moves_nothing" {
  command = plan
  variables {
    flow_logs = { enabled = false }
  }
  override_data {
    target = data.aws_availability_zones.available
    values = { names = ["us-east-1-new", "us-east-1a", "us-east-1b", "us-east-1c"] }
  }
  assert {
    condition     = [for subnet in concat(values(aws_subnet.private), values(aws_subnet.public)) : subnet.availability_zone] == ["us-east-1a", "us-east-1b", "us-east-1a", "us-east-1b"]
    error_message = "a subnet, and the database in it, would be replaced"
  }
}

run "zones_named_later_are_refused_and_not_ignored" {
  command = plan
  variables {
    availability_zones = ["us-east-1b", "us-east-1c"]
    flow_logs          = { enabled = false }
  }
  expect_failures = [aws_subnet.private, aws_subnet.public]
}

run "overlapping_subnets_are_refused" {
  command = plan
  variables {
    private_subnet_cidrs = ["10.40.0.0/20", "10.40.8.0/21"]
  }
  expect_failures = [aws_vpc.main]
}

run "subnets_outside_the_vpc_are_refused" {
  command = plan
  variables {
    private_subnet_cidrs = ["10.40.0.0/20", "10.41.16.0/20"]
  }
  expect_failures = [aws_vpc.main]
}

run "a_range_in_use_elsewhere_is_refused" {
  command = plan
  variables {
    reserved_cidrs = ["10.0.0.0/8"]
  }
  expect_failures = [aws_vpc.main]
}

run "one_subnet_for_two_zones_is_refused" {
  command = plan
  variables {
    private_subnet_cidrs = ["10.40.0.0/20"]
  }
  expect_failures = [aws_vpc.main]
}

run "bad_values_are_refused" {
  command = plan
  variables {
    availability_zones   = ["us-east-1a"]
    cidr_block           = "10.40.0.1/16"
    egress               = "internet"
    flow_logs            = { traffic = "SOME", retention_days = 31 }
    interface_endpoints  = { logs = ["logs:*"] }
    name                 = "Keyless"
    private_subnet_cidrs = ["10.40.0.1/20", "nonsense"]
    public_subnet_cidrs  = ["nonsense"]
    reserved_cidrs       = ["nonsense"]
    s3_endpoint          = { bucket_names = ["keyless-*"], principal_arns = [] }
  }
  expect_failures = [
    var.availability_zones, var.cidr_block, var.egress, var.flow_logs, var.interface_endpoints, var.name,
    var.private_subnet_cidrs, var.public_subnet_cidrs, var.reserved_cidrs, var.s3_endpoint,
  ]
}

run "a_vpc_too_large_is_refused" {
  command = plan
  variables {
    cidr_block = "10.0.0.0/8"
  }
  expect_failures = [var.cidr_block]
}
