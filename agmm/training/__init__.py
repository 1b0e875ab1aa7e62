"""The training loop, its state, and training in stages."""
