"""The conditional normalizing flow of Wehrbein et al. 2021: network, losses, critic, and its noise baseline."""
