"""ProPose: a Gaussian for each 3D pose and one for each 2D pose, joined by a conditional flow (Han et al. 2025)."""
