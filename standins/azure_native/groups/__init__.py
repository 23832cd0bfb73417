"""Container groups as containers of the local Docker engine: one network namespace each, at a loopback address."""
