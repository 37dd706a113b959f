resource "aws_iam_role" "deploy" {
  name = "deploy-${var.stage}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = var.provider_arn }
      Condition = {
        StringEquals = {
          # one environment of one repository
          "token.actions.githubusercontent.com:sub" = "repo:${var.repository}:environment:${var.stage}"
        }
      }
    }]
  })
}
