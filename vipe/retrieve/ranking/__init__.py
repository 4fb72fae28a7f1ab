"""How likely each candidate is, and in which order they come: features, model, coverage, diversity."""
