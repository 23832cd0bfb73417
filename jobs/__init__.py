"""Batch jobs: what one is, the engines that run its tasks, how far it has come, and what it wrote."""
