"""Pr-VIPE (Sun et al. 2020), the baseline without 3D: network, losses, training."""
