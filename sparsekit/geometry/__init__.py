"""Pixels and shapes: regions, polylines, the pixels that a mark covers."""
