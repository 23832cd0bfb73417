"""Images in their registries: asked for, copied, removed."""
