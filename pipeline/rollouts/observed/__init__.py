"""What was seen of a rollout: counts of many servers, logs, feedback, the check of an idle set."""
