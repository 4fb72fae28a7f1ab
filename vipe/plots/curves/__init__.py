"""Pictures of figures: how good, how fast, how well calibrated (matplotlib)."""
