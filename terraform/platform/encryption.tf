# The environment's own key, where AWS's will not do. Bootstrap makes it; here it is found and used.

data "aws_kms_alias" "environment" {
  count = var.customer_managed_key ? 1 : 0

  name = "alias/${local.prefix}" # without one: keyless bootstrap --environment NAME
}

# Before bootstrap made the key, this root did. A state from then drops it; nothing is deleted.
removed {
  from = aws_kms_key.environment

  lifecycle {
    destroy = false
  }
}

removed {
  from = aws_kms_alias.environment

  lifecycle {
    destroy = false
  }
}
