"""New poses from an embedding: variations, interpolation, samples, joint limits."""
