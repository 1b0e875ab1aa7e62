"""Whole datasets: from images with masks to a folder of annotations and its manifest."""
