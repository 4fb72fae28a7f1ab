"""Pictures of people: skeletons, hypotheses, sheets, strips (matplotlib)."""
