"""Requests and responses for scripts that want all of HTTP."""
