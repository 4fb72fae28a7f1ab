"""Baselines: other ways to search, measured beside the library's own."""
