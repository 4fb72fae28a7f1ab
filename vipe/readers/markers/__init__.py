"""Trajectories of markers, as clips: TRC and C3D."""
