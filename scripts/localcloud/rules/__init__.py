"""What AWS's services refuse whoever asks: names, quotas, policies, parameters."""
