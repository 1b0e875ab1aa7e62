"""One module for each command of ``agmm``."""
