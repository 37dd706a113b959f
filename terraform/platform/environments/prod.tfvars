# Protected: two zones, no route to the internet, a key of its own, nothing deleted by accident.
environment          = "prod"
egress               = "endpoints"
customer_managed_key = true

database = {
  instance_class = "db.t4g.small"
  multi_az       = true
  backup         = { retention_days = 14 }
  monitoring     = { interval_seconds = 60 }
}

network = {
  cidr_block = "10.41.0.0/16"
  flow_logs  = { retention_days = 90 }
}

server = {
  instance_type = "t4g.medium"
}

observability = {
  budget = { limit_usd = 250 }
}
