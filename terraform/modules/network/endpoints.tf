# Private ways to AWS services: S3's free gateway always, interface endpoints when nothing else leads out.

locals {
  interface_endpoints = var.egress == "endpoints" ? var.interface_endpoints : {}

  # Amazon Linux 2023 installs from S3, unsigned.
  # https://docs.aws.amazon.com/linux/al2023/ug/managing-repos-os-updates.html
  package_repositories = "arn:${data.aws_partition.current.partition}:s3:::al2023-repos-${local.region}-de612dc2/*"
}

data "aws_iam_policy_document" "s3_endpoint" {
  statement {
    sid       = "AnyoneReadsAmazonLinuxRepositories"
    actions   = ["s3:GetObject"]
    resources = [local.package_repositories]

    principals { # package managers do not sign
      type        = "*"
      identifiers = ["*"]
    }
  }

  dynamic "statement" {
    for_each = length(var.s3_endpoint.bucket_names) > 0 ? [var.s3_endpoint] : []
    content {
      sid = "OurRolesUseOurBuckets"
      actions = [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetBucketLocation",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
      ]
      resources = flatten([
        for name in statement.value.bucket_names : [
          "arn:${data.aws_partition.current.partition}:s3:::${name}",
          "arn:${data.aws_partition.current.partition}:s3:::${name}/*",
        ]
      ])

      principals {
        type        = "*" # an endpoint policy names principals through conditions
        identifiers = ["*"]
      }

      condition {
        test     = "ArnEquals"
        variable = "aws:PrincipalArn"
        values   = statement.value.principal_arns
      }

      # The names are made of account id and region: a stranger may have registered one first.
      condition {
        test     = "StringEquals"
        variable = "aws:ResourceAccount"
        values   = [local.account]
      }
    }
  }
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.main.id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat([for table in aws_route_table.private : table.id], aws_route_table.public[*].id)
  policy            = data.aws_iam_policy_document.s3_endpoint.json
  tags              = merge(var.tags, { Name = "${var.name}-s3" })
}

data "aws_iam_policy_document" "interface_endpoint" {
  for_each = local.interface_endpoints

  statement {
    sid       = "ThisAccountUsesNamedActions"
    actions   = each.value
    resources = ["*"] # which resources is for each role's own policy; the endpoint limits who and what for

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [local.account]
    }
  }
}

resource "aws_security_group" "endpoints" {
  count = length(local.interface_endpoints) > 0 ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "Interface endpoints: HTTPS from inside the VPC"
  vpc_id      = aws_vpc.main.id
  tags        = merge(var.tags, { Name = "${var.name}-endpoints" })
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count = length(local.interface_endpoints) > 0 ? 1 : 0

  security_group_id = aws_security_group.endpoints[0].id
  description       = "HTTPS from inside the VPC"
  cidr_ipv4         = var.cidr_block
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = merge(var.tags, { Name = "${var.name}-endpoints" })
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.interface_endpoints

  vpc_id              = aws_vpc.main.id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  security_group_ids  = aws_security_group.endpoints[*].id
  policy              = data.aws_iam_policy_document.interface_endpoint[each.key].json
  tags                = merge(var.tags, { Name = "${var.name}-${each.key}" })
}
