"""Losses for sparse labels, one file each, behind one interface."""
