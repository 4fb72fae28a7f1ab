"""Pr-VIPE (Sun et al. 2020), a baseline: network, losses, training."""
