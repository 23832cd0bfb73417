"""Releases of a stack, and promoting them to another one."""
