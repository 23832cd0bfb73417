"""The checks of `slipway diagnose`, one file each: its function `check` yields what it found.

A file's name with hyphens is the check's name. It asks the context for what several checks need; what the context
cannot give is told by the one check that owns it (`cli.diagnosis.context.Context`), and the others are skipped.
"""

# From what everything needs to what one model does.
CHECKS = (
    "engine",
    "plugins",
    "docker",
    "builder",
    "registry",
    "disk",
    "files",
    "ports",
    "image",
    "container",
    "pods",
    "groups",
    "health",
    "last_error",
)
