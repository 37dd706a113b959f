# The database's safety, parking and refusals, offline.

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
}

variables {
  name       = "keyless-dev"
  subnet_ids = ["subnet-1", "subnet-2"]
  vpc_id     = "vpc-1"
}

# AWS's answer for a value that equals the default is system, pending-reboot.
run "a_second_plan_has_no_parameter_to_change" {
  command = plan

  assert {
    condition     = one([for parameter in aws_db_parameter_group.database.parameter : parameter.apply_method if parameter.name == "rds.force_ssl"]) == "pending-reboot"
    error_message = "rds.force_ssl would differ from what AWS reports for ever"
  }
}

run "safe_by_default" {
  command = plan

  assert {
    condition     = aws_db_instance.database.storage_encrypted && !aws_db_instance.database.publicly_accessible && aws_db_instance.database.deletion_protection
    error_message = "encrypted, private, protected"
  }
  assert {
    condition     = aws_db_instance.database.iam_database_authentication_enabled && aws_db_instance.database.manage_master_user_password
    error_message = "entered with IAM tokens; the master's password is RDS's own"
  }
  assert {
    condition     = aws_db_instance.database.password == null && !aws_db_instance.database.skip_final_snapshot
    error_message = "no password in Terraform, a snapshot at the end"
  }
  assert {
    condition     = one([for parameter in aws_db_parameter_group.database.parameter : parameter.value if parameter.name == "rds.force_ssl"]) == "1"
    error_message = "TLS is not optional"
  }
  assert {
    condition     = aws_db_parameter_group.database.family == "postgres17" && aws_db_instance.database.auto_minor_version_upgrade
    error_message = "PostgreSQL 17, patched by itself"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.clients) == 0 && length(aws_iam_role.monitoring) == 0 && length(aws_scheduler_schedule.parking) == 0
    error_message = "nobody gets in, nothing extra is made"
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.database : group.retention_in_days == 30])
    error_message = "logs are not kept for ever"
  }
}

run "everything_switched_on" {
  command = plan
  variables {
    client_security_group_ids = { server = "sg-1" }
    engine_version            = "16.4"
    kms_key_arn               = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    monitoring                = { interval_seconds = 60, performance_insights = true }
    multi_az                  = true
    parameters                = { log_min_duration_statement = { value = "500" }, shared_preload_libraries = { value = "pg_stat_statements", static = true } }
    parking                   = { time_zone = "Europe/Berlin" }
  }
  assert {
    condition     = aws_db_parameter_group.database.family == "postgres16" && length(aws_db_parameter_group.database.parameter) == 3
    error_message = "the family follows the version; parameters are added"
  }
  assert {
    condition     = !aws_db_instance.database.auto_minor_version_upgrade
    error_message = "RDS would leave the pinned release, and go back to none"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.clients["server"].from_port == 5432 && aws_vpc_security_group_ingress_rule.clients["server"].to_port == 5432
    error_message = "one port for one security group"
  }
  assert {
    condition     = aws_db_instance.database.master_user_secret_kms_key_id == aws_db_instance.database.kms_key_id
    error_message = "the key encrypts the secret too"
  }
  assert {
    condition     = aws_scheduler_schedule.parking["stop"].schedule_expression == "cron(30 19 ? * MON-FRI *)" && aws_scheduler_schedule.parking["start"].schedule_expression_timezone == "Europe/Berlin"
    error_message = "stop is ${aws_scheduler_schedule.parking["stop"].schedule_expression}"
  }
  assert {
    condition     = one(data.aws_iam_policy_document.parking.statement).resources == toset(["arn:aws:rds:us-east-1:123456789012:db:keyless-dev"])
    error_message = "the scheduler touches this database alone"
  }
}

run "bad_values_are_refused" {
  command = plan
  variables {
    backup             = { retention_days = 0, window = "at night" }
    engine_version     = "13"
    instance_class     = "t4g.micro"
    kms_key_arn        = "alias/aws/rds"
    maintenance_window = "sunday"
    monitoring         = { interval_seconds = 7 }
    name               = "Keyless--dev"
    parameters         = { "rds.force_ssl" = { value = "0" } }
    parking            = { start = "7am", days = "weekdays" }
    storage            = { allocated_gib = 10, maximum_gib = 10 }
    subnet_ids         = ["subnet-1"]
  }
  expect_failures = [
    var.backup, var.engine_version, var.instance_class, var.kms_key_arn, var.maintenance_window, var.monitoring,
    var.name, var.parameters, var.parking, var.storage, var.subnet_ids,
  ]
}

# Names and places: MLflow's pools have to fit what the database allows.
run "fewer_connections_than_the_servers_pools_hold_are_refused" {
  command = plan
  variables {
    parameters = { max_connections = { value = "40", static = true } }
  }
  expect_failures = [var.parameters]
}

run "connections_by_memory_are_rdss_to_judge" {
  command = plan
  variables {
    parameters = { max_connections = { value = "LEAST({DBInstanceClassMemory/9531392},5000)", static = true } }
  }
  assert {
    condition     = contains([for parameter in aws_db_parameter_group.database.parameter : parameter.name], "max_connections")
    error_message = "an expression is taken as it is"
  }
}

run "refuses_windows_that_overlap" {
  command = plan
  variables {
    backup = { window = "04:00-05:00" }
  }
  expect_failures = [aws_db_instance.database]
}

run "refuses_windows_that_overlap_over_midnight_and_the_week" {
  command = plan
  variables {
    backup             = { window = "23:30-00:30" }
    maintenance_window = "sun:23:00-mon:00:00"
  }
  expect_failures = [aws_db_instance.database]
}

run "refuses_a_window_of_ten_minutes" {
  command = plan
  variables {
    backup = { window = "02:00-02:10" }
  }
  expect_failures = [aws_db_instance.database]
}

run "takes_windows_that_follow_one_another" {
  command = plan
  variables {
    backup             = { window = "23:30-00:30" }
    maintenance_window = "sun:22:30-sun:23:30"
  }
}

run "refuses_a_name_that_no_description_takes" {
  command = plan
  variables {
    client_security_group_ids = { "the office's" = "sg-1" }
  }
  expect_failures = [var.client_security_group_ids]
}
