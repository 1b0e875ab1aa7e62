"""Evaluation: compare predictions with full masks."""
