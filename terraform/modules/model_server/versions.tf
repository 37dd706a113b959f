terraform {
  # 1.11: the oldest Terraform this is tested with; OpenTofu counts differently and has all of it in 1.10.
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}
