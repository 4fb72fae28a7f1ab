"""Files that a user names: what may be written where, what is read at all, tables of settings."""
