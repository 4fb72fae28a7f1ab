"""`vipe query`: its options, the search, and the answer as text, page and table."""

from vipe.cli.query.command import query

__all__ = ["query"]
