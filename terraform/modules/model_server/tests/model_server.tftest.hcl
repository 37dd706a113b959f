# The model servers: who gets in, what their role may do, two sets behind one listener, refusals; offline.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_region" {
    defaults = { id = "us-east-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_default_tags" {
    defaults = { tags = { Project = "keyless-mlops" } }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0123456789abcdef0" }
  }
}

variables {
  name                      = "keyless-dev"
  balancer_subnet_ids       = ["subnet-1", "subnet-2"]
  certificate_arn           = "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
  champion_parameter_prefix = "/keyless/dev/champion/"
  environment               = "dev"
  metrics_namespace         = "Keyless/dev"
  model                     = "breast-cancer"
  platform_parameter_name   = "/keyless/dev/platform"
  subnet_ids                = ["subnet-1"]
  vpc_id                    = "vpc-1"
  artifacts = {
    bucket_name = "keyless-dev-artifacts"
    prefixes    = { decisions = "decisions/", models = "mlflow/", predictions = "predictions/", rollouts = "rollouts/", wheelhouse = "wheelhouse/" }
  }
}

run "nobody_gets_in_but_named_clients_through_the_load_balancer" {
  command = plan

  assert {
    condition     = aws_lb.serve.internal && aws_lb_listener.serve.protocol == "HTTPS" && startswith(aws_lb_listener.serve.ssl_policy, "ELBSecurityPolicy-TLS13")
    error_message = "internal, and TLS alone"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.clients) == 0 && length(aws_vpc_security_group_ingress_rule.client_groups) == 0
    error_message = "no client by default"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.instances.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.instances.from_port == 8080
    error_message = "the instances let in the load balancer alone"
  }
  assert {
    condition     = alltrue([for template in aws_launch_template.serve : template.key_name == null && one(template.metadata_options).http_tokens == "required" && one(template.metadata_options).http_put_response_hop_limit == 1 && one(template.network_interfaces).associate_public_ip_address == "false" && one(one(template.block_device_mappings).ebs).encrypted == "true"])
    error_message = "no key pair, IMDSv2 alone with one hop, no public address, an encrypted volume"
  }
}

run "clients_are_let_in_by_name" {
  command = plan
  variables {
    clients = { cidrs = { services = "10.40.0.0/16" }, security_group_ids = { api = "sg-1" } }
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.clients["services"].cidr_ipv4 == "10.40.0.0/16" && aws_vpc_security_group_ingress_rule.clients["services"].to_port == 443
    error_message = "HTTPS from the named network"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.client_groups["api"].referenced_security_group_id == "sg-1"
    error_message = "HTTPS from the named group"
  }
}

run "two_sets_of_which_one_answers" {
  command = plan

  assert {
    condition     = { for set, group in aws_autoscaling_group.serve : set => [group.min_size, group.desired_capacity, group.max_size] } == { blue = [1, 1, 4], green = [0, 0, 4] }
    error_message = "the green set is empty until a rollout fills it"
  }
  assert {
    condition     = alltrue([for set, template in aws_launch_template.serve : one([for given in template.tag_specifications : given.tags if given.resource_type == "instance"]).Set == set])
    error_message = "an instance says which set it belongs to"
  }
  assert {
    condition     = alltrue([for group in aws_lb_target_group.serve : one(group.health_check).path == "/ready" && group.deregistration_delay == "30"])
    error_message = "a server without its model gets no request, and one that leaves ends what it has"
  }
  assert {
    condition     = output.balancer == { autoscaling_group_names = ["keyless-dev-serve-blue", "keyless-dev-serve-green"], balancer_name = "keyless-dev-serve", role_tag = "serve", session_document = "keyless-dev-serve-session", ssl_policy = "ELBSecurityPolicy-TLS13-1-2-2021-06" }
    error_message = "names that are known before anything is made"
  }
}

run "scaling_is_not_left_to_an_accounts_default_for_credits" {
  command = plan

  assert {
    condition     = alltrue([for template in aws_launch_template.serve : one(template.credit_specification).cpu_credits == "unlimited"])
    error_message = "held at its baseline a server never reaches capacity.cpu_percent"
  }
}

run "a_server_of_another_kind_has_no_credits" {
  command = plan
  variables {
    instance_type = "m7g.large"
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.serve : length(template.credit_specification) == 0])
    error_message = "EC2 refuses a credit specification for m7g"
  }
}

run "its_role_reads_one_model_and_cannot_write_the_policy" {
  command = plan

  assert {
    condition = toset(flatten([for statement in data.aws_iam_policy_document.serve.statement : tolist(statement.actions)])) == toset([
      "cloudwatch:PutMetricData",
      "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents",
      "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject",
      "ssm:GetParameter",
    ])
    error_message = "other actions than these"
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.serve.statement : statement.resources if contains(statement.actions, "s3:PutObject")]) == toset(["arn:aws:s3:::keyless-dev-artifacts/predictions/breast-cancer/*"])
    error_message = "it writes predictions of its model and nothing else: above all no policy"
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.serve.statement : statement.resources if contains(statement.actions, "s3:GetObjectVersion")]) == toset(["arn:aws:s3:::keyless-dev-artifacts/mlflow/breast-cancer/*"])
    error_message = "it reads one model, by version"
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.serve.statement : statement.resources if contains(statement.actions, "ssm:GetParameter")]) == toset(["arn:aws:ssm:us-east-1:123456789012:parameter/keyless/dev/champion/breast-cancer", "arn:aws:ssm:us-east-1:123456789012:parameter/keyless/dev/platform"])
    error_message = "one champion's record, and the contract"
  }
}

run "proxied_artifacts_are_read_beside_the_decisions" {
  command = plan
  variables {
    artifact_access = "proxied"
    artifacts = {
      bucket_name = "keyless-dev-artifacts"
      kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
      prefixes    = { decisions = "decisions/", models = "mlflow/", predictions = "predictions/", rollouts = "rollouts/", wheelhouse = "wheelhouse/" }
    }
  }

  assert {
    condition     = one([for statement in data.aws_iam_policy_document.serve.statement : statement.resources if statement.sid == "ReadPinnedCopies"]) == toset(["arn:aws:s3:::keyless-dev-artifacts/decisions/breast-cancer/files/*"])
    error_message = "the pinned copies of one model"
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.serve.statement : one(statement.condition).values if statement.sid == "UseTheArtifactKeyThroughS3"]) == tolist(["s3.us-east-1.amazonaws.com"])
    error_message = "the key is used through S3 alone"
  }
}

run "the_session_opens_one_port" {
  command = plan

  assert {
    condition     = jsondecode(aws_ssm_document.serve.content).properties.portNumber == "8080" && keys(jsondecode(aws_ssm_document.serve.content).parameters) == ["localPortNumber"]
    error_message = "there is nothing to choose but the local port"
  }
}

run "the_whole_internet_is_no_client" {
  command = plan
  variables {
    clients = { cidrs = { everyone = "0.0.0.0/0" } }
  }
  expect_failures = [var.clients]
}

run "a_model_is_named_without_a_wildcard" {
  command = plan
  variables {
    model = "*"
  }
  expect_failures = [var.model]
}

run "a_load_balancer_needs_two_zones" {
  command = plan
  variables {
    balancer_subnet_ids = ["subnet-1"]
  }
  expect_failures = [var.balancer_subnet_ids]
}

run "a_group_has_at_least_one_and_no_less_at_most" {
  command = plan
  variables {
    capacity = { minimum = 3, maximum = 2 }
  }
  expect_failures = [var.capacity]
}
