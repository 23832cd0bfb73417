"""A project, and Pulumi on one of its stacks."""
