"""Formats of other tools: one module for each."""
