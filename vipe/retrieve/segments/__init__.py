"""Stretches of motion that are alike: a clip found in an archive, parts that two clips share, and cycles of one."""
