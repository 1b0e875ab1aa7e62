"""Studies: many runs compared in one table."""
