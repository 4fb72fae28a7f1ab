"""`vipe evaluate`: how good a search, its probabilities, an embedding or a lifter is."""
