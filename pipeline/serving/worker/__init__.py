"""The process of one model: reads requests, answers them together, and keeps a log of it."""
