# EC2's network. Its ids are AWS's choice, so the scope is the Environment tag: of the request for
# what is made, of the resource for what is used, changed or deleted.

locals {
  network_types = ["elastic-ip", "internet-gateway", "natgateway", "route-table", "security-group", "security-group-rule", "subnet", "vpc", "vpc-endpoint", "vpc-flow-log"]
}

data "aws_iam_policy_document" "apply_network" {
  # One statement for each kind made, so that the tag of the request cannot stand in for that of a parent.
  dynamic "statement" {
    for_each = {
      Vpc        = { actions = ["CreateVpc"], types = ["vpc"] }
      InVpc      = { actions = ["CreateFlowLogs", "CreateInternetGateway", "CreateRouteTable", "CreateSecurityGroup", "CreateSubnet"], types = ["internet-gateway", "route-table", "security-group", "subnet", "vpc-flow-log"] }
      Endpoint   = { actions = ["CreateVpcEndpoint"], types = ["vpc-endpoint"] }
      Address    = { actions = ["AllocateAddress"], types = ["elastic-ip"] }
      NatGateway = { actions = ["CreateNatGateway"], types = ["natgateway"] }
      Rule       = { actions = ["AuthorizeSecurityGroupEgress", "AuthorizeSecurityGroupIngress"], types = ["security-group-rule"] }
    }
    content {
      sid       = "CreateTagged${statement.key}"
      actions   = [for action in statement.value.actions : "ec2:${action}"]
      resources = [for type in statement.value.types : "${local.ec2}:${type}/*"]

      condition {
        test     = "StringEquals"
        variable = "aws:RequestTag/Environment"
        values   = [var.environment]
      }
    }
  }

  statement {
    sid     = "CreateInOurs"
    actions = ["ec2:CreateFlowLogs", "ec2:CreateNatGateway", "ec2:CreateRouteTable", "ec2:CreateSecurityGroup", "ec2:CreateSubnet", "ec2:CreateVpcEndpoint"]
    resources = [
      "${local.ec2}:elastic-ip/*",
      "${local.ec2}:route-table/*",
      "${local.ec2}:security-group/*",
      "${local.ec2}:subnet/*",
      "${local.ec2}:vpc/*",
    ]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }
  }

  statement {
    sid = "ChangeAndDeleteOurs"
    actions = [
      "ec2:AssociateRouteTable",
      "ec2:AttachInternetGateway",
      "ec2:AuthorizeSecurityGroupEgress",
      "ec2:AuthorizeSecurityGroupIngress",
      "ec2:CreateRoute",
      "ec2:DeleteFlowLogs",
      "ec2:DeleteInternetGateway",
      "ec2:DeleteNatGateway",
      "ec2:DeleteRoute",
      "ec2:DeleteRouteTable",
      "ec2:DeleteSecurityGroup",
      "ec2:DeleteSubnet",
      "ec2:DeleteVpc",
      "ec2:DeleteVpcEndpoints",
      "ec2:DetachInternetGateway",
      "ec2:DisassociateAddress",
      "ec2:DisassociateRouteTable",
      "ec2:ModifySecurityGroupRules",
      "ec2:ModifyVpcAttribute",
      "ec2:ModifyVpcEndpoint",
      "ec2:ReleaseAddress",
      "ec2:ReplaceRoute",
      "ec2:RevokeSecurityGroupEgress",
      "ec2:RevokeSecurityGroupIngress",
    ]
    resources = [for type in local.network_types : "${local.ec2}:${type}/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }
  }

  # The provider attaches a gateway at once after it made it. EC2 may not know the gateway then, for which the provider
  # asks again, nor its tags, for which it does not. The VPC's tags are asked for above, and another's tag is refused.
  statement {
    sid       = "AttachWhatWasJustMade"
    actions   = ["ec2:AttachInternetGateway"]
    resources = ["${local.ec2}:internet-gateway/*"]

    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:ResourceTag/Environment"
      values   = [var.environment]
    }
  }

  # The provider ends the association of a NAT gateway's address after the gateway, with which it ended. Such a call
  # names no address any more, so no tag: an address that is there has an id, and is the statement's above.
  statement {
    sid       = "EndEndedAssociations"
    actions   = ["ec2:DisassociateAddress"]
    resources = ["${local.ec2}:elastic-ip/*"]

    condition {
      test     = "Null"
      variable = "ec2:AllocationId"
      values   = ["true"]
    }
  }

  statement {
    sid       = "TagWhatIsBeingMade"
    actions   = ["ec2:CreateTags"]
    resources = [for type in local.network_types : "${local.ec2}:${type}/*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:CreateAction"
      values = [
        "AllocateAddress",
        "AuthorizeSecurityGroupEgress",
        "AuthorizeSecurityGroupIngress",
        "CreateFlowLogs",
        "CreateInternetGateway",
        "CreateNatGateway",
        "CreateRouteTable",
        "CreateSecurityGroup",
        "CreateSubnet",
        "CreateVpc",
        "CreateVpcEndpoint",
      ]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [var.environment]
    }
  }

  # An interface endpoint with private names is a zone of AWS's own, which EC2 ties to the VPC in the caller's
  # name. Both ARNs are asked for, and neither zone nor VPC has a tag in Route 53; a call of one's own is none of EC2's.
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
  statement {
    sid       = "PrivateNamesOfEndpointsThroughEc2"
    actions   = ["route53:AssociateVPCWithHostedZone", "route53:DisassociateVPCFromHostedZone"]
    resources = ["arn:${local.partition}:route53:::hostedzone/*", "${local.ec2}:vpc/*"]

    condition {
      test     = "BoolIfExists"
      variable = "aws:ViaAWSService"
      values   = ["true"]
    }
  }

  # AWS creates the default security group untagged. Allow tagging it once, only with this Name.
  statement {
    sid       = "AdoptTheDefaultSecurityGroup"
    actions   = ["ec2:CreateTags"]
    resources = ["${local.ec2}:security-group/*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/Environment"
      values   = ["true"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [var.environment]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Name"
      values   = ["${local.prefix}-default-closed"]
    }
  }
}
