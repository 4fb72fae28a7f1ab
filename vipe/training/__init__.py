"""What all trainings share: steps, checkpoints, resuming, checked poses, simulated views, augmentation, losses."""
