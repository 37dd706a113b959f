terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_vpc" "default" {
  default = true
}

locals {
  github = "token.actions.githubusercontent.com"

  jobs = {
    train  = "repo:acme@1001/pipeline@2002:ref:refs/heads/main"
    reader = "repo:acme@1001/pipeline@2002:environment:reader"
  }

  # Sets of rights, and the port of each on the instance.
  permission_sets = { all = { port = 5000 } }
}

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "job" {
  for_each           = local.jobs
  name               = "lab-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.job_trust[each.key].json
}

data "aws_iam_policy_document" "job_trust" {
  for_each = local.jobs

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github}:sub"
      values   = [each.value]
    }
  }
}

resource "aws_iam_role" "server" {
  name               = "lab-server"
  assume_role_policy = data.aws_iam_policy_document.server_trust.json
}

data "aws_iam_policy_document" "server_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_instance_profile" "server" {
  name = "lab-server"
  role = aws_iam_role.server.name
}

resource "aws_security_group" "server" {
  name        = "lab-server"
  description = "MLflow"
  vpc_id      = data.aws_vpc.default.id

  ingress {
    description = "work from home"
    from_port   = 5000
    to_port     = 5000
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_launch_template" "server" {
  name                   = "lab-server"
  image_id               = "ami-12c6146b" # one that the local cloud knows
  instance_type          = "t4g.micro"
  vpc_security_group_ids = [aws_security_group.server.id]

  iam_instance_profile {
    name = "lab-server" # named, so that Terraform waits for both at once
  }

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  user_data = base64encode(join("\n", ["#cloud-config", jsonencode({
    write_files = [
      { path = "/opt/lab/server.py", content = file("${path.module}/server.py") },
      { path = "/etc/keyless/server.json", content = jsonencode({
        permission_sets = local.permission_sets
      }) },
      { path = "/etc/systemd/system/lab.service", content = <<-UNIT
        [Service]
        ExecStart=/opt/keyless/venv/bin/python /opt/lab/server.py /etc/keyless/server.json
        Restart=always
        RestartSec=1
      UNIT
      },
    ]
    runcmd = ["systemctl enable --now lab.service"]
  })]))
}

resource "aws_autoscaling_group" "server" {
  depends_on = [aws_iam_instance_profile.server]

  name                      = "lab-server"
  min_size                  = 1
  max_size                  = 1
  availability_zones        = ["${data.aws_region.current.name}a"]
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.server.id
    version = aws_launch_template.server.latest_version
  }

  tag {
    key                 = "Role"
    value               = "mlflow"
    propagate_at_launch = true
  }
}

output "group" {
  value = aws_autoscaling_group.server.name
}
