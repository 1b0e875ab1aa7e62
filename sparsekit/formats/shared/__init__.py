"""Parts that several formats share, and what every export works with."""
