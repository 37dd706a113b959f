# PostgreSQL for MLflow: private, encrypted, TLS only, entered with IAM tokens.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.id
  major   = split(".", var.engine_version)[0]

  # Known before the database is, so that policies need not wait for it.
  arn = "arn:${data.aws_partition.current.partition}:rds:${local.region}:${local.account}:db:${var.name}"

  log_exports = ["postgresql", "upgrade"]

  # Start and end in minutes: of the backup in its day, of the maintenance in its week.
  backup      = [for time in split("-", var.backup.window) : tonumber(split(":", time)[0]) * 60 + tonumber(split(":", time)[1])]
  maintenance = [for time in split("-", var.maintenance_window) : index(["mon", "tue", "wed", "thu", "fri", "sat", "sun"], split(":", time)[0]) * 1440 + tonumber(split(":", time)[1]) * 60 + tonumber(split(":", time)[2])]

  backup_minutes      = (local.backup[1] - local.backup[0] + 1440) % 1440
  maintenance_minutes = (local.maintenance[1] - local.maintenance[0] + 10080) % 10080
  windows_overlap = anytrue([
    for day in range(7) :
    (day * 1440 + local.backup[0] - local.maintenance[0] + 10080) % 10080 < local.maintenance_minutes ||
    (local.maintenance[0] - day * 1440 - local.backup[0] + 10080) % 10080 < local.backup_minutes
  ])
}

resource "aws_db_subnet_group" "database" {
  name        = var.name
  description = "Private subnets of ${var.name}"
  subnet_ids  = var.subnet_ids
  tags        = var.tags
}

resource "aws_security_group" "database" {
  name        = "${var.name}-database"
  description = "PostgreSQL from the server alone"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-database" })
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = merge(var.tags, { Name = "${var.name}-database-${each.key}" })
}

resource "aws_db_parameter_group" "database" {
  name        = "${var.name}-postgres${local.major}"
  description = "TLS only, for ${var.name}"
  family      = "postgres${local.major}"
  tags        = var.tags

  # RDS reports a value that equals the default, as this one does since PostgreSQL 15, with pending-reboot whatever
  # was asked for; "immediate" would be a change in every plan.
  parameter {
    name         = "rds.force_ssl"
    value        = "1"
    apply_method = "pending-reboot"
  }

  dynamic "parameter" {
    for_each = var.parameters
    content {
      name         = parameter.key
      value        = parameter.value.value
      apply_method = parameter.value.static ? "pending-reboot" : "immediate"
    }
  }

  lifecycle {
    create_before_destroy = true # a major upgrade needs both families for a while
  }
}

resource "aws_cloudwatch_log_group" "database" {
  for_each = toset(local.log_exports)

  name              = "/aws/rds/instance/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_db_instance" "database" {
  #checkov:skip=CKV_AWS_226:on unless a release is pinned, which checkov does not work out
  identifier     = var.name
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class

  allocated_storage     = var.storage.allocated_gib
  max_allocated_storage = var.storage.maximum_gib
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  db_subnet_group_name   = aws_db_subnet_group.database.name
  vpc_security_group_ids = [aws_security_group.database.id]
  publicly_accessible    = false
  port                   = 5432
  multi_az               = var.multi_az

  # RDS makes, keeps and rotates the master's password; Terraform never sees it.
  username                            = "keyless_master"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.kms_key_arn
  iam_database_authentication_enabled = true
  parameter_group_name                = aws_db_parameter_group.database.name

  backup_retention_period   = var.backup.retention_days
  backup_window             = var.backup.window
  copy_tags_to_snapshot     = true
  delete_automated_backups  = !var.backup.final_snapshot
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.backup.final_snapshot
  final_snapshot_identifier = var.backup.final_snapshot ? "${var.name}-final" : null

  auto_minor_version_upgrade  = !strcontains(var.engine_version, ".") # else RDS leaves a pinned release behind, and goes back to none
  allow_major_version_upgrade = false
  apply_immediately           = var.apply_immediately
  maintenance_window          = var.maintenance_window

  enabled_cloudwatch_logs_exports = local.log_exports
  monitoring_interval             = var.monitoring.interval_seconds
  monitoring_role_arn             = one(aws_iam_role.monitoring[*].arn)
  performance_insights_enabled    = var.monitoring.performance_insights

  performance_insights_retention_period = var.monitoring.performance_insights ? 7 : null
  performance_insights_kms_key_id       = var.monitoring.performance_insights ? var.kms_key_arn : null

  tags = merge(var.tags, { Name = var.name })

  # RDS would make the log groups itself, and keep them for ever.
  depends_on = [aws_cloudwatch_log_group.database]

  # RDS looks at both only when everything else is made.
  # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
  lifecycle {
    precondition {
      condition     = local.backup_minutes >= 30 && local.maintenance_minutes >= 30
      error_message = "backup.window and maintenance_window must each last 30 minutes or more: RDS refuses less."
    }
    precondition {
      condition     = !local.windows_overlap
      error_message = "backup.window and maintenance_window must not overlap: RDS refuses the database."
    }
  }
}
