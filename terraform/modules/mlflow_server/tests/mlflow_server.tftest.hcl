# The server: no way in, what its role may do, what the sessions open, refusals; offline.

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
  name                    = "keyless-dev"
  artifacts               = { bucket_name = "keyless-dev-artifacts" }
  database                = { identifier = "keyless-dev" }
  database_resource_id    = "db-ABCDEFGHIJKL"
  environment             = "dev"
  platform_parameter_name = "/keyless/dev/platform"
  subnet_ids              = ["subnet-1"]
  vpc_id                  = "vpc-1"
}

run "no_way_in" {
  command = plan

  assert {
    condition     = aws_launch_template.server.key_name == null && one(aws_launch_template.server.metadata_options).http_tokens == "required" && one(aws_launch_template.server.metadata_options).http_put_response_hop_limit == 1
    error_message = "no key pair, IMDSv2 alone, one hop"
  }
  assert {
    condition     = one(aws_launch_template.server.network_interfaces).associate_public_ip_address == "false" && one(one(aws_launch_template.server.block_device_mappings).ebs).encrypted == "true"
    error_message = "no public address unless asked for; an encrypted volume"
  }
  assert {
    condition     = keys(aws_vpc_security_group_egress_rule.https) == ["anywhere"]
    error_message = "only HTTPS leads out"
  }
  assert {
    condition     = aws_autoscaling_group.server.min_size == 1 && aws_autoscaling_group.server.max_size == 1 && aws_autoscaling_group.server.wait_for_capacity_timeout == "0"
    error_message = "one instance, which apply does not wait for"
  }
  assert {
    condition     = alltrue([for specification in aws_launch_template.server.tag_specifications : specification.tags["Environment"] == "dev" && specification.tags["Role"] == "mlflow"])
    error_message = "clients find the instance by its tags"
  }
}

# A burstable instance begins in unlimited mode, which has no upper end.
run "a_burstable_instance_has_a_bounded_bill" {
  command = plan

  assert {
    condition     = one(aws_launch_template.server.credit_specification).cpu_credits == "standard"
    error_message = "a busy loop would be billed without end"
  }
}

run "other_instances_have_no_credits_to_bound" {
  command = plan
  variables {
    instance_type = "m7g.large"
  }

  assert {
    condition     = length(aws_launch_template.server.credit_specification) == 0
    error_message = "EC2 refuses a credit specification for m7g"
  }
}

run "every_log_of_the_server_is_shipped" {
  command = plan

  assert {
    condition     = toset([for file in local.agent.logs.logs_collected.files.collect_list : basename(file.file_path)]) == toset(["cloud-init-output.log", "install.log", "mlflow.log", "watchdog.log"])
    error_message = "an installation that fails would leave no trace"
  }
}

run "its_role_reads_and_connects" {
  command = plan

  assert {
    condition     = one(data.aws_iam_policy_document.database.statement).resources == toset(["arn:aws:rds-db:us-east-1:123456789012:dbuser:db-ABCDEFGHIJKL/mlflow"])
    error_message = "one user on one database"
  }
  assert {
    condition     = !contains(flatten([for statement in data.aws_iam_policy_document.server.statement : tolist(statement.actions)]), "s3:PutObject")
    error_message = "with direct access the server does not write artifacts"
  }
  assert {
    condition     = !contains(flatten([for statement in data.aws_iam_policy_document.agent.statement : tolist(statement.actions)]), "ssm:GetParameters")
    error_message = "the managed policy's right to every parameter must not be here"
  }
}

run "sessions_open_one_port_each" {
  command = plan

  assert {
    condition     = { for name, document in aws_ssm_document.mlflow : name => jsondecode(document.content).properties.portNumber } == { read = "5000", train = "5001", promote = "5002", operate = "5003" }
    error_message = "each permission set has its own port"
  }
  assert {
    condition     = alltrue([for document in aws_ssm_document.mlflow : keys(jsondecode(document.content).parameters) == ["localPortNumber"]])
    error_message = "there is nothing to choose but the local port"
  }
  assert {
    condition     = jsondecode(aws_ssm_document.database.content).properties.portNumber == "5432" && !contains(keys(jsondecode(aws_ssm_document.database.content).parameters), "portNumber")
    error_message = "the database's port is fixed"
  }
  assert {
    condition = alltrue([
      can(regex(jsondecode(aws_ssm_document.database.content).parameters.host.allowedPattern, "keyless-dev.abc123.us-east-1.rds.amazonaws.com")),
      !can(regex(jsondecode(aws_ssm_document.database.content).parameters.host.allowedPattern, "keyless-prod.abc123.us-east-1.rds.amazonaws.com")),
      !can(regex(jsondecode(aws_ssm_document.database.content).parameters.host.allowedPattern, "keyless-dev.abc123.us-east-1.rds.amazonaws.com.evil.example")),
      !can(regex(jsondecode(aws_ssm_document.database.content).parameters.host.allowedPattern, "localhost")),
    ])
    error_message = "no other host"
  }
}

