"""Deploying a stack: what is mended before, and taken back after."""
