"""A running model's script: loaded again, or under a debugger."""
