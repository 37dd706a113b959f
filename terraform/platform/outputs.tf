output "platform" {
  description = "The contract with Python: everything a client needs to know of this environment. No secret."
  value       = local.platform
}
