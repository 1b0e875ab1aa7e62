"""Grow sparse labels over the image where that is reliable, before training."""
