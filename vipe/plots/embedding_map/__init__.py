"""Embedding maps: the poses of an index in the plane, measured, drawn, and on a page. Need the `maps` extra."""
