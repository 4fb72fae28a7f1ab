"""What every training shares: steps, checkpoints, going on after an interrupt, checked poses, simulated views."""
