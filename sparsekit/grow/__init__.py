"""Grow sparse labels over the image as far as that is safe, before anything is trained."""
