"""A camera and a body for each candidate: prior, start, fit, shared proportions, joint conventions."""