run "the_code_is_named_by_its_digest_and_checked_by_it" {
  command = plan

  assert {
    condition     = join("", [for name in local.code_parameters : aws_ssm_parameter.code[name].value]) == local.code_packed && length(local.code_parameters) > 1
    error_message = "the pieces are the whole"
  }
  assert {
    condition     = local.settings.code.sha256 == sha256(local.code) && alltrue([for name in local.settings.code.parameters : startswith(name, "/keyless-dev/server/${substr(sha256(local.code), 0, 12)}/")])
    error_message = "the launch template finds the code that it was made with"
  }
  assert {
    condition     = alltrue([for piece in aws_ssm_parameter.code : length(piece.value) <= 4096])
    error_message = "a standard parameter has 4 kB"
  }
}

run "other_sets_than_the_guards_are_refused" {
  command = plan
  variables {
    permission_sets = { read = { port = 5000 }, write = { port = 5001 } }
  }
  expect_failures = [aws_launch_template.server]
}

run "proxied_artifacts_and_parking" {
  command = plan
  variables {
    ami_id          = "ami-0fedcba9876543210"
    artifact_access = "proxied"
    artifacts       = { bucket_name = "keyless-dev-artifacts", kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
    egress = {
      security_groups = { database = { id = "sg-1", port = 5432 } }
      prefix_lists    = { s3 = { id = "pl-1", port = 443 } }
    }
    logs    = { enabled = false }
    parking = { start = "06:05", stop = "20:00" }
  }
  assert {
    condition     = contains(flatten([for statement in data.aws_iam_policy_document.server.statement : tolist(statement.actions)]), "s3:PutObject")
    error_message = "a proxy writes for its clients"
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.server.statement : one(statement.condition).values if statement.sid == "UseTheArtifactKeyThroughS3"]) == tolist(["s3.us-east-1.amazonaws.com"])
    error_message = "the key is used through S3 alone"
  }
  assert {
    condition     = aws_autoscaling_group.server.min_size == 0 && aws_autoscaling_schedule.parking["start"].recurrence == "5 6 * * MON-FRI" && aws_autoscaling_schedule.parking["stop"].desired_capacity == 0
    error_message = "to zero and back"
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.https) == 0 && length(aws_cloudwatch_log_group.server) == 0 && aws_launch_template.server.image_id == "ami-0fedcba9876543210"
    error_message = "what is not asked for is not made; a pinned image stays"
  }
}

run "bad_values_are_refused" {
  command = plan
  variables {
    ami_id                  = "al2023"
    artifact_access         = "both"
    artifacts               = { bucket_name = "keyless-dev-artifacts", models_prefix = "/mlflow" }
    database                = { identifier = "*", user = "mlflow" }
    database_resource_id    = "*"
    egress                  = { https_cidrs = { all = "everything" } }
    environment             = "Dev"
    instance_type           = "t3.micro"
    name                    = "K"
    parking                 = { start = "07:00", stop = "07:00" }
    platform_parameter_name = "platform"
    permission_sets         = { read = { port = 80 } }
    code_parameter_prefix   = "server/"
    subnet_ids              = []
    volume                  = { size_gib = 2 }
    watchdog                = { grace_seconds = 10 }
    workers                 = 0
  }
  expect_failures = [
    var.ami_id, var.artifact_access, var.artifacts, var.database, var.database_resource_id, var.egress, var.environment,
    var.instance_type, var.name, var.parking, var.platform_parameter_name, var.permission_sets, var.code_parameter_prefix, var.subnet_ids, var.volume,
    var.watchdog, var.workers,
  ]
}
