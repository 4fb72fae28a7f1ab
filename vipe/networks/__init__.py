"""Network layers that embeddings and lifters share."""
