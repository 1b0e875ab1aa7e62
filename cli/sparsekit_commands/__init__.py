"""One module for each command of ``sparsekit``."""
