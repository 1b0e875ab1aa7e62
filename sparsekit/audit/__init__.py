"""Measures of an annotation: statistics, cost, scores, comparisons."""
