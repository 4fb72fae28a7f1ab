"""V-VIPE (Levy & Shrivastava 2024): network, losses, training."""
