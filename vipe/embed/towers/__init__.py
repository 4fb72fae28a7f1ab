"""Two towers, our own embedding: network, training."""
