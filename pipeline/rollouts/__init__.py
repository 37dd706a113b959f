"""How a new model comes into use: policy, assignment, statistics, guards and controller."""
