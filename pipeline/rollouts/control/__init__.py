"""Who acts on a rollout: one controller at a time, and the load balancer that follows it."""
