# One self-healing EC2 instance that runs MLflow on its loopback, without an inbound path.

data "aws_caller_identity" "current" {}

data "aws_default_tags" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

data "aws_ssm_parameter" "ami" {
  count = var.ami_id == null ? 1 : 0

  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
}

locals {
  account    = data.aws_caller_identity.current.account_id
  dns_suffix = data.aws_partition.current.dns_suffix
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id

  # All names are known at plan time, so that nothing here waits for the database.
  group_name = "${var.name}-mlflow"
  role_name  = "${var.name}-server"
  log_group  = "/${var.name}/mlflow"
  bucket_arn = "arn:${local.partition}:s3:::${var.artifacts.bucket_name}"

  mlflow_documents = { for name in keys(var.permission_sets) : name => "${var.name}-mlflow-${name}-session" }

  artifact_root = "s3://${var.artifacts.bucket_name}/${trimsuffix(var.artifacts.models_prefix, "/")}"

  instance_tags = { Environment = var.environment, Role = "mlflow" }
  launch_tags   = merge(data.aws_default_tags.current.tags, var.tags, local.instance_tags, { Name = local.group_name })

  settings = {
    environment        = var.environment
    region             = local.region
    platform_parameter = var.platform_parameter_name
    permission_sets    = var.permission_sets
    workers            = var.workers
    code               = { parameters = local.code_parameters, sha256 = local.code_sha256 }
    artifact_root      = local.artifact_root
    artifact_access    = var.artifact_access
    wheelhouse         = "s3://${var.artifacts.bucket_name}/${trimsuffix(var.artifacts.wheelhouse_prefix, "/")}"
    watchdog           = var.watchdog
  }

  agent = {
    agent = { run_as_user = "root", region = local.region }
    logs = {
      logs_collected = {
        files = {
          collect_list = [
            for stream, path in {
              cloud-init = "/var/log/cloud-init-output.log"
              install    = "/var/log/keyless/install.log"
              mlflow     = "/var/log/keyless/mlflow.log"
              watchdog   = "/var/log/keyless/watchdog.log"
            } : { file_path = path, log_group_name = local.log_group, log_stream_name = "{instance_id}/${stream}" }
          ]
        }
      }
    }
  }

  # User data has no room for what serves MLflow; the launcher fetches it and checks its digest. The
  # digest is also in the names, so that an instance finds the code of its own launch template.
  code            = jsonencode({ for name in fileset("${path.module}/files/server", "*.{py,toml}") : name => file("${path.module}/files/server/${name}") })
  code_packed     = base64gzip(local.code)
  code_sha256     = sha256(local.code)
  code_piece      = ceil(length(local.code_packed) / 8) # eight, so that the plan does not change with the size
  code_parameters = [for index in range(8) : "${local.code_prefix}/${substr(local.code_sha256, 0, 12)}/${index}"]
  code_prefix     = coalesce(var.code_parameter_prefix, "/${var.name}/server")

  user_data = base64gzip(templatefile("${path.module}/files/user-data.yaml.tftpl", {
    settings_json    = jsonencode(local.settings)
    launcher         = file("${path.module}/files/launcher.py")
    watchdog         = file("${path.module}/files/watchdog.py")
    install          = file("${path.module}/files/install.sh")
    install_service  = file("${path.module}/files/keyless-install.service")
    logs_service     = file("${path.module}/files/keyless-logs.service")
    mlflow_service   = file("${path.module}/files/keyless-mlflow.service")
    watchdog_service = file("${path.module}/files/keyless-watchdog.service")
    logs_json        = var.logs.enabled ? jsonencode(local.agent) : ""
  }))
}

resource "aws_cloudwatch_log_group" "server" {
  count = var.logs.enabled ? 1 : 0

  name              = local.log_group
  retention_in_days = var.logs.retention_days
  kms_key_id        = var.logs.kms_key_arn
  tags              = var.tags
}

resource "aws_ssm_parameter" "code" {
  #checkov:skip=CKV2_AWS_34:code of this repository, no secret; a key would only widen each reader's rights
  for_each = { for index, name in local.code_parameters : name => substr(local.code_packed, index * local.code_piece, local.code_piece) }

  name        = each.key
  description = "A piece of what serves MLflow of ${var.name}"
  type        = "String"
  value       = each.value
  tags        = var.tags

  lifecycle {
    create_before_destroy = true # the old launch template's code stays until the new one is there

    precondition {
      condition     = local.code_piece <= 4096
      error_message = "files/server is over eight standard parameters of 4 kB; raise the number of pieces."
    }
  }
}

