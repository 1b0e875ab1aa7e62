"""Inference: predict label maps with a trained network, and export it."""
