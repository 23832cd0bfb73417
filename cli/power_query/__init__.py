"""Queries for Power BI and Excel."""
