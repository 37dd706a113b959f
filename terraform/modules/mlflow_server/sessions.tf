# The only ways to the server and through it: each document opens one port and nothing else.

# One port is one permission set: who may open which document may do what in MLflow.
resource "aws_ssm_document" "mlflow" {
  for_each = var.permission_sets

  name            = local.mlflow_documents[each.key]
  document_type   = "Session"
  document_format = "JSON"
  tags            = var.tags

  content = jsonencode({
    schemaVersion = "1.0"
    description   = "Port forwarding to MLflow of ${var.name}, permission set ${each.key}"
    sessionType   = "Port"
    parameters = {
      localPortNumber = {
        type           = "String"
        description    = "Port on the caller's machine; 0 takes a free one"
        default        = "0"
        allowedPattern = "^(0|[1-9][0-9]{0,4})$"
      }
    }
    properties = {
      type            = "LocalPortForwarding"
      portNumber      = tostring(each.value.port)
      localPortNumber = "{{ localPortNumber }}"
    }
  })
}

# The address is a parameter because the document is made while the database is; the pattern leaves
# one host, and the instance's security group lets it reach no other database.
resource "aws_ssm_document" "database" {
  name            = "${var.name}-database-session"
  document_type   = "Session"
  document_format = "JSON"
  tags            = var.tags

  content = jsonencode({
    schemaVersion = "1.0"
    description   = "Port forwarding to the database of ${var.name}"
    sessionType   = "Port"
    parameters = {
      host = {
        type           = "String"
        description    = "Address of the database"
        allowedPattern = "^${var.database.identifier}\\.[a-z0-9]+\\.${local.region}\\.rds\\.${replace(local.dns_suffix, ".", "\\.")}$"
      }
      localPortNumber = {
        type           = "String"
        description    = "Port on the caller's machine; 0 takes a free one"
        default        = "0"
        allowedPattern = "^(0|[1-9][0-9]{0,4})$"
      }
    }
    properties = {
      type            = "LocalPortForwarding"
      host            = "{{ host }}"
      portNumber      = tostring(var.database.port)
      localPortNumber = "{{ localPortNumber }}"
    }
  })
}
