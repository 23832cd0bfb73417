"""Models on their targets: what a stack has deployed, how that is, and asking it."""