resource "aws_security_group" "server" {
  name        = "${var.name}-mlflow"
  description = "MLflow server: no way in, few ways out"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-mlflow" })
}

resource "aws_vpc_security_group_egress_rule" "security_groups" {
  for_each = var.egress.security_groups

  security_group_id            = aws_security_group.server.id
  description                  = "To ${each.key}"
  referenced_security_group_id = each.value.id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = merge(var.tags, { Name = "${var.name}-mlflow-${each.key}" })
}

resource "aws_vpc_security_group_egress_rule" "prefix_lists" {
  for_each = var.egress.prefix_lists

  security_group_id = aws_security_group.server.id
  description       = "To ${each.key}"
  prefix_list_id    = each.value.id
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = merge(var.tags, { Name = "${var.name}-mlflow-${each.key}" })
}

resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = var.egress.https_cidrs

  security_group_id = aws_security_group.server.id
  description       = "HTTPS to ${each.key}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = merge(var.tags, { Name = "${var.name}-mlflow-https-${each.key}" })
}

resource "aws_launch_template" "server" {
  name                   = local.group_name
  description            = "MLflow server of ${var.name}"
  image_id               = var.ami_id != null ? var.ami_id : nonsensitive(data.aws_ssm_parameter.ami[0].value) # public, though its type is marked secret
  instance_type          = var.instance_type
  update_default_version = true
  user_data              = local.user_data
  tags                   = var.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.server.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # A burstable instance begins in unlimited mode: a busy loop would be billed without end.
  dynamic "credit_specification" {
    for_each = startswith(var.instance_type, "t") ? [var.cpu_credits] : []
    content {
      cpu_credits = credit_specification.value
    }
  }

  monitoring {
    enabled = false # five-minute metrics are free; the watchdog does not wait for them
  }

  network_interfaces {
    associate_public_ip_address = var.associate_public_ip_address
    delete_on_termination       = true
    device_index                = 0
    security_groups             = [aws_security_group.server.id]
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      delete_on_termination = true
      encrypted             = true
      kms_key_id            = var.volume.kms_key_arn
      volume_size           = var.volume.size_gib
      volume_type           = "gp3"
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "network-interface", "volume"])
    content {
      resource_type = tag_specifications.value
      tags          = local.launch_tags
    }
  }

  depends_on = [aws_ssm_parameter.code]

  lifecycle {
    precondition {
      condition     = toset(keys(var.permission_sets)) == toset([for found in regexall("(?m)^\\[sets\\.([a-z]+)\\]", file("${path.module}/files/server/permissions.toml")) : found[0]])
      error_message = "permission_sets names other sets than files/server/permissions.toml."
    }
    precondition {
      condition     = length(local.user_data) <= 16384 / 3 * 4
      error_message = "User data is over EC2's 16 kB; move something from files/ to files/server/."
    }
  }
}

resource "aws_autoscaling_group" "server" {
  name                = local.group_name
  desired_capacity    = 1
  min_size            = var.parking == null ? 1 : 0
  max_size            = 1
  vpc_zone_identifier = var.subnet_ids

  # EC2's checks do not see a dead MLflow; the watchdog on the box reports it (SetInstanceHealth).
  health_check_type         = "EC2"
  health_check_grace_period = 300
  wait_for_capacity_timeout = "0" # `keyless` waits for MLflow itself, beside Terraform
  enabled_metrics           = ["GroupInServiceInstances"]

  launch_template {
    id      = aws_launch_template.server.id
    version = aws_launch_template.server.latest_version
  }

  # A new version replaces the one instance: down first, so that two releases never share a schema.
  instance_refresh {
    strategy = "Rolling"
    preferences {
      instance_warmup        = 60
      min_healthy_percentage = 0
    }
  }

  dynamic "tag" {
    for_each = local.launch_tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false # the launch template tags the instance before it exists
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity] # the schedule's
  }
}

resource "aws_autoscaling_schedule" "parking" {
  for_each = var.parking == null ? {} : {
    start = { capacity = 1, time = var.parking.start }
    stop  = { capacity = 0, time = var.parking.stop }
  }

  scheduled_action_name  = each.key
  autoscaling_group_name = aws_autoscaling_group.server.name
  recurrence             = "${tonumber(split(":", each.value.time)[1])} ${tonumber(split(":", each.value.time)[0])} * * ${var.parking.days}"
  time_zone              = var.parking.time_zone
  desired_capacity       = each.value.capacity
  min_size               = -1 # unchanged
  max_size               = -1
}
