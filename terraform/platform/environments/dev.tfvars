# Cheap and disposable: destroy takes the data along.
environment = "dev"
egress      = "public_ip"

artifact_store = {
  force_destroy = true
}

database = {
  apply_immediately   = true
  deletion_protection = false
  log_retention_days  = 7
  backup = {
    retention_days = 1
    final_snapshot = false
  }
}

network = {
  flow_logs = { traffic = "REJECT", retention_days = 7 }
}

observability = {
  budget = { limit_usd = 35 }
}
