"""Logs of models: their lines, and following them."""
