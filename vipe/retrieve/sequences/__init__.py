"""Several images of one person: tracks over time, cameras around a moment."""
