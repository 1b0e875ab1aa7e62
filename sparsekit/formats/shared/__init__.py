"""Parts that several formats share, and what every export and import works with."""
