"""Scribbles: strokes traced through the regions of a label map."""
