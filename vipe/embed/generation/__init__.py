"""New poses from an embedding: variations, interpolation, samples; and checks of how plausible they are."""
