terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  github = "token.actions.githubusercontent.com"

  # Each job's role, and the subject of its job on GitHub.
  jobs = {
    train   = "repo:acme@1001/pipeline@2002:ref:refs/heads/main"
    promote = "repo:acme@1001/pipeline@2002:environment:promote"
  }
}

resource "aws_s3_bucket" "models" {
  bucket        = "lab-models-${data.aws_caller_identity.current.account_id}"
  force_destroy = true
}

resource "aws_s3_bucket_versioning" "models" {
  bucket = aws_s3_bucket.models.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_ssm_parameter" "payments_key" {
  name  = "/lab/payments-key"
  type  = "SecureString"
  value = "put by hand"

  lifecycle {
    ignore_changes = [value]
  }
}

locals {
  # Promotion makes it: the version and the digest of the champion.
  record = "arn:aws:ssm:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:parameter/lab/champion"
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

resource "aws_iam_role_policy" "train" {
  name   = "train"
  role   = aws_iam_role.job["train"].name
  policy = data.aws_iam_policy_document.train.json
}

data "aws_iam_policy_document" "train" {
  statement {
    sid       = "Data"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.models.arn}/data/*"]
  }

  statement {
    sid       = "Models" # whatever it overwrites, no version is lost
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.models.arn}/*"]
  }
}

resource "aws_iam_role_policy" "promote" {
  name   = "promote"
  role   = aws_iam_role.job["promote"].name
  policy = data.aws_iam_policy_document.promote.json
}

data "aws_iam_policy_document" "promote" {
  statement {
    sid       = "Candidates"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.models.arn}/candidate/*"]
  }

  statement {
    sid       = "Record"
    actions   = ["ssm:PutParameter"]
    resources = [local.record]
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

resource "aws_iam_role_policy" "server" {
  name   = "server"
  role   = aws_iam_role.server.name
  policy = data.aws_iam_policy_document.server.json
}

data "aws_iam_policy_document" "server" {
  statement {
    sid       = "RecordedVersion"
    actions   = ["s3:GetObjectVersion"]
    resources = ["${aws_s3_bucket.models.arn}/candidate/*"]
  }

  statement {
    sid       = "Record"
    actions   = ["ssm:GetParameter"]
    resources = [local.record]
  }

  statement {
    sid       = "Payments" # the server charges for its predictions
    actions   = ["ssm:GetParameter"]
    resources = [aws_ssm_parameter.payments_key.arn]
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
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  user_data = base64encode(join("\n", ["#cloud-config", jsonencode({
    write_files = [
      { path = "/opt/lab/server.py", content = file("${path.module}/server.py") },
      { path = "/etc/keyless/serving.json", content = jsonencode({
        port   = 8080
        bucket = aws_s3_bucket.models.bucket
      }) },
      { path = "/etc/systemd/system/lab.service", content = <<-UNIT
        [Service]
        ExecStart=/opt/keyless/venv/bin/python /opt/lab/server.py /etc/keyless/serving.json
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
}

output "bucket" {
  value = aws_s3_bucket.models.bucket
}

output "group" {
  value = aws_autoscaling_group.server.name
}
