terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

# The database and its password's parameter are another team's.
data "aws_db_instance" "customers" {
  db_instance_identifier = "lab-customers"
}

resource "aws_s3_bucket" "exports" {
  bucket        = "lab-exports-${data.aws_caller_identity.current.account_id}"
  force_destroy = true
}

resource "aws_iam_role" "server" {
  name               = "lab-server"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "server" {
  name   = "server"
  role   = aws_iam_role.server.name
  policy = data.aws_iam_policy_document.server.json
}

data "aws_iam_policy_document" "server" {
  statement {
    sid       = "Exports"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.exports.arn}/exports/*"]
  }

  statement {
    sid       = "Database"
    actions   = ["rds-db:connect"]
    resources = ["arn:aws:rds-db:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:dbuser:${data.aws_db_instance.customers.resource_id}/app_token"]
  }
}

resource "aws_iam_instance_profile" "server" {
  name = "lab-server"
  role = aws_iam_role.server.name
}

resource "aws_launch_template" "server" {
  name          = "lab-server"
  image_id      = "ami-12c6146b" # one that the local cloud knows
  instance_type = "t4g.micro"

  iam_instance_profile {
    name = "lab-server" # named, so that Terraform waits for both at once
  }

  metadata_options {
    http_endpoint               = "enabled" # without it a role has no credentials here
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  user_data = base64encode(join("\n", ["#cloud-config", jsonencode({
    write_files = [
      { path = "/opt/lab/app.py", content = file("${path.module}/app.py") },
      { path = "/etc/keyless/serving.json", content = jsonencode({
        port    = 8080
        host    = data.aws_db_instance.customers.address
        db_port = data.aws_db_instance.customers.port
      }) },
      { path = "/etc/systemd/system/lab.service", content = <<-UNIT
        [Service]
        ExecStart=/opt/keyless/venv/bin/python /opt/lab/app.py /etc/keyless/serving.json
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
    key                 = "Environment" # the network of this environment leads to the database
    value               = "lab"
    propagate_at_launch = true
  }
}

output "bucket" {
  value = aws_s3_bucket.exports.bucket
}

output "group" {
  value = aws_autoscaling_group.server.name
}
