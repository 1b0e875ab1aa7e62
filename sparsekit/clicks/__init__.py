"""Clicks: strategies that draw them from label maps."""
