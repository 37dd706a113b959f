# Two sets of model servers, blue and green: a launch template and an Auto Scaling group each.

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

  # All names are known at plan time.
  role_name        = "${var.name}-serve"
  balancer_name    = "${var.name}-serve"
  log_group        = "/${var.name}/serve"
  session_document = "${var.name}-serve-session"
  bucket_arn       = "arn:${local.partition}:s3:::${var.artifacts.bucket_name}"
  ssl_policy       = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  wheelhouse       = "${var.artifacts.prefixes.wheelhouse}serving/"

  sets          = toset(["blue", "green"])
  group_names   = { for name in local.sets : name => "${var.name}-serve-${name}" }
  instance_tags = { Environment = var.environment, Role = "serve" }
  launch_tags   = { for name in local.sets : name => merge(data.aws_default_tags.current.tags, var.tags, local.instance_tags, { Name = local.group_names[name], Set = name }) }

  settings = { for name in local.sets : name => {
    environment   = var.environment
    region        = local.region
    model         = var.model
    set           = name
    port          = var.port
    trusted_types = var.trusted_types
    wheelhouse    = "s3://${var.artifacts.bucket_name}/${trimsuffix(local.wheelhouse, "/")}"
  } }

  agent = {
    agent = { run_as_user = "root", region = local.region }
    logs = {
      logs_collected = {
        files = {
          collect_list = [
            for stream, path in {
              cloud-init = "/var/log/cloud-init-output.log"
              install    = "/var/log/keyless/install.log"
              serve      = "/var/log/keyless/serve.log"
            } : { file_path = path, log_group_name = local.log_group, log_stream_name = "{instance_id}/${stream}" }
          ]
        }
      }
    }
  }

  user_data = { for name in local.sets : name => base64gzip(templatefile("${path.module}/files/user-data.yaml.tftpl", {
    settings_json   = jsonencode(local.settings[name])
    install         = file("${path.module}/files/install.sh")
    install_service = file("${path.module}/files/keyless-install.service")
    logs_service    = file("${path.module}/files/keyless-logs.service")
    serve_service   = file("${path.module}/files/keyless-serve.service")
    logs_json       = var.logs.enabled ? jsonencode(local.agent) : ""
  })) }
}

resource "aws_cloudwatch_log_group" "serve" {
  count = var.logs.enabled ? 1 : 0

  name              = local.log_group
  retention_in_days = var.logs.retention_days
  kms_key_id        = var.logs.kms_key_arn
  tags              = var.tags
}

resource "aws_launch_template" "serve" {
  for_each = local.sets

  name                   = local.group_names[each.key]
  description            = "Model server of ${var.name}, ${each.key} set"
  image_id               = var.ami_id != null ? var.ami_id : nonsensitive(data.aws_ssm_parameter.ami[0].value) # public, though its type is marked secret
  instance_type          = var.instance_type
  update_default_version = true
  user_data              = local.user_data[each.key]
  tags                   = var.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.serve.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # Scaling looks at the CPU: an instance that is held at its baseline would never look busy. Said here, because an
  # account may have another default.
  dynamic "credit_specification" {
    for_each = startswith(var.instance_type, "t") ? [var.cpu_credits] : []
    content {
      cpu_credits = credit_specification.value
    }
  }

  monitoring {
    enabled = false # target tracking by five-minute metrics would be slow; the load balancer's come each minute
  }

  network_interfaces {
    associate_public_ip_address = var.associate_public_ip_address
    delete_on_termination       = true
    device_index                = 0
    security_groups             = [aws_security_group.instances.id]
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
      tags          = local.launch_tags[each.key]
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.user_data[each.key]) <= 16384 / 3 * 4
      error_message = "User data is over EC2's 16 kB; move something from files/ into the wheelhouse."
    }
  }
}

resource "aws_autoscaling_group" "serve" {
  for_each = local.sets

  name                = local.group_names[each.key]
  desired_capacity    = each.key == "blue" ? var.capacity.minimum : 0
  min_size            = each.key == "blue" ? var.capacity.minimum : 0
  max_size            = var.capacity.maximum
  target_group_arns   = [aws_lb_target_group.serve[each.key].arn]
  vpc_zone_identifier = var.subnet_ids

  health_check_type         = "ELB"
  health_check_grace_period = 600 # installation takes minutes
  wait_for_capacity_timeout = "0" # the packages come after the first apply
  enabled_metrics           = ["GroupInServiceInstances"]

  launch_template {
    id      = aws_launch_template.serve[each.key].id
    version = aws_launch_template.serve[each.key].latest_version
  }

  # New ones first, so that no request meets a smaller set.
  instance_refresh {
    strategy = "Rolling"
    preferences {
      instance_warmup        = 120
      min_healthy_percentage = 100
      max_healthy_percentage = 200
    }
  }

  dynamic "tag" {
    for_each = local.launch_tags[each.key]
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false # the launch template tags the instance before it exists
    }
  }

  lifecycle {
    # The rollout's controller fills the idle set, and scaling follows the load.
    ignore_changes = [desired_capacity, min_size]
  }
}

resource "aws_autoscaling_policy" "load" {
  for_each = local.sets

  name                   = local.group_names[each.key]
  autoscaling_group_name = aws_autoscaling_group.serve[each.key].name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.capacity.cpu_percent

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}
