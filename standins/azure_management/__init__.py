"""Azure's management API on loopback, as far as somebody asks it beside the plugin: container groups and their logs."""
