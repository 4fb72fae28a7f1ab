"""Two towers, the embedding of `default`: network, losses, training."""
