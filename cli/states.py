"""States of a model on a target that no service tells, because it does not run there."""

# Wanted by the manifest, and its target is live in this stack.
NOT_DEPLOYED = "not deployed"
# Wanted by the manifest, on a target that is not live in this stack.
NOT_LIVE = "not live here"
