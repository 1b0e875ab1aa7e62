"""Predictions: from a trained network and images to label maps."""
