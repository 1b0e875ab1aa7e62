"""Marks that cover area: boxes, blocks inside regions, and coarse polygons."""
