"""The prior: poses aligned, mixtures of probabilistic PCA fitted to them, and what it finds impossible."""
