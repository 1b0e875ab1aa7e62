"""Figures of annotations: overlays, sheets, galleries."""
