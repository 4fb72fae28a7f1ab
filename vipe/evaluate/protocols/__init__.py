"""One protocol a module: what is asked, of which queries, and how it is scored."""
