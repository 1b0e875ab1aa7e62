"""Scores: predictions compared with full masks."""
